"""A text that changes with every move of the mouse."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLabel, QSizePolicy, QWidget

_LINES = 2


class ReadingLine(QWidget):
    """A label in a place that only grows, from two lines on.

    A `QLabel` in a layout has the whole window laid out and painted anew for each text.
    """

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._label = QLabel(text, self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setWordWrap(True)
        self._label.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def text(self) -> str:
        """Return the text."""
        return self._label.text()

    def setText(self, text: str) -> None:
        """Show a text."""
        self._label.setText(text)
        self._fit()

    def sizeHint(self) -> QSize:
        """Preferred size."""
        return QSize(100, _LINES * self._label.fontMetrics().lineSpacing())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the label all of the place."""
        self._label.setGeometry(self.contentsRect())
        self._fit()

    def _fit(self) -> None:
        needed = self._label.heightForWidth(self.contentsRect().width())
        if needed > self.height():
            self.setMinimumHeight(needed)
