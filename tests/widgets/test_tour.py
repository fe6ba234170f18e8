"""The tour of the documentation, walked in a real window, and its pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tour.md"


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import pictures
    import tour

    return tour, pictures


@pytest.mark.gui
@pytest.mark.timeout(900)
def test_each_step_of_the_tour_shows_what_its_page_says(make_napari_viewer, tools, tmp_path):
    tour, pictures = tools
    viewer = make_napari_viewer(strict_qt="raise", show=True)
    unlike, steps = {}, tour.Tour(viewer, tmp_path).steps
    for number, step in enumerate(steps, start=1):
        step.act()
        tour.rest(0.5)
        name = f"tour-{number}-{step.picture}"
        difference = pictures.unlike(viewer.screenshot(canvas_only=False, flash=False), pictures.stored(name))
        if difference:
            unlike[name] = difference
    assert unlike == {}
    text = PAGE.read_text(encoding="utf-8")
    assert re.findall(r"^## \d+\. (.+)$", text, re.MULTILINE) == [step.title for step in steps]
    told = re.findall(r"\]\(images/(tour-.+)\.png\)", text)
    assert told == [f"tour-{number}-{step.picture}" for number, step in enumerate(steps, start=1)]


def test_pictures_are_alike_within_the_tolerance_and_not_beyond(tools):
    _, pictures = tools
    picture = pictures.stored("tour-1-open")
    noisy = np.clip(picture + np.random.default_rng(0).normal(0, 20, picture.shape), 0, 255).astype(np.uint8)
    assert pictures.unlike(noisy, picture) == ""
    assert pictures.unlike(np.roll(picture, 1, axis=1), picture) == ""
    covered = picture.copy()
    covered[200:400, 500:800] = 255
    assert "differ by" in pictures.unlike(covered, picture)
    assert "differ by" in pictures.unlike(pictures.stored("tour-6-wall"), pictures.stored("tour-5-map"))
    assert "instead of" in pictures.unlike(picture[:-1], picture)
