"""Run a simulation in pieces that survive a kill, then join them into one file."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.config import ConfigError
from napari_polarmap.io.hdf5 import write_scan
from napari_polarmap.simulation.config import SimulationConfig, load_config
from napari_polarmap.simulation.detector import draw_camera, record
from napari_polarmap.simulation.multislice import sampling_mrad
from napari_polarmap.simulation.scene import (
    BOX_CELLS,
    Scene,
    block_slices,
    build_scene,
    n_blocks,
    simulate_block,
)
from napari_polarmap.simulation.specimens import INTENSITY_SCALE, simulate_specimen

ReportProgress = Callable[[int, int], None]
MANIFEST_FORMAT = "napari-polarmap simulation"


def simulate(
    config_path: str | Path,
    out: str | Path,
    *,
    variant: str = "",
    resume: bool = False,
    workers: int | None = None,
    progress: ReportProgress = lambda done, total: None,
) -> Path:
    """Simulate what a configuration file asks for and write it to one HDF5 file.

    Finished pieces wait in a folder beside `out` until the file is whole. A manifest is
    kept inside the file and, as ``NAME.manifest.json``, beside it: the configuration and the
    CIF as texts, seed, versions of the packages, SHA-256 of the patterns and of the file.

    Parameters
    ----------
    config_path : path
        TOML file, see `SimulationConfig`.
    out : path
        File to write.
    variant : str
        Name of a variant that the file describes.
    resume : bool
        Go on with the pieces of an earlier, unfinished run of the same configuration.
    workers : int, optional
        Processes; all processors when not given.
    progress : callable
        Called with pieces done and pieces in all.

    Raises
    ------
    ConfigError
        If the configuration cannot be used, or pieces of another one lie beside `out`.
    KeyboardInterrupt
        After Ctrl-C, saying how to go on; the pieces done are kept.
    """
    config, out = load_config(config_path, variant), Path(out)
    text = Path(config_path).read_text(encoding="utf-8")
    if not out.parent.is_dir():
        raise ConfigError(f"{out.parent}: no such folder to write {out.name} into")
    folder = out.with_name(out.name + ".pieces")
    _claim(folder, config, resume=resume)
    try:
        pieces = run_pieces(config, folder, workers=workers or os.cpu_count() or 1, progress=progress)
    except KeyboardInterrupt:
        done = len(list(folder.glob("*.npz")))
        raise KeyboardInterrupt(f"interrupted; {done} pieces are kept in {folder}, go on with --resume") from None
    join = _join_scan if config.kind == "scan" else _join_specimens
    manifest = join(config, text, pieces, out)
    _write_manifest(manifest, out)
    shutil.rmtree(folder)
    return out


def run_pieces(
    config: SimulationConfig, folder: Path, *, workers: int = 1, progress: ReportProgress = lambda done, total: None
) -> list[Path]:
    """Simulate every piece that `folder` does not hold yet; return all pieces in order.

    Each piece is written under a temporary name and renamed when whole, so that a
    run that was killed goes on where it stopped.
    """
    total = n_blocks(config) if config.kind == "scan" else config.specimen.count
    pieces = [folder / f"{config.kind}_{index:05d}.npz" for index in range(total)]
    missing = [index for index, piece in enumerate(pieces) if not piece.exists()]
    progress(total - len(missing), total)
    if not missing:
        return pieces
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_serve_parent) as pool:
        jobs = [pool.submit(_make_piece, config, index, str(pieces[index])) for index in missing]
        try:
            for done, job in enumerate(as_completed(jobs), start=total - len(missing) + 1):
                job.result()
                progress(done, total)
        finally:
            # On an error or Ctrl-C, leave after the pieces under way.
            for job in jobs:
                job.cancel()
    return pieces


def _serve_parent() -> None:
    """Leave Ctrl-C to the parent, and leave with it if it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _claim(folder: Path, config: SimulationConfig, *, resume: bool) -> None:
    """Mark the folder of pieces as belonging to `config`; refuse pieces of another run."""
    mark = folder / "config.json"
    wanted = json.dumps(asdict(config), sort_keys=True)
    if folder.exists() and not resume:
        raise ConfigError(f"{folder}: pieces of an unfinished run; go on with --resume, or delete the folder")
    if mark.exists() and mark.read_text(encoding="utf-8") != wanted:
        raise ConfigError(f"{folder}: pieces of another configuration; delete the folder or choose another --out")
    folder.mkdir(exist_ok=True)
    mark.write_text(wanted, encoding="utf-8")


