"""Cut a small training set out of a large one, for tests.

python tools/cut_training_set.py training.h5 tests/data/training_slice.h5

Keeps the first specimens, a few of their thicknesses evenly spread, and a few probe
positions; the layout is that of ``polarmap simulate``. The manifest is kept, with a note of
what was cut.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import h5py
import numpy as np

from napari_polarmap.io.hdf5 import write_scan


def cut(source: Path, target: Path, *, specimens: int, thicknesses: int, positions: int) -> Path:
    """Write the slice; return its path."""
    with h5py.File(source) as file:
        specimen = file["specimen/specimen"][()]
        rows: list[int] = []
        for number in range(specimens):
            found = np.flatnonzero(specimen == number)
            rows += found[np.linspace(0, len(found) - 1, thicknesses).round().astype(int)].tolist()
        data = file["data"]
        columns = np.linspace(0, data.shape[1] - 1, positions).round().astype(int)
        manifest = json.loads(file["manifest"][()]) if "manifest" in file else {}
        note = f"{specimens} specimens x {thicknesses} thicknesses x {positions} positions of {source.name}"
        return write_scan(
            target,
            np.stack([data[row][columns] for row in rows]),
            attrs=dict(data.attrs),
            label=file["label"][()][rows][:, columns],
            extra={f"specimen/{name}": values[()][rows] for name, values in file["specimen"].items()}
            | {"manifest": json.dumps({**manifest, "cut": note}, indent=1)},
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("--specimens", type=int, default=16)
    parser.add_argument("--thicknesses", type=int, default=2)
    parser.add_argument("--positions", type=int, default=3)
    options = vars(parser.parse_args())
    print(cut(options.pop("source"), options.pop("target"), **options))
