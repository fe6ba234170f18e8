"""Drills: runs that are killed, starved or disturbed, and what must be left afterwards.

    python tests/helpers/drills.py [NAME ...]

Nothing that was saved before may be lost, nothing half written may stand under its final name, a message of one line
says what to do, and the same command run again ends well. Drills named ``here_*`` run in this process and are part of
the default tests; the others start processes of their own. Those of full and read-only disks mount a small tmpfs and
are left out where that is not allowed.
"""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import h5py
import numpy as np
import tifffile

import napari_polarmap
from napari_polarmap.core import ordered
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.io import open_scan
from napari_polarmap.io.export import FORMATS, export_map
from napari_polarmap.io.file_frames import FileFrames
from napari_polarmap.io.hdf5 import write_scan
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.registry import Classifier, default_model, load_classifier
from napari_polarmap.models.weights import read_info
from napari_polarmap.pipeline.mapping import map_polarization, map_steps
from napari_polarmap.pipeline.unfinished import Unfinished
from training_files import training_set

TWO_DOMAINS = Path(napari_polarmap.__file__).with_name("sample_data") / "two_domains.h5"
KNOWN = ("voltage_kV", "convergence_mrad", "mrad_per_px", "scan_step_A")
SIMULATE = """
seed = 3
[specimen]
count = 2
cells = 2
[thickness]
low_nm = 1
high_nm = 1
count = 1
[multislice]
gpts = 64
crop_px = 16
phonons = 1
[probe]
per_cell = 3
spread_cells = [1, 2]
"""
TRAIN = """
name = "drill"
network = "pca_knn"
singles = 1
components = 4
neighbours = 3
"""
PRELUDE = """
import os, signal, sys, time
from contextlib import contextmanager
from napari_polarmap.core import whole_file as module
at, real, count = int(sys.argv.pop(1)), module.whole_file, [0]
@contextmanager
def deadly(path):
    with real(path) as partial:
        count[0] += 1
        yield partial
        if count[0] == at:
            os.kill(os.getpid(), signal.SIGKILL)
module.whole_file = deadly
from napari_polarmap.pipeline import unfinished
offer = unfinished.Unfinished.offer
def always(self, place, arrays):
    self._due = 0.0
    offer(self, place, arrays)
unfinished.Unfinished.offer = always
from napari_polarmap.cli import main
sys.exit(main(sys.argv[1:]))
"""
INTERRUPTIBLE = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # ignored where drills run in the background
STALL = f"""
import signal, sys, threading
{INTERRUPTIBLE}
from napari_polarmap.core.data import Scan4D
from napari_polarmap.core import ordered
read, n = Scan4D._read, [0]
def stalled(self, key):
    n[0] += 1
    if n[0] > 3:
        print("stalled", flush=True)
        threading.Event().wait()
    return read(self, key)
Scan4D._read = stalled
from napari_polarmap.cli import main
sys.exit(main(sys.argv[1:]))
"""

Drill = Callable[[Path], None]


class LeftOutError(Exception):
    """A drill that this machine does not allow."""


def scan_of(rows: int = 16, columns: int = 20) -> Scan4D:
    """Return a part of the packaged sample, in memory."""
    with open_scan(TWO_DOMAINS) as whole:
        top, left = slice(4, 4 + rows), slice(40 - columns // 2, 40 + columns // 2)
        return Scan4D(np.ascontiguousarray(whole.read(top, left)), whole.calibration, name="part")


def scan_file(folder: Path, **shape: int) -> Path:
    """Write a part of the packaged sample."""
    scan = scan_of(**shape)
    return write_scan(folder / "scan.h5", scan.data, attrs={name: getattr(scan.calibration, name) for name in KNOWN})


def classifier() -> Classifier:
    """Load the recommended classifier."""
    return load_classifier(default_model())


def same(one: PolarizationMap, other: PolarizationMap) -> bool:
    """Tell whether two results hold the same maps."""
    first, second = one.arrays(), other.arrays()
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name], equal_nan=first[name].dtype.kind == "f") for name in first
    )


