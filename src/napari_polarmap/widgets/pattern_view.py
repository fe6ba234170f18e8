"""A diffraction pattern with its disk, centre of mass, crop and lattice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from napari.utils.colormaps import ensure_colormap
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_polarmap.widgets.preferences import preferences

COM_COLOR = "#35e0ff"
DISK_COLOR = "#ffffff"
CROP_COLOR = "#7ee081"
LATTICE_COLOR = "#ffb000"
DIVERGING = "coolwarm"


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """What is drawn over a pattern, in detector pixels; None leaves a part out.

    Attributes
    ----------
    disk_px : ((y, x), radius), optional
        Direct disk.
    com_px : (y, x), optional
        Centre of mass.
    crop_px : ((y, x), edge), optional
        Square that is classified, its middle and edge.
    crop_angle_deg : float
        Counter-clockwise turn of the square on the screen.
    lattice_px : ndarray, shape (n, 2), optional
        Where the disks of the crystal lie, ``(y, x)``.
    """

    disk_px: tuple[tuple[float, float], float] | None = None
    com_px: tuple[float, float] | None = None
    crop_px: tuple[tuple[float, float], float] | None = None
    crop_angle_deg: float = 0.0
    lattice_px: NDArray[np.floating] | None = None


def top_of(pattern: NDArray[np.number]) -> float:
    """Return the 99.9th percentile of the counts, the largest where that is none."""
    top = float(np.percentile(pattern, 99.9))
    return top if top > 0 else float(pattern.max())


def to_levels(
    pattern: NDArray[np.number], *, logarithmic: bool = False, gamma: float = 1.0, top: float | None = None
) -> NDArray[np.uint8]:
    """Return a pattern as colour levels 0 to 255, the top at the 99.9th percentile of its counts.

    Readings that are not finite or negative count as 0. The logarithmic scale spans three decades; else
    the share of the top is taken to the power of `gamma`.

    Examples
    --------
    >>> to_levels(np.array([[0.0, np.nan], [1.0, 4.0]]), logarithmic=False).tolist()
    [[0, 0], [64, 255]]
    """
    counts = np.nan_to_num(np.asarray(pattern, dtype=np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    counts = np.maximum(counts, 0)
    top = top_of(counts) if top is None else top
    if top <= 0:
        return np.zeros(counts.shape, np.uint8)
    share = np.minimum(counts / top, 1)
    if logarithmic:
        share = np.log1p(1000 * share) / np.log1p(1000)
    elif gamma != 1:
        share = share**gamma
    return np.rint(255 * share).astype(np.uint8)


def to_difference_levels(difference: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return a difference as levels, 0 in the middle of the colours, the ends at its 99.9th percentile.

    Examples
    --------
    >>> to_difference_levels(np.array([[-2.0, 0.0, 2.0]])).tolist()
    [[0, 128, 255]]
    """
    values = np.nan_to_num(np.asarray(difference, dtype=np.float32))
    top = top_of(np.abs(values))
    return np.rint(127.5 + 127.5 * np.clip(values / (top or 1.0), -1, 1)).astype(np.uint8)


@cache
def color_table(name: str = "inferno") -> list[int]:
    """Return a colormap of napari as 256 colours for an indexed image."""
    rgb = np.rint(255 * ensure_colormap(name).map(np.linspace(0, 1, 256))[:, :3]).astype(int)
    return [QColor(*color).rgb() for color in rgb.tolist()]


