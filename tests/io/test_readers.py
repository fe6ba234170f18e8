"""Every reader against a tiny file of its format with known patterns."""

from __future__ import annotations

import json
import struct

import h5py
import numpy as np
import pytest
import tifffile

from napari_polarmap.core.data import Scan4D
from napari_polarmap.io import READERS, RawLayout, RawLayoutNeededError, ScanFileError, filename_patterns, open_scan
from napari_polarmap.io.file_frames import FileFrames
from scan_files import (
    MAKERS,
    SCAN,
    blockfile,
    empad,
    gatan,
    mib,
    mrc,
    npz,
    patterns,
    raw,
    tiff_folder,
    topspin,
    tvips,
    zarr,
)


@pytest.mark.parametrize("name", READERS)
def test_every_reader_delivers_the_patterns_in_scan_order(name, tmp_path):
    path, data, options = MAKERS[name](tmp_path)
    with open_scan(path, **options) as scan:
        assert scan.shape == data.shape
        assert scan.path == path
        np.testing.assert_array_equal(np.asarray(scan.data[:, :]), data)
        np.testing.assert_array_equal(scan.pattern(1, 2), data[1, 2])
        np.testing.assert_array_equal(scan.read(slice(0, 2), slice(1, 2)), data[:, 1:2])
        assert sum(1 for _ in scan.blocks(1)) == 6


def test_file_patterns_name_every_reader_of_files():
    patterns_of_files = filename_patterns()
    assert "*.mib" in patterns_of_files
    assert len(set(patterns_of_files)) == len(patterns_of_files) > len(READERS)


def test_a_topspin_calibration_is_read(tmp_path):
    calibration = open_scan(topspin(tmp_path)[0]).calibration
    assert calibration.mrad_per_px == pytest.approx(0.02)
    assert calibration.scan_step_A == pytest.approx(20)


def test_topspin_patterns_are_read_one_by_one(tmp_path, monkeypatch):
    path, data, _ = topspin(tmp_path)
    read: list[str] = []
    reader = h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda node, *key: read.append(node.name) or reader(node, *key))
    scan = open_scan(path)
    assert not any(name.endswith("/Data") for name in read)
    np.testing.assert_array_equal(scan.pattern(1, 1), data[1, 1])
    assert [name.split("/")[-2] for name in read if name.endswith("/Data")] == ["4"]


@pytest.mark.parametrize("shape", [(1, 6), (6, 1)])
@pytest.mark.parametrize("kind", ["topspin", "gatan", "blockfile"])
def test_a_scan_of_one_line_keeps_its_axis(tmp_path, shape, kind):
    data = patterns(*shape, 4, 5)
    if kind == "topspin":
        path, data, _ = topspin(tmp_path, shape)
    elif kind == "gatan":
        path, data, _ = gatan(tmp_path, data)
    else:
        path, whole, _ = blockfile(tmp_path)
        data = whole.reshape(*shape, 4, 4)
        stored = bytearray(path.read_bytes())
        struct.pack_into("<HH", stored, 24, shape[1], shape[0])
        path.write_bytes(stored)
    np.testing.assert_array_equal(np.asarray(open_scan(path).data[:, :]), data)


@pytest.mark.parametrize("version", [3, 4])
def test_detector_axes_stored_first_are_brought_to_the_end(tmp_path, version):
    data = patterns(4, 5, *SCAN)
    scan = open_scan(gatan(tmp_path, data, ("nm", "nm", "mrad", "mrad"), version)[0])
    np.testing.assert_array_equal(np.asarray(scan.data[:, :]), data.transpose(2, 3, 0, 1))
    assert scan.calibration.mrad_per_px == pytest.approx(0.5)
    assert scan.calibration.scan_step_A == pytest.approx(5)
    assert scan.calibration.voltage_kV == pytest.approx(200)


def test_a_gatan_stack_asks_for_its_scan_shape(tmp_path):
    stack = patterns(6, 4, 5)
    path, _, _ = gatan(tmp_path, stack, ("", "", ""))
    with pytest.raises(ValueError, match=r"stack of 6 patterns of 4 x 5 px .* --scan-shape Y X with Y x X = 6"):
        open_scan(path)
    np.testing.assert_array_equal(open_scan(path, scan_shape=(3, 2)).data[2, 1], stack[5])


def test_zspy_calibration_is_read(tmp_path):
    calibration = open_scan(zarr(tmp_path)[0]).calibration
    assert calibration.voltage_kV == 200
    assert calibration.scan_step_A == pytest.approx(0.5)
    assert calibration.mrad_per_px == pytest.approx(0.5016, rel=1e-3)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("zipped", [False, True])
