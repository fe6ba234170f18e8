"""The package as a whole: what it ships, what it promises, what it never does."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from itertools import chain
from pathlib import Path

import pytest

import napari_polarmap

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_polarmap"
OURS = sorted(
    chain.from_iterable((ROOT / folder).rglob("*.py") for folder in ("src", "tools", "benchmarks", "examples", "docs"))
)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LOADERS = {"torch.load", "torch.save", "yaml.load", "yaml.unsafe_load", "pd.read_pickle"}
RUNNERS = {"eval", "exec", "compile"}
PICKLERS = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve"}


def python(program: str) -> str:
    """Run a program in a fresh interpreter and return what it prints."""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_version_is_that_of_the_installed_distribution():
    assert napari_polarmap.__version__ == metadata.version("napari-polarmap")
    assert re.match(r"\d+\.\d+", napari_polarmap.__version__)


@pytest.mark.parametrize("name", napari_polarmap.__all__)
def test_every_public_name_can_be_imported_from_the_top(name):
    assert getattr(napari_polarmap, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = napari_polarmap.nonsense


def test_importing_the_package_loads_neither_torch_nor_napari():
    loaded = python("import sys, napari_polarmap; print(*sys.modules)").split()
    assert not {"torch", "napari", "numpy", "h5py"} & set(loaded)


def test_everything_below_the_widgets_runs_without_napari_and_qt():
    program = (
        "import importlib, pkgutil, sys, napari_polarmap as package\n"
        "for module in pkgutil.walk_packages(package.__path__, 'napari_polarmap.'):\n"
        "    if '.widgets' not in module.name:\n"
        "        importlib.import_module(module.name)\n"
        "print(*sys.modules)\n"
    )
    loaded = python(program).split()
    assert not {"napari", "magicgui", "qtpy", "superqt"} & set(loaded)


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_is_pickled(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not {name.split(".")[0] for name in names} & PICKLERS, f"line {node.lineno}"
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in LOADERS, f"line {node.lineno}"
            assert called not in RUNNERS or PACKAGE not in path.parents, f"line {node.lineno}"
            for keyword in node.keywords:
                if keyword.arg == "allow_pickle":
                    assert ast.unparse(keyword.value) == "False", f"line {node.lineno}"


@pytest.mark.parametrize(
    ("link", "target"),
    [("napari.yaml", "src/napari_polarmap/napari.yaml"), ("sample_data", "src/napari_polarmap/sample_data")],
)
def test_the_links_at_the_top_lead_into_the_package(link, target):
    path = ROOT / link
    assert (ROOT / target).exists()
    if path.is_symlink():
        assert path.resolve() == (ROOT / target).resolve()
    else:  # a checkout without symbolic links holds the target as text
        assert path.read_text(encoding="utf-8").strip() == target


def test_weights_and_sample_data_are_small():
    weights, scans = list(PACKAGE.glob("models/weights/*.safetensors")), list(PACKAGE.glob("sample_data/*.h5"))
    assert weights, "no classifier is shipped"
    assert scans, "no sample scan is shipped"
    assert sum(path.stat().st_size for path in weights) < 60e6
    assert all(path.stat().st_size < 8e6 for path in scans)


def test_constraints_are_exact_and_name_every_dependency():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    pinned = {normal(pin.split("==")[0]) for pin in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = chain(project["dependencies"], *project["optional-dependencies"].values())
    assert {normal(re.split(r"[\[<>=; ]", requirement)[0]) for requirement in needed} <= pinned


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def blocks(page: Path, language: str) -> list[str]:
    """Return the code blocks of a page in one language."""
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def code_lines(page: Path) -> list[str]:
    """Return the lines of the page's shell blocks, without their remarks."""
    return [line.split("#")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_polarmap_command_in_the_documents_exists_with_its_options(page, capsys):
    from napari_polarmap.cli import main

    for line in code_lines(page):
        if not line.startswith("polarmap "):
            continue
        command, *words = line.split()[1:]
        assert main([command, "--help"]) == 0, line
        options = [word.split("=")[0] for word in words if word.startswith("--")]
        text = capsys.readouterr().out
        assert [option for option in options if option not in text] == [], line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_in_the_documents_exists(page):
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    named = [line.split()[1] for line in code_lines(page) if line.startswith("make ")]
    assert set(named) <= set(targets)


CUBIC_CIF = """data_BaTiO3
_cell_length_a 4.0
_cell_length_b 4.0
_cell_length_c 4.0
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Ba1 Ba 0 0 0
Ti1 Ti 0.5 0.5 0.5
O1 O 0.5 0.5 0
"""


def test_every_configuration_in_the_documents_and_benchmarks_is_valid(tmp_path):
    from napari_polarmap.core.config import load_table
    from napari_polarmap.pipeline.training import TrainConfig
    from napari_polarmap.simulation.config import load_config

    shown = [(page, block) for page in PAGES for block in blocks(page, "toml")]
    assert len(shown) >= 2
    (tmp_path / "batio3_cubic.cif").write_text(CUBIC_CIF, encoding="utf-8")
    for page, text in shown:
        if text.startswith("--8<--"):  # a file of benchmarks/, checked below
            continue
        path = tmp_path / "shown.toml"
        path.write_text(text, encoding="utf-8")
        if page.stem == "train":
            load_table(TrainConfig, path)
        else:
            load_config(path)
    for path in (ROOT / "benchmarks" / "sets").rglob("*.toml"):
        load_config(path)
    for path in (ROOT / "benchmarks" / "models").glob("*.toml"):
        load_table(TrainConfig, path)


def test_every_classifier_named_in_the_documents_is_shipped():
    from napari_polarmap.models.registry import list_models

    named = {name for page in PAGES for name in re.findall(r'load_classifier\("([\w.-]+)"\)', page.read_text("utf-8"))}
    named = {name for name in named if not name.endswith(".safetensors")}  # a reader's own file
    assert named <= {info.name for info in list_models()}


LOCKS = [(ROOT / "locks" / name).read_text(encoding="utf-8") for name in ("ci.txt", "torch.txt")]
LOCK = "\n".join(LOCKS)


def test_the_locks_of_continuous_integration_have_hashes_and_name_no_address():
    packages = re.findall(
        r"^([\w.-]+)==\S+(?: ;[^\\\n]*)? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", LOCK, re.M
    )
    assert len(packages) == len(re.findall(r"^[\w.-]+==", LOCK, re.M)) > 100
    assert not re.search(r"://|--(extra-)?index|--find-links|--trusted|@ ", LOCK)
    assert re.findall(r"^([\w.-]+)==", LOCKS[1], re.M) == ["torch", "torchvision"]


def test_the_lock_agrees_with_the_constraints():
    stated = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M))
    stated = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in stated.items()}
    locked = dict(re.findall(r"^([\w.-]+)==(\S+)", LOCK, re.M))
    assert {name: stated.get(name, version) for name, version in locked.items()} == locked


def test_every_dependency_states_its_oldest_version():
    run = subprocess.run([sys.executable, "tools/oldest.py"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert {"numpy", "napari", "torch", "openvino"} <= {line.partition("==")[0] for line in run.stdout.splitlines()}