def _make_piece(config: SimulationConfig, index: int, path: str) -> None:
    arrays: dict[str, NDArray[Any]]
    if config.kind == "scan":
        arrays = {"patterns": simulate_block(config, index)}
    else:
        specimen = simulate_specimen(config, index)
        keys = sorted(specimen.facts)
        arrays = {
            "patterns": specimen.patterns,
            "thickness_nm": specimen.thickness_nm,
            "keys": np.array(keys),
            "values": np.array([specimen.facts[key] for key in keys]),
        }
    partial = Path(f"{path}.{os.getpid()}.tmp")
    with partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
    partial.replace(path)


def _join_specimens(config: SimulationConfig, text: str, pieces: list[Path], out: Path) -> dict[str, Any]:
    """Rows of the file are specimens times thicknesses, columns the probe positions."""
    rows: dict[str, list[float]] = {}
    for index, piece in enumerate(pieces):
        with np.load(piece) as arrays:
            facts = dict(zip(arrays["keys"].tolist(), arrays["values"].tolist(), strict=True))
            for thickness in arrays["thickness_nm"].tolist():
                for key, value in {"specimen": index, "thickness_nm": thickness, **facts}.items():
                    rows.setdefault(key, []).append(value)
    label = np.array(rows.pop("label"), np.uint8)
    manifest = _manifest(config, text, _row_blocks(pieces))
    write_scan(
        out,
        _row_blocks(pieces),
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
        | {"manifest": json.dumps(manifest, indent=1)},
    )
    return manifest


def _row_blocks(pieces: list[Path]) -> Iterator[NDArray[np.float16]]:
    for piece in pieces:
        with np.load(piece) as arrays:
            yield arrays["patterns"]


def _join_scan(config: SimulationConfig, text: str, pieces: list[Path], out: Path) -> dict[str, Any]:
    scene = build_scene(config)
    crop = config.multislice.crop_px
    exact = np.empty((config.scene.rows, config.scene.columns, crop, crop), np.float32)
    for index, piece in enumerate(pieces):
        block = block_slices(config, index)
        with np.load(piece) as arrays:
            exact[block] = (arrays["patterns"].astype(np.float32) / INTENSITY_SCALE).reshape(exact[block].shape)
    rng = np.random.default_rng(np.random.SeedSequence(config.seed, spawn_key=(2,)))
    camera = draw_camera(config, rng)
    sampling = sampling_mrad(BOX_CELLS * scene.lattice_A, scene.microscope)
    counts = record(exact, camera, mrad_per_px=sampling, step_A=scene.step_A, rng=rng)
    manifest = _manifest(config, text, [counts])
    write_scan(
        out,
        counts,
        attrs={**_scan_attrs(config, scene), "mrad_per_px": camera.mrad_per_px, "config_sha256": _digest(config)}
        | {"rotation_deg": camera.rotation_deg + scene.crystal_angle_deg},
        label=scene.label,
        defect=scene.defect,
        extra={
            f"truth/{name}": np.asarray(getattr(scene, name), np.float32)
            for name in ("angle_deg", "thickness_nm", "tilt_mrad")
        }
        | {"manifest": json.dumps(manifest, indent=1)},
    )
    return manifest


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


def _manifest(config: SimulationConfig, text: str, blocks: Iterable[NDArray[Any]]) -> dict[str, Any]:
    """Return what is needed to make the file again and to see that it is the same."""
    digest, shape, dtype = hashlib.sha256(), [0], ""
    for block in blocks:
        digest.update(np.ascontiguousarray(block).tobytes())
        shape, dtype = [shape[0] + len(block), *block.shape[1:]], str(block.dtype)
    packages = ("napari-polarmap", "abtem", "ase", "numpy", "scipy", "torch")
    return {
        "format": MANIFEST_FORMAT,
        "seed": config.seed,
        "config": text,
        "config_sha256": _digest(config),
        "cif": config.crystal.cif,
        "cif_sha256": config.crystal.cif_sha256,
        "data": {"shape": shape, "dtype": dtype, "sha256": digest.hexdigest()},
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def _write_manifest(manifest: dict[str, Any], out: Path) -> None:
    with out.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    record = {**manifest, "file": {"name": out.name, "bytes": out.stat().st_size, "sha256": digest}}
    path = out.with_name(f"{out.stem}.manifest.json")
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def _digest(config: SimulationConfig) -> str:
    return hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode()).hexdigest()
