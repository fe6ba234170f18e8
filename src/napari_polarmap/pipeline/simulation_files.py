"""From the finished pieces of a simulation to one file, and the manifest that goes with it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.whole_file import whole_file
from napari_polarmap.io.hdf5 import write_scan
from napari_polarmap.simulation.config import SimulationConfig
from napari_polarmap.simulation.detector import Recorder, draw_camera
from napari_polarmap.simulation.multislice import sampling_mrad
from napari_polarmap.simulation.scene import BLOCK_PX, Scene, block_slices, build_scene
from napari_polarmap.simulation.specimens import INTENSITY_SCALE

MANIFEST_FORMAT = "napari-polarmap simulation"


def join_specimens(config: SimulationConfig, source: dict[str, str], pieces: list[Path], out: Path) -> dict[str, Any]:
    """Write a training set: rows are specimens times thicknesses, columns the probe positions; return its manifest."""
    rows: dict[str, list[float]] = {}
    for index, piece in enumerate(pieces):
        with np.load(piece) as arrays:
            facts = dict(zip(arrays["keys"].tolist(), arrays["values"].tolist(), strict=True))
            for thickness in arrays["thickness_nm"].tolist():
                for key, value in {"specimen": index, "thickness_nm": thickness, **facts}.items():
                    rows.setdefault(key, []).append(value)
    label = np.array(rows.pop("label"), np.uint8)
    signed = _Signed(_row_blocks(pieces))
    write_scan(
        out,
        signed,
        attrs={
            "voltage_kV": config.microscope.voltage_kV.low,
            "material": config.crystal.name,
            "zone_axis": config.crystal.zone_axis,
            "mrad_per_px": float(np.mean(rows["mrad_per_px"])),
            "convergence_mrad": float(np.mean(rows["convergence_mrad"])),
            "intensity_scale": INTENSITY_SCALE,
            "config_sha256": _digest(config),
        },
        label=np.repeat(label[:, None], config.probe.per_cell**2, axis=1),
        extra={f"specimen/{key}": np.asarray(values) for key, values in rows.items()}
        | {"manifest": lambda: json.dumps(_manifest(config, source, signed), indent=1)},
    )
    return _manifest(config, source, signed)


def _row_blocks(pieces: list[Path]) -> Iterator[NDArray[np.float16]]:
    for piece in pieces:
        with np.load(piece) as arrays:
            yield arrays["patterns"]


def join_scan(config: SimulationConfig, source: dict[str, str], pieces: list[Path], out: Path) -> dict[str, Any]:
    """Write a scan as its camera records it; return its manifest."""
    scene = build_scene(config)
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(2,)))
    camera = draw_camera(config, rng)
    sampling = sampling_mrad(scene.box_A, scene.microscope)
    recorder = Recorder(camera, mrad_per_px=sampling, step_A=scene.step_A, rng=rng)
    signed = _Signed(_recorded(config, pieces, recorder))
    write_scan(
        out,
        signed,
        attrs={**_scan_attrs(config, scene), "mrad_per_px": camera.mrad_per_px, "config_sha256": _digest(config)}
        | {"rotation_deg": camera.rotation_deg + scene.crystal_angle_deg},
        label=scene.label,
        defect=scene.defect,
        extra={
            f"truth/{name}": np.asarray(getattr(scene, name), np.float32)
            for name in ("angle_deg", "thickness_nm", "tilt_mrad")
        }
        | {"manifest": lambda: json.dumps(_manifest(config, source, signed), indent=1)},
    )
    return _manifest(config, source, signed)


def _recorded(config: SimulationConfig, pieces: list[Path], recorder: Recorder) -> Iterator[NDArray[Any]]:
    """Yield what the camera records, a row of blocks at a time."""
    for top in range(0, config.scene.rows, BLOCK_PX):
        bottom = min(top + BLOCK_PX, config.scene.rows)
        first, last = max(0, top - recorder.halo), min(bottom + recorder.halo, config.scene.rows)
        yield recorder.record(_exact_rows(config, pieces, first, last), slice(top - first, bottom - first))


def _exact_rows(config: SimulationConfig, pieces: list[Path], first: int, last: int) -> NDArray[np.float32]:
    """Read scan rows `first` to `last` of the exact patterns from the pieces."""
    crop = config.multislice.crop_px
    out = np.empty((last - first, config.scene.columns, crop, crop), np.float32)
    for index, piece in enumerate(pieces):
        rows, columns = block_slices(config, index)
        begin, end = max(rows.start, first), min(rows.stop, last)
        if begin < end:
            with np.load(piece) as arrays:
                block = arrays["patterns"].reshape(rows.stop - rows.start, columns.stop - columns.start, crop, crop)
            wanted = block[begin - rows.start : end - rows.start]
            out[begin - first : end - first, columns] = wanted.astype(np.float32) / INTENSITY_SCALE
    return out


def _scan_attrs(config: SimulationConfig, scene: Scene) -> dict[str, Any]:
    return {
        "voltage_kV": scene.microscope.voltage_kV,
        "convergence_mrad": scene.microscope.convergence_mrad,
        "scan_step_A": scene.step_A,
        "thickness_nm": float(scene.thickness_nm.mean()),
        "material": config.crystal.name,
        "zone_axis": config.crystal.zone_axis,
        "crystal_angle_deg": scene.crystal_angle_deg,
    }


class _Signed:
    """Blocks of data on their way to the file, with their digest once they are through."""

    def __init__(self, blocks: Iterator[NDArray[Any]]) -> None:
        self._blocks, self._digest, self.shape, self.dtype = blocks, hashlib.sha256(), [0], ""

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for block in self._blocks:
            self._digest.update(np.ascontiguousarray(block).tobytes())
            self.shape, self.dtype = [self.shape[0] + len(block), *block.shape[1:]], str(block.dtype)
            yield block

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def _manifest(config: SimulationConfig, source: dict[str, str], data: _Signed) -> dict[str, Any]:
    """Return what is needed to make the file again and to see that it is the same."""
    packages = ("napari-polarmap", "abtem", "ase", "numpy", "scipy", "torch")
    return {
        "format": MANIFEST_FORMAT,
        "seed": config.seed,
        **source,
        "config_sha256": _digest(config),
        "crystal": config.crystal.facts,
        "cif": config.crystal.cif,
        "cif_sha256": config.crystal.cif_sha256,
        "data": {"shape": data.shape, "dtype": data.dtype, "sha256": data.sha256},
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def write_manifest(manifest: dict[str, Any], out: Path) -> None:
    """Write the manifest beside the file it describes, with the digest of the whole file."""
    with out.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    record = {**manifest, "file": {"name": out.name, "bytes": out.stat().st_size, "sha256": digest}}
    path = out.with_name(f"{out.stem}.manifest.json")
    with whole_file(path) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _digest(config: SimulationConfig) -> str:
    return hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode()).hexdigest()
