"""Run a simulation in pieces that survive a kill, then join them into one file."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.config import ConfigError
from napari_polarmap.core.whole_file import whole_file
from napari_polarmap.pipeline.simulation_files import join_scan, join_specimens, write_manifest
from napari_polarmap.simulation.config import SimulationConfig, load_config
from napari_polarmap.simulation.scene import (
    n_blocks,
    simulate_block,
)
from napari_polarmap.simulation.specimens import simulate_specimen

ReportProgress = Callable[[int, int], None]


def simulate(
    config_path: str | Path,
    out: str | Path,
    *,
    variant: str = "",
    resume: bool = False,
    workers: int | None = None,
    pool: Executor | None = None,
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
    pool : Executor, optional
        Where the pieces are simulated instead, as several small sets are soonest made by processes that stay.
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
    source = {"config": Path(config_path).read_text(encoding="utf-8"), "variant": variant}
    if not out.parent.is_dir():
        raise ConfigError(f"{out.parent}: no such folder to write {out.name} into")
    folder = out.with_name(out.name + ".pieces")
    _claim(folder, config, resume=resume)
    try:
        pieces = run_pieces(config, folder, workers=workers or os.cpu_count() or 1, pool=pool, progress=progress)
    except KeyboardInterrupt:
        done = len(list(folder.glob("*.npz")))
        raise KeyboardInterrupt(f"interrupted; {done} pieces are kept in {folder}, go on with --resume") from None
    join = join_scan if config.kind == "scan" else join_specimens
    write_manifest(join(config, source, pieces, out), out)
    shutil.rmtree(folder)
    return out


def run_pieces(
    config: SimulationConfig,
    folder: Path,
    *,
    workers: int = 1,
    pool: Executor | None = None,
    progress: ReportProgress = lambda done, total: None,
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
    # A pool that was handed in is left open.
    given: AbstractContextManager[Executor] = nullcontext(pool) if pool else single_threads(workers)
    with given as runner:
        jobs = [runner.submit(_make_piece, config, index, str(pieces[index])) for index in missing]
        try:
            for done, job in enumerate(as_completed(jobs), start=total - len(missing) + 1):
                job.result()
                progress(done, total)
        finally:
            # On an error or Ctrl-C, leave after the pieces under way.
            for job in jobs:
                job.cancel()
    return pieces


def single_threads(workers: int) -> ProcessPoolExecutor:
    """Return processes that compute with one thread each and leave with their parent."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_serve_parent)


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
    with whole_file(mark) as partial:
        partial.write_text(wanted, encoding="utf-8")


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
    with whole_file(path) as partial, partial.open("wb") as stream:
        np.savez(stream, allow_pickle=False, **arrays)