# --- commands in processes of their own -------------------------------------------------------------------------------


def run(
    *words: str, program: str = "from napari_polarmap.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def ends_well(*words: str) -> None:
    """Run a command that must succeed."""
    done = run(*words)
    assert done.returncode == 0, done.stderr


def refused(*words: str, match: str = "") -> None:
    """Run a command that must end with exit code 2 and one line."""
    done = run(*words)
    assert done.returncode == 2, (done.returncode, done.stderr)
    lines = [line for line in done.stderr.splitlines() if line.startswith("polarmap: error:")]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert match in done.stderr, done.stderr


class Command:
    """One of the commands that write, with something saved by it before."""

    def __init__(self, kind: str, folder: Path, target: Path) -> None:
        self.kind = kind
        target.mkdir(exist_ok=True)
        if kind in ("map", "export"):
            source = scan_file(folder)
        if kind == "map":
            self.words = ["map", str(source), "--out", str(target / "out.h5")]
        elif kind == "export":
            map_polarization(open_scan(source), classifier()).save(folder / "result.h5")
            self.words = ["export", str(folder / "result.h5"), "--to", str(target), "--formats", "tiff,csv,zarr,png"]
        elif kind == "train":
            (folder / "train.toml").write_text(TRAIN)
            data = training_set(folder / "set.h5")
            self.words = ["train", str(folder / "train.toml"), "--data", str(data)]
            self.words += ["--out", str(target / "out.safetensors")]
        else:
            (folder / "simulate.toml").write_text(SIMULATE)
            self.words = ["simulate", str(folder / "simulate.toml"), "--out", str(target / "out.h5"), "--workers", "1"]
        self.target = target

    def again(self) -> list[str]:
        """Return the command that goes on after a crash."""
        unfinished = [path for path in self.target.iterdir() if path.name.endswith((".unfinished", ".pieces"))]
        return [*self.words, *(["--resume"] if unfinished else [])]

    def whole(self) -> dict[str, bytes]:
        """Return everything under a final name."""
        ends = (".unfinished", ".part", ".pieces")
        return {
            path.name: path.read_bytes()
            for path in self.target.iterdir()
            if path.is_file() and not path.name.endswith(ends)
        }

    def check(self) -> None:
        """Read everything under a final name; what is half written does not read."""
        for path in self.target.iterdir():
            if path.name.endswith((".unfinished", ".part", ".pieces", ".bin")):
                continue
            if path.suffix == ".tif":
                tifffile.imread(path)
            elif path.suffix == ".safetensors":
                read_info(path)
            elif self.kind == "map":
                PolarizationMap.load(path)
            elif path.suffix == ".h5":
                open_scan(path).close()


def _killed(kind: str, at: int) -> Drill:
    def drill(folder: Path) -> None:
        command = Command(kind, folder, folder / "out")
        done = run(str(at), *command.words, program=PRELUDE)
        assert done.returncode == -signal.SIGKILL, (done.returncode, done.stderr)
        command.check()
        ends_well(*command.again())
        command.check()
        saved = command.whole()
        assert saved
        done = run(str(at), *command.words, program=PRELUDE)
        assert done.returncode == -signal.SIGKILL, (done.returncode, done.stderr)
        for name, content in saved.items():
            now = (command.target / name).read_bytes()
            assert now == content or kind == "export", f"{name} was lost"
        command.check()

    return drill


def _interrupted(kind: str, at: int) -> Drill:
    def drill(folder: Path) -> None:
        command = Command(kind, folder, folder / "out")
        program = PRELUDE.replace("signal.SIGKILL", "signal.SIGINT")
        done = run(str(at), *command.words, program=f"import signal\n{INTERRUPTIBLE}\n{program}")
        assert done.returncode == 130, (done.returncode, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        command.check()
        assert not list(command.target.glob(".*.part")), "a part was left"
        ends_well(*command.again())
        command.check()

    return drill


@contextmanager
def small_disk(folder: Path, size: str, *, read_only: bool = False) -> Iterator[Path]:
    """Mount a small tmpfs."""
    disk = folder / "disk"
    disk.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(disk)], check=False, capture_output=True
        ).returncode
    ):
        raise LeftOutError("no tmpfs can be mounted here")
    try:
        if read_only:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def _disk_full(kind: str) -> Drill:
    def drill(folder: Path) -> None:
        size = {"map": "80k", "export": "32k", "train": "16k", "simulate": "16k"}[kind]
        with small_disk(folder, size) as disk:
            command = Command(kind, folder, disk)
            (disk / "earlier.bin").write_bytes(b"earlier" * 1000)
            refused(*command.words, match="no room")
            command.check()
            assert (disk / "earlier.bin").read_bytes() == b"earlier" * 1000
            assert not list(disk.glob(".*.part")), "a part was left"
            subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
            ends_well(*command.again())
            command.check()

    return drill


