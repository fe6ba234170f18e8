"""What a release rests on: versions from tags, fragments of the change log, the conda recipe."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONDA_NAMES = {"dask": "dask-core", "matplotlib": "matplotlib-base", "torch": "pytorch"}


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True)


def version_in(folder: Path) -> str:
    run = subprocess.run(
        [sys.executable, "-m", "hatchling", "version"], cwd=folder, capture_output=True, text=True, check=True
    )
    return run.stdout.split()[-1]


@pytest.mark.skipif(shutil.which("git") is None, reason="versions come from git")
def test_the_version_follows_the_tags_and_a_clone_without_tags_has_one_too(tmp_path):
    (tmp_path / "tools").mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "tools/pypi_readme.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    assert version_in(tmp_path) == "0.1.0.dev0"
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    assert re.fullmatch(r"0\.1(\.0)?\.dev1\+g\w+", version_in(tmp_path))
    git(tmp_path, "tag", "-a", "v1.2.0", "-m", "v1.2.0")
    assert version_in(tmp_path) == "1.2.0"
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "second")
    assert version_in(tmp_path).startswith("1.2.1.dev1+g")


def test_every_fragment_of_the_change_log_is_of_a_known_kind_and_says_something():
    kinds = {kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]}
    for path in (ROOT / "changes").iterdir():
        if path.name != "README.md":
            assert re.fullmatch(rf"(\+[\w-]+|\d+)\.({'|'.join(kinds)})\.md", path.name), path.name
            assert path.read_text(encoding="utf-8").strip(), path.name


def test_the_conda_recipe_asks_for_what_the_package_asks_for():
    recipe = yaml.safe_load((ROOT / "packaging" / "conda-forge" / "recipe.yaml").read_text(encoding="utf-8"))
    assert {"context", "package", "source", "build", "requirements", "tests", "about", "extra"} <= set(recipe)
    wanted = {"python >=${{ python_min }}"}
    extras = set()
    for requirement in map(Requirement, PROJECT["project"]["dependencies"]):
        wanted.add(f"{CONDA_NAMES.get(requirement.name, requirement.name)} {requirement.specifier}")
        for needed in map(Requirement, metadata.requires(requirement.name) or ()):
            if any(needed.marker and needed.marker.evaluate({"extra": extra}) for extra in requirement.extras):
                extras.add(needed.name)  # conda knows no extras
    run = recipe["requirements"]["run"]
    assert wanted <= set(run)
    assert {line.split()[0] for line in run} == {line.split()[0] for line in wanted} | extras
    assert recipe["context"]["python_min"] == PROJECT["project"]["requires-python"].removeprefix(">=")
    build = {f"{name}" for name in PROJECT["build-system"]["requires"]}
    assert build <= {line.replace(" ", "") for line in recipe["requirements"]["host"]}
    (entry,) = PROJECT["project"]["scripts"].items()
    assert recipe["build"]["python"]["entry_points"] == [" = ".join(entry)]


def test_the_classifiers_are_those_that_napari_and_pypi_look_for():
    classifiers = PROJECT["project"]["classifiers"]
    assert {"Framework :: napari", "Typing :: Typed", "Operating System :: OS Independent"} <= set(classifiers)
    assert PROJECT["project"]["entry-points"]["napari.manifest"] == {"napari-polarmap": "napari_polarmap:napari.yaml"}


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda path: path.stem)
def test_workflows_and_issue_forms_are_whole(path):
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.parent.name == "workflows":
        for name, job in content["jobs"].items():
            assert job["timeout-minutes"] <= 90, name
            assert content["permissions"] == {"contents": "read"}, "a job asks for more where it needs it"
    elif path.stem != "config":
        assert {"name", "description", "body"} <= set(content)
        assert all(part["attributes"] for part in content["body"])


def test_only_the_job_that_publishes_may_prove_who_it_is():
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))["jobs"]
    assert jobs["publish"]["environment"]["name"] == "pypi"
    assert {name for name, job in jobs.items() if "id-token" in job.get("permissions", {})} == {"publish"}
    assert "password" not in str(jobs)
