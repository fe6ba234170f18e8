"""Bytes of all kinds for everything that reads files here: nothing but a ValueError or OSError of one line may come.

``make fuzz`` runs this for ten minutes. atheris watches which lines are reached and keeps inputs that reach new ones;
without it (other systems than Linux) inputs are changed blindly. The first byte of an input chooses the parser.

    python tests/fuzz/parsers.py CORPUS [-max_total_time=600]
"""

from __future__ import annotations

import json
import logging
import random
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

COUNTS: Counter[str] = Counter()
MOST_POSITIONS = 64
LONGEST_S = 20


def parsers() -> dict[str, Callable[[Path], object]]:
    """Return what reads a file, by a name that the file gets."""
    from napari_polarmap.core.config import load_table
    from napari_polarmap.core.sums import read_block
    from napari_polarmap.io import AxisOrder, RawLayout, open_scan
    from napari_polarmap.io.calibration_file import load_calibration
    from napari_polarmap.io.result import PolarizationMap
    from napari_polarmap.models.weights import read_info
    from napari_polarmap.pipeline.train_config import TrainConfig
    from napari_polarmap.simulation.config import load_config
    from scan_files import MAKERS

    def scan(path: Path) -> None:
        with open_scan(path, scan_shape=None) as opened:
            read_block(opened, slice(0, 2), slice(0, min(MOST_POSITIONS, opened.shape[1])))

    names = {"hdf5": "scan.h5", "npy": "scan.npy", "npz": "scan.npz", "tiff": "scan.tif", "mib": "scan.mib"}
    names |= {"empad": "scan.xml", "raw": "scan_x3_y2.raw", "blockfile": "scan.blo", "topspin": "scan.app5"}
    names |= {"gatan": "scan.dm4", "tvips": "scan_000.tvips", "mrc": "scan.mrc", "pantarhei": "scan.prz"}
    assert set(MAKERS) - set(names) == {"zarr", "tiff_folder"}  # folders
    text = lambda parse: lambda path: parse(path.read_text("utf-8", errors="replace"))  # noqa: E731
    return dict.fromkeys(names.values(), scan) | {
        "20200101_00001_info.txt": _beside(scan, "20200101_00001_movie.mrc"),
        "scan.hdr": _beside(scan, "scan.mib"),
        "layout.txt": text(RawLayout.parse),
        "axes.txt": text(AxisOrder.parse),
        "calibration.json": load_calibration,
        "result.h5": PolarizationMap.load,
        "model.safetensors": read_info,
        "simulate.toml": load_config,
        "train.toml": lambda path: load_table(TrainConfig, path),
        "crystal.cif": _crystal(load_config),
    }


def _beside(read: Callable[[Path], object], name: str) -> Callable[[Path], object]:
    """Read a healthy file for which the bytes are a companion."""
    from scan_files import MAKERS

    def reader(path: Path) -> object:
        made, _, _ = MAKERS[Path(name).suffix.lstrip(".")](path.parent)
        return read(made.rename(path.with_name(name)))

    return reader


def _crystal(load_config: Callable[[Path], object]) -> Callable[[Path], object]:
    """Read a configuration for which the bytes are the crystal."""

    def reader(path: Path) -> object:
        config = path.with_name("simulate.toml")
        config.write_text(f'kind = "specimens"\n[specimen]\ncif = "{path.name}"\n', encoding="utf-8")
        return load_config(config)

    return reader


class Target:
    """One call reads one input; what a parser may not raise, it raises."""

    def __init__(self, folder: Path, counts: Path) -> None:
        self.parsers = list(parsers().items())
        self.folder, self.counts = folder, counts
        self.n = 0

    def __call__(self, data: bytes) -> None:
        """Read an input."""
        if not data:
            return
        name, parse = self.parsers[data[0] % len(self.parsers)]
        self.n += 1
        with TemporaryDirectory(dir=self.folder) as room:
            path = Path(room) / name
            path.write_bytes(data[1:])
            start = time.monotonic()
            try:
                parse(path)
                COUNTS[f"{name} loaded"] += 1
            except (ValueError, OSError) as error:
                if len(str(error).splitlines()) > 1:
                    raise RuntimeError(f"{name}: a message of several lines: {error}") from error
                COUNTS[f"{name} refused"] += 1
            if time.monotonic() - start > LONGEST_S:
                raise RuntimeError(f"{name}: took {time.monotonic() - start:.0f} s")
        if self.n % 50 == 0:
            self.counts.write_text(json.dumps(COUNTS))