class PatternView(QWidget):
    """Paints one pattern, whole and with square pixels."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pattern: NDArray[np.number] | None = None
        self._levels: NDArray[np.uint8] | None = None
        self._scale = {"logarithmic": False, "gamma": 1.0}
        self._top: float | None = None
        self._difference = False
        self.hidden: set[str] = set()
        self.overlay = Overlay()
        self.message = "Move the mouse over the scan"
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)  # what lies behind need not be painted
        self.setMinimumSize(132, 132)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setToolTip(
            "Diffraction pattern at the cursor\n"
            "white circle: direct disk\ncyan cross: centre of mass\ngreen square: part that is classified"
        )
        self.setAccessibleName("Diffraction pattern at the cursor")

    @property
    def pattern(self) -> NDArray[np.number] | None:
        """The pattern shown."""
        return self._pattern

    def sizeHint(self) -> QSize:
        """Preferred size."""
        return QSize(200, 200)

    def set_pattern(self, pattern: NDArray[np.number] | None, overlay: Overlay | None = None) -> None:
        """Show a pattern, shape (det_y, det_x); None clears the view."""
        self._pattern = pattern
        self._levels = None if pattern is None else self._to_levels(pattern)
        if overlay is not None:
            self.overlay = overlay
        self.update()

    def set_logarithmic(self, on: bool) -> None:
        """Show counts on a logarithmic scale, three decades."""
        self.set_scale(logarithmic=on)

    def set_scale(self, *, logarithmic: bool = False, gamma: float = 1.0) -> None:
        """Choose how counts become brightness, see `to_levels`."""
        self._scale = {"logarithmic": logarithmic, "gamma": gamma}
        self.set_pattern(self._pattern)

    def set_top(self, top: float | None) -> None:
        """Show these counts as the brightest; None: those of the pattern itself."""
        self._top, self._difference = top, False
        self.set_pattern(self._pattern)

    def show_difference(self, difference: NDArray[np.floating]) -> None:
        """Show where a pattern has more (red) and less (blue) than another."""
        self._difference = True
        self.set_pattern(difference)

    def show_part(self, name: str, shown: bool) -> None:
        """Draw or leave out one of the overlays: disk, com, crop, lattice."""
        (self.hidden.discard if shown else self.hidden.add)(name)
        self.update()

    def _to_levels(self, pattern: NDArray[np.number]) -> NDArray[np.uint8]:
        if self._difference:
            return np.ascontiguousarray(to_difference_levels(pattern))
        return np.ascontiguousarray(to_levels(pattern, **self._scale, top=self._top))

    def frame(self) -> tuple[float, float, float]:
        """Return screen pixels per detector pixel, and the left and top end of the pattern."""
        height, width = (1, 1) if self._levels is None else self._levels.shape
        zoom = min(self.width() / width, self.height() / height)
        return zoom, (self.width() - zoom * width) / 2, (self.height() - zoom * height) / 2

    def to_detector(self, point: QPointF) -> tuple[float, float]:
        """Return the detector pixel ``(y, x)`` at a point of the widget."""
        zoom, left, top = self.frame()
        return (point.y() - top) / zoom - 0.5, (point.x() - left) / zoom - 0.5

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw pattern and overlays."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#0b0c10"))
        if self._levels is None:
            painter.setPen(QColor("#9aa3ad"))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(QRectF(self.rect()).adjusted(8, 8, -8, -8), flags, self.message)
            return
        height, width = self._levels.shape
        image = QImage(self._levels.data, width, height, width, QImage.Format.Format_Indexed8)
        colors = preferences().explorer.colors
        image.setColorTable(color_table(DIVERGING if self._difference else getattr(colors, "value", colors)))
        zoom, left, top = self.frame()
        painter.drawImage(QRectF(left, top, zoom * width, zoom * height), image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setClipRect(QRectF(left, top, zoom * width, zoom * height))
        # Pixel coordinates count from the middle of the first pixel.
        painter.translate(left + zoom / 2, top + zoom / 2)
        self._paint_overlay(painter, zoom)

    def _paint_overlay(self, painter: QPainter, zoom: float) -> None:
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if self.overlay.crop_px is not None and "crop" not in self.hidden:
            (y, x), edge = self.overlay.crop_px
            painter.save()
            painter.translate(QPointF(x, y) * zoom)
            painter.rotate(-self.overlay.crop_angle_deg)
            painter.setPen(QPen(QColor(CROP_COLOR), 1.5))
            painter.drawRect(QRectF(-edge / 2 * zoom, -edge / 2 * zoom, edge * zoom, edge * zoom))
            painter.restore()
        if self.overlay.disk_px is not None and "disk" not in self.hidden:
            (y, x), radius = self.overlay.disk_px
            painter.setPen(QPen(QColor(DISK_COLOR), 1.2, Qt.PenStyle.DashLine))
            painter.drawEllipse(QPointF(x, y) * zoom, radius * zoom, radius * zoom)
        if self.overlay.lattice_px is not None and "lattice" not in self.hidden:
            for color, thickness in (("#000000", 5.0), (LATTICE_COLOR, 3.0)):
                painter.setPen(QPen(QColor(color), thickness, cap=Qt.PenCapStyle.RoundCap))
                painter.drawPoints([QPointF(x, y) * zoom for y, x in self.overlay.lattice_px])
        com_px = None if "com" in self.hidden else self.overlay.com_px
        if com_px is not None and np.isfinite(com_px).all():
            y, x = com_px
            for color, thickness in (("#000000", 3.5), (COM_COLOR, 1.8)):
                painter.setPen(QPen(QColor(color), thickness))
                painter.drawLine(QPointF(x * zoom - 7, y * zoom), QPointF(x * zoom + 7, y * zoom))
                painter.drawLine(QPointF(x * zoom, y * zoom - 7), QPointF(x * zoom, y * zoom + 7))
