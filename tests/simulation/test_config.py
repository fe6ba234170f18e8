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
        ("[multislice]\ngpts = 90\ncrop_px = 64", "multislice.crop_px = 64 reaches past the simulated angle"),
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


VARIANTS = """
seed = 3
[scene]
rows = 8
[variants.full]
seed = 4
[variants.full.scene]
rows = 16
"""


@pytest.mark.parametrize(("variant", "seed", "rows"), [("", 3, 8), ("full", 4, 16)])
def test_a_variant_changes_only_what_it_names(tmp_path, variant, seed, rows):
    path = tmp_path / "set.toml"
    path.write_text(VARIANTS)
    config = load_config(path, variant)
    assert (config.seed, config.scene.rows, config.scene.columns) == (seed, rows, 64)


@pytest.mark.parametrize(
    ("text", "variant", "message"),
    [
        (VARIANTS, "half", "no variant 'half'; the file has full"),
        ("[variants.a.scene]\nrows = 1", "", "scene.rows = 1 must be a whole number from 4"),
        ("variants = 3", "", "variants must be tables"),
        ('variant = "x"', "", "no variant 'x'; the file has none"),
    ],
)
def test_a_variant_that_cannot_be_used_is_refused_even_when_not_asked_for(tmp_path, text, variant, message):
    path = tmp_path / "set.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path, variant)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('kind = "scan"\n[scene]\nthickness_change_nm = 50', "scene.thickness_change_nm = 50 leaves nothing"),
        ('kind = "scan"\n[scene]\ndefect = "surface_step"\nstep_height_nm = 20', "choose at most 19.6"),
    ],
)
def test_a_scene_that_leaves_no_specimen_is_refused(tmp_path, text, message):
    path = tmp_path / "set.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)
