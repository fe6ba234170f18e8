"""Draw the benchmark sets and tabulate their conditions, for docs/benchmark-sets.md.

    python benchmarks/gallery.py FOLDER

FOLDER holds the simulated files, named as their configurations: ``S1.h5``, ``E1.h5``
and ``scene_vacancy.h5``, ``scene_vacancy_noisy.h5`` for those in ``sets/scenes``.
Sets that are not there are left out of the figures.
"""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from napari_polarmap.core.directions import COLORS, LABELS, UNDEFINED
from napari_polarmap.simulation.config import SimulationConfig, load_config

SETS = Path(__file__).with_name("sets")
DOCS = Path(__file__).resolve().parents[1] / "docs"
EXPERIMENTAL = [f"E{index}" for index in range(1, 6)]
SYNTHETIC = [f"S{index}" for index in range(1, 8)]
SCENES = sorted(path.stem for path in (SETS / "scenes").glob("*.toml"))


def main(folder: Path) -> None:
    """Write the table and the figures."""
    configs = {name: load_config(SETS / f"{name}.toml") for name in SYNTHETIC + EXPERIMENTAL}
    (DOCS / "benchmark-sets-table.md").write_text(_table(configs), encoding="utf-8")
    _figure(folder, [(name, name) for name in EXPERIMENTAL], "sets-experimental.png", columns=5)
    scenes = [(name, f"scene_{name}_noisy") for name in SCENES]
    _figure(folder, scenes, "sets-scenes.png", columns=6)


def _table(configs: dict[str, SimulationConfig]) -> str:
    head = "| set | P | thickness | field, positions | tilt | electrons | source | blur | offset | scan turned |"
    rows = [head, "|" + "---|" * 10]
    for name, config in configs.items():
        scene, detector = config.scene, config.detector
        step, cell = scene.step_A.low, config.specimen.lattice_A.low
        direction = f"{scene.first}, {scene.second}" if scene.second else scene.first
        dose = detector.dose_electrons.low
        cells = [
            name,
            direction,
            f"{config.thickness.low_nm.low:g} nm",
            f"{scene.columns * step / cell:.1f} × {scene.rows * step / cell:.1f} cells, {scene.columns} × {scene.rows}",
            f"{config.microscope.tilt_mrad.low:g} mrad",
            f"{dose:g}" if dose else "exact",
            f"{detector.source_A.low:g} Å",
            f"{detector.blur_px.low:g} px",
            f"{detector.offset_row_px.low:g}, {detector.offset_column_px.low:g} px",
            f"{scene.scan_rotation_deg.low:g}°",
        ]
        rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def _figure(folder: Path, files: list[tuple[str, str]], name: str, *, columns: int) -> None:
    present = [(title, folder / f"{stem}.h5") for title, stem in files if (folder / f"{stem}.h5").is_file()]
    if not present:
        return
    rows = -(-len(present) // columns)
    figure = Figure(figsize=(2.3 * columns, 4.7 * rows + 0.5), layout="constrained")
    axes = figure.subplots(2 * rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for index, (title, path) in enumerate(present):
        row, column = divmod(index, columns)
        _draw_scan(path, title, axes[2 * row, column], axes[2 * row + 1, column])
    handles = [
        Line2D([], [], marker="s", ls="", color=color, label=label) for label, color in zip(LABELS, COLORS, strict=True)
    ]
    handles.append(Line2D([], [], color="black", label="defect"))
    figure.legend(handles=handles, loc="outside lower center", ncols=9, frameon=False, handletextpad=0.2)
    figure.savefig(DOCS / "images" / name, dpi=110)


def _draw_scan(path: Path, title: str, image: Axes, truth: Axes) -> None:
    with h5py.File(path) as file:
        bright = file["data"][()].sum(axis=(2, 3), dtype=np.float64)
        label, defect = file["label"][()], file["defect"][()]
        step_A = float(file["data"].attrs["scan_step_A"])
    extent = (0, label.shape[1] * step_A / 10, label.shape[0] * step_A / 10, 0)
    image.imshow(bright, cmap="gray", extent=extent)
    image.set_title(title.replace("_", " "), fontsize=9)
    colors = ListedColormap([*COLORS, "#dddddd"])
    truth.imshow(
        np.where(label == UNDEFINED, 8, label), cmap=colors, vmin=0, vmax=8, extent=extent, interpolation="nearest"
    )
    if defect.any():
        y, x = (np.arange(n) * step_A / 10 + step_A / 20 for n in label.shape)
        truth.contour(x, y, defect, [0.5], colors="black", linewidths=1.2)
    for axis in (image, truth):
        axis.set_axis_on()
        axis.tick_params(labelsize=6, length=2)
    truth.set_xlabel("nm", fontsize=7, labelpad=1)


if __name__ == "__main__":
    matplotlib.use("Agg")
    main(Path(sys.argv[1]))
