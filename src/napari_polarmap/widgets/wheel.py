"""The legend: a wheel of the eight directions in their colours, or of the continuous angle."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QConicalGradient,
    QFont,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QRadialGradient,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_polarmap.core.directions import Direction, nearest_direction
from napari_polarmap.core.palette import angle_rgb
from napari_polarmap.io.display import Display


class DirectionWheel(QWidget):
    """Colour wheel; the wedge under the cursor of the map, or under the mouse, stands out.

    Signals
    -------
    clicked(int)
        Class of the wedge that was clicked.
    """

    clicked = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._active: int | None = None
        self._hovered: int | None = None
        self._shares: NDArray[np.float64] | None = None
        self._display = Display()
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMinimumSize(132, 132)
        self.setToolTip(
            "Direction of the polarization in the scan image, by colour.\n"
            "Click a wedge to see its direction alone, and again to see all."
        )
        self.setAccessibleName("Legend of the eight directions")

    @property
    def active(self) -> int | None:
        """Class that stands out, or None."""
        return self._active if self._hovered is None else self._hovered

    def set_active(self, direction: int | None) -> None:
        """Let the wedge of a class stand out; None for no wedge."""
        if direction != self._active:
            self._active = direction
            self.update()

    def set_shares(self, shares: NDArray[np.float64] | None) -> None:
        """Tell which share of the map each direction covers, shape (8,), for the tooltips."""
        self._shares = shares

    def set_display(self, display: Display) -> None:
        """Show the colours of the eight directions, or those of the continuous angle."""
        self._display = display
        self.update()

    def sizeHint(self) -> QSize:
        """Preferred size."""
        return QSize(160, 160)

    def direction_at(self, point: QPointF) -> int | None:
        """Return the class of the wedge at a point of the widget, or None."""
        radius = math.hypot(dx := point.x() - self._center.x(), dy := point.y() - self._center.y())
        if not 0.45 * self._radius <= radius <= self._radius + 4:
            return None
        return int(nearest_direction(math.degrees(math.atan2(-dy, dx))))

    def describe(self, direction: int) -> str:
        """Return label, angle and, with a map, the share of it."""
        entry = Direction(direction)
        text = f"{entry.name}: {entry.angle_deg:.0f}°"
        return text if self._shares is None else f"{text}, {100 * self._shares[direction]:.1f} % of the map"

    @property
    def _center(self) -> QPointF:
        return QPointF(self.width() / 2, self.height() / 2)

    @property
    def _radius(self) -> float:
        return min(self.width(), self.height()) / 2 - 28

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the wheel."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        text_color = self.palette().color(QPalette.ColorRole.WindowText)
        background = self.palette().color(QPalette.ColorRole.Window)
        active = self.active
        if self._display.colors == "angle":
            self._paint_continuous(painter, text_color)
            return
        for direction in sorted(Direction, key=lambda entry: entry == active):
            self._paint_wedge(painter, direction, direction == active, text_color, background)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(background)
        painter.drawEllipse(self._center, 0.45 * self._radius, 0.45 * self._radius)
        if active is not None:
            self._paint_center(painter, Direction(active), text_color)

    def _paint_wedge(
        self, painter: QPainter, direction: Direction, active: bool, text_color: QColor, background: QColor
    ) -> None:
        radius = self._radius + (4 if active else 0)
        circle = QRectF(self._center.x() - radius, self._center.y() - radius, 2 * radius, 2 * radius)
        painter.setPen(QPen(text_color if active else background, 2.5 if active else 2))
        painter.setBrush(QColor(direction.color))
        painter.drawPie(circle, round(16 * (direction.angle_deg - 22.5)), 16 * 45)
        self._paint_label(painter, direction, active, text_color)

    def _paint_label(self, painter: QPainter, direction: Direction, active: bool, text_color: QColor) -> None:
        angle = math.radians(direction.angle_deg)
        middle = self._center + (self._radius + 17) * QPointF(math.cos(angle), -math.sin(angle))
        font = QFont(self.font())
        font.setBold(active)
        painter.setFont(font)
        painter.setPen(text_color)
        painter.drawText(QRectF(middle.x() - 16, middle.y() - 9, 32, 18), Qt.AlignmentFlag.AlignCenter, direction.name)

    def _paint_continuous(self, painter: QPainter, text_color: QColor) -> None:
        """Draw hue around the wheel and, where lightness tells something, black in its middle."""
        hue = QConicalGradient(self._center, 0)
        for angle in range(0, 361, 5):
            hue.setColorAt(angle / 360, QColor.fromRgbF(*(float(part) for part in angle_rgb(angle))))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(hue)
        painter.drawEllipse(self._center, self._radius, self._radius)
        if self._display.lightness != "full":
            shade = QRadialGradient(self._center, self._radius)
            for part in range(11):
                shade.setColorAt(part / 10, QColor.fromRgbF(0, 0, 0, 1 - (part / 10) ** 1.2))
            painter.setBrush(shade)
            painter.drawEllipse(self._center, self._radius, self._radius)
        active = self.active
        for direction in Direction:
            self._paint_label(painter, direction, direction == active, text_color)
        if active is not None:
            angle = math.radians(Direction(active).angle_deg)
            painter.setPen(QPen(QColor("white"), 2.5))
            painter.drawLine(self._center, self._center + self._radius * QPointF(math.cos(angle), -math.sin(angle)))

    def _paint_center(self, painter: QPainter, direction: Direction, text_color: QColor) -> None:
        font = QFont(self.font())
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(text_color)
        box = QRectF(self._center.x() - 30, self._center.y() - 16, 60, 32)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, f"{direction.name}\n{direction.angle_deg:.0f}°")

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Highlight the wedge under the mouse and name it."""
        self._hovered = self.direction_at(event.position())
        if self._hovered is not None:
            QToolTip.showText(event.globalPosition().toPoint(), self.describe(self._hovered), self)
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Report the wedge that is clicked."""
        direction = self.direction_at(event.position())
        if direction is not None:
            self.clicked.emit(direction)

    def leaveEvent(self, event: QEvent) -> None:
        """Give the highlight back to the cursor of the map."""
        self._hovered = None
        self.update()
