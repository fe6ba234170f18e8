"""Map the polarization of ferroelectrics from 4D-STEM data.

>>> import napari_polarmap
>>> "map_polarization" in dir(napari_polarmap)
True
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from napari_polarmap.io import open_scan
    from napari_polarmap.io.result import PolarizationMap
    from napari_polarmap.models.registry import load_classifier
    from napari_polarmap.pipeline.mapping import map_polarization

    __version__: str

__all__ = ["PolarizationMap", "__version__", "load_classifier", "map_polarization", "open_scan"]

# each is imported when first asked for, so that `polarmap --help` need not wait for torch
_HOME: Final = {
    "PolarizationMap": "napari_polarmap.io.result",
    "load_classifier": "napari_polarmap.models.registry",
    "map_polarization": "napari_polarmap.pipeline.mapping",
    "open_scan": "napari_polarmap.io",
}


def _installed_version() -> str:
    """Return the installed version; ``0+unknown`` where the package runs without being installed."""
    try:
        return version("napari-polarmap")
    except PackageNotFoundError:
        return "0+unknown"


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _installed_version()
    elif name in _HOME:
        value = getattr(import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
