"""The loss curve as a picture."""

from __future__ import annotations

from matplotlib.figure import Figure

from napari_polarmap.io.training_figure import draw_losses, loss_figure

HISTORY = {"loss": [2.0, 1.5, 1.2], "validation_loss": [2.1, 1.8, 1.9], "validation_accuracy": [0.2, 0.4, 0.5]}


def test_every_stage_has_a_line_for_training_and_one_for_validation(tmp_path):
    figure = Figure()
    draw_losses(figure, {"pooled": HISTORY, "single": HISTORY})
    above, below = figure.axes
    assert [line.get_label() for line in above.lines] == [
        f"{stage}: {part}" for stage in ("pooled", "single") for part in ("training", "validation")
    ]
    assert below.lines[0].get_ydata().tolist() == [0.2, 0.4, 0.5]
    assert above.lines[0].get_xdata().tolist() == [1, 2, 3]


def test_the_curve_is_written_also_when_nothing_was_learnt(tmp_path):
    assert loss_figure({}, tmp_path / "empty.svg").stat().st_size > 0
