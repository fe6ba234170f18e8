"""Step 1: choose a scan and check what is known of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QGridLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.io import DatasetNeededError, RawLayoutNeededError, ScanShapeNeededError, open_scan
from napari_polarmap.plugin import SAMPLES, sample_path
from napari_polarmap.widgets.calibration_form import CalibrationForm
from napari_polarmap.widgets.open_dialog import OpenDialog
from napari_polarmap.widgets.progress_row import ProgressRow
from napari_polarmap.widgets.scan_layers import ScanLayers
from napari_polarmap.widgets.scan_notes import notes_of
from napari_polarmap.widgets.section import Form, fit_width, note
from napari_polarmap.widgets.workers import Jobs


class DatasetPanel(QWidget):
    """Opens files, lists the scans that are loaded, shows and edits the calibration.

    Signals
    -------
    scan_chosen(object)
        A `Scan4D` to work on, or None.
    calibration_changed(object)
        The scan with an edited calibration.
    failed(object)
        An exception to tell the user.
    """

    scan_chosen = Signal(object)
    calibration_changed = Signal(object)
    failed = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._jobs = Jobs(self)
        self._scans: list[Scan4D] = []
        self._loaded = ScanLayers(viewer, self)
        self._path: Path | None = None
        self.dialog: OpenDialog | None = None
        self.scan: Scan4D | None = None
        self._build()
        self._loaded.listed.connect(self._on_layers)
        self._loaded.recalibrated.connect(self._on_recalibrated)
        self._on_layers()

    def detach(self) -> None:
        """Let go of the viewer."""
        self._jobs.stop()
        self._loaded.detach()

    def _build(self) -> None:
        self.open_button = QPushButton("Open file…")
        self.open_button.setToolTip("Open a 4D-STEM scan: HDF5, EMD, NPY, MIB, DM4, BLO, MRC, RAW and others")
        self.open_button.clicked.connect(self._ask_file)
        self.more_button = QPushButton("Folder / sample")
        self.more_button.setToolTip("Open a folder (one TIFF per scan position, or a Zarr store) or a sample scan")
        menu = QMenu(self.more_button)
        self.folder_action = menu.addAction("Folder (TIFFs, Zarr)…", self._ask_folder)
        menu.addSeparator()
        self.sample_actions = {
            name: menu.addAction(f"Sample: {title}", lambda name=name: self.open_path(sample_path(name)))
            for name, title in SAMPLES.items()
        }
        self.more_button.setMenu(menu)
        buttons = QGridLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.open_button, 0, 0)
        buttons.addWidget(self.more_button, 0, 1)
        self.layout_button = QPushButton("Axes…")
        self.layout_button.setToolTip("Say how the file lies: scan shape, order of the axes, layout without header")
        self.layout_button.clicked.connect(self.ask_layout)
        buttons.addWidget(self.layout_button, 0, 2)

        self.choice = QComboBox()
        self.choice.setToolTip("Scan to work on: one of those loaded in this window")
        fit_width(self.choice)
        self.choice.activated.connect(self._on_choice)
        self.dataset = QComboBox()
        self.dataset.setToolTip("The file holds several data sets: choose the scan among them")
        fit_width(self.dataset)
        self.dataset.activated.connect(self._on_dataset)
        self.rows, self.columns = _count("Rows of the scan [positions]"), _count("Columns of the scan [positions]")
        self.shape_button = QPushButton("Use")
        self.shape_button.setToolTip("Open the stack as a scan of this shape")
        self.shape_button.clicked.connect(self._on_shape)
        self.rows.valueChanged.connect(self._on_rows)
        self._n_patterns = 0
        form = Form()
        form.add("Scan", self.choice)
        self._dataset_label = form.add("Data set", self.dataset)
        self._shape_label = form.add("Scan shape", self.rows, QLabel("×"), self.columns, self.shape_button)
        self._shape_row = [self._shape_label, self.rows, self.columns, self.shape_button]
        self._shape_row.append(form.itemAtPosition(form.rowCount() - 1, 1).layout().itemAt(1).widget())
        self.facts = note()
        self.facts.setToolTip("Scan positions, detector pixels, type and unpacked size of the numbers")
        self.calibration = CalibrationForm()
        self.calibration.changed.connect(self._on_calibration)
        self.calibration.undo_clicked.connect(self.undo)
        self.progress = ProgressRow("the opening of the file; what is being read of it is dropped when it comes")
        self.progress.cancelled.connect(self._on_cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addLayout(form)
        layout.addWidget(self.facts)
        layout.addWidget(self.progress)
        layout.addWidget(self.calibration)
        self._show_questions()
        self._show_scan()

    def open_path(self, path: str | Path, **options: Any) -> None:
        """Open a file or folder in the background, with options of `open_scan`; `scan_chosen` or `failed` follows."""
        self._path = Path(path)
        self.layout_button.setEnabled(True)
        self.facts.setText(f"opening {self._path.name} …")
        self.progress.start("opening")
        self._jobs.start(
            open_scan,
            self._path,
            **options,
            returned=self._on_opened,
            errored=self._on_open_error,
            finished=self.progress.finish,
        )

    def _on_cancel(self) -> None:
        self._jobs.stop()
        self.progress.finish()
        self._show_scan()

    def undo(self) -> None:
        """Take the last step of the calibration back."""
        history = notes_of(self.scan).history
        self._use(history.undo_last(self.scan.calibration))
        self.calibration.set_calibration(self.scan.calibration)

    def ask_layout(self) -> None:
        """Ask how the file lies, with a preview, and open it so."""
        path = self._path or (self.scan.path if self.scan is not None else None)
        if path is None:
            return
        known = self.scan.dataset if self.scan is not None and self.scan.path == path else None
        self.dialog = OpenDialog(path, dataset=known, parent=self)
        self.dialog.accepted.connect(lambda: self.open_path(path, **self.dialog.options()))
        self.dialog.finished.connect(self.dialog.deleteLater)  # it holds a part of the file
        self.dialog.open()

    def choose(self, scan: Scan4D | None) -> None:
        """Work on a scan."""
        self.scan = scan
        if scan is not None and not any(entry is scan for entry in self._scans):
            self._scans.append(scan)
        self._list_scans()
        self._show_scan()
        self.scan_chosen.emit(scan)

    def replace_scan(self, scan: Scan4D) -> None:
        """Exchange the current scan for the same with another calibration."""
        self._scans = [scan if entry is self.scan else entry for entry in self._scans]
        self.scan = scan
        self._list_scans()

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a 4D-STEM scan", str(self._folder()))
        if path:
            self.open_path(path)

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open a folder of TIFFs or a Zarr store", str(self._folder()))
        if path:
            self.open_path(path)

    def _folder(self) -> Path:
        return self._path.parent if self._path else Path.cwd()

    def _on_opened(self, scan: Scan4D) -> None:
        if not (self.dataset.count() and scan.dataset):
            self._show_questions()
        known = scan.calibration
        self.calibration.header.setChecked(known.convergence_mrad is None and known.mrad_per_px is None)
        self.choose(scan)

    def _on_open_error(self, error: Exception) -> None:
        self._show_scan()
        if isinstance(error, ScanShapeNeededError):
            self._show_questions(n_patterns=error.n_patterns)
            self.facts.setText(
                f"{self._path.name} is a stack of {error.n_patterns} patterns: how many rows and columns has the scan?"
            )
        elif isinstance(error, DatasetNeededError):
            self._show_questions(choices=error.choices)
            self.facts.setText(f"{self._path.name} holds {len(error.choices)} data sets: choose the scan.")
        elif isinstance(error, RawLayoutNeededError):
            self.facts.setText(f"{self._path.name} has no header: say how its numbers lie.")
            self.ask_layout()
        else:
            self.failed.emit(error)

    def _show_questions(self, *, n_patterns: int = 0, choices: tuple[str, ...] = ()) -> None:
        """Ask for what a file does not tell; without arguments, ask nothing."""
        self._n_patterns = n_patterns
        for widget in self._shape_row:
            widget.setVisible(n_patterns > 0)
        if n_patterns:
            side = max((k for k in range(1, int(n_patterns**0.5) + 1) if n_patterns % k == 0), default=1)
            self.rows.setValue(side)
            self._on_rows()
        else:
            self.dataset.clear()
            self.dataset.addItems(choices)
            self.dataset.setCurrentIndex(-1)
            self.dataset.setVisible(bool(choices))
            self._dataset_label.setVisible(bool(choices))

    def _on_rows(self) -> None:
        self.columns.setValue(max(1, self._n_patterns // self.rows.value()))

    def _on_shape(self) -> None:
        self.open_path(
            self._path,
            scan_shape=(self.rows.value(), self.columns.value()),
            dataset=self.dataset.currentText() or None,
        )

    def _on_dataset(self) -> None:
        self.open_path(self._path, dataset=self.dataset.currentText())

    def _on_choice(self, index: int) -> None:
        chosen = self._scans[index]
        if chosen is not self.scan:
            self.choose(chosen)

    def _on_layers(self) -> None:
        """List the scans of all layers; take the first where none is chosen yet."""
        scans = [] if self.scan is None else [self.scan]
        scans += [scan for scan in self._loaded.scans if not any(scan is entry for entry in scans)]
        self._scans = scans
        self._list_scans()
        if self.scan is None and scans:
            self.choose(scans[0])

    def _on_recalibrated(self) -> None:
        """Take over a calibration that was changed elsewhere in the window."""
        found = self._loaded.same(self.scan)
        if found is not None and found is not self.scan:
            self.replace_scan(found)
            self.calibration.set_calibration(found.calibration)
            self._show_undo()
            self.calibration_changed.emit(found)

    def _list_scans(self) -> None:
        self.choice.blockSignals(True)
        self.choice.clear()
        self.choice.addItems([_title(scan) for scan in self._scans])
        index = next((i for i, entry in enumerate(self._scans) if entry is self.scan), -1)
        self.choice.setCurrentIndex(index)
        self.choice.setEnabled(bool(self._scans))
        self.choice.blockSignals(False)

    def _show_scan(self) -> None:
        scan = self.scan
        self.layout_button.setEnabled(self._path is not None or (scan is not None and scan.path is not None))
        self.calibration.setEnabled(scan is not None)
        self.calibration.set_calibration(scan.calibration if scan else Calibration())
        self.calibration.setVisible(scan is not None)
        self._show_undo()
        self.facts.setText(describe(scan) if scan else "No scan yet: open a file, or drag one into the window.")

    def _on_calibration(self, calibration: Calibration) -> None:
        if self.scan is not None:
            notes_of(self.scan).history.note(self.scan.calibration, calibration)
            self._use(calibration)

    def _use(self, calibration: Calibration) -> None:
        self.replace_scan(replace(self.scan, calibration=calibration))
        self._show_undo()
        self.calibration_changed.emit(self.scan)

    def _show_undo(self) -> None:
        self.calibration.undo.setEnabled(self.scan is not None and notes_of(self.scan).history.can_undo())


def describe(scan: Scan4D) -> str:
    """Return shape, type and size of a scan in one line, and the dose conditions where known."""
    scan_y, scan_x, det_y, det_x = scan.shape
    text = f"{scan_y} × {scan_x} positions, {det_y} × {det_x} px, {scan.dtype}, {_size(scan.nbytes)}"
    known = scan.calibration
    extra = [
        f"{known.voltage_kV:g} kV" if known.voltage_kV else "",
        f"{known.thickness_nm:g} nm thick" if known.thickness_nm else "",
        known.material or "",
        known.zone_axis or "",
    ]
    extra = [part for part in extra if part]
    return text + ("\n" + ", ".join(extra) if extra else "")


def _title(scan: Scan4D) -> str:
    place = f" {scan.dataset}" if scan.dataset and scan.dataset.strip("/") != "data" else ""
    return f"{scan.name}{place}"


def _size(n_bytes: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000 or unit == "GB":
            break
        n_bytes /= 1000
    return f"{n_bytes:.3g} {unit}"


def _count(tooltip: str) -> QSpinBox:
    field = QSpinBox()
    field.setRange(1, 100_000)
    field.setToolTip(tooltip)
    field.setKeyboardTracking(False)
    return field
