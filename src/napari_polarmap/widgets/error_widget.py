"""The dock "Error analysis": how a map differs from a reference, in four plots that follow it."""

from __future__ import annotations

from typing import Any

from matplotlib import rc_context
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from napari.components import ViewerModel
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QComboBox, QScrollArea, QVBoxLayout, QWidget
from superqt.utils import qdebounced

from napari_polarmap.core.misclassification import ErrorAnalysis, analyse_errors
from napari_polarmap.io.error_figure import draw_errors
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.review import lattice_of
from napari_polarmap.widgets.dock import Dock
from napari_polarmap.widgets.followed_maps import FollowedMaps
from napari_polarmap.widgets.progress_row import ProgressRow
from napari_polarmap.widgets.reference import Reference, ReferenceBox
from napari_polarmap.widgets.section import Form, note
from napari_polarmap.widgets.workers import Jobs

PANEL_HEIGHT = 270
"""Of each of the four plots [px]; they stand one below the other, as a dock is narrow."""

WHAT = {"domain": "Polarization direction (domains)", "direction": "Direction, single windows"}


def analyse(result: PolarizationMap, what: str, reference: Reference) -> ErrorAnalysis:
    """Compare one of the direction maps of a result with a reference."""
    predicted = getattr(result, what)
    classes = predicted * 0 + reference if isinstance(reference, int) else reference
    return analyse_errors(predicted, classes, irregular=result.irregular, lattice=lattice_of(result))


class ErrorWidget(Dock):
    """Dock widget "Error analysis".

    It looks at the map that came into the viewer last, and draws anew whenever that map, or the reference, changes.

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = napari_viewer
        self.result: PolarizationMap | None = None
        self.analysis: ErrorAnalysis | None = None
        self._jobs = Jobs(self)
        self.what = QComboBox()
        for name, caption in WHAT.items():
            self.what.addItem(caption, name)
        self.what.setToolTip("Which map is compared: the published one, or each window by itself")
        self.reference = ReferenceBox(napari_viewer)
        self.figure = Figure(layout="constrained")
        self.canvas = FigureCanvasQTAgg(self.figure)
        self.canvas.setMinimumSize(300, 4 * PANEL_HEIGHT)
        self.canvas.setToolTip(
            "Which direction is taken for which; accuracy per region; share of errors at each place of the cell;\n"
            "spectrum of the errors with the lattice peaks (circles) and the share of its power that repeats."
        )
        self.said = note()
        self.progress = ProgressRow("the comparison")
        self.progress.cancelled.connect(self._cancel)
        form = Form()
        form.add("Map", self.what)
        form.add("Reference", self.reference)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.progress)
        layout.addWidget(self.said)
        self.scroll = QScrollArea()
        self.scroll.setWidget(self.canvas)
        self.scroll.setWidgetResizable(True)
        self.scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        layout.addWidget(self.scroll, 1)
        self._look_soon = qdebounced(self._look, timeout=50)
        self.what.currentIndexChanged.connect(self.refresh)
        self.reference.changed.connect(self.refresh)
        self._followed = FollowedMaps(napari_viewer, self)
        self._followed.listed.connect(self._look)
        self._followed.exchanged.connect(self._look_soon)
        self._look()

    def detach(self) -> None:
        """Stop all work and let go of the viewer."""
        self._jobs.stop()
        self._look_soon.cancel()
        self.reference.detach()
        self._followed.detach()

    def _look(self) -> None:
        """Take the map that came last."""
        result = next(reversed(self._followed.maps), None)
        if result is not self.result or result is None:
            self.result = result
            self.reference.show_map(result)
            self.refresh()

    def refresh(self, *_: Any) -> None:
        """Compare again."""
        self._cancel()
        reference = self.reference.reference
        if self.result is None or reference is None:
            self._show(None)
            self.said.setText(
                "No map yet; compute one, or open a result." if self.result is None else "Choose or paint a reference."
            )
            return
        self.progress.start("comparing")
        self._jobs.start(
            analyse,
            self.result,
            self.what.currentData(),
            reference,
            returned=self._show,
            errored=lambda error: (self._show(None), self.said.setText(str(error))),
            finished=self.progress.finish,
        )

    def _cancel(self) -> None:
        """Compare no further; the plots stay."""
        self._jobs.stop()
        self.progress.finish()

    def _show(self, analysis: ErrorAnalysis | None) -> None:
        self.analysis = analysis
        if analysis is None:
            self.figure.clear()
            self.canvas.draw_idle()
            return
        score = analysis.scores[0]
        self.said.setText(f"{score.accuracy:.1%} of {score.positions} positions with a reference are right.")
        ink = self.palette().color(QPalette.ColorRole.WindowText).name()
        paper = self.palette().color(QPalette.ColorRole.Window).name()
        colors = {f"{part}.color": ink for part in ("xtick", "ytick", "text")}
        with rc_context(
            {**colors, "axes.labelcolor": ink, "axes.edgecolor": ink, "axes.titlecolor": ink, "axes.facecolor": paper}
        ):
            self.figure.set_facecolor(paper)
            draw_errors(self.figure, analysis, columns=1)
        self.canvas.draw_idle()
