"""Map many scans with one set of parameters; what is wrong with one does not stop the others."""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import LABELS, N_DIRECTIONS, UNDEFINED
from napari_polarmap.core.whole_file import whole_file
from napari_polarmap.io import filename_patterns, open_scan
from napari_polarmap.io.display import Display, map_rgb
from napari_polarmap.io.export import export_map
from napari_polarmap.io.result import PolarizationMap, is_result
from napari_polarmap.models.registry import Classifier
from napari_polarmap.pipeline.inspection import Progress
from napari_polarmap.pipeline.mapping import map_steps
from napari_polarmap.pipeline.parameters import MapParams

THUMBNAIL_PX: Final = 96
TABLE: Final = "batch.csv"
SHEET: Final = "batch.png"
_GREY: Final = 0.86
_COMPANION: Final = re.compile(r"_data_\d+\.h5$")
State = Literal["waiting", "mapped", "kept", "failed"]


@dataclass(frozen=True, kw_only=True)
class BatchItem:
    """One scan of a batch.

    Attributes
    ----------
    path : Path
        Of the scan.
    state : {"waiting", "mapped", "kept", "failed"}
        ``kept``: the result was there already.
    error : str
        In a sentence, why there is no map.
    result : Path, optional
        Where the map is.
    facts : dict of str to float, int or str
        What the table tells, by `COLUMNS`.
    thumbnail : ndarray of uint8, shape (y, x, 3), optional
        The map in the eight colours, at most 96 pixels wide and high.
    """

    path: Path
    state: State = "waiting"
    error: str = ""
    result: Path | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    thumbnail: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class BatchProgress:
    """How far a batch has come: scan `index` of `total`, what is done with it, and every scan that is done."""

    index: int
    total: int
    step: Progress
    items: tuple[BatchItem, ...]


COLUMNS: Final = (
    "file", "state", "error", "rows", "columns", "step_A", *LABELS, "undefined", "median_confidence", "irregular",
    "regions", "thickness_nm", "tilt_mrad", "magnitude", "seconds", "result",
)  # fmt: skip
"""Columns of the table: shares of the positions for the directions, `undefined` and `irregular`; medians."""


