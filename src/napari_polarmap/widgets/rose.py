"""The rose of directions: petals whose area is the share of the map that points there."""

from __future__ import annotations

import math

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_polarmap.core.directions import ANGLES_DEG, LABELS
from napari_polarmap.io.display import Display
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.io.rose import Petals, petals

_RINGS = 2
_MARGIN_PX = 30


class Rose(QWidget):
    """Rose plot of a map; it follows map and colours."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._result: PolarizationMap | None = None
        self._display = Display()
        self.petals: Petals | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumHeight(210)
        self.setToolTip(
            "The area of a petal is the share of the map [%] that points there; rings at half and full share"
        )
        self.setAccessibleName("Rose plot of the directions")

    def sizeHint(self) -> QSize:
        """Preferred size."""
        return QSize(260, 220)

    def show_map(self, result: PolarizationMap | None) -> None:
        """Draw another map."""
        self._result = result
        self._count()

    def show_display(self, display: Display) -> None:
        """Draw eight petals, or many."""
        if display.colors != self._display.colors:
            self._display = display
            self._count()

    def _count(self) -> None:
        self.petals = None if self._result is None else petals(self._result, self._display)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the petals over their rings."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        if self.petals is None or not self.petals.share.any():
            painter.setPen(ink)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "no directions yet")
            return
        center = QPointF(self.width() / 2, self.height() / 2)
        full = min(self.width(), self.height()) / 2 - _MARGIN_PX
        faint = QColor(ink)
        faint.setAlpha(90)
        most = float(self.petals.share.max())
        half = 180 / len(self.petals.share)
        for angle, share, rgb in zip(self.petals.angle_deg, self.petals.share, self.petals.rgb, strict=True):
            radius = full * math.sqrt(share / most)
            box = QRectF(center.x() - radius, center.y() - radius, 2 * radius, 2 * radius)
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.Window), 1))
            painter.setBrush(QColor(*(round(255 * float(part)) for part in rgb)))
            painter.drawPie(box, round(16 * (angle - half)), round(32 * half))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(faint, 1))
        for ring in range(1, _RINGS + 1):
            radius = full * math.sqrt(ring / _RINGS)
            painter.drawEllipse(center, radius, radius)
        painter.setPen(ink)
        for angle, label in zip(np.deg2rad(ANGLES_DEG), LABELS, strict=True):
            place = center + (full + 15) * QPointF(math.cos(angle), -math.sin(angle))
            painter.drawText(QRectF(place.x() - 18, place.y() - 9, 36, 18), Qt.AlignmentFlag.AlignCenter, label)
        painter.drawText(QRectF(2, self.height() - 20, 90, 18), 0, f"ring {100 * most:.1f} %")
