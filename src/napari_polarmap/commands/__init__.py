"""What the commands of ``polarmap`` do; `napari_polarmap.cli` says how they are called.

Modules that take long to import are imported where they are used, so that ``--help``
is quick.
"""
