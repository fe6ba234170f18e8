"""A wrong configuration is refused before anything is computed, naming the key and what fits."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.config import ConfigError, Uniform
from napari_polarmap.simulation.config import SimulationConfig, load_config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sede = 1", "unknown key sede"),
        ("[specimen]\nlatice_A = 4", "unknown key specimen.latice_A"),
        ("[specimen]\ncount = 0", "specimen.count = 0 must be a whole number from 1"),
        ("[thickness]\nlow_nm = 900", "thickness.low_nm = 900 is out of range; allowed is 0.4 to 200"),
        ("[thickness]\nlow_nm = 30\nhigh_nm = 20", "thickness.high_nm = 20 lies below"),
        ("[microscope]\ntilt_mrad = [3, 1]", "must be a number or a pair"),
        ("[microscope]\ntilt_mrad = true", "must be a number or a pair"),
        ("[multislice]\ngpts = 96\ncrop_px = 64", "multislice.crop_px = 64 reaches past the simulated angle"),
        ('kind = "movie"', "kind = 'movie' must be one of specimens, scan"),
        ('[scene]\nfirst = "UP"', "scene.first: 'UP' is not a direction"),
        ("specimen = 3", "specimen = 3 must be a table"),
        ("[specimen]\ncells = 4", "probe.spread_cells = 6 is wider than specimen.cells = 4"),
        ("seed = ", "not a readable TOML file"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, text, message):
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"wrong.toml.*{message}") as caught:
        load_config(path)
    assert "\n" not in str(caught.value).split("(")[0]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing.toml: no such file"):
        load_config(tmp_path / "nothing.toml")


def test_an_empty_file_gives_the_defaults(tmp_path):
    path = tmp_path / "empty.toml"
    path.write_text("")
    assert load_config(path) == SimulationConfig()


def test_a_plain_number_is_drawn_as_it_is_and_a_pair_within_its_bounds():
    rng = np.random.default_rng(0)
    assert Uniform(3, 3).draw(rng) == 3
    values = [Uniform(1, 2).draw(rng) for _ in range(100)]
    assert 1 <= min(values) < 1.1
    assert 1.9 < max(values) <= 2
