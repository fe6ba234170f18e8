"""The pattern at the cursor beside the legend; both follow the mouse over the scan."""

from __future__ import annotations

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QWidget

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.directions import UNDEFINED
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layers import direction_shares
from napari_polarmap.pipeline.reading import reading
from napari_polarmap.widgets.explored import near_com
from napari_polarmap.widgets.follower import Follower
from napari_polarmap.widgets.pattern_view import Overlay, PatternView
from napari_polarmap.widgets.reading_line import ReadingLine
from napari_polarmap.widgets.wheel import DirectionWheel

NOWHERE = "row –, column –"


class Explorer(QWidget):
    """Shows what is known of the scan position under the mouse."""

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.follower = Follower(viewer, self)
        self._centers_px: NDArray[np.floating] | None = None
        self._radius_px: float | None = None
        self._crop_px: float | None = None
        self._build()
        self.follower.looked.connect(self._on_looked)
        self.follower.failed.connect(self._on_error)

    def detach(self) -> None:
        """Let go of the viewer."""
        self.follower.detach()

    @property
    def position(self) -> tuple[int, int] | None:
        """Row and column that are shown."""
        return self.follower.position

    def look(self, row: int, column: int) -> None:
        """Show the pattern and the direction at a scan position."""
        self.follower.look(row, column)

    def _build(self) -> None:
        self.view = PatternView()
        self.wheel = DirectionWheel()
        self.logarithmic = QCheckBox("log")
        self.logarithmic.setToolTip("Counts on a logarithmic scale (three decades); off: linear")
        self.logarithmic.toggled.connect(self.view.set_logarithmic)
        self.reading = ReadingLine(NOWHERE)
        self.reading.setToolTip(
            "Scan row and column under the mouse; direction of the map, probability that it is right,\n"
            "thickness with its standard error, specimen tilt, and the window the answer rests on"
        )
        caption = QLabel("<b>Pattern at the cursor</b>")
        legend = QLabel("<b>Direction</b>")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 2, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(caption, 0, 0)
        layout.addWidget(self.logarithmic, 0, 1, Qt.AlignmentFlag.AlignRight)
        layout.addWidget(legend, 0, 2)
        layout.addWidget(self.view, 1, 0, 1, 2)
        layout.addWidget(self.wheel, 1, 2)
        layout.addWidget(self.reading, 2, 0, 1, 3)
        layout.setColumnStretch(0, 3)
        layout.setColumnStretch(2, 3)
        layout.setRowStretch(1, 1)

    def set_scan(self, scan: Scan4D | None) -> None:
        """Follow another scan, or the same with another calibration."""
        before, self.follower.scan = self.follower.scan, scan
        if scan is None or before is None or scan.data is not before.data:
            self.follower.forget()
            self._centers_px = self._radius_px = self._crop_px = None
            self.view.set_pattern(None, Overlay())
            self.reading.setText(NOWHERE)
            self.set_result(None)

    def set_disk(self, centers_px: NDArray[np.floating], radius_px: float, crop_px: float | None) -> None:
        """Draw the disk around its centre at each position, shape (scan_y, scan_x, 2), and the crop."""
        self._centers_px, self._radius_px, self._crop_px = centers_px, radius_px, crop_px
        if self.view.pattern is not None:
            self._draw(self.view.pattern)

    def set_result(self, result: PolarizationMap | None) -> None:
        """Read directions from a map."""
        self.follower.result = result
        self.wheel.set_shares(None if result is None else direction_shares(result.domain))
        self._read()

    def _on_looked(self, pattern: NDArray[np.number] | None) -> None:
        # All at once: the window is put together anew, at some cost, for each part that changes.
        if pattern is not None and self.position is not None:
            self._draw(pattern)
        self._read()

    def _on_error(self, error: Exception) -> None:
        self.view.message = f"this pattern cannot be read ({error})"
        self.view.set_pattern(None)
        self._read()

    def _draw(self, pattern: NDArray[np.number]) -> None:
        overlay = Overlay()
        if self._centers_px is not None and self._radius_px is not None:
            y, x = self._centers_px[self.position]
            center = (float(y), float(x))
            crop = None if self._crop_px is None else (center, self._crop_px)
            overlay = Overlay(
                disk_px=(center, self._radius_px), com_px=near_com(pattern, center, self._radius_px), crop_px=crop
            )
        self.view.set_pattern(pattern, overlay)

    def _read(self) -> None:
        """Say where the cursor is and what the map tells there."""
        if self.position is None:
            return
        row, column = self.position
        result = self.follower.result
        text = f"row {row}, column {column}"
        direction = UNDEFINED
        if result is not None and row < result.scan_shape[0] and column < result.scan_shape[1]:
            direction = int(result.domain[row, column])
            text += f"   {reading(result, row, column)}"
        self.reading.setText(text)
        self.wheel.set_active(None if direction == UNDEFINED else direction)
