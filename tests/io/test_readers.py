"""Every reader against a tiny file of its format with known patterns."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

from napari_polarmap.core.data import Scan4D
from napari_polarmap.io import READERS, filename_patterns, open_scan

SCAN = (2, 3)
RNG = np.random.default_rng(5)


def patterns(*shape: int, dtype: str = "uint16") -> np.ndarray:
    """Numbers that tell every axis and its direction."""
    return (np.arange(np.prod(shape)) % 251).reshape(shape).astype(dtype)


def hdf5(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5)
    with h5py.File(folder / "scan.h5", "w") as file:
        file["some/place"] = data
    return folder / "scan.h5", data, {}


def npy(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5, dtype="float32")
    np.save(folder / "scan.npy", data)
    return folder / "scan.npy", data, {}


def npz(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5)
    np.savez_compressed(folder / "scan.npz", data=data, truth=np.zeros(SCAN))
    return folder / "scan.npz", data, {}


def tiff_folder(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5)
    (folder / "scan").mkdir()
    for index, pattern in enumerate(data.reshape(-1, 4, 5)):
        tifffile.imwrite(folder / "scan" / f"pattern_{index}.tif", pattern)
    return folder / "scan", data, {"scan_shape": SCAN}


def tiff(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5)
    tifffile.imwrite(folder / "scan.tif", data.reshape(-1, 4, 5), compression="zlib", photometric="minisblack")
    return folder / "scan.tif", data, {"scan_shape": SCAN}


def mib(folder: Path, *, line_pause_ns: int = 0, depth: str = "U16") -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 256, 256)
    with (folder / "scan.mib").open("wb") as stream:
        for index, pattern in enumerate(data.reshape(-1, 256, 256)):
            time = 905_000_000 + 1_000_000 * index + line_pause_ns * (index // SCAN[1])
            head = (
                f"MQ1,{index:06},00384,01,0256,0256,{depth},   1x1,01,2021-05-07 18:51:10.905800,0.001,0,0,0,"
                f"MQ1A,2021-05-07T16:51:10.{time:09}Z,1000000ns,12,"
            )
            stream.write(head.ljust(384).encode() + pattern.astype(">u2").tobytes())
    return folder / "scan.mib", data, {"scan_shape": SCAN}


def empad(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    stored = patterns(*SCAN, 130, 128, dtype="float32")
    (folder / "scan_x3_y2.raw").write_bytes(stored.tobytes())
    (folder / "scan.xml").write_text(
        "<root name='a'><pix_x>3</pix_x><pix_y>2</pix_y><raw_file filename='scan_x3_y2.raw'/>"
        "<iom_measurements><source.get_voltage>200000.0</source.get_voltage>"
        "<optics.get_full_scan_field_of_view>[4e-09, 6e-09]</optics.get_full_scan_field_of_view>"
        "<calibrated_pixelsize>2e-10</calibrated_pixelsize></iom_measurements></root>"
    )
    return folder / "scan.xml", stored[..., :128, :], {}


def signal(data: np.ndarray, *steps: tuple[float, str]) -> dict[str, Any]:
    names = ("y", "x", "ky", "kx")
    axes = [
        {
            "name": name,
            "size": size,
            "index_in_array": i,
            "scale": step,
            "offset": 0.0,
            "units": unit,
            "navigate": i < 2,
        }
        for i, (name, size, (step, unit)) in enumerate(zip(names, data.shape, steps, strict=True))
    ]
    return {
        "data": data,
        "axes": axes,
        "metadata": {"General": {}, "Signal": {}},
        "original_metadata": {},
        "attributes": {"_lazy": False},
    }


def blockfile(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    from rsciio.blockfile import file_writer

    data = patterns(*SCAN, 4, 4, dtype="uint8")
    steps = ((0.5, "nm"), (0.5, "nm"), (1.0, "cm"), (1.0, "cm"))
    navigator = np.zeros(SCAN, dtype="uint8")
    file_writer(str(folder / "scan.blo"), signal(data, *steps), navigator=navigator, show_progressbar=False)
    return folder / "scan.blo", data, {}


def topspin(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    """Written as Topspin does: a group per scan, a dataset per pattern, XML beside them."""
    pytest.skip("no writer for Topspin files; the handling is tested with a stand-in below")


def gatan(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    pytest.skip("no writer for Gatan files; the handling is tested with a stand-in below")


def tvips(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    from rsciio.tvips import file_writer

    data = patterns(*SCAN, 4, 5)
    written = signal(data, (1.0, "nm"), (1.0, "nm"), (0.1, "1/nm"), (0.1, "1/nm"))
    file_writer(str(folder / "scan_000.tvips"), written, show_progressbar=False)
    return folder / "scan_000.tvips", data, {"scan_shape": SCAN}


def mrc(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    data = patterns(*SCAN, 4, 5)
    head = struct.pack("<4I", 5, 4, 6, 6) + bytes(1008)
    (folder / "scan.mrc").write_bytes(head + data.tobytes())
    return folder / "scan.mrc", data, {"scan_shape": SCAN}


def pantarhei(folder: Path) -> tuple[Path, np.ndarray, dict[str, Any]]:
    from rsciio.pantarhei import file_writer

    data = patterns(*SCAN, 4, 5)
    written = signal(data, (0.5, "nm"), (0.5, "nm"), (0.1, "mrad"), (0.1, "mrad"))
    for axis, name in zip(written["axes"], ("ScanY", "ScanX", "CameraY", "CameraX"), strict=True):
        axis["name"] = name
    file_writer(str(folder / "scan.prz"), written)
    return folder / "scan.prz", data, {}


MAKERS: dict[str, Callable[[Path], tuple[Path, np.ndarray, dict[str, Any]]]] = {
    maker.__name__: maker
    for maker in (hdf5, npy, npz, tiff_folder, tiff, mib, empad, blockfile, topspin, gatan, tvips, mrc, pantarhei)
}


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


def stand_in(monkeypatch: pytest.MonkeyPatch, module: str, *signals: dict[str, Any]) -> None:
    monkeypatch.setattr(f"rsciio.{module}.file_reader", lambda path, **options: list(signals))


def test_a_virtual_image_beside_the_scan_is_left_out(monkeypatch, tmp_path):
    image, data = patterns(*SCAN), patterns(*SCAN, 4, 5)
    beside = {**signal(patterns(*SCAN, 1, 1), *[(1.0, "")] * 4), "data": image}
    whole = signal(data, (2.0, "nm"), (2.0, "nm"), (2e-5, "Angle"), (2e-5, "Angle"))
    stand_in(monkeypatch, "topspin", beside, whole)
    with h5py.File(tmp_path / "scan.app5", "w"):
        pass
    scan = open_scan(tmp_path / "scan.app5")
    np.testing.assert_array_equal(scan.data[:], data)
    assert scan.calibration.mrad_per_px == pytest.approx(0.02)
    assert scan.calibration.scan_step_A == pytest.approx(20)


def test_detector_axes_stored_first_are_brought_to_the_end(monkeypatch, tmp_path):
    data = patterns(4, 5, *SCAN)
    stand_in(monkeypatch, "digitalmicrograph", signal(data, (0.1, "mrad"), (0.1, "mrad"), (0.5, "nm"), (0.5, "nm")))
    (tmp_path / "scan.dm4").touch()
    scan = open_scan(tmp_path / "scan.dm4")
    np.testing.assert_array_equal(scan.data[:], data.transpose(2, 3, 0, 1))
    assert scan.calibration.mrad_per_px == pytest.approx(0.1)


def test_a_gatan_stack_asks_for_its_scan_shape(monkeypatch, tmp_path):
    stack = {**signal(patterns(*SCAN, 4, 5), *[(1.0, "")] * 4), "data": patterns(6, 4, 5)}
    stand_in(monkeypatch, "digitalmicrograph", stack)
    (tmp_path / "stack.dm3").touch()
    with pytest.raises(ValueError, match=r"stack of 6 patterns of 4 x 5 px .* --scan-shape Y X with Y x X = 6"):
        open_scan(tmp_path / "stack.dm3")
    np.testing.assert_array_equal(open_scan(tmp_path / "stack.dm3", scan_shape=(3, 2)).data[2, 1], stack["data"][5])


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


def test_plain_tiff_stacks_are_memory_mapped(tmp_path):
    data = patterns(6, 4, 5)
    tifffile.imwrite(tmp_path / "stack.tif", data, photometric="minisblack", byteorder=">")
    scan = open_scan(tmp_path / "stack.tif", scan_shape=(3, 2))
    assert isinstance(scan.data, np.memmap)
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
