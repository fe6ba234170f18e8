"""The dock "Explorer": what the patterns of a scan say, before and beside any classifier."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QPushButton, QSplitter, QVBoxLayout, QWidget

from napari_polarmap.pipeline.inspection import Inspection, inspection_steps
from napari_polarmap.pipeline.reading import reading
from napari_polarmap.widgets.compare_panel import ComparePanel
from napari_polarmap.widgets.comparing import Comparing
from napari_polarmap.widgets.detecting import Detecting
from napari_polarmap.widgets.detector_panel import DetectorPanel
from napari_polarmap.widgets.dock import Dock
from napari_polarmap.widgets.explored import Explored
from napari_polarmap.widgets.explorer import NOWHERE
from napari_polarmap.widgets.explorer_view import ExplorerView
from napari_polarmap.widgets.follower import Follower
from napari_polarmap.widgets.map_layers import MapLayers
from napari_polarmap.widgets.pattern_view import Overlay
from napari_polarmap.widgets.profile_panel import ProfilePanel
from napari_polarmap.widgets.profiling import FieldPanel, Profiling, ShowingField
from napari_polarmap.widgets.progress_row import ProgressRow
from napari_polarmap.widgets.scan_notes import notes_of
from napari_polarmap.widgets.section import StepColumn, fit_width
from napari_polarmap.widgets.shortcuts import Shortcuts
from napari_polarmap.widgets.workers import Jobs, tell_error


class ExplorerWidget(Dock):
    """Dock widget "Explorer".

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = napari_viewer
        self.explored = Explored(napari_viewer, self)
        self.follower = Follower(napari_viewer, self)
        self._layers = MapLayers(napari_viewer)
        self._inspecting = Jobs(self)
        self._build()
        view = self.view.pattern
        self.comparing = Comparing(napari_viewer, self.explored, self.follower, self.compare, self)
        self.detecting = Detecting(napari_viewer, self.explored, view, self.detector, self)
        self.showing_field = ShowingField(napari_viewer, self.explored, self.field, self)
        self.profiling = Profiling(napari_viewer, self.explored, self.profile, self)
        self.shortcuts = Shortcuts(
            napari_viewer,
            {
                "K": self.compare.pin_button,
                "Shift-K": self.compare.clear_button,
                "G": lambda: _next(self.view.scale),
                "Shift-D": lambda: _next(self.detector.kind),
            },
        )
        self.explored.chosen.connect(self._on_chosen)
        self.explored.changed.connect(self._refresh)
        self.follower.looked.connect(self._on_looked)
        self.follower.failed.connect(self._on_failed)
        self.view.scaled.connect(lambda: self.compare.set_scale(**self.view.chosen))
        scans = self.explored.layers.scans
        self.explored.choose(scans[0] if scans else None)

    def _build(self) -> None:
        self.choice = QComboBox()
        self.choice.setToolTip("Scan to explore: one of those loaded in this window")
        fit_width(self.choice)
        self.choice.activated.connect(lambda index: self.explored.choose(self.explored.layers.scans[index]))
        self.measure_button = QPushButton("Find disk")
        self.measure_button.setToolTip(
            "Read all patterns once and measure disk [px], unit cell and centres of mass, for overlays and deflections"
        )
        self.measure_button.clicked.connect(self.measure)
        self.progress = ProgressRow("the measurement of disk and unit cell")
        self.progress.cancelled.connect(self._inspecting.cancel)
        self.view = ExplorerView()
        self.compare, self.detector = ComparePanel(), DetectorPanel()
        self.field, self.profile = FieldPanel(), ProfilePanel()
        self.scroll = StepColumn()
        self.sections = [
            self.scroll.add("Compare patterns", self.compare, "Keep patterns and see them side by side"),
            self.scroll.add("Virtual detector", self.detector, "An image from a part of the detector"),
            self.scroll.add("Deflection (CoM, DPC)", self.field, "Where the beam is deflected to, over the scan"),
            self.scroll.add("Line profile", self.profile, "Values along a line, across a wall for instance"),
        ]
        for section in self.sections:
            section.status.hide()  # they can be used in any order
        top = QHBoxLayout()
        top.setContentsMargins(4, 2, 4, 0)
        top.addWidget(self.choice, 1)
        top.addWidget(self.measure_button)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.view)
        splitter.addWidget(self.scroll)
        splitter.setChildrenCollapsible(False)
        splitter.setSizes([330, 400])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 2, 2, 2)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.progress)
        layout.addWidget(splitter, 1)
        self.setMinimumWidth(350)

    def detach(self) -> None:
        """Stop all work and let go of the viewer."""
        self._inspecting.stop()
        for part in (self.shortcuts, self.profiling, self.detecting, self.comparing, self.follower, self.explored):
            part.detach()

    def look(self, row: int, column: int) -> None:
        """Show the pattern at a scan position."""
        self.follower.look(row, column)

    def measure(self) -> None:
        """Measure disk, lattice and centres of mass."""
        self.measure_button.setEnabled(False)
        self.progress.start("opening")
        self._inspecting.start(
            inspection_steps,
            self.explored.scan,
            yielded=self.progress.show_progress,
            returned=self._on_inspected,
            errored=tell_error,
            finished=self._on_finished,
        )

    def _on_inspected(self, inspection: Inspection) -> None:
        scan = self.explored.scan
        notes_of(scan).keep(inspection, scan.calibration)
        self._layers.show_scan(scan, inspection.statistics.bright)

    def _on_finished(self) -> None:
        self.progress.finish()
        self._refresh()

    def _on_chosen(self) -> None:
        self._inspecting.stop()
        self.progress.finish()
        self.follower.forget()
        self.view.pattern.set_pattern(None, Overlay())
        self.view.pattern.message = (
            "Open a scan, or drag one into the window" if self.explored.scan is None else "Move the mouse over the scan"
        )
        self.view.reading.setText(NOWHERE)
        self._refresh()

    def _refresh(self) -> None:
        explored = self.explored
        self.follower.scan, self.follower.result = explored.scan, explored.result
        scans = explored.layers.scans
        self.choice.clear()
        self.choice.addItems([scan.name for scan in scans])
        self.choice.setCurrentIndex(next((i for i, scan in enumerate(scans) if scan is explored.scan), -1))
        self.choice.setEnabled(bool(scans))
        self.measure_button.setVisible(explored.inspection is None)
        self.measure_button.setEnabled(explored.scan is not None and not self._inspecting.busy)
        if self.follower.pattern is not None:
            self._on_looked(self.follower.pattern)

    def _on_looked(self, pattern: NDArray[np.number] | None) -> None:
        if pattern is None or self.follower.position is None:
            return
        row, column = self.follower.position
        self.view.pattern.set_pattern(pattern, self.explored.overlay(pattern, (row, column)))
        text = f"row {row}, column {column}   {np.nansum(pattern):.4g} counts"
        if self.follower.result is not None:
            text += f"   {reading(self.follower.result, row, column)}"
        self.view.reading.setText(text)

    def _on_failed(self, error: Exception) -> None:
        self.view.pattern.message = f"this pattern cannot be read ({error})"
        self.view.pattern.set_pattern(None)


def _next(box: QComboBox) -> None:
    """Choose the next entry of a list, after the last the first."""
    if box.isEnabled() and box.count():
        box.setCurrentIndex((box.currentIndex() + 1) % box.count())
