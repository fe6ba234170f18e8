"""What every dock of the plugin does when it is closed."""

from __future__ import annotations

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QWidget


class Dock(QWidget):
    """A widget that lets go of the viewer, by its `detach`, when its dock is closed for good."""

    _docked = False

    def event(self, event: QEvent) -> bool:
        """Let go of the viewer when the dock is closed for good."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self.detach()
                self.deleteLater()
        return super().event(event)

    def detach(self) -> None:
        """Stop all work and let go of the viewer."""
        raise NotImplementedError
