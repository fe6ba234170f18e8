"""The field of deflections over the scan, and profiles along a line."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QVBoxLayout, QWidget

from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.core.scan_frame import smoothed
from napari_polarmap.pipeline.explorer_layers import drawn_options, field_layers
from napari_polarmap.pipeline.profiles import Line, Profile, polarization_vectors, scalar_profile, vector_profile
from napari_polarmap.widgets.comparing import DrawnShapes
from napari_polarmap.widgets.explored import Explored
from napari_polarmap.widgets.map_layers import MapLayers
from napari_polarmap.widgets.profile_panel import ProfilePanel
from napari_polarmap.widgets.section import Form, note


class FieldPanel(QWidget):
    """Switches the map of deflections on.

    Signals
    -------
    changed()
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.box = QCheckBox("show")
        self.box.setToolTip(
            "Shift of the centre of mass against the disk [mrad] at every position, in the frame of the scan: hue for "
            "its direction as in the legend, lightness for its size, and arrows"
        )
        self.box.toggled.connect(self.changed)
        self.average = QDoubleSpinBox()
        self.average.setRange(0, 1000)
        self.average.setDecimals(1)
        self.average.setSuffix(" positions")
        self.average.setKeyboardTracking(False)
        self.average.setSpecialValueText("single patterns")
        self.average.setToolTip(
            "Average deflections over so many [scan positions] before they are shown; a unit cell takes the fields of "
            "the atoms away"
        )
        self.average.valueChanged.connect(self.changed)
        self.said = note()
        form = Form()
        form.add("Average", self.average, self.box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(form)
        layout.addWidget(self.said)


class ShowingField(QObject):
    """Keeps the layers of deflections up to date with the calibration."""

    def __init__(self, viewer: ViewerModel, explored: Explored, panel: FieldPanel, parent: QObject) -> None:
        super().__init__(parent)
        self._explored, self._panel, self._layers = explored, panel, MapLayers(viewer)
        self._shown: tuple[object, ...] | None = None
        panel.changed.connect(self._refresh)
        explored.chosen.connect(self._on_chosen)
        explored.changed.connect(self._refresh)
        self._on_chosen()

    def _on_chosen(self) -> None:
        self._shown = None
        self._panel.box.setChecked(False)
        self._refresh()

    def _refresh(self) -> None:
        """Say what the deflections are, and show or hide them."""
        scan, inspection, on = self._explored.scan, self._explored.inspection, self._panel.box.isChecked()
        try:
            shift = self._explored.shift_mrad()
        except ValueError as error:
            self._panel.box.setEnabled(False)
            self._panel.said.setText(str(error))
            return
        self._panel.box.setEnabled(True)
        known = scan.calibration
        turned = f"turned by {known.rotation_deg:g}°{', mirrored' if known.flip else ''}"
        size = np.linalg.norm(shift, axis=-1)
        self._panel.said.setText(
            f"Median {np.nanmedian(size):.2g} mrad, at most {np.nanmax(size):.2g} mrad; {turned}, descan taken away."
        )
        wanted = (id(inspection), self._panel.average.value()) if on else None
        if wanted == self._shown:
            return
        self._shown = wanted
        if wanted is None:
            for role in ("field arrows", "field"):
                self._layers.remove(role, scan.data)
            return
        for layer_data in field_layers(scan, smoothed(shift, self._panel.average.value())):
            self._layers.put(layer_data)


class Profiling(QObject):
    """Lets the profile follow the line that is drawn."""

    def __init__(self, viewer: ViewerModel, explored: Explored, panel: ProfilePanel, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer, self._explored, self._panel = viewer, explored, panel
        self.drawn = DrawnShapes(viewer, self.refresh, self)
        panel.line_clicked.connect(self._draw)
        panel.changed.connect(self.refresh)
        explored.chosen.connect(self._on_chosen)
        explored.changed.connect(self._on_changed)
        self._on_chosen()

    def detach(self) -> None:
        """Let go of the viewer."""
        self.drawn.forget()

    @property
    def line(self) -> Line | None:
        """Both ends of the line drawn last, ``(y, x)`` in scan positions."""
        layer = self.drawn.layer
        if layer is None or len(layer.data) == 0:
            return None
        points = np.asarray(layer.data[-1], np.float64)[:, -2:]
        first, last = points[0], points[-1]
        return None if np.allclose(first, last) else (tuple(first.tolist()), tuple(last.tolist()))

    def refresh(self, *_: object) -> None:
        """Plot along the line as it is now."""
        line = self.line
        if line is None or self._explored.scan is None:
            self._panel.show_profile(None, "Draw a line over the scan first.")
            return
        try:
            self._panel.show_profile(self._profile(self._panel.quantity.currentData(), line))
        except ValueError as error:
            self._panel.show_profile(None, str(error))

    def _profile(self, quantity: str, line: Line) -> Profile:
        step_A = self._explored.scan.calibration.scan_step_A
        options = {"width": float(self._panel.width.value()), "step_nm": None if step_A is None else step_A / 10}
        if quantity == "deflection":
            return vector_profile(self._explored.shift_mrad(), "deflection [mrad]", line, **options)
        if quantity == "image":
            layer = self._image()
            return scalar_profile(np.asarray(layer.data, np.float64), layer.name.split(": ")[-1], line, **options)
        result = self._explored.result
        if result is None:
            raise ValueError("There is no map of this scan yet.")
        if quantity == "confidence":
            values = np.where(result.direction == UNDEFINED, np.nan, result.confidence)
            return scalar_profile(values, "confidence", line, **options)
        return vector_profile(polarization_vectors(result), "direction of P (length 1)", line, **options)

    def _image(self) -> Image:
        shape = self._explored.scan.scan_shape
        for layer in reversed(self._viewer.layers):
            if isinstance(layer, Image) and layer.visible and layer.data.shape == shape:
                return layer
        raise ValueError("No image of this scan is shown.")

    def _draw(self) -> None:
        if self._explored.scan is not None:
            self.drawn.draw(drawn_options(self._explored.scan, "profile line", "line"), "add_line")

    def _on_chosen(self) -> None:
        self.drawn.forget()
        self._panel.line_button.setEnabled(self._explored.scan is not None)
        self.refresh()

    def _on_changed(self) -> None:
        if self.line is not None:
            self.drawn.heard()
