"""The dock "Batch": a folder of scans with one set of parameters."""

from __future__ import annotations

import html
from collections.abc import Generator
from pathlib import Path

from napari.components import ViewerModel
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_polarmap.core.directions import LABELS
from napari_polarmap.io.calibration_file import load_calibration
from napari_polarmap.models.registry import load_classifier
from napari_polarmap.pipeline.batch import (
    SHEET,
    TABLE,
    BatchItem,
    BatchProgress,
    batch_steps,
    find_scans,
)
from napari_polarmap.pipeline.inspection import Progress
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.widgets.classifier_panel import ClassifierPanel
from napari_polarmap.widgets.dock import Dock
from napari_polarmap.widgets.section import Form, note
from napari_polarmap.widgets.workers import Jobs, tell_error

COLUMNS = ("map", "scan", "undef.", "irreg.", "sure")
ICON_PX, NUMBER_PX = 56, 50


def run_batch(
    paths: list[Path], model: str, params: MapParams, folder: Path, calibration: str, *, resume: bool
) -> Generator[BatchProgress, None, list[BatchItem]]:
    """Load what the batch needs, and map."""
    yield BatchProgress(0, len(paths), Progress("loading the classifier", 0, 0), ())
    changes = load_calibration(calibration) if calibration else {}
    classifier = load_classifier(model)
    return (yield from batch_steps(paths, classifier, params, folder, calibration=changes, resume=resume))


