"""The dock: from a scan to a polarization map, in the order in which a person works."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from napari.components import ViewerModel
from napari.utils.notifications import show_info
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import QSplitter, QVBoxLayout, QWidget

from napari_polarmap.core.data import Scan4D
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.registry import load_classifier
from napari_polarmap.pipeline.inspection import Inspection, Progress
from napari_polarmap.pipeline.mapping import MapParams, map_steps
from napari_polarmap.pipeline.model_range import out_of_range
from napari_polarmap.plugin import is_result
from napari_polarmap.widgets.classifier_panel import ClassifierPanel
from napari_polarmap.widgets.dataset_panel import DatasetPanel
from napari_polarmap.widgets.disk_panel import DiskPanel
from napari_polarmap.widgets.display_panel import DisplayPanel
from napari_polarmap.widgets.displaying import Displaying
from napari_polarmap.widgets.dock import Dock
from napari_polarmap.widgets.explorer import Explorer
from napari_polarmap.widgets.export_panel import ExportPanel
from napari_polarmap.widgets.exporting import Exporting
from napari_polarmap.widgets.information_panel import InformationPanel
from napari_polarmap.widgets.judging import Judging
from napari_polarmap.widgets.map_layers import MapLayers, warm_up
from napari_polarmap.widgets.measuring import Measuring
from napari_polarmap.widgets.preferences import preferences
from napari_polarmap.widgets.readiness import Situation
from napari_polarmap.widgets.review_panel import ReviewPanel
from napari_polarmap.widgets.section import StepColumn
from napari_polarmap.widgets.shortcuts import Shortcuts
from napari_polarmap.widgets.workers import Jobs, tell_error

TITLE = "Polarization mapping"


def run_steps(
    scan: Scan4D, model: str, params: MapParams, reference: int | None, inspection: Inspection | None = None
) -> Generator[Progress, None, PolarizationMap]:
    """Load a classifier and map a scan, telling how far it has come."""
    yield Progress("loading the classifier", 0, 0)
    classifier = load_classifier(model)
    warm_up()
    return (yield from map_steps(scan, classifier, params, reference=reference, inspection=inspection))


class MapWidget(Dock):
    """Dock widget "Polarization mapping".

    It collects parameters, starts workers and shows their layers; it computes nothing.

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
        The viewer whose layers it reads and adds to.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = napari_viewer
        self._layers, self._mapping = MapLayers(napari_viewer), Jobs(self)
        self._build()
        self._connect()
        self._adopt_result()
        self._refresh()

    def _build(self) -> None:
        self.dataset = DatasetPanel(self.viewer)
        self.disk = DiskPanel()
        self.classifier = ClassifierPanel()
        self.review = ReviewPanel(self.viewer)
        self.export = ExportPanel()
        self.display = DisplayPanel()
        self.displaying = Displaying(self._layers, self.display, self)
        self.judging = Judging(self._layers, self.review, self.displaying, self)
        self.explorer = Explorer(self.viewer)
        self.measuring = Measuring(self.dataset, self.disk, self.classifier, self.explorer, self._layers, self)
        self.exporting = Exporting(self.export, self.judging, self)
        steps = [
            ("1  Dataset", self.dataset, "Choose a scan and check its calibration"),
            ("2  CoM correction", self.disk, "Find the direct disk and follow it over the scan"),
            ("3  Classifier", self.classifier, "Choose a classifier and compute the map"),
            ("4  Irregular positions", self.review, "Judge the map"),
            ("5  Export", self.export, "Save the map"),
        ]
        self.scroll = StepColumn()
        self.sections = [self.scroll.add(title, panel, tooltip) for title, panel, tooltip in steps]
        self.display_section = self.scroll.add("Display", self.display, "How the map is shown")
        self.information = InformationPanel()
        self.information_section = self.scroll.add(
            "Information map", self.information, "Which probe positions in the unit cell tell the direction"
        )
        self.information_section.header.setChecked(False)
        for section in (self.display_section, self.information_section):
            section.status.hide()  # they are no steps
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.scroll)
        splitter.addWidget(self.explorer)
        splitter.setChildrenCollapsible(False)
        splitter.setStretchFactor(0, 3)
        splitter.setStretchFactor(1, 2)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(2, 2, 2, 2)
        whole.addWidget(splitter)
        self.setMinimumWidth(350)
        self.setAcceptDrops(True)
        chosen = preferences().mapping
        self.classifier.pool.setCurrentIndex(self.classifier.pool.findData(chosen.pooling))
        self.review.set_fdr(chosen.false_discovery_rate)
        self.shortcuts = Shortcuts(
            self.viewer,
            {
                "Shift-R": self.classifier.run_button,
                "Shift-X": self.cancel,
                "Shift-M": self.disk.measure_button,
                "Shift-Z": self.dataset.calibration.undo,
                "Shift-E": self.export.button,
            },
        )

    def cancel(self) -> None:
        """Stop what goes on; everything stays as it was."""
        if self._mapping.busy:
            self.classifier.cancel_button.click()
        for row in (self.disk.progress, self.dataset.progress, self.export.progress):
            if not row.isHidden():
                row.cancel.click()

    def _connect(self) -> None:
        self.dataset.scan_chosen.connect(self._on_scan)
        self.dataset.failed.connect(tell_error)
        self.measuring.changed.connect(self._refresh)
        self.classifier.changed.connect(self._refresh)
        self.classifier.failed.connect(tell_error)
        self.classifier.run_clicked.connect(self.run)
        self.classifier.cancel_clicked.connect(self._mapping.cancel)
        self.classifier.restore_clicked.connect(self._restore)
        self.judging.changed.connect(self._on_judged)
        self.explorer.wheel.clicked.connect(self.judging.show_only)
        self.display.changed.connect(lambda: self.explorer.wheel.set_display(self.display.display()))
        self.exporting.written.connect(self._on_written)
        self.viewer.layers.events.inserted.connect(self._adopt_result)
        if self.dataset.scan is not None:
            self._on_scan(self.dataset.scan)

    def detach(self) -> None:
        """Stop all work and let go of the viewer."""
        for work in (self.measuring, self._mapping, self.judging, self.exporting):
            work.stop()
        self.shortcuts.detach()
        self.dataset.detach()
        self.review.reference.detach()
        self.explorer.detach()
        self.displaying.detach()
        self.viewer.layers.events.inserted.disconnect(self._adopt_result)

    # 1 and 2: the scan and its disk

    @property
    def inspection(self) -> Inspection | None:
        """What was measured of the scan."""
        return self.measuring.inspection

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Take files."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Open a scan that is dropped, or show the layers of a result."""
        path = event.mimeData().urls()[0].toLocalFile()
        event.acceptProposedAction()
        if is_result(path):
            self.viewer.open(path, plugin="napari-polarmap")
        else:
            self.dataset.open_path(path)

    def _on_scan(self, scan: Scan4D | None) -> None:
        self._mapping.stop()
        self.classifier.show_running(False)
        self.judging.clear()
        if scan is not None:
            self.export.suggest(scan)
        self.measuring.take(scan)
        self._adopt_result()
        self._refresh()

    # 3: the run

    def params(self) -> MapParams:
        """Return what is chosen in all steps."""
        return MapParams(**self.disk.params(), **self.classifier.params(), fdr=self.review.fdr)

    def run(self) -> None:
        """Compute the map of the scan in the background."""
        try:
            params = self.params()
        except ValueError as error:
            tell_error(error)
            return
        self.classifier.show_running(True)
        QTimer.singleShot(0, self._show_progress_bar)
        self._mapping.start(
            run_steps,
            self.dataset.scan,
            self.classifier.model_name,
            params,
            self.review.reference.reference,
            self.measuring.valid,
            yielded=self.classifier.show_progress,
            returned=self._on_mapped,
            errored=tell_error,
            aborted=self._on_aborted,
            finished=self._on_run_finished,
        )
        self.measuring.notes.ran = self._settings()
        self._refresh()

    def _show_progress_bar(self) -> None:
        self.scroll.ensureWidgetVisible(self.classifier.progress, 0, 8)

    def _on_mapped(self, result: PolarizationMap) -> None:
        scan = self.dataset.scan
        self.judging.show(result, scan.data)
        self.viewer.title = f"Polarization of {scan.name}"

    def _on_aborted(self) -> None:
        show_info("The run was cancelled; the layers are as they were.")

    def _on_run_finished(self) -> None:
        self.classifier.show_running(False)
        self._refresh()

    def _restore(self) -> None:
        self.classifier.restore()
        self.disk.restore()
        self.review.set_fdr(MapParams().fdr)

    def _settings(self) -> dict[str, object]:
        """Return everything that a run depends on, to tell when a map is out of date."""
        scan, disk = self.dataset.scan, self.disk.params()
        return {
            "calibration": None if scan is None else replace(scan.calibration, origin={}),
            "disk centre": disk["center"],
            "crop": disk["crop_px"],
            "unit cell": (disk["lattice_px"], disk["radius_px"]),
            "classifier": self.classifier.model_name,
            "pooling": self.classifier.params(),
        }

    def _refresh(self, *_: object) -> None:
        """Show how each step stands and whether a run can start."""
        notes = self.measuring.notes
        situation = Situation(
            scan=self.dataset.scan,
            inspecting=self.measuring.busy,
            inspection=self.inspection,
            problem=self.measuring.problem,
            model=self.classifier.info,
            running=self._mapping.busy,
            result=self.result,
            stale=notes.stale(self._settings()),
            exported=notes.exported is not None,
            export_stale=notes.exported is not self.result,
        )
        for section, header in zip(self.sections, situation.headers, strict=True):
            section.set_state(*header)
        if not self._mapping.busy:
            self.classifier.show_ready(situation.reason, self._warning())

    def _warning(self) -> str:
        scan, info = self.dataset.scan, self.classifier.info
        if scan is None or info is None:
            return ""
        return out_of_range(info, scan.calibration, convergence_mrad=self.measuring.convergence_mrad)

    # 4: the map

    @property
    def result(self) -> PolarizationMap | None:
        """The map that is shown."""
        return self.judging.result

    def _adopt_result(self, event: Any = None) -> None:
        """Take a map that is in the window already, where there is none."""
        if self.result is None and not self._mapping.busy:
            self.judging.adopt(self.dataset.scan)

    def _on_judged(self) -> None:
        self.explorer.set_result(self.result)
        self.information.show_map(self.result)
        self._refresh()

    # 5: files

    def _on_written(self, result: PolarizationMap) -> None:
        self.measuring.notes.exported = result
        self._refresh()
