"""What the user set in napari's Preferences."""

from __future__ import annotations

from typing import Any

from napari.settings import get_plugin_settings

PLUGIN = "napari-polarmap"


def preferences() -> Any:
    """Return the settings of this plugin, ``.mapping`` and ``.explorer``, as its manifest describes them."""
    return get_plugin_settings(PLUGIN)
