"""Keys that work over the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from napari.components import ViewerModel
from qtpy.QtWidgets import QAbstractButton

Keys = Mapping[str, QAbstractButton | Callable[[], None]]


class Shortcuts:
    """Binds keys of a viewer to buttons and functions, as long as a dock is open.

    A key does what a click on its button would: nothing while the button is disabled.
    """

    def __init__(self, viewer: ViewerModel, keys: Keys) -> None:
        self._viewer, self.keys = viewer, dict(keys)
        for key, target in self.keys.items():
            viewer.bind_key(key, _press(target), overwrite=True)

    def detach(self) -> None:
        """Take the keys back."""
        for key in self.keys:
            self._viewer.bind_key(key, None)


def _press(target: QAbstractButton | Callable[[], None]) -> Callable[[ViewerModel], None]:
    def press(viewer: ViewerModel) -> None:
        if isinstance(target, QAbstractButton):
            target.click()
        else:
            target()

    return press
