"""How far some work has come, and the button that stops it."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from napari_polarmap.pipeline.inspection import Progress

PATIENCE_MS = 300
"""Work that is done sooner shows no bar."""


class ProgressRow(QWidget):
    """A bar with Cancel beside it, there only while something takes its time.

    Signals
    -------
    cancelled()
    """

    cancelled = Signal()

    def __init__(self, what: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = QProgressBar()
        self.bar.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.bar.setToolTip(f"How far {what.partition(';')[0]} has come [% of the work]")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip(f"Stop {what}" + ("" if ";" in what else "; everything stays as it was before"))
        self.cancel.clicked.connect(self.cancelled)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(PATIENCE_MS)
        self._later.timeout.connect(self.show)
        self.hide()

    def start(self, text: str) -> None:
        """Show, unless `finish` comes soon, that work has begun."""
        self.show_progress(Progress(text, 0, 0))
        self._later.start()

    def show_progress(self, progress: Progress) -> None:
        """Show how far the work has come."""
        self.bar.setRange(0, progress.total)
        self.bar.setValue(progress.done)
        self.bar.setFormat(f"{progress.stage}: %p %" if progress.total else progress.stage)

    def finish(self) -> None:
        """Take the bar away."""
        self._later.stop()
        self.hide()
