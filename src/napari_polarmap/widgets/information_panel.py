"""The information map beside the cell's bright-field image: which probe positions tell the direction."""

from __future__ import annotations

import matplotlib
import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_polarmap.io.information_figure import panels
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.informing import Informed, information_of
from napari_polarmap.widgets.section import note

EDGE_PX = 72
MISSING = (128, 128, 128, 255)


class InformationPanel(QWidget):
    """Four pictures of one unit cell, and what they say in a sentence."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.informed: Informed | None = None
        self.text = note()
        self.captions, self.pictures = [], []
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        for column in range(4):
            caption, picture = QLabel(), QLabel()
            for row, label in enumerate((caption, picture)):
                label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
                grid.addWidget(label, row, column)
            caption.setMinimumHeight(caption.fontMetrics().height() + 2)
            picture.setFixedHeight(EDGE_PX)
            self.captions.append(caption)
            self.pictures.append(picture)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(grid)
        layout.addWidget(self.text)
        self.show_map(None)

    def show_map(self, result: PolarizationMap | None) -> None:
        """Fold a map into its unit cell, or say why that cannot be."""
        self.informed = None
        if result is None:
            self.text.setText("No map yet.")
        else:
            try:
                self.informed = information_of(result)
            except ValueError as error:
                self.text.setText(f"{str(error)[0].upper()}{str(error)[1:]}.")
        for label in (*self.captions, *self.pictures):
            label.setVisible(self.informed is not None)
        if self.informed is not None:
            self._draw(self.informed)

    def _draw(self, informed: Informed) -> None:
        entries = panels(informed.information)
        for (name, values, colors, low, high), caption, picture in zip(
            entries, self.captions, self.pictures, strict=True
        ):
            caption.setText(name.split(" (")[0].split(" [")[0])
            picture.setPixmap(pixmap(values, colors, low, high))
            picture.setToolTip(
                f"{name}: {low:.2f} to {high:.2f}, over one unit cell.\n"
                "Lattice vectors run to the right and downwards; the darkest place of bright field, an atom column, "
                "is in the middle."
            )
        self.text.setText(f"{informed.information.overall} Compared with {informed.reference}.")


def pixmap(values: NDArray[np.floating], colors: str, low: float, high: float) -> QPixmap:
    """Return a picture of values, NaN in grey, each place a square."""
    scaled = np.clip((np.nan_to_num(values, nan=low) - low) / max(high - low, 1e-9), 0, 1)
    rgba = matplotlib.colormaps[colors](scaled, bytes=True)
    rgba[~np.isfinite(values)] = MISSING
    rgba = np.ascontiguousarray(rgba)
    height, width = values.shape
    image = QImage(rgba.data, width, height, 4 * width, QImage.Format.Format_RGBA8888).copy()
    return QPixmap.fromImage(image).scaled(EDGE_PX, EDGE_PX, Qt.AspectRatioMode.IgnoreAspectRatio)