def test_plain_zarr_stores_open_lazily(tmp_path, version, zipped):
    import zarr
    from zarr.storage import ZipStore

    data = patterns(*SCAN, 4, 5)
    path = tmp_path / "scan.zarr"
    store = ZipStore(path, mode="w") if zipped else str(path)
    root = zarr.open_group(store, mode="w", zarr_format=version)
    group = root.create_group("a")
    group.create_array("scan", data=data, chunks=(1, 1, 4, 5), attributes={"voltage_kV": 300.0})
    root.create_array("image", data=data[..., 0, 0])
    if zipped:
        store.close()
    with open_scan(path) as scan:
        assert (scan.dataset, scan.calibration.voltage_kV) == ("/a/scan", 300)
        assert not isinstance(scan.data, np.ndarray)
        np.testing.assert_array_equal(scan.data[1, 1:], data[1, 1:])


def test_a_bare_empad_file_is_known_by_name_and_length(tmp_path):
    path, data, _ = empad(tmp_path)
    bare = tmp_path / "scan_x3_y2.raw"
    path.unlink()
    scan = open_scan(bare)
    assert isinstance(scan.data, (np.memmap, FileFrames))  # local disk, or share
    np.testing.assert_array_equal(scan.data[:], data)
    bare.rename(tmp_path / "unnamed.raw")
    with pytest.raises(RawLayoutNeededError, match="--raw empad"):
        open_scan(tmp_path / "unnamed.raw")
    scan = open_scan(tmp_path / "unnamed.raw", raw=RawLayout.parse("empad"), scan_shape=SCAN)
    np.testing.assert_array_equal(scan.data[:], data)


def test_a_raw_layout_that_does_not_fit_is_refused(tmp_path):
    path, _, options = raw(tmp_path)
    with pytest.raises(ScanFileError, match=r"no whole number of patterns of 4 x 6 px"):
        open_scan(path, raw=RawLayout.parse(">u2,4,6,7"))
    with pytest.raises(ScanFileError, match="stack of 6 patterns"):
        open_scan(path, raw=options["raw"])
    for text in ("uint16", "uint16,4", "word,4,5", "complex64,4,5", "uint16,0,5", "uint16,4,5,-1", "5iScan\nY,4,5"):
        with pytest.raises(ValueError, match="raw layout") as error:
            RawLayout.parse(text)
        assert "\n" not in str(error.value)


def test_direct_electron_movies_tell_their_scan_shape_beside(tmp_path):
    path, data, _ = mrc(tmp_path)
    movie = path.rename(tmp_path / "20241021_00405_movie.mrc")
    (tmp_path / "20241021_00405_info.txt").write_text(
        "Scan - Size X = 3\nScan - Size Y = 2\nScan - Type = Raster\nInstrument Accelerating Voltage (V) = 300000\n"
        "Specimen Pixel Size X (nanometers) = 0.05\nSpecimen Pixel Size Y (nanometers) = 0.05\nno equals sign\n"
    )
    scan = open_scan(movie)
    assert isinstance(scan.data, (np.memmap, FileFrames))  # local disk, or share
    np.testing.assert_array_equal(scan.data[:], data)
    assert (scan.calibration.voltage_kV, scan.calibration.scan_step_A) == (300, 0.5)


