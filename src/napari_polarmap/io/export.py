"""Write the maps of a result in formats that other programs read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from napari_polarmap.io.display import Display
from napari_polarmap.io.ome import write_tiffs, write_zarr
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.io.script import write_notebook, write_script
from napari_polarmap.io.tables import write_csv


def export_map(
    result: PolarizationMap,
    folder: str | Path,
    formats: Sequence[str] = ("tiff", "csv", "png"),
    stem: str = "polarization",
    display: Display | None = None,
) -> list[Path]:
    """Write a result into a folder, each file under a temporary name until it is whole.

    Parameters
    ----------
    result : PolarizationMap
    folder : str or Path
        Made if it is not there; nothing is written outside it.
    formats : sequence of str
        Of `FORMATS`: ``tiff`` (one OME-TIFF per map, with the physical size), ``csv`` (one line per scan position,
        per domain and per irregular region), ``png``, ``svg``, ``pdf`` (the figure), ``zarr`` (all maps in one
        OME-Zarr store), ``py`` and ``ipynb`` (script and notebook that repeat the run).
    stem : str
        Beginning of every file name.
    display : Display, optional
        Colours of the figure.

    Returns
    -------
    paths : list of Path
        What was written.

    Raises
    ------
    ValueError
        For an unknown format, a stem that is no plain name, or a folder that is a file.
    OSError
        If the folder cannot be written.
    """
    folder = Path(folder)
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(f"{unknown[0] if unknown else 'no format'!r}: formats to export are {', '.join(FORMATS)}")
    if not stem or stem in (".", "..") or Path(stem).name != stem or "\\" in stem or "\0" in stem:
        raise ValueError(f"{stem!r}: file names begin with a plain name, without folders")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: a file; name a folder to export to")
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name in dict.fromkeys(formats):
        if name in _FIGURES:
            paths.append(_figure(result, folder / f"{stem}.{name}", display))
        else:
            paths += _WRITERS[name](result, folder, stem)
    return paths


def _figure(result: PolarizationMap, path: Path, display: Display | None) -> Path:
    from napari_polarmap.io.figure import map_figure

    return map_figure(result, path, display=display)


_WRITERS: Final[dict[str, Callable[[PolarizationMap, Path, str], list[Path]]]] = {
    "tiff": write_tiffs,
    "csv": write_csv,
    "zarr": write_zarr,
    "py": write_script,
    "ipynb": write_notebook,
}
_FIGURES: Final = ("png", "svg", "pdf")
FORMATS: Final = ("tiff", "csv", "png", "svg", "pdf", "zarr", "py", "ipynb")
