"""Exported files say the same as the result, and nothing is left half written."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_polarmap.core.directions import COLORS, LABELS
from napari_polarmap.core.palette import angle_rgb
from napari_polarmap.io import tables
from napari_polarmap.io.display import Display
from napari_polarmap.io.export import FORMATS, export_map
from napari_polarmap.io.figure import arrow_field, map_figure, region_edges, scale_bar
from napari_polarmap.io.result import PolarizationMap


def two_domains(rows: int = 12, columns: int = 16, step_A: float | None = 0.5) -> PolarizationMap:
    domain = np.zeros((rows, columns), dtype=np.uint8)
    domain[:, columns // 2 :] = 2
    domain[-3:, :3] = 255
    irregular = np.zeros(domain.shape, dtype=bool)
    irregular[2:4, 2:5] = True
    probability = np.full((*domain.shape, 8), 0.02, dtype=np.float32)
    np.put_along_axis(probability, (domain % 8)[..., None].astype(np.int64), 0.86, axis=2)
    probability[domain == 255] = np.nan
    return PolarizationMap(
        direction=domain,
        probability=probability,
        angle_deg=np.where(domain == 255, np.nan, 45.0 * domain).astype(np.float32),
        confidence=probability.max(axis=2),
        irregularity=irregular.astype(np.float32),
        irregular=irregular,
        com_px=np.stack(np.indices(domain.shape), axis=-1).astype(np.float32),
        domain=domain,
        provenance={
            "calibration": {"scan_step_A": step_A},
            "input": {"path": "scan.h5"},
            "parameters": {"fdr": 0.05},
        },
    )


def test_every_format_writes_inside_the_folder_and_leaves_nothing_else(tmp_path):
    paths = export_map(two_domains(), tmp_path / "new" / "out", tuple(FORMATS), stem="map")
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == sorted(path.name for path in paths)
    assert all(path.exists() and path.parent == tmp_path / "new" / "out" for path in paths)
    assert [entry.name for entry in tmp_path.iterdir()] == ["new"]


def test_exporting_again_replaces_what_was_there(tmp_path):
    for _ in range(2):
        export_map(two_domains(), tmp_path, ["csv", "zarr"])
    assert not list(tmp_path.glob(".*"))


def test_tiffs_hold_the_maps_and_the_pixel_size(tmp_path):
    result = two_domains()
    export_map(result, tmp_path, ["tiff"], stem="m")
    with tifffile.TiffFile(tmp_path / "m_domain.ome.tif") as file:
        np.testing.assert_array_equal(file.asarray(), result.domain)
        across, over = file.pages[0].tags["XResolution"].value
        assert over / across * 1e7 == pytest.approx(0.05)  # per centimetre
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "m_irregular.ome.tif"), 255 * result.irregular)
    np.testing.assert_array_equal(
        tifffile.imread(tmp_path / "m_probability.ome.tif"), np.moveaxis(result.probability, -1, 0)
    )


@pytest.mark.parametrize("name", ["domain", "probability"])
def test_ome_metadata_tell_the_physical_size_and_the_channels(tmp_path, name):
    export_map(two_domains(), tmp_path, ["tiff"], stem="m")
    with tifffile.TiffFile(tmp_path / f"m_{name}.ome.tif") as file:
        assert file.is_ome
        pixels = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (0.05, "nm")
    assert (pixels["PhysicalSizeY"], pixels["PhysicalSizeYUnit"]) == (0.05, "nm")
    assert (pixels["SizeY"], pixels["SizeX"]) == (12, 16)
    if name == "probability":
        assert [channel["Name"] for channel in pixels["Channel"]] == list(LABELS)


def test_without_a_scan_step_no_size_is_claimed(tmp_path):
    export_map(two_domains(step_A=None), tmp_path, ["tiff", "zarr"], stem="m")
    with tifffile.TiffFile(tmp_path / "m_domain.ome.tif") as file:
        assert "PhysicalSize" not in file.ome_metadata
    axes = zarr.open_group(tmp_path / "m.zarr", mode="r")["domain"].attrs["ome"]["multiscales"][0]["axes"]
    assert axes == [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]


def test_csv_has_one_line_per_position(tmp_path):
    result = two_domains()
    lines = table(export_map(result, tmp_path, ["csv"])[0])
    assert len(lines) == result.domain.size
    assert (lines[0]["domain"], lines[15]["domain"], lines[-16]["domain"]) == ("RM", "MU", "")
    assert (lines[17]["row"], lines[17]["column"], lines[17]["x_nm"]) == ("1", "1", "0.05")
    assert lines[-16]["angle_deg"] == lines[-16]["probability_RM"] == ""
    assert float(lines[0]["probability_RM"]) == pytest.approx(0.86)
    assert sum(int(line["irregular"]) for line in lines) == 6


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_csv_has_one_line_per_domain(tmp_path):
    result = two_domains()
    angle = np.where(result.domain == 2, 95.0, np.where(np.indices(result.scan_shape)[1] % 2, 4.0, 356.0))
    result = replace(result, estimated_angle_deg=angle.astype(np.float32))
    right, left = table(export_map(result, tmp_path, ["csv"])[1])
    assert (right["number"], right["direction"], right["positions"], right["whole"]) == ("1", "MU", "96", "0")
    assert (left["direction"], left["positions"]) == ("RM", "87")
    assert float(right["area_nm2"]) == pytest.approx(96 * 0.05**2)
    assert float(right["boundary_nm"]) == pytest.approx(12 * 0.05)
    assert float(right["estimated_angle_deg"]) == pytest.approx(95)
    assert min(float(left["estimated_angle_deg"]), 360 - float(left["estimated_angle_deg"])) < 0.2
    assert float(left["estimated_angle_spread_deg"]) == pytest.approx(4, rel=0.05)
    assert float(left["irregular_share"]) == pytest.approx(6 / 87)
    assert (right["first_column"], right["last_column"], right["thickness_nm"]) == ("8", "15", "")


def test_zarr_holds_every_map_and_the_provenance(tmp_path):
    result = two_domains()
    (path,) = export_map(result, tmp_path, ["zarr"])
    group = zarr.open_group(path, mode="r")
    for name, array in result.arrays().items():
        stored = (
            np.moveaxis(array, -1, 0)
            if array.ndim == 3
            else array.astype(np.uint8) * 255
            if array.dtype == bool
            else array
        )
        np.testing.assert_array_equal(group[f"{name}/0"][...], stored)
    image = group["domain"].attrs["ome"]["multiscales"][0]
    assert image["axes"] == [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "yx"]
    assert image["datasets"] == [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.05, 0.05]}]}]
    assert group["domain"].attrs["ome"]["image-label"]["colors"][0] == {"label-value": 0, "rgba": [201, 24, 8, 255]}
    assert group["OME"].attrs["ome"]["series"] == list(result.arrays())
    assert group.attrs["provenance"]["parameters"] == {"fdr": 0.05}


@pytest.mark.parametrize("formats", [["jpeg"], ["tiff", "exe"], []])
def test_unknown_formats_are_refused_before_anything_is_written(tmp_path, formats):
    with pytest.raises(ValueError, match="formats to export are tiff, csv, png, svg, pdf, zarr, py, ipynb"):
        export_map(two_domains(), tmp_path / "out", formats)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("stem", ["../up", "a/b", "..", "", "/abs", "a\\b"])
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, stem):
    with pytest.raises(ValueError, match="plain name"):
        export_map(two_domains(), tmp_path, stem=stem)


def test_a_file_is_no_folder_to_export_to(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="name a folder"):
        export_map(two_domains(), tmp_path / "file")


def test_an_export_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path, *_ = written = export_map(two_domains(), tmp_path, ["csv"])
    before = path.read_text()

    def broken(values: np.ndarray) -> list[str]:
        raise OSError("disk full")

    monkeypatch.setattr(tables, "_texts", broken)
    with pytest.raises(OSError, match="disk full"):
        export_map(two_domains(4, 4), tmp_path, ["csv"])
    assert path.read_text() == before
    assert sorted(tmp_path.iterdir()) == sorted(written)


def test_the_figure_of_the_continuous_angle_shows_its_colours_and_its_wheel(tmp_path):
    result = replace(two_domains(64, 64), estimated_angle_deg=np.full((64, 64), 200, np.float32))
    path = map_figure(result, tmp_path / "f.png", dpi=100, display=Display(colors="angle", lightness="full"))
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3).astype(float)
    near = [np.abs(pixels - 255 * angle_rgb(angle)).max(axis=1) <= 6 for angle in (200, 20, 110, 290)]
    assert near[0].mean() > 0.1
    assert all(found.sum() > 10 for found in near)


@pytest.mark.parametrize(
    ("suffix", "shape"), [("png", (12, 16)), ("svg", (3, 90)), ("pdf", (70, 2)), ("png", (1, 1)), ("png", (1, 70))]
)
def test_a_figure_is_drawn_for_any_shape(tmp_path, suffix, shape):
    path = map_figure(two_domains(*shape, step_A=None), tmp_path / f"f.{suffix}", title="Niobate", dpi=60)
    assert path.stat().st_size > 1000


def test_the_same_result_gives_the_same_figure(tmp_path):
    first, second = (map_figure(two_domains(), tmp_path / name) for name in ("a.svg", "b.svg"))
    assert first.read_bytes() == second.read_bytes()


def test_the_figure_shows_the_colours_of_the_domains(tmp_path):
    path = map_figure(two_domains(64, 64), tmp_path / "f.png", dpi=100)
    pixels = np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)
    for color in (COLORS[0], COLORS[2], "#dcdcdc"):
        wanted = [int(color[index : index + 2], 16) for index in (1, 3, 5)]
        assert (np.abs(pixels.astype(int) - wanted).max(axis=1) <= 1).mean() > 0.0005


def test_other_picture_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\.png, \.svg, \.pdf"):
        map_figure(two_domains(), Path(tmp_path / "f.jpg"))


def test_arrows_stand_where_one_direction_prevails():
    result = two_domains(64, 96)
    centers, classes, step = arrow_field(result.domain)
    assert step == 6
    assert len(centers) <= 16 * 11
    for (row, column), direction in zip(centers, classes, strict=True):
        assert result.domain[int(row), int(column)] == direction


def test_an_undefined_map_has_no_arrows_but_a_figure(tmp_path):
    result = two_domains()
    undefined = replace(result, domain=np.full_like(result.domain, 255), provenance={})
    assert len(arrow_field(undefined.domain)[0]) == 0
    assert map_figure(undefined, tmp_path / "f.png", dpi=60).exists()


def test_region_edges_go_round_the_region():
    mask = np.zeros((4, 5), dtype=bool)
    mask[1:3, 2:5] = True
    edges = region_edges(mask)
    assert len(edges) == 2 * (2 + 3)
    assert edges[..., 0].min() == 1.5
    assert edges[..., 0].max() == 4.5


@pytest.mark.parametrize(
    ("columns", "step_A", "label"),
    [
        (64, 0.5, "1 nm"),
        (256, 0.5, "2 nm"),
        (512, 20, "200 nm"),
        (5000, 10, "1000 nm"),
        (40, None, "10 scan positions"),
    ],
)
def test_scale_bars_have_round_lengths(columns, step_A, label):
    length, text = scale_bar(columns, step_A)
    assert text == label.replace("1000 nm", "1 µm")
    assert 0.1 * columns <= length <= 0.35 * columns
