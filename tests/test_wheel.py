"""The wheel: what it holds, how PyPI shows it, and that it works without the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_polarmap"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build it from the source distribution, so that both are seen to be whole."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """Return the interpreter of an environment with the wheel; its dependencies are those of this one."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    found = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    here = sysconfig.get_path("purelib")
    (Path(found.stdout.strip()) / "borrowed.pth").write_text(f"{here}\n", encoding="utf-8")
    return python


def shipped(pattern: str) -> list[Path]:
    return sorted(path for path in PACKAGE.glob(pattern) if path.is_file())


def test_the_wheel_holds_manifest_weights_and_sample_data(wheel):
    assert wheel.stat().st_size < 80e6
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    wanted = [PACKAGE / "napari.yaml", PACKAGE / "py.typed", *shipped("models/weights/*"), *shipped("sample_data/*")]
    assert {path.relative_to(ROOT / "src").as_posix() for path in wanted} <= inside
    assert not any(name.startswith(("tests/", "docs/", "benchmarks/")) for name in inside)


def test_the_long_description_has_no_link_that_breaks_away_from_the_repository(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode("utf-8")
    head, _, text = metadata.partition("\n\n")
    assert "Description-Content-Type: text/markdown" in head
    assert text.startswith("# napari-polarmap\n")
    targets = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    assert targets
    assert [one or other for one, other in targets if not (one or other).startswith("https://")] == []


def test_links_of_the_readme_lead_into_the_repository_once_its_address_is_known(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    from pypi_readme import for_pypi

    text = '<img src="docs/a.png" width="9">\n\n[Docs](docs/b.md), [home](https://e.org), [below](#c)'
    assert for_pypi(text, None) == "Docs, [home](https://e.org), [below](#c)"
    assert for_pypi(text, "https://github.com/o/r/") == (
        '<img src="https://github.com/o/r/raw/HEAD/docs/a.png" width="9">\n\n'
        "[Docs](https://github.com/o/r/blob/HEAD/docs/b.md), [home](https://e.org), [below](#c)"
    )


@pytest.mark.slow
def test_the_wheel_alone_opens_the_sample_and_exports_the_figure_by_the_tutorials_commands(environment, tmp_path):
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    where = [environment, "-c", "import napari_polarmap; print(napari_polarmap.__file__)"]
    run = subprocess.run(where, check=True, capture_output=True, text=True, cwd=tmp_path, env=alone)
    assert Path(run.stdout.strip()).is_relative_to(environment.parents[1])
    follow = [sys.executable, ROOT / "tools" / "check_docs.py", "--python", environment, ROOT / "docs" / "tutorial.md"]
    run = subprocess.run(
        follow, check=False, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert run.returncode == 0, run.stdout + run.stderr
