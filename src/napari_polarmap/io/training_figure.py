"""The loss curve of a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from napari_polarmap.io.figure_file import write_figure

History = Mapping[str, Sequence[float]]


def draw_losses(figure: Figure, histories: Mapping[str, History]) -> None:
    """Draw losses and the accuracy on validation specimens over the epochs.

    Parameters
    ----------
    figure : Figure
        Cleared first.
    histories : dict of str to dict
        By what was trained for: ``loss``, ``validation_loss`` and ``validation_accuracy`` of every epoch.
    """
    figure.clear()
    above, below = figure.subplots(2, 1, sharex=True)
    for index, (name, history) in enumerate(histories.items()):
        color = f"C{index}"
        epochs = np.arange(1, len(history.get("loss", ())) + 1)
        marker = "." if len(epochs) < 30 else ""
        above.plot(epochs, history.get("loss", ()), color=color, marker=marker, label=f"{name}: training")
        above.plot(
            epochs, history.get("validation_loss", ()), "--", color=color, marker=marker, label=f"{name}: validation"
        )
        below.plot(epochs, history.get("validation_accuracy", ()), "--", color=color, marker=marker)
    above.set_ylabel("loss")
    if histories:
        figure.legend(loc="outside upper left", fontsize=7, frameon=False, ncols=1)
    below.set(ylabel="right, validation", xlabel="epoch", ylim=(0, 1))
    below.axhline(1 / 8, color="0.5", lw=0.8, ls=":")
    below.annotate("chance", (1, 1 / 8), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=7)
    below.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)


def loss_figure(histories: Mapping[str, History], path: str | Path) -> Path:
    """Write the loss curve of a run as ``.png``, ``.svg`` or ``.pdf``."""

    def draw() -> Figure:
        figure = Figure(figsize=(5, 4), layout="constrained")
        draw_losses(figure, histories)
        return figure

    return write_figure(draw, path, dpi=160)
