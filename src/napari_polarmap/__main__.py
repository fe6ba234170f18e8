"""``python -m napari_polarmap`` is ``polarmap``."""

import sys

from napari_polarmap.cli import main

if __name__ == "__main__":
    sys.exit(main())
