"""How the map is shown: colours, lightness, arrows, and the rose of its directions."""

from __future__ import annotations

from typing import Final

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QLabel, QSlider, QVBoxLayout, QWidget

from napari_polarmap.io.display import Display
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.widgets.rose import Rose
from napari_polarmap.widgets.section import Form, fit_width, fold_button

COLORINGS: Final = {"class": "eight directions", "angle": "continuous angle"}
LIGHTNESSES: Final = {"magnitude": "magnitude of P", "confidence": "confidence", "full": "the same everywhere"}
DISTANCE: Final = 28
"""From one arrow to the next at first [px on the screen]."""
VALUE_WIDTH: Final = 96


class DisplayPanel(QWidget):
    """Colours, lightness, distance and length of the arrows.

    Signals
    -------
    changed()
        Something was chosen.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.colors = _box(
            COLORINGS,
            "Eight directions: one colour for each of the eight directions the classifier knows.\n"
            "Continuous angle: hue is the angle of P [°], from the physical estimator where the map has one.",
        )
        self.lightness = _box(
            LIGHTNESSES,
            "What darkens the hue of the continuous angle: the magnitude of P (1: displacement as simulated),\n"
            "or the probability that the direction is right (0 to 1).",
        )
        self.distance = _slider(
            10, 90, DISTANCE, "Distance between arrows [px on the screen]; the arrows follow the zoom"
        )
        self.distance_value = _value()
        self.length = _slider(30, 120, 84, "Length of an arrow [% of the distance between arrows]")
        self.length_value = _value()
        form = Form()
        form.add("Colours", self.colors)
        form.add("Lightness", self.lightness)
        form.add("Arrows", self.distance, self.distance_value)
        form.add("Length", self.length, self.length_value)
        self.rose_header = fold_button("How much of the map points where")
        self.rose = Rose()
        self.rose.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addWidget(self.rose_header)
        layout.addWidget(self.rose)
        self._spacing_px = 1
        self.colors.currentIndexChanged.connect(self._on_change)
        self.lightness.currentIndexChanged.connect(self._on_change)
        for slider in (self.distance, self.length):
            slider.valueChanged.connect(self._on_change)
        self.rose_header.toggled.connect(self._on_rose)
        self._on_rose(False)
        self._say()

    def display(self, arrow_spacing_px: int | None = None) -> Display:
        """Return what is chosen, with a spacing in scan positions."""
        return Display(
            colors=self.colors.currentData(),
            lightness=self.lightness.currentData(),
            arrow_spacing_px=arrow_spacing_px,
            arrow_length=self.length.value() / 100,
        )

    def show_display(self, display: Display) -> None:
        """Set the controls without telling anybody."""
        for control in (self.colors, self.lightness, self.length):
            control.blockSignals(True)
        self.colors.setCurrentIndex(self.colors.findData(display.colors))
        self.lightness.setCurrentIndex(self.lightness.findData(display.lightness))
        self.length.setValue(round(100 * display.arrow_length))
        for control in (self.colors, self.lightness, self.length):
            control.blockSignals(False)
        self._say()

    def show_spacing(self, spacing_px: int) -> None:
        """Say how many scan positions lie between two arrows."""
        self._spacing_px = spacing_px
        self._say()

    def show_map(self, result: PolarizationMap | None) -> None:
        """Draw the rose of a map."""
        self.rose.show_map(result)

    def _on_change(self) -> None:
        self._say()
        self.changed.emit()

    def _say(self) -> None:
        continuous = self.colors.currentData() == "angle"
        self.lightness.setEnabled(continuous)
        self.distance_value.setText(f"{self.distance.value()} px, 1 in {self._spacing_px}")
        self.length_value.setText(f"{self.length.value()} %")
        self.rose.show_display(self.display())

    def _on_rose(self, unfolded: bool) -> None:
        self.rose_header.setText(f"{'▾' if unfolded else '▸'} Rose of directions")
        self.rose.setVisible(unfolded)


def _box(choices: dict[str, str], tooltip: str) -> QComboBox:
    box = QComboBox()
    for key, text in choices.items():
        box.addItem(text, key)
    box.setToolTip(tooltip)
    fit_width(box)
    return box


def _slider(low: int, high: int, value: int, tooltip: str) -> QSlider:
    slider = QSlider(Qt.Orientation.Horizontal)
    slider.setRange(low, high)
    slider.setValue(value)
    slider.setToolTip(tooltip)
    return slider


def _value() -> QLabel:
    label = QLabel()
    label.setMinimumWidth(VALUE_WIDTH)
    return label
