"""The window: the only place that knows napari, magicgui and Qt."""
