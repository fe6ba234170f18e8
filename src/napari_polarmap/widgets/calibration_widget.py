"""The dock "Calibration": every part measured, judged, corrected, taken back, saved."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_polarmap.core.calibration import Calibration
from napari_polarmap.core.data import Scan4D
from napari_polarmap.io import open_scan
from napari_polarmap.io.calibration_file import load_calibration, save_calibration
from napari_polarmap.pipeline.inspection import Inspection, Progress, inspection_steps
from napari_polarmap.pipeline.measuring import measure, measure_reference, measure_steps
from napari_polarmap.pipeline.scan_calibration import PARTS, History, Measured, apply, by_hand
from napari_polarmap.widgets.calibration_parts import PartRow
from napari_polarmap.widgets.dock import Dock
from napari_polarmap.widgets.map_layers import MapLayers
from napari_polarmap.widgets.pattern_view import Overlay, PatternView
from napari_polarmap.widgets.progress_row import ProgressRow
from napari_polarmap.widgets.scan_layers import ScanLayers
from napari_polarmap.widgets.scan_notes import notes_of
from napari_polarmap.widgets.section import State, fit_width, note
from napari_polarmap.widgets.workers import Jobs, tell_error


def read_reference(path: Path, scan_shape: tuple[int, int]) -> Generator[Progress, None, Measured]:
    """Open a reference scan and measure its descan, telling how far it has come."""
    with open_scan(path) as reference:
        inspection = yield from inspection_steps(reference)
        return measure_reference(reference, inspection, scan_shape)


class CalibrationWidget(Dock):
    """Dock widget "Calibration".

    It works on the scans of the viewer's layers, and gives those layers the new calibration.

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = napari_viewer
        self.scan: Scan4D | None = None
        self.inspection: Inspection | None = None
        self._layers = MapLayers(napari_viewer)
        self._inspecting, self._measuring = Jobs(self), Jobs(self)
        self._scans = ScanLayers(napari_viewer, self)
        self._build()
        self._scans.listed.connect(self._on_layers)
        self._scans.recalibrated.connect(self._on_recalibrated)
        self._on_layers()

    def _build(self) -> None:
        self.choice = QComboBox()
        self.choice.setToolTip("Scan to calibrate: one of those loaded in this window")
        fit_width(self.choice)
        self.choice.activated.connect(lambda index: self.choose(self._scans.scans[index]))
        self.said = note()
        self.progress = ProgressRow("the measurement")
        self.progress.cancelled.connect(self._cancel)
        self.view = PatternView()
        self.view.setToolTip("Mean pattern of the scan; white circle: direct disk as calibrated")
        self.view.message = "Mean pattern"
        self.view.set_logarithmic(True)
        self.view.setFixedHeight(150)
        self.all_button = _button("All automatic", "Measure every part, and use what is good", self.measure_all)
        self.undo_button = _button("Undo", "Take the last step back, whatever it changed", self.undo_last)
        self.measure_button = _button(
            "Read again", "Read all patterns once more: disk [px], its drift and the unit cell", self._inspect
        )
        vacuum = "Take descan and disk centre from a scan of the same field without specimen"
        self.reference_button = _button("Reference scan…", vacuum, self._ask_reference)
        self.load_button = _button("Load…", "Use the calibration of a JSON file", self._ask_load)
        keep = "Save the calibration as JSON, for other scans and the command line"
        self.save_button = _button("Save…", keep, self._ask_save)
        buttons = QGridLayout()
        first = (self.all_button, self.reference_button, self.undo_button)
        for place, button in enumerate((*first, self.load_button, self.save_button, self.measure_button)):
            buttons.addWidget(button, place // 3, place % 3)
        self.rows = {part: PartRow(part) for part in PARTS}
        column = QWidget()
        rows = QVBoxLayout(column)
        rows.setContentsMargins(0, 0, 8, 0)
        rows.setSpacing(2)
        for row in self.rows.values():
            row.auto_clicked.connect(self.measure)
            row.undo_clicked.connect(self.undo)
            row.edited.connect(self.edit)
            rows.addWidget(row)
        rows.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidget(column)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        for widget in (self.choice, self.said, self.progress, self.view):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        layout.addWidget(scroll, 1)
        self.setMinimumWidth(360)

    def detach(self) -> None:
        """Stop all work and let go of the viewer."""
        for jobs in (self._inspecting, self._measuring):
            jobs.stop()
        self._scans.detach()

    # which scan

    def _on_layers(self) -> None:
        """List the scans of all layers; take the first where none is chosen."""
        self._list()
        scans = self._scans.scans
        if not any(scan is self.scan for scan in scans):
            self.choose(scans[0] if scans else None)

    def _on_recalibrated(self) -> None:
        """Take over a calibration that was changed elsewhere in the window."""
        self._list()
        current = self._scans.same(self.scan)
        if current is not None and current is not self.scan:
            self._take(current)

    def _list(self) -> None:
        scans = self._scans.scans
        self.choice.clear()
        self.choice.addItems([scan.name for scan in scans])
        self.choice.setCurrentIndex(next((i for i, scan in enumerate(scans) if scan is self.scan), -1))

    def choose(self, scan: Scan4D | None) -> None:
        """Calibrate a scan."""
        self._measuring.stop()
        self._inspecting.stop()
        self.progress.finish()
        self.scan, self.inspection = scan, None if scan is None else notes_of(scan).for_scan(scan)
        self._list()
        self.view.set_pattern(None)
        if scan is not None and self.inspection is None:
            self._inspect()
        self._refresh()

    @property
    def history(self) -> History:
        """Calibrations that the scan had; the docks share it."""
        return History() if self.scan is None else notes_of(self.scan).history

    def _inspect(self) -> None:
        self.progress.start("opening")
        self._inspecting.start(
            inspection_steps,
            self.scan,
            yielded=self.progress.show_progress,
            returned=self._on_inspected,
            errored=self._on_error,
            finished=self._on_finished,
        )
        self._refresh()

    def _on_inspected(self, inspection: Inspection) -> None:
        self.inspection = inspection
        notes_of(self.scan).keep(inspection, self.scan.calibration)

    def _on_finished(self) -> None:
        self.progress.finish()
        self._refresh()

    def _cancel(self) -> None:
        """Stop what goes on; the calibration stays."""
        self._inspecting.cancel()
        self._measuring.stop()
        self._on_finished()

    def _on_error(self, error: Exception) -> None:
        self.said.setText(str(error))
        tell_error(error)

    # changes

    def measure(self, part: str) -> None:
        """Measure one part and use it."""
        self.rows[part].show_residual("measuring …", State.BUSY)
        self.progress.start(f"measuring {part.replace('_', ' ')}")
        self._measuring.start(
            measure,
            part,
            self.scan,
            self.inspection,
            returned=self._on_measured,
            errored=lambda error: self.rows[part].show_residual(str(error), State.ATTENTION),
            finished=self.progress.finish,
        )

    def _on_measured(self, measured: Measured) -> None:
        self._change(apply(self.scan.calibration, measured))
        self._judge(measured)

    def _judge(self, measured: Measured) -> None:
        state = State.DONE if measured.good else State.ATTENTION
        self.rows[measured.part].show_residual(measured.residual, state)

    def measure_all(self) -> None:
        """Measure every part and use what is good; say of the rest what is wrong with it."""
        for row in self.rows.values():
            row.show_residual("measuring …", State.BUSY)
        self.progress.start("measuring")
        self._measuring.start(
            measure_steps,
            self.scan,
            self.inspection,
            yielded=self.progress.show_progress,
            returned=self._on_all,
            errored=tell_error,
            finished=self.progress.finish,
        )

    def _on_all(self, found: tuple[list[Measured], dict[str, str]]) -> None:
        calibration = self.scan.calibration
        for measured in found[0]:
            calibration = apply(calibration, measured) if measured.good else calibration
        self._change(calibration)
        for measured in found[0]:
            self._judge(measured)
            if not measured.good:
                text = f"doubtful, not used: {measured.value}; {measured.residual}"
                self.rows[measured.part].show_residual(text, State.ATTENTION)
        for part, reason in found[1].items():
            self.rows[part].show_residual(reason, State.ATTENTION)

    def edit(self, changes: dict[str, Any]) -> None:
        """Use values that were entered."""
        try:
            self._change(by_hand(self.scan.calibration, **changes))
        except ValueError as error:
            tell_error(error)
            self._refresh()

    def undo(self, part: str) -> None:
        """Take the last change of a part back."""
        self._go_back(self.history.undo(part, self.scan.calibration))

    def undo_last(self) -> None:
        """Take the last step back, whatever it changed."""
        self._go_back(self.history.undo_last(self.scan.calibration))

    def _go_back(self, calibration: Calibration) -> None:
        self._take(replace(self.scan, calibration=calibration))
        self._layers.update_scan(self.scan)
        self._list()

    def _change(self, calibration: Calibration) -> None:
        self.history.note(self.scan.calibration, calibration)
        self._take(replace(self.scan, calibration=calibration))
        self._layers.update_scan(self.scan)
        self._list()

    def _take(self, scan: Scan4D) -> None:
        """Show the scan with another calibration; its patterns are read again where other pixels are bad."""
        self.scan = scan
        if self.inspection is not None:
            known = notes_of(scan).for_scan(scan)
            if known is None:
                self._inspect()
            else:
                self.inspection = known
        self._refresh()

    def _refresh(self) -> None:
        """Show calibration and mean pattern; offer what can be done."""
        scan, inspection = self.scan, self.inspection
        ready = inspection is not None and not self._inspecting.busy
        self.said.setText("" if scan is not None else "No scan yet: open one in Plugins > Polarization mapping.")
        self.said.setVisible(scan is None)
        calibration = Calibration() if scan is None else scan.calibration
        for part, row in self.rows.items():
            row.show_calibration(calibration, None if inspection is None else inspection.descan)
            row.auto.setEnabled(ready)
            row.undo.setEnabled(self.history.can_undo(part))
            row.setEnabled(scan is not None)
        self.undo_button.setEnabled(self.history.can_undo())
        self.measure_button.setEnabled(scan is not None and not self._inspecting.busy)
        for button in (self.all_button, self.reference_button):
            button.setEnabled(ready)
        for button in (self.load_button, self.save_button):
            button.setEnabled(scan is not None)
        if inspection is not None:
            disk = inspection.disk
            overlay = Overlay(disk_px=(disk.center_px, disk.radius_px))
            self.view.set_pattern(inspection.statistics.mean_pattern, overlay)

    # files

    def _ask_reference(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a scan without specimen", str(self._folder()))
        if path:
            self.use_reference(Path(path))

    def use_reference(self, path: Path) -> None:
        """Take the descan of a reference scan."""
        self.rows["descan"].show_residual(f"measuring {path.name} …", State.BUSY)
        self.progress.start("opening")
        self._measuring.start(
            read_reference,
            path,
            self.scan.scan_shape,
            yielded=self.progress.show_progress,
            returned=self._on_measured,
            errored=lambda error: self.rows["descan"].show_residual(str(error), State.ATTENTION),
            finished=self.progress.finish,
        )

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load a calibration", str(self._folder()), "Calibration (*.json)")
        if path:
            self.load(Path(path))

    def load(self, path: Path) -> None:
        """Use the calibration of a file."""
        try:
            self._change(self.scan.calibrated(**load_calibration(path)).calibration)
        except (ValueError, OSError) as error:
            tell_error(error)

    def _ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the calibration", str(self._folder() / f"{self.scan.name}.json"), "Calibration (*.json)"
        )
        if path:
            self.save(Path(path).with_suffix(".json"))

    def save(self, path: Path) -> None:
        """Save the calibration as JSON."""
        try:
            save_calibration(self.scan.calibration, path)
        except OSError as error:
            tell_error(error)

    def _folder(self) -> Path:
        return self.scan.path.parent if self.scan is not None and self.scan.path is not None else Path.cwd()


def _button(text: str, tooltip: str, slot: Any) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tooltip)
    button.clicked.connect(lambda: slot())
    return button