class BatchWidget(Dock):
    """Dock widget "Batch".

    Parameters
    ----------
    napari_viewer : napari.components.ViewerModel
        The viewer in which a double click shows a result.
    """

    def __init__(self, napari_viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.viewer = napari_viewer
        self.paths: list[Path] = []
        self.items: list[BatchItem] = []
        self._suggested = ""
        self._jobs = Jobs(self)
        self.folder = _line(
            "folder with scans", "Folder with the scans: files of any known format, or folders of TIFFs"
        )
        self.out = _line(
            "folder for the results", "Folder for results, figures and the table; it is made if it is not there"
        )
        self.calibration = _line("that of each file", "Calibration for all scans (.json of the Calibration dock)")
        self.browse, self.browse_out, self.browse_calibration = (QPushButton("…") for _ in range(3))
        for button, tooltip in (
            (self.browse, "Choose the folder with the scans"),
            (self.browse_out, "Choose the folder for the results"),
            (self.browse_calibration, "Choose a calibration"),
        ):
            button.setToolTip(tooltip)
            button.setMaximumWidth(32)
        self.resume = QCheckBox("keep results that are there")
        self.resume.setChecked(True)
        self.resume.setToolTip("Leave results of the same scan, classifier, options and calibration; map the others")
        self.classifier = ClassifierPanel()
        self.classifier.run_button.setText("Map all")
        self.classifier.cancel_button.setToolTip("Stop; what is mapped already stays")
        self.table = _table()
        self.said = note()
        form = Form()
        form.add("Scans", self.folder, self.browse)
        form.add("Results", self.out, self.browse_out)
        form.add("Calibration", self.calibration, self.browse_calibration)
        form.add("", self.resume)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(self.classifier)
        layout.addWidget(self.table, 1)
        layout.addWidget(self.said)
        self.setMinimumWidth(350)
        self._connect()
        self._list()

    def _connect(self) -> None:
        self.folder.textChanged.connect(self._list)
        self.out.textChanged.connect(self._refresh)
        self.browse.clicked.connect(lambda: self._ask_folder(self.folder, "Folder with scans"))
        self.browse_out.clicked.connect(lambda: self._ask_folder(self.out, "Folder for the results"))
        self.browse_calibration.clicked.connect(self._ask_calibration)
        self.classifier.run_clicked.connect(self.run)
        self.classifier.cancel_clicked.connect(self._jobs.cancel)
        self.classifier.restore_clicked.connect(self.classifier.restore)
        self.classifier.changed.connect(self._refresh)
        self.classifier.failed.connect(tell_error)
        self.table.cellDoubleClicked.connect(lambda row, _: self.open(row))

    def detach(self) -> None:
        """Stop all work."""
        self._jobs.stop()

    def run(self) -> None:
        """Map all scans of the folder in the background."""
        self.classifier.show_running(True)
        self.items = []
        self._list()
        self._jobs.start(
            run_batch,
            self.paths,
            self.classifier.model_name,
            MapParams(**self.classifier.params()),
            Path(self.out.text().strip()).expanduser(),
            self.calibration.text().strip(),
            resume=self.resume.isChecked(),
            yielded=self._on_step,
            returned=self._on_done,
            errored=tell_error,
            aborted=lambda: self.said.setText(f"Stopped after {len(self.items)} of {len(self.paths)} scans."),
            finished=self._on_finished,
        )

    def open(self, row: int) -> None:
        """Show the layers of a result."""
        item = self.items[row] if row < len(self.items) else None
        if item is not None and item.result is not None:
            self.viewer.open(str(item.result), plugin="napari-polarmap")

    def _list(self) -> None:
        """Look what scans there are."""
        text = self.folder.text().strip()
        try:
            self.paths = find_scans(text) if text else []
        except OSError:
            self.paths = []
        if not self._jobs.busy:
            self.items = []
            if self.paths and self.out.text() in ("", self._suggested):
                self._suggested = str(Path(text).expanduser() / "polarmap")
                self.out.setText(self._suggested)
        self.table.clearSpans()
        self.table.setRowCount(len(self.paths))
        for row, path in enumerate(self.paths):
            _fill(self.table, row, BatchItem(path=path))
        self._refresh()

    def _refresh(self) -> None:
        reasons = (
            "To run, choose a folder with scans." if not self.folder.text().strip() else "",
            "No scans of a known format in this folder." if not self.paths else "",
            "To run, choose a folder for the results." if not self.out.text().strip() else "",
            "To run, choose a classifier file." if self.classifier.info is None else "",
        )
        if not self._jobs.busy:
            self.classifier.show_ready(next((reason for reason in reasons if reason), ""))
        self.folder.setEnabled(not self._jobs.busy)
        self.browse.setEnabled(not self._jobs.busy)

    def _on_step(self, at: BatchProgress) -> None:
        where = f"{min(at.index + 1, at.total)} of {at.total}, {at.step.stage}"
        self.classifier.show_progress(Progress(where, at.step.done, at.step.total))
        for row in range(len(self.items), len(at.items)):
            _fill(self.table, row, at.items[row])
            self.table.scrollToItem(self.table.item(row, 1))
        self.items = list(at.items)

    def _on_done(self, items: list[BatchItem]) -> None:
        self.items = items
        failed = sum(item.state == "failed" for item in items)
        text = (
            f"{len(items) - failed} of {len(items)} scans mapped; {TABLE} and {SHEET} are in {self.out.text().strip()}."
        )
        self.said.setText(text + (f" {failed} failed: see the table." if failed else ""))

    def _on_finished(self) -> None:
        self.classifier.show_running(False)
        self._refresh()

    def _ask_folder(self, line: QLineEdit, title: str) -> None:
        path = QFileDialog.getExistingDirectory(self, title, line.text() or self.folder.text())
        if path:
            line.setText(path)

    def _ask_calibration(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Calibration", self.folder.text(), "Calibrations (*.json)")
        if path:
            self.calibration.setText(path)


def _line(placeholder: str, tooltip: str) -> QLineEdit:
    line = QLineEdit()
    line.setPlaceholderText(placeholder)
    line.setToolTip(tooltip)
    return line


def _table() -> QTableWidget:
    table = QTableWidget(0, len(COLUMNS))
    table.setHorizontalHeaderLabels(COLUMNS)
    table.setToolTip(
        "One row per scan; double-click one to see its layers.\n"
        "Shares of the positions [%]: the commonest directions, undefined, irregular;\n"
        "median probability that a direction is right [%]."
    )
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setIconSize(QSize(ICON_PX, ICON_PX))
    table.verticalHeader().setVisible(False)
    table.verticalHeader().setDefaultSectionSize(ICON_PX + 6)
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    table.horizontalHeader().setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
    for column, width in enumerate((ICON_PX + 8, 100, NUMBER_PX, NUMBER_PX, NUMBER_PX)):
        table.setColumnWidth(column, width)
    table.setWordWrap(True)
    return table


def _fill(table: QTableWidget, row: int, item: BatchItem) -> None:
    """Write what is known of a scan into a row; a reason for failure takes the place of the numbers."""
    icon = QTableWidgetItem()
    if item.thumbnail is not None:
        icon.setIcon(QIcon(_pixmap(item)))
    table.setItem(row, 0, icon)
    if item.state == "failed":
        table.setSpan(row, 1, 1, len(COLUMNS) - 1)
    for column, text in enumerate(_texts(item), start=1):
        cell = QTableWidgetItem(text)
        cell.setToolTip(f"<p>{html.escape(item.error or str(item.path))}</p>")
        table.setItem(row, column, cell)


def _texts(item: BatchItem) -> list[str]:
    if item.state == "failed":
        return [f"{item.path.name}\n{item.error.removeprefix(f'{item.path}: ')}"]
    if not item.facts:
        return [item.path.name, "", "", ""]
    shares = sorted(((item.facts[label], label) for label in LABELS), reverse=True)
    named = ", ".join(f"{label}\u00a0{100 * share:.0f}\u00a0%" for share, label in shares[:3] if share >= 0.02)
    sure = item.facts.get("median_confidence")
    return [
        f"{item.path.name}\n{named or 'no direction'}",
        f"{100 * item.facts['undefined']:.0f} %",
        f"{100 * item.facts['irregular']:.1f} %",
        "" if sure is None else f"{100 * sure:.0f} %",
    ]


def _pixmap(item: BatchItem) -> QPixmap:
    image = item.thumbnail
    rows, columns = image.shape[:2]
    picture = QImage(image.tobytes(), columns, rows, 3 * columns, QImage.Format.Format_RGB888)
    modes = Qt.TransformationMode
    mode = modes.FastTransformation if max(rows, columns) < ICON_PX else modes.SmoothTransformation
    return QPixmap.fromImage(picture).scaled(ICON_PX, ICON_PX, Qt.AspectRatioMode.KeepAspectRatio, mode)
