"""Steps 1 and 2 at work: what is measured of the current scan, and how it is shown over image and pattern."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.pipeline.inspection import Inspection, disk_centers, inspection_steps
from napari_polarmap.pipeline.preview import IN_SIGHT_S, quick_look
from napari_polarmap.widgets.classifier_panel import ClassifierPanel
from napari_polarmap.widgets.dataset_panel import DatasetPanel
from napari_polarmap.widgets.disk_panel import DiskPanel
from napari_polarmap.widgets.explorer import Explorer
from napari_polarmap.widgets.map_layers import MapLayers
from napari_polarmap.widgets.preferences import preferences
from napari_polarmap.widgets.scan_notes import ScanNotes, notes_of
from napari_polarmap.widgets.workers import Jobs, tell_error


class Measuring(QObject):
    """Holds the inspection of the current scan; the panels of the first two steps change it, the explorer follows.

    Signals
    -------
    changed()
        A measurement began or ended, or what it says is another.
    """

    changed = Signal()

    def __init__(
        self,
        dataset: DatasetPanel,
        disk: DiskPanel,
        classifier: ClassifierPanel,
        explorer: Explorer,
        layers: MapLayers,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self.inspection: Inspection | None = None
        self.problem = ""
        self._inspected: Calibration | None = None
        self._without_scan = ScanNotes()
        self._dataset, self._disk, self._classifier = dataset, disk, classifier
        self._explorer, self._layers, self._jobs = explorer, layers, Jobs(self)
        dataset.calibration_changed.connect(self._on_calibration)
        disk.changed.connect(self._on_center)
        disk.measure_clicked.connect(self.measure)
        disk.progress.cancelled.connect(self._jobs.cancel)
        disk.lattice.shown.connect(self._show_lattice)

    @property
    def busy(self) -> bool:
        """Whether a measurement goes on."""
        return self._jobs.busy

    @property
    def notes(self) -> ScanNotes:
        """What all docks know of the current scan."""
        return self._without_scan if self._dataset.scan is None else notes_of(self._dataset.scan)

    @property
    def valid(self) -> Inspection | None:
        """The inspection, where it was made with the calibration as it is now."""
        scan = self._dataset.scan
        return self.inspection if scan is not None and self._inspected == scan.calibration else None

    @property
    def mrad_per_px(self) -> float | None:
        """Angle per pixel, entered or from the radius of the disk."""
        known = self._dataset.scan.calibration
        if known.mrad_per_px is not None or known.convergence_mrad is None or self.inspection is None:
            return known.mrad_per_px
        return known.convergence_mrad / self.inspection.disk.radius_px

    @property
    def convergence_mrad(self) -> float | None:
        """Convergence semi-angle, entered or from the radius of the disk."""
        known, mrad_per_px = self._dataset.scan.calibration, self.mrad_per_px
        if known.convergence_mrad is not None or mrad_per_px is None or self.inspection is None:
            return known.convergence_mrad
        return mrad_per_px * self.inspection.disk.radius_px

    def stop(self) -> None:
        """Stop the measurement and hear no more of it."""
        self._jobs.stop()

    def take(self, scan: Scan4D | None) -> None:
        """Go on with another scan: with what is known of it, else measure it where that is wanted."""
        self.stop()
        self.inspection, self.problem = None, ""
        self._explorer.set_scan(scan)
        if scan is None:
            return
        known = self.notes.for_scan(scan)
        if known is not None:
            self._on_inspected(known)
        elif preferences().mapping.measure_on_open:
            self.measure()
        else:
            self._layers.show_scan(scan, quick_look(scan, seconds=IN_SIGHT_S).image)
            self._disk.show_text("Not measured yet.")

    def measure(self) -> None:
        """Measure disk and lattice; the map, if there is one, stays."""
        self.problem = ""
        self._inspected = self._dataset.scan.calibration
        self._disk.show_measuring()
        self._jobs.start(
            inspection_steps,
            self._dataset.scan,
            yielded=self._disk.progress.show_progress,
            returned=self._on_inspected,
            errored=self._on_no_disk,
            aborted=lambda: self._disk.show_text("The measurement was cancelled."),
            finished=self.changed.emit,
        )
        self.changed.emit()

    def _on_inspected(self, inspection: Inspection) -> None:
        self.inspection, self.problem = inspection, ""
        scan = self._dataset.scan
        self._inspected = scan.calibration
        self.notes.keep(inspection, scan.calibration)
        self._disk.show_found(inspection)
        self._layers.show_scan(scan, inspection.statistics.bright)
        self.show_disk()
        self._show_lattice()
        self.changed.emit()

    def _on_no_disk(self, error: Exception) -> None:
        self.problem = str(error)
        self._disk.show_text(str(error))
        self.changed.emit()
        tell_error(error)

    def _on_calibration(self, scan: Scan4D) -> None:
        self._explorer.set_scan(scan)
        self._layers.update_scan(scan)
        if self.inspection is not None:
            known = self.notes.for_scan(scan)
            if known is None:
                self.measure()
                return
            self.inspection, self._inspected = known, scan.calibration
            self._disk.show_disk(known)
        self.show_disk()
        self.changed.emit()

    def _on_center(self) -> None:
        self.show_disk()
        self._show_lattice()
        self.changed.emit()

    def _show_lattice(self) -> None:
        """Draw the lattice over the image of the scan, where it is asked for."""
        scan, form = self._dataset.scan, self._disk.lattice
        if scan is not None and self.inspection is not None:
            lattice = form.lattice if form.show_lattice.isChecked() else None
            self._layers.show_lattice(scan, lattice, self.inspection.statistics.bright)

    def show_disk(self) -> None:
        """Draw disk and crop over the pattern at the cursor, as the map will use them."""
        scan, inspection = self._dataset.scan, self.inspection
        if scan is None or inspection is None:
            return
        mrad_per_px, radius_px = self.mrad_per_px, inspection.disk.radius_px
        form = self._dataset.calibration
        form.suggest("mrad_per_px", mrad_per_px)
        form.suggest("convergence_mrad", None if mrad_per_px is None else mrad_per_px * radius_px)
        info, chosen = self._classifier.info, self._disk.params()
        crop_px = chosen["crop_px"]
        if crop_px is None and info is not None and mrad_per_px is not None:
            crop_px = info.grid_px * info.grid_mrad / mrad_per_px
        self.notes.crop_px = crop_px
        self._explorer.set_disk(disk_centers(inspection, chosen["center"]), radius_px, crop_px)