def find_scans(folder: str | Path) -> list[Path]:
    """Return what may be a scan in a folder, by name: files of known formats, and folders of TIFF files or Zarr stores.

    What a batch wrote is left out, and so are the companions of other files: the data files of a Dectris master, and
    headless files beside the ``.xml`` that describes them.

    Raises
    ------
    NotADirectoryError
        If it is no folder.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder}: no such folder")
    suffixes = tuple(pattern.removeprefix("*") for pattern in filename_patterns())
    found = []
    entries = sorted((path for path in folder.iterdir() if not path.name.startswith(".")), key=_natural)
    described = any(path.suffix.lower() == ".xml" for path in entries)
    for path in entries:
        name = path.name.lower()
        if path.is_dir():
            is_scan = name.endswith((".zarr", ".zspy")) or next(path.glob("*.tif*"), None) is not None
        else:
            is_scan = name.endswith(suffixes) and not _COMPANION.search(name)
            is_scan = is_scan and not (described and path.suffix.lower() in (".raw", ".bin")) and not is_result(path)
        if is_scan:
            found.append(path)
    return found


def batch_steps(
    paths: Sequence[Path],
    classifier: Classifier,
    params: MapParams,
    folder: str | Path,
    *,
    calibration: Mapping[str, Any] | None = None,
    formats: Sequence[str] = ("png",),
    resume: bool = False,
    opener: Callable[[Path], Scan4D] = open_scan,
) -> Generator[BatchProgress, None, list[BatchItem]]:
    """Map scans one after the other into a folder.

    For each scan a result file ``NAME_map.h5`` is written, and what else is asked for. The table ``batch.csv`` grows
    with every scan, so that it is there when the batch is stopped. At the end ``batch.png`` shows all maps.

    Parameters
    ----------
    paths : sequence of Path
    classifier : Classifier
    params : MapParams
    folder : str or Path
        Made if it is not there.
    calibration : mapping, optional
        Arguments of `Scan4D.calibrated` that go before what the files say.
    formats : sequence of str
        Of `io.export.FORMATS`.
    resume : bool
        Leave results that were made from the same scan, with the same model, parameters and calibration.
    opener : callable
        Opens a scan.

    Yields
    ------
    BatchProgress

    Returns
    -------
    items : list of BatchItem
        In the order of `paths`.

    Raises
    ------
    ValueError
        If there are no scans, or the folder is a file.
    """
    folder = Path(folder)
    if not paths:
        raise ValueError("no scans to map")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: a file; name a folder for the results")
    folder.mkdir(parents=True, exist_ok=True)
    items: list[BatchItem] = []
    for index, (path, stem) in enumerate(zip(paths, _stems(paths), strict=True)):
        target = folder / f"{stem}.h5"
        began = time.monotonic()
        try:
            with opener(path) as opened:
                scan = opened.calibrated(**dict(calibration or {}))
                result = _kept(target, scan, classifier, params) if resume else None
                state: State = "kept" if result else "mapped"
                if result is None:
                    _refuse_foreign(target)
                    steps = map_steps(scan, classifier, params)
                    result = yield from _following(steps, index, len(paths), items)
                    result.save(target)
                    export_map(result, folder, formats, stem) if formats else None
            item = _described(path, state, result, target, time.monotonic() - began)
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with one scan, the others are mapped
            item = BatchItem(path=path, state="failed", error=_sentence(error))
        items.append(item)
        write_table(items, folder / TABLE)
        yield BatchProgress(index + 1, len(paths), Progress("next scan", 0, 0), tuple(items))
    write_sheet(items, folder / SHEET)
    return items


def _following(
    steps: Generator[Progress, None, PolarizationMap], index: int, total: int, items: list[BatchItem]
) -> Generator[BatchProgress, None, PolarizationMap]:
    """Pass the steps of one run on; return its result."""
    while True:
        try:
            step = next(steps)
        except StopIteration as finished:
            result: PolarizationMap = finished.value
            return result
        yield BatchProgress(index, total, step, tuple(items))


def write_table(items: Sequence[BatchItem], path: Path) -> None:
    """Write one line per scan, by `COLUMNS`."""
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        for item in items:
            known = {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in item.facts.items()}
            writer.writerow({"file": item.path.name, "state": item.state, "error": item.error, **known})


def write_sheet(items: Sequence[BatchItem], path: Path) -> None:
    """Draw the maps of a batch beside each other, each with its file name."""
    from napari_polarmap.io.contact_sheet import contact_sheet

    contact_sheet([(item.path.name, item.error, item.thumbnail) for item in items], path)


def thumbnail(result: PolarizationMap) -> NDArray[np.uint8]:
    """Return a map in the eight colours, at most 96 pixels wide and high; undefined positions are grey.

    Examples
    --------
    A map of 200 x 100 positions becomes 67 x 34 pixels: every third position.
    """
    rgb = map_rgb(result, Display())
    step = -(-max(result.scan_shape) // THUMBNAIL_PX)
    small = rgb[step // 2 :: step, step // 2 :: step] if min(rgb.shape[:2]) > step // 2 else rgb[::step, ::step]
    return np.asarray(np.round(255 * np.where(np.isfinite(small), small, _GREY)), np.uint8)


def _described(path: Path, state: State, result: PolarizationMap, target: Path, seconds: float) -> BatchItem:
    shares = np.bincount(result.domain.ravel(), minlength=UNDEFINED + 1) / result.domain.size
    told = result.direction != UNDEFINED
    tilt = None if result.tilt_mrad is None else np.hypot(result.tilt_mrad[..., 0], result.tilt_mrad[..., 1])
    facts = {
        "rows": result.scan_shape[0],
        "columns": result.scan_shape[1],
        "step_A": (result.provenance.get("calibration") or {}).get("scan_step_A"),
        **{label: float(share) for label, share in zip(LABELS, shares[:N_DIRECTIONS], strict=True)},
        "undefined": float(shares[UNDEFINED]),
        "median_confidence": float(np.median(result.confidence[told])) if told.any() else None,
        "irregular": float(result.irregular.mean()),
        "regions": len(result.provenance.get("regions") or []),
        "thickness_nm": _median(result.thickness_nm),
        "tilt_mrad": _median(tilt),
        "magnitude": _median(result.magnitude),
        "seconds": seconds if state == "mapped" else None,
        "result": target.name,
    }
    known = {name: value for name, value in facts.items() if value is not None}
    return BatchItem(path=path, state=state, result=target, facts=known, thumbnail=thumbnail(result))


def _median(values: NDArray[np.floating] | None) -> float | None:
    finite = np.array([]) if values is None else values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else None


def _kept(target: Path, scan: Scan4D, classifier: Classifier, params: MapParams) -> PolarizationMap | None:
    """Return the result that is there, where the same run would be done again."""
    from napari_polarmap.io.source import describe_source
    from napari_polarmap.pipeline.mapping import parameters_of

    if not target.is_file() or not is_result(target):
        return None
    result = PolarizationMap.load(target)
    wanted = {
        "input": describe_source(scan),
        "calibration": scan.calibration.record(),
        "parameters": parameters_of(params),
    }
    same = all(result.provenance.get(name) == value for name, value in wanted.items())
    return result if same and result.provenance.get("model", {}).get("sha256") == classifier.info.sha256 else None


def _refuse_foreign(target: Path) -> None:
    if target.exists() and not is_result(target):
        raise ValueError(f"{target}: exists and is no result of polarmap; choose another folder")


def _stems(paths: Sequence[Path]) -> list[str]:
    """Return a name for the files of each scan; scans that differ in their suffix only keep it."""
    plain = [path.stem for path in paths]
    names = [path.stem if plain.count(path.stem) == 1 else path.name.replace(".", "_") for path in paths]
    before = [names[:index].count(name) for index, name in enumerate(names)]
    return [f"{name}_{count + 1}_map" if count else f"{name}_map" for name, count in zip(names, before, strict=True)]


def _natural(path: Path) -> list[Any]:
    """Sort film2 before film10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.lower()) for part in re.split(r"(\d+)", path.name)]


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if text and isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {text}".rstrip(": ")
