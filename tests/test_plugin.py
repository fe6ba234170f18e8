"""The manifest, and what it names: reader, writer, samples."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from napari.layers import Layer
from npe2 import PluginManager, PluginManifest
from npe2.cli import app
from typer.testing import CliRunner

import napari_polarmap
from napari_polarmap import plugin
from napari_polarmap.core.directions import Direction
from napari_polarmap.io import filename_patterns
from napari_polarmap.io.display import Display
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.layers import MAP_KEY, ROLE_KEY, SCAN_KEY, map_layers

MANIFEST = Path(napari_polarmap.__file__).with_name("napari.yaml")


@pytest.fixture
def manifest() -> PluginManifest:
    return PluginManifest.from_file(MANIFEST)


@pytest.fixture
def result() -> PolarizationMap:
    shape = (5, 6)
    domain = np.full(shape, Direction.RU, np.uint8)
    return PolarizationMap(
        direction=domain,
        probability=np.full((*shape, 8), 1 / 8, np.float32),
        angle_deg=np.full(shape, 45, np.float32),
        confidence=np.full(shape, 0.8, np.float32),
        irregularity=np.zeros(shape, np.float32),
        irregular=np.eye(5, 6, dtype=bool),
        com_px=np.zeros((*shape, 2), np.float32),
        domain=domain,
        virtual_image=np.arange(30, dtype=np.float32).reshape(shape),
        provenance={"calibration": {"scan_step_A": 0.5}, "notes": ["One note."]},
    )


@pytest.fixture
def scan_file(tmp_path) -> Path:
    y, x = np.mgrid[:24, :24]
    disk = (np.hypot(y - 11, x - 12) < 7).astype(np.uint16)
    with h5py.File(tmp_path / "film.h5", "w") as file:
        file["data"] = np.broadcast_to(50 * disk, (4, 5, 24, 24))
        file["data"].attrs["scan_step_A"] = 0.5
    return tmp_path / "film.h5"


def test_npe2_accepts_the_manifest_and_its_imports():
    outcome = CliRunner().invoke(app, ["validate", "--imports", str(MANIFEST)])
    assert outcome.exit_code == 0, outcome.output


def test_every_command_is_declared_and_can_be_imported(manifest):
    contributions = manifest.contributions
    declared = {command.id for command in contributions.commands}
    used = [
        entry.command
        for section in (contributions.readers, contributions.writers, contributions.widgets, contributions.sample_data)
        for entry in section
    ]
    assert set(used) == declared
    for command in contributions.commands:
        module, name = command.python_name.split(":")
        assert callable(getattr(import_module(module), name))


def test_only_sections_that_napari_knows_are_used(manifest):
    used = {name for name, value in manifest.contributions.model_dump().items() if value}
    assert used == {"commands", "readers", "writers", "widgets", "sample_data", "configurations"}


def test_the_reader_takes_every_format_but_plain_pictures(manifest):
    (reader,) = manifest.contributions.readers
    assert set(reader.filename_patterns) == set(filename_patterns()) - {"*.tif", "*.tiff"}
    assert reader.accepts_directories


def test_every_sample_of_the_manifest_is_in_the_menu_of_the_dock(manifest):
    assert {sample.key for sample in manifest.contributions.sample_data} == set(plugin.SAMPLES)


def test_the_docks_are_named_as_in_the_documentation(manifest):
    assert [widget.display_name for widget in manifest.contributions.widgets] == [
        "Polarization mapping",
        "Explorer",
        "Calibration",
        "Error analysis",
        "Compare maps",
        "Batch",
        "Train a classifier",
    ]


def test_a_scan_file_becomes_its_bright_field_image_with_the_scan(scan_file):
    read = plugin.get_reader(str(scan_file))
    ((image, options, kind),) = read(str(scan_file))
    assert kind == "image"
    assert image.shape == (4, 5)
    assert image[0, 0] == pytest.approx(50 * np.count_nonzero(np.hypot(*np.mgrid[-11:13, -12:12]) < 7), rel=0.1)
    assert options["metadata"][SCAN_KEY].shape == (4, 5, 24, 24)
    assert options["units"] == ("nm", "nm")


def test_a_result_file_becomes_all_its_layers(result, tmp_path):
    path = str(result.save(tmp_path / "r.h5"))
    layers = [Layer.create(*layer) for layer in plugin.get_reader(path)(path)]
    assert [layer.name for layer in layers if layer.visible] == [
        "Bright field",
        "Polarization direction",
        "Domain outlines",
        "Polarization arrows",
        "Irregular positions",
        "Irregular regions",
    ]


def test_several_paths_are_left_to_other_readers(scan_file):
    assert plugin.get_reader([str(scan_file)]) is None


@pytest.mark.parametrize("name", ["missing.h5", "text.h5"])
def test_what_is_no_scan_is_refused_with_one_sentence_that_names_it(tmp_path, name):
    (tmp_path / "text.h5").write_text("not a scan")
    path = str(tmp_path / name)
    with pytest.raises((ValueError, FileNotFoundError), match=name) as caught:
        plugin.get_reader(path)(path)
    assert "\n" not in str(caught.value)


def test_what_needs_an_answer_is_sent_to_the_panel(tmp_path):
    np.save(tmp_path / "stack.npy", np.ones((6, 16, 16)))
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["first"], file["second"] = np.ones((2, 2, 8, 8)), np.ones((2, 3, 8, 8))
    for name, sentence in (
        ("stack.npy", "a stack of 6 patterns; open it in Plugins > Polarization mapping"),
        ("two.h5", "holds 2 data sets; open it in Plugins > Polarization mapping"),
    ):
        with pytest.raises(ValueError, match=sentence):
            plugin.read_layers(str(tmp_path / name))


def test_layers_of_a_map_are_saved_as_its_result_file(result, tmp_path):
    path = str(tmp_path / "saved.h5")
    layers = plugin.map_layers(result)
    assert plugin.write_result(path, layers) == [path]
    again = PolarizationMap.load(path)
    np.testing.assert_array_equal(again.domain, result.domain)
    assert again.provenance == result.provenance


def test_directions_painted_by_hand_are_saved_and_noted(result, tmp_path):
    layers = plugin.map_layers(result)
    painted = next(layer for layer in layers if layer[1]["metadata"][ROLE_KEY] == "direction")
    painted[0][2, 3] = Direction.LD + 1
    painted[0][0, 0] = 0
    (path,) = plugin.write_result(str(tmp_path / "saved.h5"), layers)
    again = PolarizationMap.load(path)
    assert again.domain[2, 3] == Direction.LD
    assert again.domain[0, 0] == 255
    assert again.provenance["notes"] == ["One note.", "2 positions of the direction map were edited by hand."]


def test_what_is_no_map_is_not_written(result, tmp_path):
    picture = (np.zeros((3, 3)), {"name": "picture", "metadata": {}}, "image")
    path = tmp_path / "saved.h5"
    with pytest.raises(ValueError, match=r"no layer of a polarization map"):
        plugin.write_result(str(path), [picture])
    other = replace(result, provenance={})
    with pytest.raises(ValueError, match=r"several polarization maps"):
        plugin.write_result(str(path), plugin.map_layers(result) + plugin.map_layers(other))
    assert not path.exists()


def test_a_picture_saved_along_does_no_harm(result, tmp_path):
    picture = (np.zeros((3, 3)), {"name": "picture"}, "image")
    assert plugin.write_result(str(tmp_path / "saved.h5"), [picture, *plugin.map_layers(result)])


@pytest.mark.parametrize("name", plugin.SAMPLES)
def test_samples_open_calibrated(name):
    ((image, options, _),) = getattr(plugin, f"sample_{name}")()
    scan = options["metadata"][SCAN_KEY]
    assert image.shape == scan.scan_shape
    assert scan.calibration.convergence_mrad is not None
    assert scan.calibration.scan_step_A is not None
    assert MAP_KEY not in options["metadata"]


def looks(layers):
    return [
        (layer.name, layer.visible, layer.opacity, getattr(layer, "contrast_limits", None), str(layer.blending))
        for layer in layers
    ]


def made(path):
    return [Layer.create(*data) for data in plugin.read_layers(str(path))]


def by_role(layers):
    return {layer.metadata[ROLE_KEY]: layer for layer in layers}


def test_layers_return_as_they_were(result, tmp_path):
    layers = by_role(made(result.save(tmp_path / "r.h5")))
    layers["confidence"].visible = True
    layers["confidence"].contrast_limits = (0.2, 0.9)
    layers["confidence"].colormap = "magma"
    layers["arrows"].visible = False
    layers["direction"].opacity = 0.4
    layers["direction"].name = "mine"
    layers["score"].blending = "additive"
    order = [layers.pop("confidence"), *layers.values()]
    plugin.write_result(str(tmp_path / "again.h5"), [layer.as_layer_data_tuple() for layer in order])
    returned = made(tmp_path / "again.h5")
    assert looks(returned) == looks(order)
    assert returned[0].colormap.name == "magma"


def test_arrows_and_colours_return_as_they_were(result, tmp_path):
    display = Display(colors="angle", lightness="full", arrow_spacing_px=2, arrow_length=0.5)
    layers = [Layer.create(*data) for data in map_layers(result, display)]
    plugin.write_result(str(tmp_path / "r.h5"), [layer.as_layer_data_tuple() for layer in layers])
    before, returned = by_role(layers), by_role(made(tmp_path / "r.h5"))
    assert (returned["angle"].visible, returned["direction"].visible) == (True, False)
    for role in ("arrows", "angle"):
        np.testing.assert_allclose(returned[role].data, before[role].data)


def test_layers_that_were_not_saved_return_hidden(result, tmp_path):
    layers = [Layer.create(*data).as_layer_data_tuple() for data in map_layers(result)]
    chosen = [layer for layer in layers if layer[1]["metadata"][ROLE_KEY] in ("direction", "arrows")]
    plugin.write_result(str(tmp_path / "r.h5"), chosen)
    returned = made(tmp_path / "r.h5")
    assert len(returned) == len(layers)
    assert [layer.name for layer in returned if layer.visible] == ["Polarization direction", "Polarization arrows"]


@pytest.mark.parametrize(
    "display",
    [
        {"layers": 3},
        {"layers": [5, {"role": 4}, {"role": "arrows", "opacity": "x", "visible": 2, "colormap": "no such"}]},
        {"layers": [{"role": "direction", "colormap": ["x"], "name": "", "blending": {}}]},
        {"map": {"colors": "pink"}, "layers": [{"role": "score", "contrast_limits": [3, 1], "gamma": -1}]},
    ],
)
def test_looks_that_do_not_fit_are_left_out(result, tmp_path, display):
    path = replace(result, display=display).save(tmp_path / "r.h5")
    assert len(made(path)) == len(map_layers(result))


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "py", "ipynb"])
def test_the_menu_saves_figure_script_and_notebook(result, tmp_path, suffix):
    layers = [Layer.create(*data).as_layer_data_tuple() for data in map_layers(result)]
    (path,) = plugin.write_for_others(str(tmp_path / f"film.{suffix}"), layers)
    assert path == str(tmp_path / f"film.{suffix}")
    assert Path(path).stat().st_size > 500


def saved(layers, path):
    """Return the names of the files that the menu makes of layers."""
    data = [layer.as_layer_data_tuple() for layer in layers]
    return sorted(Path(file).name for file in plugin.write_for_others(str(path), data))


def test_the_menu_saves_the_maps_of_the_chosen_layers_as_tiff_with_their_size(result, tmp_path):
    layers = by_role(Layer.create(*data) for data in map_layers(result))
    assert saved([layers["direction"], layers["confidence"]], tmp_path / "film.ome.tif") == [
        "film_confidence.ome.tif",
        "film_domain.ome.tif",
    ]
    with tifffile.TiffFile(tmp_path / "film_domain.ome.tif") as file:
        assert 'PhysicalSizeX="0.05"' in file.ome_metadata
        np.testing.assert_array_equal(file.asarray(), result.domain)


def test_the_menu_saves_tables_and_zarr(result, tmp_path):
    layers = [Layer.create(*data) for data in map_layers(result)]
    assert saved(layers, tmp_path / "film.csv") == ["film.csv", "film_domains.csv"]
    assert saved(layers, tmp_path / "film.ome.zarr") == ["film.ome.zarr"]
    assert (tmp_path / "film.ome.zarr" / "domain").is_dir()


def test_every_layer_of_a_map_tells_which_maps_it_shows(result):
    some = np.ones(result.scan_shape, np.float32)
    names = ("window_cells", "thickness_nm", "magnitude", "estimated_angle_deg", "tilt_mrad")
    whole = replace(result, misclassified=some > 0, **dict.fromkeys(names[:-1], some), tilt_mrad=np.dstack([some] * 2))
    for _, options, _ in map_layers(whole):
        behind = plugin.MAPS_BEHIND[options["metadata"][ROLE_KEY]]
        assert set(behind) <= set(whole.arrays()), options["name"]


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("image", ".tif"), ("image", ".png"), ("labels", ".tif"), ("points", ".csv"), ("shapes", ".csv")],
)
def test_single_layers_are_left_to_the_writers_of_napari(manifest, kind, suffix):
    writer, ours = chosen(manifest, "napari", [kind], suffix)
    assert writer.startswith("napari.")
    assert ours == "napari-polarmap.write_for_others"


@pytest.mark.parametrize("kinds", [["image"], ["shapes"], ["image", "labels", "vectors", "points", "shapes"]])
def test_svg_is_left_to_the_plugin_for_it_unless_ours_is_chosen(manifest, kinds):
    pytest.importorskip("napari_svg")
    writer, ours = chosen(manifest, "napari-svg", kinds, ".svg")
    assert writer == "napari-svg.svg_writer"
    assert ours == "napari-polarmap.write_for_others"


def chosen(manifest, other, kinds, suffix):
    """Return the commands that write layers: by themselves beside another plugin, and where ours is asked for."""
    manager = PluginManager()
    manager.register(manifest)
    manager.register(PluginManifest.from_distribution(other))
    found = [manager.get_writer(f"picture{suffix}", kinds, plugin_name=name)[0] for name in (None, manifest.name)]
    return [writer.command for writer in found]
