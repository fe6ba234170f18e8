"""Install a wheel into an empty environment and use it as a newcomer: ``python tools/check_wheel.py dist/*.whl``.

Makes a virtual environment, installs the wheel with nothing but pip, runs `polarmap demo` and every
command of the tutorial from an empty folder, and opens the sample in napari.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 80_000_000
PAGES = ("docs/install.md", "docs/tutorial.md")
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"

IN_NAPARI = """
import sys, time
from pathlib import Path
import napari, napari_polarmap
assert Path(sys.prefix) in Path(napari_polarmap.__file__).parents, napari_polarmap.__file__
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer()
viewer.open_sample("napari-polarmap", "two_domains")
dock, widget = viewer.window.add_plugin_dock_widget("napari-polarmap", "Polarization mapping")
end = time.monotonic() + 120
while not any("preview" not in layer.name for layer in viewer.layers) and time.monotonic() < end:
    QApplication.processEvents()
names = [layer.name for layer in viewer.layers]
print("layers after Open Sample:", names)
assert any("preview" not in name for name in names), "the image of the whole scan did not come"
viewer.close()
"""


def run(*words: object, folder: Path = ROOT, python: Path | None = None) -> None:
    """Run a program without anything of this checkout on its path; stop if it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if python is not None:
        environment["PATH"] = f"{python.parent}{os.pathsep}{environment['PATH']}"
    print("$", *words, flush=True)
    subprocess.run([str(word) for word in words], cwd=folder, env=environment, check=True)


def install(wheel: Path, environment: Path) -> Path:
    """Install the wheel with pip; return the interpreter of the environment."""
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        run(sys.executable, "-m", "venv", environment)
    pip = [python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt"]
    if sys.platform == "linux":  # as on the page on installing: the CPU build first
        index = ["--retries", "1", "--timeout", "15", "--extra-index-url", TORCH_INDEX]
        run(*pip, "--no-deps", *index, "torch", "torchvision")
    run(*pip, "--force-reinstall", "--no-deps", wheel)
    run(*pip, f"napari-polarmap[all] @ {wheel.as_uri()}")
    return python


def main() -> None:
    """Do it all; any failure ends with an error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--env", type=Path, help="environment to use again (default: one that is thrown away)")
    parser.add_argument("--no-window", action="store_true", help="leave out napari, where there is no display")
    options = parser.parse_args()
    begin = time.monotonic()
    size = options.wheel.stat().st_size
    print(f"{options.wheel.name}: {size / 1e6:.1f} MB")
    if size >= MOST_BYTES:
        raise SystemExit(f"{options.wheel.name} is larger than the {MOST_BYTES / 1e6:.0f} MB allowed")
    with tempfile.TemporaryDirectory(prefix="polarmap-wheel-") as name:
        folder = Path(name)
        (folder / "empty").mkdir()
        python = install(options.wheel.absolute(), (options.env or folder / "env").absolute())
        run(python, "-c", "import napari_polarmap; print(napari_polarmap.__file__)", folder=folder / "empty")
        # the checker reads the pages here; every command runs from the environment, in an empty folder
        checker = [sys.executable, ROOT / "tools" / "check_docs.py", "--python", python]
        subprocess.run([*checker, *(ROOT / page for page in PAGES)], check=True)
        if not options.no_window:
            xvfb = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24"] if shutil.which("xvfb-run") else []
            run(*xvfb, python, "-c", IN_NAPARI, folder=folder / "empty")
    print(f"the wheel works; {time.monotonic() - begin:.0f} s")


if __name__ == "__main__":
    main()