def _read_only(kind: str) -> Drill:
    def drill(folder: Path) -> None:
        with small_disk(folder, "64k", read_only=True) as disk:
            refused(*Command(kind, folder, disk).words)
            assert not list(disk.iterdir())

    return drill


def out_of_memory(folder: Path) -> None:
    """With less and less memory, a map is made or refused in one line."""
    command = Command("map", folder, folder / "out")
    program = (
        "import resource, sys; from napari_polarmap import cli; import torch, scipy, h5py, numba, sklearn\n"
        "from napari_polarmap.pipeline import mapping; from napari_polarmap.models import template\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "more = int(sys.argv.pop(1)) * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + more,) * 2)\n"
        "sys.exit(cli.main(sys.argv[1:]))"
    )
    codes = []
    for more in (40, 120, 300, 4000):
        done = run(str(more), *command.words, program=program)
        codes.append(done.returncode)
        assert done.returncode in (0, 2), (more, done.returncode, done.stderr[-2000:])
        assert "Traceback" not in done.stderr, done.stderr
        command.check()
    assert codes[-1] == 0, codes
    assert 2 in codes, codes


def stalled_share_and_ctrl_c(folder: Path) -> None:
    """A read that never comes back does not keep Ctrl-C from ending the run."""
    command = Command("map", folder, folder / "out")
    process = subprocess.Popen(
        [sys.executable, "-c", STALL, *command.words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "stalled\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, (process.returncode, said)
    assert "Traceback" not in said, said
    assert command.whole() == {}
    ends_well(*command.again())


def two_runs_at_once(folder: Path) -> None:
    """Two runs with one target: at least one ends well, and what is there is whole."""
    command = Command("map", folder, folder / "out")
    program = "from napari_polarmap.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
    both = [
        subprocess.Popen([sys.executable, "-c", program, *command.words], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    ends = [(process.communicate(timeout=300)[1], process.returncode) for process in both]
    assert {code for _, code in ends} <= {0, 2}, ends
    assert 0 in {code for _, code in ends}, ends
    command.check()
    assert list(command.whole()) == ["out.h5"]


# --- in this process --------------------------------------------------------------------------------------------------


def here_cancel_at_every_step(folder: Path) -> None:
    """A map cancelled after any number of steps leaves but its unfinished state, and goes on to the same end."""
    scan, network = scan_of(12, 16), classifier()
    whole = map_polarization(scan, network)
    total = sum(1 for _ in map_steps(scan, network))
    for stop in range(1, total + 1):
        path = folder / f"{stop}.unfinished"
        steps = map_steps(scan, network, unfinished=Unfinished(path, every_s=-1e9))
        for _, _ in zip(range(stop), steps, strict=False):
            pass
        steps.close()
        assert not list(folder.glob("*.part"))
    last = map_polarization(scan, network, unfinished=Unfinished(path, resume=True))
    assert same(whole, last)


def here_damaged_chunk_in_the_middle(folder: Path) -> None:
    """A compressed chunk that cannot be read is undefined and counted; the rest of the map is right."""
    scan = scan_of(24, 32)
    path = folder / "scan.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=scan.data, chunks=(2, 2, *scan.detector_shape), compression="gzip")
        chunk = file["data"].id.get_chunk_info_by_coord((12, 8, 0, 0))
    with path.open("r+b") as stream:
        stream.seek(chunk.byte_offset)
        stream.write(b"\xa5" * chunk.size)
    with open_scan(path) as damaged:
        result = map_polarization(replace(damaged, calibration=scan.calibration), classifier())
    whole = map_polarization(scan, classifier())
    lost = np.zeros(scan.scan_shape, bool)
    lost[12:14, 8:10] = True
    assert (result.domain[lost] == UNDEFINED).all()
    assert (result.direction[lost] == UNDEFINED).all()
    assert any("4 patterns could not be read" in note for note in result.provenance["notes"])
    far = ~lost
    agree = (result.domain == whole.domain)[far].mean()
    assert agree > 0.97, f"only {agree:.1%} of the rest is as without the damage"
    assert not ((result.domain != whole.domain) & (result.domain != UNDEFINED) & (whole.domain != UNDEFINED)).any()


def here_file_deleted_while_open(folder: Path) -> None:
    """A file that is deleted is read to its end where the system keeps it."""
    path = scan_file(folder)
    with open_scan(path) as scan:
        path.unlink()
        result = map_polarization(scan, classifier())
    assert same(result, map_polarization(scan_of(), classifier()))


def here_images_deleted_during_a_run(folder: Path) -> None:
    """Images that vanish from a folder are undefined, counted, and the change is told."""
    scan = scan_of(12, 16)
    for row, column in np.ndindex(*scan.scan_shape):
        tifffile.imwrite(folder / f"r{row:02}c{column:02}.tif", scan.pattern(row, column))
    with open_scan(folder) as opened:
        (folder / "r05c05.tif").unlink()
        told = ""
        try:
            map_polarization(replace(opened, calibration=scan.calibration), classifier())
        except ValueError as error:
            told = str(error)
    assert "has changed since it was opened" in told


def here_file_cut_while_mapped(folder: Path) -> None:
    """A memory-mapped file that becomes shorter is told; reading beyond its end would end the process."""
    scan = scan_of(12, 16)
    np.save(folder / "scan.npy", scan.data)
    with open_scan(folder / "scan.npy") as opened:
        with (folder / "scan.npy").open("r+b") as stream:
            stream.truncate(5000)
        told = ""
        try:
            map_polarization(replace(opened, calibration=scan.calibration), classifier())
        except ValueError as error:
            told = str(error)
    assert "none of" in told, told


def here_file_cut_on_a_share(folder: Path) -> None:
    """A file on a share that becomes shorter in the middle of a run ends the run in words, not the process."""
    scan = scan_of(12, 16)
    np.save(folder / "scan.npy", scan.data)
    whole = (folder / "scan.npy").stat().st_size
    frames = FileFrames(folder / "scan.npy", scan.shape, scan.dtype, offset_bytes=whole - scan.nbytes)
    shared = Scan4D(frames, scan.calibration, path=folder / "scan.npy")
    network, told = classifier(), ""
    assert same(map_polarization(scan, network), map_polarization(shared, network))
    steps = map_steps(shared, network)
    try:
        for number, _ in enumerate(steps):
            if number == 1:
                os.truncate(folder / "scan.npy", whole // 2)
    except ValueError as error:
        told = str(error)
    assert "has changed since it was opened" in told or "none of" in told, told


def here_stalled_share(folder: Path) -> None:
    """A read that hangs is told again and again, and can be given up; one that comes back changes nothing."""
    del folder
    scan, network = scan_of(12, 16), classifier()
    inspected = map_polarization(scan, network)
    gate, waited = threading.Event(), []

    class Slow:
        """Patterns that come only when the gate is open."""

        shape, dtype, ndim = scan.shape, scan.dtype, 4

        def __getitem__(self, key: object) -> np.ndarray:
            assert gate.wait(60)
            return np.asarray(scan.data[key])

    def hook(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            gate.set()

    with ordered.waiting(hook):
        assert same(inspected, map_polarization(replace(scan, data=Slow(), _mapped=None), network))
    assert len(waited) >= 2

    class GivenUpError(Exception):
        """Raised in place of waiting."""

    def give_up(seconds: float) -> None:
        raise GivenUpError(seconds)

    gate.clear()
    start = time.monotonic()
    try:
        with ordered.waiting(give_up):
            map_polarization(replace(scan, data=Slow(), _mapped=None, _reading=threading.Lock()), network)
    except GivenUpError:
        pass
    else:
        raise AssertionError("the wait went on")
    finally:
        gate.set()
    assert time.monotonic() - start < 20


def here_disk_full_and_read_only(folder: Path) -> None:
    """Results and exports that find no room say so, leave what was there and nothing half."""
    result = map_polarization(scan_of(12, 16), classifier())
    with small_disk(folder, "16k") as disk:
        (disk / "out.h5").write_bytes(b"earlier")
        for write in (
            lambda: result.save(disk / "out.h5"),
            *(lambda name=name: export_map(result, disk, [name]) for name in FORMATS),
        ):
            before = {path: path.read_bytes() for path in disk.iterdir() if path.is_file()}
            said = "no room"
            try:
                write()
            except OSError as error:
                said = str(error)
            assert "no room" in said, said
            assert not list(disk.glob(".*.part"))
            assert all(path.read_bytes() == content for path, content in before.items())
        assert (disk / "out.h5").read_bytes() == b"earlier"
        gc.collect()
        held = [path for path in map(os.path.realpath, Path("/proc/self/fd").iterdir()) if path.startswith(str(disk))]
        assert not held, f"still open: {held}"
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for write in (lambda: result.save(disk / "out.h5"), lambda: export_map(result, disk)):
            try:
                write()
            except OSError:
                continue
            raise AssertionError("a read-only disk was written to")


DRILLS: dict[str, Drill] = {name: drill for name, drill in list(globals().items()) if name.startswith("here_")}
DRILLS |= {f"kill_9_{kind}_{at}": _killed(kind, at) for kind, ats in {
    "map": (1, 4), "export": (2, 20), "train": (1,), "simulate": (1, 3)}.items() for at in ats}  # fmt: skip
DRILLS |= {f"ctrl_c_{kind}": _interrupted(kind, at) for kind, at in {
    "map": 2, "export": 3, "train": 1, "simulate": 2}.items()}  # fmt: skip
DRILLS |= {f"disk_full_{kind}": _disk_full(kind) for kind in ("map", "export", "train", "simulate")}
DRILLS |= {f"read_only_{kind}": _read_only(kind) for kind in ("map", "export", "train", "simulate")}
DRILLS |= {drill.__name__: drill for drill in (out_of_memory, stalled_share_and_ctrl_c, two_runs_at_once)}


def main(names: list[str]) -> int:
    """Run drills; return 1 if one failed."""
    tried = survived = 0
    for name in names or list(DRILLS):
        start, ended = time.monotonic(), "survived"
        with TemporaryDirectory() as folder:
            try:
                DRILLS[name](Path(folder))
            except LeftOutError as error:
                print(f"{name:<40} left out: {error}")
                continue
            except Exception as error:  # noqa: BLE001 -- whatever comes is the finding
                ended = f"FAILED: {type(error).__name__}: {' '.join(str(error).split())[:2000]}"
        tried, survived = tried + 1, survived + (ended == "survived")
        print(f"{name:<40} {ended} ({time.monotonic() - start:.1f} s)", flush=True)
    print(f"fault drills: {tried} tried, {survived} survived")
    return int(survived < tried)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
