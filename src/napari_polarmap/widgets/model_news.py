"""What the docks tell each other of models."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal


class ModelNews(QObject):
    """Tells every open dock when a model has come into the user's folder, by `models_changed`."""

    models_changed = Signal()


NEWS = ModelNews()
