"""Whatever is wrong with a file is said in one sentence that names it."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr

from napari_polarmap.core.sums import read_block
from napari_polarmap.io import READERS, ScanFileError, open_scan

DATA = np.ones((2, 3, 4, 5), dtype=np.uint16)


def refused(path: Path, match: str, **options: object) -> None:
    with pytest.raises(ScanFileError, match=match) as error:
        open_scan(path, **options)
    message = str(error.value)
    assert message.startswith(str(path.parent))
    assert message.count("\n") == 0


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.h5: no such file or folder"):
        open_scan(tmp_path / "absent.h5")


@pytest.mark.parametrize("suffix", sorted({suffix for reader in READERS.values() for suffix in reader.suffixes}))
@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"no scan at all\n" * 300, bytes(range(256)) * 20])
def test_files_of_nonsense_are_refused_by_every_reader(tmp_path, suffix, content):
    path = tmp_path / f"scan_000{suffix}"
    path.write_bytes(content)
    refused(path, r"scan_000")


def test_unknown_formats_list_the_known_ones(tmp_path):
    (tmp_path / "scan.xyz").write_bytes(b"1 2 3")
    refused(tmp_path / "scan.xyz", r"not a known format; .*\.mib.* or a folder of TIFF files")


def test_hdf5_is_known_by_its_content_too(tmp_path):
    with h5py.File(tmp_path / "scan.dat", "w") as file:
        file["d"] = DATA
    assert open_scan(tmp_path / "scan.dat").shape == DATA.shape


@pytest.mark.parametrize("shape", [(7,), (4, 5), (1, 2, 3, 4, 5)])
def test_arrays_that_are_no_scan_are_refused(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    np.savez(tmp_path / "a.npz", a=np.zeros(shape))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = np.zeros(shape)
    for name in ("a.npy", "a.npz", "a.h5"):
        refused(tmp_path / name, r"\(scan_y, scan_x, det_y, det_x\)")


@pytest.mark.parametrize("scan_shape", [(2, 2), (6, 2), (0, 6), (-2, -3)])
def test_a_scan_shape_that_does_not_fit_is_refused(tmp_path, scan_shape):
    np.save(tmp_path / "a.npy", DATA.reshape(6, 4, 5))
    refused(tmp_path / "a.npy", r"holds 6 patterns, but --scan-shape", scan_shape=scan_shape)


def test_truncated_files_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", DATA)
    np.savez(tmp_path / "a.npz", a=DATA)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a"] = DATA
    tifffile.imwrite(tmp_path / "a.tif", DATA.reshape(6, 4, 5), photometric="minisblack")
    for name in ("a.npy", "a.npz", "a.h5", "a.tif"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes()[:-60])
    refused(tmp_path / "a.npy", "cut short")
    refused(tmp_path / "a.npz", "archive")
    refused(tmp_path / "a.h5", "not a readable HDF5 file")


def test_empad_says_what_is_wrong_with_its_raw_file(tmp_path):
    xml = tmp_path / "scan.xml"
    refused_text = "<root><pix_x>3</pix_x><pix_y>2</pix_y><raw_file filename='{}'/></root>"
    xml.write_text(refused_text.format("scan_x3_y2.raw"))
    refused(xml, "scan_x3_y2.raw is not there")
    (tmp_path / "scan_x3_y2.raw").write_bytes(bytes(1000))
    refused(xml, "cut short")
    refused(tmp_path / "scan_x3_y2.raw", r"open the \.xml")
    xml.write_text(refused_text.format("../secret_x3_y2.raw"))
    refused(xml, "another folder")
    xml.write_text("<root><other/></root>")
    refused(xml, "names no raw_file")


def test_raw_merlin_files_are_refused_in_words(tmp_path):
    head = "MQ1,000001,00384,01,0256,0256,R64,   1x1,01,2021-05-07 18:51,0.1,0,MQ1A,2021-05-07T16:51:10.9Z,1000ns,1,"
    (tmp_path / "raw.mib").write_bytes(head.ljust(384).encode() + bytes(8192))
    refused(tmp_path / "raw.mib", r"raw Merlin data \(R64\)")


def test_objects_are_never_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", a=np.array([{"a": 1}], dtype=object))
    refused(tmp_path / "a.npy", "object")
    refused(tmp_path / "a.npz", "no 4D array")


@pytest.mark.parametrize("dtype", ["complex64", "U5", "datetime64[s]"])
def test_only_real_numbers_are_patterns(tmp_path, dtype):
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4, 5), dtype=dtype))
    refused(tmp_path / "a.npy", "real numbers")


def test_empty_axes_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 0, 4, 5)))
    refused(tmp_path / "a.npy", "every axis must hold at least one element")


@pytest.mark.parametrize("place", ["filters", "compressor", "codecs"])
def test_chunks_of_zarr_are_never_unpickled(tmp_path, place):
    store, pwned = tmp_path / "scan.zarr", tmp_path / "pwned"
    pickled = {"id": "pickle", "protocol": 0}
    old = {"zarr_format": 2, "dtype": "<u2", "order": "C", "chunks": DATA.shape, "filters": None, "compressor": None}
    old |= {"filters": [{"id": "delta", "dtype": "<u2"}, pickled]} if place == "filters" else {"compressor": pickled}
    new = {"zarr_format": 3, "node_type": "array", "data_type": "uint16"}
    new |= {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": DATA.shape}}}
    new |= {"chunk_key_encoding": {"name": "v2"}, "codecs": [{"name": "numcodecs.pickle", "configuration": {}}]}
    described = {"shape": DATA.shape, "fill_value": 0, **(new if place == "codecs" else old)}
    store.mkdir()
    (store / ("zarr.json" if place == "codecs" else ".zarray")).write_text(json.dumps(described))
    chunk = store / "0.0.0.0"  # noqa: S104 -- no address
    chunk.write_bytes(f"cposix\nsystem\n(S'touch {pwned}'\ntR.".encode())
    refused(store, r"scan\.zarr")
    assert not pwned.exists()


def test_a_member_longer_than_its_header_says_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", DATA)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", (tmp_path / "a.npy").read_bytes() + bytes(1000))
    refused(tmp_path / "a.npz", "damaged")


def test_several_arrays_are_listed(tmp_path):
    np.savez(tmp_path / "a.npz", first=DATA, second=DATA)
    refused(tmp_path / "a.npz", r"first \(2, 3, 4, 5\), second .* --dataset")
    refused(tmp_path / "a.npz", "holds no array 'third'", dataset="third")
    assert open_scan(tmp_path / "a.npz", dataset="second").shape == DATA.shape


def tiffs(folder: Path, names: list[str]) -> Path:
    folder.mkdir()
    for name in names:
        tifffile.imwrite(folder / name, DATA[0, 0])
    return folder


def test_folders_without_tiffs_are_refused(tmp_path):
    refused(tmp_path, "holds no TIFF files")


def test_a_number_of_tiffs_that_is_no_square_is_asked_about(tmp_path):
    refused(tiffs(tmp_path / "a", [f"{i}.tif" for i in range(6)]), "--scan-shape Y X with Y x X = 6")


def test_gaps_in_a_folder_of_tiffs_are_named(tmp_path):
    refused(tiffs(tmp_path / "a", [f"p{i}.tif" for i in (0, 1, 2, 4)]), r"after p2\.tif \(next is p4\.tif\)")
    names = [f"r{i}c{j}.tif" for i in range(2) for j in range(3)]
    names.remove("r1c1.tif")
    refused(tiffs(tmp_path / "b", names), "row 1, column 1 is missing")


def test_a_tiff_of_another_size_is_named_when_it_is_read(tmp_path):
    folder = tiffs(tmp_path / "a", [f"{i}.tif" for i in range(4)])
    tifffile.imwrite(folder / "3.tif", np.zeros((9, 9), dtype=np.uint16))
    scan = open_scan(folder)
    assert scan.pattern(0, 0).shape == (4, 5)
    with pytest.raises(ScanFileError, match=r"3\.tif: is uint16 of shape \(9, 9\)"):
        scan.pattern(1, 1)


def test_single_images_are_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", DATA[0, 0])
    refused(tmp_path / "a.tif", "one image of shape")


def test_a_scan_of_zeros_opens(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3, 4, 5)))
    assert open_scan(tmp_path / "a.npy").read(slice(0, 2), slice(0, 3)).sum() == 0


def test_formats_whose_package_is_missing_say_so(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rsciio.tvips", None)
    (tmp_path / "a_000.tvips").write_bytes(bytes(2000))
    refused(tmp_path / "a_000.tvips", "needs a package that is missing")


def test_a_link_out_of_a_large_zarr_store_is_met_when_its_chunk_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_polarmap.io.zarr_store._LOOKED_AT", 1)
    zarr.create_array(tmp_path / "scan.zarr", data=DATA, chunks=(1, 1, 4, 5))
    chunk = tmp_path / "scan.zarr/c/1/2/0/0"
    chunk.rename(tmp_path / "elsewhere")
    chunk.symlink_to(tmp_path / "elsewhere")
    with open_scan(tmp_path / "scan.zarr") as scan:
        np.testing.assert_array_equal(scan.pattern(1, 1), DATA[1, 1])
        with pytest.raises(ScanFileError, match=r"c/1/2/0/0 leads out of the store.*--allow-external"):
            scan.pattern(1, 2)
        patterns, unreadable = read_block(scan, slice(0, 2), slice(0, 3))
    assert unreadable == 1
    assert not patterns[1, 2].any()
