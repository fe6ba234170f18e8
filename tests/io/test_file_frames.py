"""Patterns of a file on a share are read, of one on a local disk mapped; what cannot be read is an error."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest

from napari_polarmap.core import mapped
from napari_polarmap.core.axes import AxisOrder
from napari_polarmap.core.data import Scan4D
from napari_polarmap.io import open_scan
from napari_polarmap.io.file_frames import FileFrames, on_local_disk, plain_array
from scan_files import MAKERS

DATA = np.random.default_rng(0).integers(0, 60_000, (6, 5, 4, 7)).astype(">u2")
KEYS = [
    np.s_[:],
    np.s_[2],
    np.s_[2, 3],
    np.s_[-1, -1],
    np.s_[1:4, 2:],
    np.s_[1:4, 2:, 1:3, 2:5],
    np.s_[..., 3],
    np.s_[:, 0],
    np.s_[::2, ::-1, ::2, 1:],
    np.s_[[4, 0], 1:3],
    np.s_[3:3],
    np.s_[2, 3, 1, 6],
]


@pytest.fixture
def share(monkeypatch):
    """Take every file for one on a share."""
    monkeypatch.setattr("napari_polarmap.io.file_frames.on_local_disk", lambda _: False)
    monkeypatch.setattr("napari_polarmap.io.rosetta.on_local_disk", lambda _: False)


def gapped(path, before=3, after=5):
    rows = [b"a" * before + pattern.tobytes() + b"b" * after for pattern in DATA.reshape(-1, 4, 7)]
    path.write_bytes(b"head" + b"".join(rows))
    return {"offset_bytes": 4, "before_bytes": before, "after_bytes": after}


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("gaps", [(0, 0), (3, 5)])
@pytest.mark.parametrize("make", [FileFrames, plain_array])
def test_every_key_reads_what_an_array_would_give(tmp_path, key, gaps, make):
    where = gapped(tmp_path / "scan.bin", *gaps)
    data = make(tmp_path / "scan.bin", DATA.shape, DATA.dtype, **where)
    np.testing.assert_array_equal(data[key], DATA[key])
    stack = make(tmp_path / "scan.bin", (30, 4, 7), DATA.dtype, **where)
    np.testing.assert_array_equal(stack.reshape(3, 10, 4, 7)[1, 2:4], DATA.reshape(3, 10, 4, 7)[1, 2:4])


@pytest.mark.parametrize("name", MAKERS)
def test_on_a_share_every_format_reads_the_same(tmp_path, share, name):
    path, data, options = MAKERS[name](tmp_path)
    with open_scan(path, **options) as scan:
        if name in {"npy", "raw", "empad", "mib", "mrc", "blockfile"}:
            assert isinstance(scan.data, FileFrames)
        np.testing.assert_array_equal(scan.read(slice(0, 2), slice(1, 3)), np.asarray(data)[:2, 1:3])
        turned = AxisOrder.parse("scan_y,scan_x,-det_y,det_x")
    with open_scan(path, axes=turned, **options) as scan:
        np.testing.assert_array_equal(scan.pattern(1, 1), np.asarray(data)[1, 1, ::-1])


def test_a_file_on_a_share_that_becomes_shorter_at_any_time_is_an_error(tmp_path):
    where = gapped(tmp_path / "scan.bin")
    data = FileFrames(tmp_path / "scan.bin", DATA.shape, DATA.dtype, **where)
    os.truncate(tmp_path / "scan.bin", 400)
    np.testing.assert_array_equal(data[0, 1], DATA[0, 1])
    with pytest.raises(OSError, match=r"scan\.bin: has become shorter since it was opened"):
        data[5]


def test_a_share_that_does_not_answer_holds_only_who_reads(tmp_path):
    where = gapped(tmp_path / "scan.bin")
    data = FileFrames(tmp_path / "scan.bin", DATA.shape, DATA.dtype, **where)
    silent, answer = os.pipe()

    class Stalled:
        def seek(self, position):
            pass

        def readinto(self, room):
            return len(os.read(silent, 1)) and len(room)

    data._file._stream = Stalled()
    reader = threading.Thread(target=lambda: data[0, 0])
    reader.start()
    ticks, end = 0, time.monotonic() + 0.5
    while time.monotonic() < end:
        ticks += 1
        time.sleep(0.01)
    assert reader.is_alive()
    assert ticks > 10
    os.write(answer, b"x")
    reader.join(10)
    assert not reader.is_alive()


def test_mounts_are_told_apart(tmp_path, monkeypatch):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
        f"2 1 0:9 / {tmp_path}/my\\040share rw,relatime shared:1 - cifs //server/data rw\n"
        f"3 1 0:9 / {tmp_path}/stick rw - fuse.sshfs me@server rw\n"
    )
    monkeypatch.setattr("napari_polarmap.io.file_frames._MOUNTS", mounts)
    assert on_local_disk(tmp_path / "my share2" / "scan.raw")
    assert not on_local_disk(tmp_path / "my share" / "scan.raw")
    assert not on_local_disk(tmp_path / "stick" / "scan.raw")
    (tmp_path / "link.raw").symlink_to(tmp_path / "stick" / "scan.raw")
    assert not on_local_disk(tmp_path / "link.raw")
    monkeypatch.setattr("napari_polarmap.io.file_frames._MOUNTS", tmp_path / "not there")
    assert not on_local_disk(tmp_path)


@pytest.mark.skipif(mapped._LIBRARY is None, reason="only Linux brings parts of a map into memory")
def test_a_part_of_a_map_that_is_not_there_any_more_is_an_error_before_it_is_used(tmp_path):
    numbers = np.arange(8 * 8 * 32 * 32, dtype=np.uint16).reshape(8, 8, 32, 32)
    numbers.tofile(tmp_path / "scan.bin")
    data = plain_array(tmp_path / "scan.bin", numbers.shape, np.uint16)
    if not isinstance(data, np.memmap):
        pytest.skip("no local disk")
    for key in KEYS:
        mapped.fetch(data[key], "scan.bin")
    os.truncate(tmp_path / "scan.bin", 5000)
    if mapped._LIBRARY.madvise(0, 0, mapped._POPULATE_READ):
        pytest.skip("this Linux does not bring parts into memory")
    mapped.fetch(data[0, 0], "scan.bin")
    with pytest.raises(OSError, match=r"scan\.bin: cannot be read"):
        mapped.fetch(data[4:6], "scan.bin")
    with pytest.raises(OSError, match=r"scan\.bin: cannot be read"):
        mapped.fetch(data[:, 3:5], "scan.bin")
    scan = Scan4D(data, path=tmp_path / "scan.bin")  # opened after it was cut: its length tells nothing
    with pytest.raises(OSError, match=r"cannot be read"):
        scan.read(slice(4, 6), slice(0, 8))
