"""A pattern with a virtual detector that is dragged by the mouse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPainterPath, QPen
from qtpy.QtWidgets import QWidget

from napari_polarmap.core.virtual_detector import VirtualDetector, polygon_mask
from napari_polarmap.widgets.pattern_view import PatternView

ADDED, SUBTRACTED = "#35e0ff", "#ff5d73"
GRIP_PX = 7
"""How near the mouse must be to a rim, in screen pixels."""


class DetectorView(PatternView):
    """Shows a virtual detector: its middle is dragged by its inside, its radii by their rims.

    A click on a segment makes it add, subtract, or count not at all. Where the detector is drawn,
    a line around a part of the pattern makes a new one.

    Signals
    -------
    dragged(object)
        The `VirtualDetector`, again and again while the mouse moves.
    settled(object)
        When the mouse is let go.
    """

    dragged = Signal(object)
    settled = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.detector: VirtualDetector | None = None
        self._grip = ""
        self._from = (0.0, 0.0)
        self._moved = False
        self.setMouseTracking(True)

    def set_detector(self, detector: VirtualDetector | None) -> None:
        """Draw a detector; None takes it away."""
        self.detector = detector
        self.unsetCursor()
        self.update()

    def grip_at(self, point: QPointF) -> str:
        """Return what the mouse would take hold of at a point: outer, inner, all, outline or nothing."""
        detector = self.detector
        if detector is None or self._levels is None:
            return ""
        y, x = self.to_detector(point)
        if detector.kind == "drawn":
            return "all" if _within(detector.outline_px, (y, x)) else "outline"
        radius = float(np.hypot(y - detector.center_px[0], x - detector.center_px[1]))
        near = GRIP_PX / self.frame()[0]
        if abs(radius - detector.outer_px) < near:
            return "outer"
        if detector.kind != "disk" and abs(radius - detector.inner_px) < near:
            return "inner"
        return "all" if radius < detector.outer_px else ""

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take hold."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        self._grip, self._moved = self.grip_at(event.position()), False
        self._from = self.to_detector(event.position())
        if self._grip == "outline":
            self._change(replace(self.detector, outline_px=(self._from,)))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag what was taken hold of, or show what could be."""
        if not self._grip:
            self._show_grip(self.grip_at(event.position()))
            return
        here = self.to_detector(event.position())
        if np.hypot(here[0] - self._from[0], here[1] - self._from[1]) * self.frame()[0] > 2:
            self._moved = True
        if self._moved:
            self._drag(here)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        grip, self._grip = self._grip, ""
        if not grip:
            return
        if not self._moved and grip == "all" and self.detector.kind == "segments":
            self._toggle(self.to_detector(event.position()))
        self.settled.emit(self.detector)

    def _drag(self, here: tuple[float, float]) -> None:
        detector = self.detector
        if self._grip == "outline":
            self._change(replace(detector, outline_px=(*detector.outline_px, here)))
        elif self._grip == "all":
            shift = (here[0] - self._from[0], here[1] - self._from[1])
            self._from = here
            moved = {"center_px": _plus(detector.center_px, shift)}
            if detector.kind == "drawn":
                moved = {"outline_px": tuple(_plus(corner, shift) for corner in detector.outline_px)}
            self._change(replace(detector, **moved))
        else:
            radius = float(np.hypot(here[0] - detector.center_px[0], here[1] - detector.center_px[1]))
            if self._grip == "outer":
                least = detector.inner_px + 0.5 if detector.kind != "disk" else 0.5
                self._change(replace(detector, outer_px=max(radius, least)))
            else:
                self._change(replace(detector, inner_px=min(radius, detector.outer_px - 0.5)))

    def _toggle(self, here: tuple[float, float]) -> None:
        segment = self.detector.segment_at(*here)
        if segment is not None:
            signs = list(self.detector.signs)
            signs[segment] = {1: -1, -1: 0, 0: 1}[signs[segment]]
            self._change(replace(self.detector, signs=tuple(signs)))

    def _change(self, detector: VirtualDetector) -> None:
        self.detector = detector
        self.update()
        self.dragged.emit(detector)

    def _show_grip(self, grip: str) -> None:
        shapes = {
            "outer": Qt.CursorShape.SizeAllCursor,
            "inner": Qt.CursorShape.SizeAllCursor,
            "all": Qt.CursorShape.OpenHandCursor,
            "outline": Qt.CursorShape.CrossCursor,
        }
        if grip:
            self.setCursor(shapes[grip])
        else:
            self.unsetCursor()

    def _paint_overlay(self, painter: QPainter, zoom: float) -> None:
        super()._paint_overlay(painter, zoom)
        if self.detector is None:
            return
        if self.detector.kind == "drawn":
            path = QPainterPath()
            for place, (y, x) in enumerate(self.detector.outline_px):
                (path.lineTo if place else path.moveTo)(QPointF(x, y) * zoom)
            path.closeSubpath()
            _fill(painter, path, 1)
            return
        for sign, path in self._parts(zoom):
            _fill(painter, path, sign)

    def _parts(self, zoom: float) -> list[tuple[int, QPainterPath]]:
        """Return sign and outline of each segment; a disk or an annulus is one part."""
        detector = self.detector
        y, x = detector.center_px
        boxes = [
            QRectF((x - radius) * zoom, (y - radius) * zoom, 2 * radius * zoom, 2 * radius * zoom)
            for radius in (detector.outer_px, detector.inner_px)
        ]
        if detector.kind != "segments":
            path = QPainterPath()
            path.addEllipse(boxes[0])
            if detector.kind == "annulus":
                path.addEllipse(boxes[1])
            return [(1, path)]
        step = 360 / len(detector.signs)
        parts = []
        for place, sign in enumerate(detector.signs):
            start = detector.turn_deg + place * step
            path = QPainterPath()
            path.arcMoveTo(boxes[0], start)
            path.arcTo(boxes[0], start, step)
            if detector.inner_px > 0:
                path.arcTo(boxes[1], start + step, -step)
            else:
                path.lineTo(boxes[1].center())
            path.closeSubpath()
            parts.append((sign, path))
        return parts


def _fill(painter: QPainter, path: QPainterPath, sign: int) -> None:
    color = QColor({1: ADDED, -1: SUBTRACTED, 0: "#ffffff"}[sign])
    painter.setPen(QPen(color, 1.6))
    fill = QColor(color)
    fill.setAlpha(70 if sign else 0)
    painter.setBrush(fill)
    painter.drawPath(path)


def _plus(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    return first[0] + second[0], first[1] + second[1]


def _within(outline: tuple[tuple[float, float], ...], point: tuple[float, float]) -> bool:
    shifted = np.asarray(outline, np.float64).reshape(-1, 2) - point
    return bool(polygon_mask(shifted, (1, 1))[0, 0])