def test_tvips_series_go_on_in_the_next_file(tmp_path):
    path, data, options = tvips(tmp_path)
    stored = path.read_bytes()
    cut = len(stored) - 2 * ((len(stored) - 256) // 6)
    path.write_bytes(stored[:cut])
    (tmp_path / "scan_001.tvips").write_bytes(stored[cut:])
    np.testing.assert_array_equal(np.asarray(open_scan(path, **options).data[:, :]), data)


def test_merlin_rows_stay_in_file_order_and_the_calibration_says_so(tmp_path):
    path, data, options = mib(tmp_path)
    scan = open_scan(path, **options)
    np.testing.assert_array_equal(scan.pattern(0, 0)[0], data[0, 0, 0])
    assert scan.calibration.flip is True


def test_merlin_line_pauses_tell_the_scan_shape(tmp_path):
    assert open_scan(mib(tmp_path, line_pause_ns=20_000)[0]).scan_shape == SCAN


def test_merlin_header_file_tells_the_scan_shape(tmp_path):
    path, _, _ = mib(tmp_path)
    path.with_suffix(".hdr").write_text(
        "HDR,\t\nFrames in Acquisition (Number):\t6\nFrames per Trigger (Number):\t3\nEnd\t"
    )
    assert open_scan(path).scan_shape == SCAN


def test_merlin_frames_after_the_last_whole_line_are_left_out(tmp_path, caplog):
    path = mib(tmp_path)[0]
    path.write_bytes(path.read_bytes()[: 5 * (384 + 256 * 256 * 2)])
    path.with_suffix(".hdr").write_text("ScanX:\t3\nScanY:\t2\n")
    assert open_scan(path).scan_shape == (1, 3)
    assert "2 patterns after the last whole line" in caplog.text


def test_empad_calibration_is_read(tmp_path):
    calibration = open_scan(empad(tmp_path)[0]).calibration
    assert calibration.voltage_kV == pytest.approx(200)
    assert calibration.scan_step_A == pytest.approx(20)
    assert calibration.mrad_per_px == pytest.approx(0.02508 * 0.02 * 1e3, rel=1e-3)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_panta_rhei_calibration_that_is_not_pickled_is_read(tmp_path, save):
    data = patterns(*SCAN, 4, 5)
    detector, scan = ({"unit": unit, "value": step, "offset": 0.0} for unit, step in (("rad", 2e-3), ("m", 5e-11)))
    meta = {
        "content.types": ["CameraX", "CameraY", "ScanX", "ScanY"],
        "device.calib": [detector, detector, scan, scan],
        "electron_gun.voltage": 300e3,
        "condenser.convergence_semi_angle": 0.024,
    }
    with (tmp_path / "scan.prz").open("wb") as stream:
        save(stream, data=data, meta_data_json=json.dumps([meta]), file_format_version=3)
    opened = open_scan(tmp_path / "scan.prz")
    known = opened.calibration
    assert (known.voltage_kV, known.convergence_mrad) == pytest.approx((300, 24))
    assert (known.scan_step_A, known.mrad_per_px) == pytest.approx((0.5, 2))
    np.testing.assert_array_equal(opened.read(slice(None), slice(None)), data)


def test_fortran_order_and_byte_order_do_not_change_the_patterns(tmp_path):
    data = patterns(*SCAN, 4, 5).astype(">u2")
    np.save(tmp_path / "f.npy", np.asfortranarray(data))
    np.testing.assert_array_equal(open_scan(tmp_path / "f.npy").data[1], data[1])
    np.save(tmp_path / "stack.npy", np.asfortranarray(data.reshape(6, 4, 5)))
    scan = open_scan(tmp_path / "stack.npy", scan_shape=SCAN)
    np.testing.assert_array_equal(scan.data[:], data)
    assert isinstance(scan.data, np.memmap)


def test_large_archives_unpack_to_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_polarmap.io.numpy_files._IN_MEMORY_BYTES", 10)
    path, data, _ = npz(tmp_path)
    scan = open_scan(path)
    np.testing.assert_array_equal(scan.data[1:, :2], data[1:, :2])


@pytest.mark.parametrize("names", ["r{0}_c{1}", "x{1}_y{0}", "{0:03}-{1:03}"])
def test_row_and_column_in_tiff_names_tell_the_scan_shape(tmp_path, names):
    data = patterns(3, 11, 4, 5)
    for row, column in np.ndindex(3, 11):
        tifffile.imwrite(tmp_path / (names.format(row, column) + ".tif"), data[row, column])
    scan = open_scan(tmp_path)
    np.testing.assert_array_equal(scan.data[:, 3:], data[:, 3:])


def test_a_square_number_of_tiffs_is_a_square_scan_in_natural_order(tmp_path):
    data = patterns(4, 4, 4, 5)
    for index, pattern in enumerate(data.reshape(-1, 4, 5)):
        tifffile.imwrite(tmp_path / f"{index + 1}.tiff", pattern)
    np.testing.assert_array_equal(open_scan(tmp_path).data[:], data)


def test_plain_tiff_stacks_are_read_in_blocks(tmp_path):
    data = patterns(6, 4, 5)
    tifffile.imwrite(tmp_path / "stack.tif", data, photometric="minisblack", byteorder=">")
    scan = open_scan(tmp_path / "stack.tif", scan_shape=(3, 2))
    assert isinstance(scan.data, (np.memmap, FileFrames))  # local disk, or share
    np.testing.assert_array_equal(scan.data[:].reshape(6, 4, 5), data)


@pytest.mark.parametrize(
    "key",
    [
        (0,),
        (slice(None), 1),
        (slice(1, None), slice(None, None, 2)),
        (-1, [2, 0]),
        (1, 2, slice(1, 3)),
        (..., 0),
        (slice(None), slice(None), 1, 2),
        (slice(0, 0),),
        (slice(None, None, -1),),
    ],
)
def test_stacks_are_indexed_like_arrays(tmp_path, key):
    path, data, options = tiff_folder(tmp_path)
    np.testing.assert_array_equal(open_scan(path, **options).data[key], data[key])


def test_a_closed_scan_releases_its_file(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file.create_dataset("data", data=patterns(*SCAN, 4, 5), compression="gzip")
    scan = open_scan(tmp_path / "scan.h5")
    assert isinstance(scan, Scan4D)
    scan.close()
    with h5py.File(tmp_path / "scan.h5", "a") as file:
        file["more"] = 1
