"""How a file lies: data set, layout, scan shape and axes, with a preview that follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_polarmap.core.axes import AXES, AxisOrder
from napari_polarmap.io import DatasetNeededError, RawLayout, RawLayoutNeededError, ScanShapeNeededError, open_scan
from napari_polarmap.pipeline.preview import AxisSample, axis_sample
from napari_polarmap.widgets.pattern_view import PatternView
from napari_polarmap.widgets.section import Form, note
from napari_polarmap.widgets.workers import Jobs

NAMES = {"scan_y": "scan row", "scan_x": "scan column", "det_y": "detector row", "det_x": "detector column"}
TYPES = ("uint8", "uint16", ">u2", "uint32", "int16", "int32", "float32", "float64")


def sample_file(path: Path, **options: Any) -> AxisSample:
    """Open a file in its stored order, read a part and close it."""
    with open_scan(path, **options) as scan:
        return axis_sample(scan)


class OpenDialog(QDialog):
    """Asks how a file lies, and shows what the answer makes of it.

    Parameters
    ----------
    path : Path
    dataset : str, optional
        Place inside the file.
    scan_shape : (int, int), optional
    """

    def __init__(
        self,
        path: Path,
        *,
        dataset: str | None = None,
        scan_shape: tuple[int, int] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.path = path
        self.sample: AxisSample | None = None
        self._read: dict[str, Any] | None = None
        self._n_patterns = 0
        self._jobs = Jobs(self)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(150)
        self._soon.timeout.connect(self._look)
        self.setWindowTitle(f"Open {path.name}")
        self._build()
        if dataset:
            self._offer((dataset,), dataset)
        if scan_shape:
            self.rows.setValue(scan_shape[0])
            self.columns.setValue(scan_shape[1])
            self.give_shape.setChecked(True)
        self._look()

    def _build(self) -> None:
        form = Form()
        self.dataset = QComboBox()
        self.dataset.setToolTip("Which of the data sets in the file is the scan")
        self.dataset.activated.connect(self._changed)
        self._dataset_row = (form.add("Data set", self.dataset), self.dataset)
        self.type = QComboBox()
        self.type.addItems(TYPES)
        self.type.setCurrentText("uint16")
        self.type.setToolTip("Type of the numbers; >u2 is big-endian uint16")
        self.detector = [_count(1, 256, "Detector rows"), _count(1, 256, "Detector columns")]
        self.offset = _count(0, 0, "Bytes before the first pattern")
        self.gap = _count(0, 0, "Bytes after every pattern")
        self.raw = QCheckBox("has no header")
        self.raw.setToolTip("The file is nothing but patterns; say how they lie")
        form.add("File", self.raw)
        self._raw_rows = [
            *(form.add("Numbers", self.type), self.type),
            *(form.add("Detector", self.detector[0], self.detector[1]), *self.detector),
            *(form.add("Offset, gap", self.offset, self.gap), self.offset, self.gap),
        ]
        self.give_shape = QCheckBox("given here")
        self.give_shape.setToolTip("Take this scan shape, whatever the file says")
        self.rows, self.columns = _count(1, 1, "Rows of the scan"), _count(1, 1, "Columns of the scan")
        form.add("Scan shape", self.rows, QLabel("×"), self.columns, self.give_shape)
        grid = QGridLayout()
        self.stored: list[QComboBox] = []
        self.mirrored: list[QCheckBox] = []
        for place in range(len(AXES)):
            box = QComboBox()
            box.addItems([NAMES[axis] for axis in AXES])
            box.setCurrentIndex(place)
            box.setToolTip(f"What axis {place + 1} of the stored data is; two that are alike change places")
            box.activated.connect(lambda index, place=place: self._on_axis(place, index))
            self.stored.append(box)
            mirror = QCheckBox("mirrored")
            mirror.setToolTip("This axis runs the other way")
            mirror.toggled.connect(self._show)
            self.mirrored.append(mirror)
            for column, widget in enumerate((QLabel(f"Stored axis {place + 1}"), box, mirror)):
                grid.addWidget(widget, place, column)
        self._order = list(AXES)
        self.said = note()
        left = QVBoxLayout()
        left.addLayout(form)
        left.addLayout(grid)
        left.addWidget(self.said)
        left.addStretch(1)
        self.image, self.pattern = PatternView(), PatternView()
        for view, message in ((self.image, "Scan"), (self.pattern, "Mean pattern")):
            view.message = message
            view.setToolTip(f"{message}, as it would be opened")
            view.setMinimumSize(230, 230)
        self.pattern.set_logarithmic(True)
        right = QVBoxLayout()
        for caption, view in (("Scan image", self.image), ("Mean pattern", self.pattern)):
            right.addWidget(QLabel(caption))
            right.addWidget(view, 1)
        both = QHBoxLayout()
        both.addLayout(left, 1)
        both.addLayout(right, 1)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Open | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.addLayout(both, 1)
        layout.addWidget(self.buttons)
        for box in (*self.detector, self.offset, self.gap, self.columns):
            box.valueChanged.connect(self._changed)
        self.rows.valueChanged.connect(self._on_rows)
        self.type.activated.connect(self._changed)
        self.give_shape.toggled.connect(self._changed)
        self.raw.toggled.connect(self._on_raw)
        self._on_raw(False)
        self._show_datasets()
        self.resize(760, 560)

    @property
    def order(self) -> AxisOrder:
        """What the stored axes are."""
        mirrored = [name for name, box in zip(self._order, self.mirrored, strict=True) if box.isChecked()]
        return AxisOrder(stored=tuple(self._order), mirrored=tuple(mirrored))

    def options(self) -> dict[str, Any]:
        """Return the arguments for `open_scan`."""
        order = self.order
        return {**self._stored_options(), "scan_shape": self._shape(), "axes": None if order.usual else order}

    def _shape(self) -> tuple[int, int] | None:
        return (self.rows.value(), self.columns.value()) if self.give_shape.isChecked() else None

    def _stored_options(self) -> dict[str, Any]:
        """Return what has to be known to read the data in their stored order."""
        shape, layout = self._shape(), None
        if self.raw.isChecked():
            layout = RawLayout(
                dtype=self.type.currentText(),
                detector_shape=(self.detector[0].value(), self.detector[1].value()),
                offset_bytes=self.offset.value(),
                gap_bytes=self.gap.value(),
            )
        if shape is not None and self.order.columns_first:
            shape = shape[::-1]
        return {"dataset": self.dataset.currentText() or None, "scan_shape": shape, "raw": layout}

    def _changed(self, *_: object) -> None:
        self._soon.start()

    def _on_raw(self, on: bool) -> None:
        for widget in self._raw_rows:
            widget.setVisible(on)
        if self.isVisible():
            self._changed()

    def _on_rows(self) -> None:
        if self._n_patterns and self._n_patterns % self.rows.value() == 0:
            self.columns.setValue(self._n_patterns // self.rows.value())
        self._changed()

    def _on_axis(self, place: int, index: int) -> None:
        """Give an axis its name; the one that had the name takes the other's."""
        other = self._order.index(AXES[index])
        self._order[place], self._order[other] = self._order[other], self._order[place]
        for box, name in zip(self.stored, self._order, strict=True):
            box.setCurrentIndex(AXES.index(name))
        if self.give_shape.isChecked():
            self._changed()
        self._show()

    def _look(self) -> None:
        """Read a part of the file, where what is read has changed."""
        try:
            options = self._stored_options()
        except ValueError as error:
            self._fail(error)
            return
        if options == self._read and self.sample is not None:
            self._show()
            return
        self._read = options
        self.said.setText("reading …")
        self._jobs.start(sample_file, self.path, **options, returned=self._on_sample, errored=self._fail)

    def _on_sample(self, sample: AxisSample) -> None:
        self.sample = sample
        self._n_patterns = sample.shape[0] * sample.shape[1]
        self._show()

    def _fail(self, error: Exception) -> None:
        self.sample = None
        self.image.set_pattern(None)
        self.pattern.set_pattern(None)
        self.buttons.button(QDialogButtonBox.StandardButton.Open).setEnabled(False)
        text = str(error).removeprefix(f"{self.path}: ")
        if isinstance(error, ScanShapeNeededError) and not self.give_shape.isChecked():
            self._n_patterns = error.n_patterns
            side = max(k for k in range(1, int(error.n_patterns**0.5) + 1) if error.n_patterns % k == 0)
            self.rows.setValue(side)
            self.columns.setValue(error.n_patterns // side)
            self.give_shape.setChecked(True)
            text = f"A stack of {error.n_patterns} patterns: how many rows and columns has the scan?"
        elif isinstance(error, DatasetNeededError):
            self._offer(error.choices)
            text = f"{len(error.choices)} data sets: choose the scan."
        elif isinstance(error, RawLayoutNeededError):
            self.raw.setChecked(True)
            text = "No header: say how the numbers lie."
        self.said.setText(text)

    def _offer(self, choices: tuple[str, ...], chosen: str | None = None) -> None:
        self.dataset.clear()
        self.dataset.addItems(choices)
        self.dataset.setCurrentIndex(-1 if chosen is None else self.dataset.findText(chosen))
        self._show_datasets()

    def _show_datasets(self) -> None:
        for widget in self._dataset_row:
            widget.setVisible(self.dataset.count() > 0)

    def _show(self, *_: object) -> None:
        """Show what the present order makes of the part that was read."""
        if self.sample is None:
            return
        image, pattern = self.sample.views(self.order)
        self.image.set_pattern(image - min(float(image.min()), float(image.max()) / 2))
        self.pattern.set_pattern(pattern)
        shape = [self.sample.shape[self._order.index(name)] for name in AXES]
        if not self.give_shape.isChecked():
            for box, size in zip((self.rows, self.columns), shape, strict=False):
                box.blockSignals(True)
                box.setValue(size)
                box.blockSignals(False)
        text = f"{shape[0]} × {shape[1]} positions of {shape[2]} × {shape[3]} px"
        if image.shape != (shape[0], shape[1]):
            text += f"; the preview shows {image.shape[0]} × {image.shape[1]} of them"
        self.said.setText(text)
        self.buttons.button(QDialogButtonBox.StandardButton.Open).setEnabled(True)

    def done(self, result: int) -> None:
        """Stop reading."""
        self._soon.stop()
        self._jobs.stop()
        super().done(result)


def _count(low: int, value: int, tooltip: str) -> QSpinBox:
    field = QSpinBox()
    field.setRange(low, 2**30)
    field.setValue(value)
    field.setToolTip(tooltip)
    field.setKeyboardTracking(False)
    field.setAlignment(Qt.AlignmentFlag.AlignRight)
    return field