def seeds(corpus: Path) -> None:
    """Write a healthy file for every parser that has one, the choosing byte in front."""
    from scan_files import MAKERS

    corpus.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(parsers()):
        with TemporaryDirectory() as room:
            for maker in MAKERS.values():
                folder = Path(room) / maker.__name__
                folder.mkdir()
                path = maker(folder)[0] if maker.__name__ != "mib" else None
                if path and path.is_file() and path.suffix == Path(name).suffix:
                    (corpus / f"seed_{index:02}").write_bytes(bytes([index]) + path.read_bytes())
    texts = {
        "layout.txt": "uint16,4,5,7,3",
        "axes.txt": "scan_y,scan_x,-det_y,det_x",
        "calibration.json": '{"format": "napari-polarmap calibration", "calibration": {"voltage_kV": 200.0}}',
        "simulate.toml": 'kind = "specimens"\nseed = 1\n[specimen]\ncount = 2\n[probe]\nper_cell = 8\n',
        "train.toml": 'name = "a"\n[network]\nkind = "cnn"\n',
        "crystal.cif": "data_a\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\n_cell_angle_alpha 90\nloop_\n"
        "_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nK 0 0 0\nNb .5 .5 .5\n",
        "scan.hdr": "ScanX:\t3\nScanY:\t2\n",
        "20200101_00001_info.txt": "Scan - Size X = 3\nScan - Size Y = 2\nScan - Type = Raster\n",
    }
    for index, name in enumerate(parsers()):
        if name in texts:
            (corpus / f"seed_{index:02}").write_bytes(bytes([index]) + texts[name].encode())


def blindly(target: Target, corpus: Path, seconds: float) -> None:
    """Change the seeds at random."""
    rng = random.Random(1)  # noqa: S311 -- no secret
    healthy = [path.read_bytes() for path in sorted(corpus.iterdir())]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = bytearray(rng.choice(healthy))
        for _ in range(rng.randint(1, 8)):
            data[rng.randrange(1, min(len(data), 4096))] = rng.randrange(256)
        target(bytes(data[: rng.randint(1, len(data))] if rng.random() < 0.3 else data))


def told(counts: Path, failed: int) -> None:
    """Print how many inputs were tried and how they ended; those after the last save are missing."""
    found = json.loads(counts.read_text())
    print(f"inputs: {sum(found.values()) + failed} tried, {sum(found.values())} survived")
    for name, count in sorted(found.items()):
        print(f"  {name}: {count}")


def main(arguments: list[str]) -> int:
    """Run until time is up, in a process of its own: a crash of the interpreter would be a finding too."""
    corpus = Path(arguments[1])
    counts = corpus.with_suffix(".json")
    if "--here" not in arguments:
        seeds(corpus)
        counts.write_text("{}")
        code = subprocess.run([sys.executable, *arguments, "--here"], check=False).returncode
        told(counts, int(code != 0))
        print("no crash and no hang" if code == 0 else f"ended with {code}: see the input written to {corpus.parent}")
        return code
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    try:
        import atheris
    except ImportError:
        print("atheris is not installed: inputs are changed blindly")
        given = [word.partition("=")[2] for word in arguments if word.startswith("-max_total_time=")]
        with TemporaryDirectory() as folder:
            blindly(Target(Path(folder), counts), corpus, float((given or [600])[0]))
        return 0
    with atheris.instrument_imports(include=["napari_polarmap.io", "napari_polarmap.core.config"]):
        parsers()
    limits = [
        "-timeout=25",
        "-rss_limit_mb=6000",
        "-max_len=20000",
        "-len_control=0",
        f"-artifact_prefix={corpus.parent}/",
    ]
    with TemporaryDirectory() as folder:
        atheris.Setup([word for word in arguments if word != "--here"] + limits, Target(Path(folder), counts))
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
