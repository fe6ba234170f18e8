"""Broken versions of every format, made from the tiny files of `scan_files`, and what must become of them.

`corpus` makes them, `outcome` opens one and tells whether it survived: it loads right, with what cannot
be read counted, or is refused in one sentence that names the file.
"""

from __future__ import annotations

import json
import shutil
import struct
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import tifffile

from napari_polarmap.core.sums import read_block
from napari_polarmap.io import RawLayout, ScanFileError, open_scan
from scan_files import MAKERS, SCAN, patterns

DATA = patterns(*SCAN, 4, 5)
LONGEST_S = 20.0
"""Longer than any of these files takes, also on a busy machine: a file that takes longer hangs."""


@dataclass(frozen=True)
class Broken:
    """A broken file.

    `must` is ``"load"``, ``"refuse"`` or ``"either"``. `patterns` is what must be read where it loads, if that is
    known; `lost` are the scan positions that cannot be read.
    """

    what: str
    path: Path
    must: str = "either"
    patterns: np.ndarray | None = None
    lost: frozenset[tuple[int, int]] = frozenset()
    options: dict[str, Any] = field(default_factory=dict)


def outcome(broken: Broken) -> str:
    """Return ``"loaded"`` or ``"refused"``; `AssertionError` if the file did neither as it should."""
    start = time.monotonic()
    told = _outcome(broken)
    assert time.monotonic() - start < LONGEST_S, "took too long"
    return told


def _outcome(broken: Broken) -> str:
    try:
        scan = open_scan(broken.path, **broken.options)
    except (ScanFileError, FileNotFoundError) as error:
        text = str(error)
        assert broken.must != "load", text
        assert "\n" not in text, text
        assert len(text) < 1000, text
        assert str(broken.path.parent) in text, text
        return "refused"
    with scan:
        assert broken.must != "refuse", f"loads as {scan.shape} {scan.dtype}"
        if broken.patterns is not None:
            assert scan.shape == broken.patterns.shape
        rows, columns = (slice(0, min(n, 8)) for n in scan.scan_shape)
        block, n_unreadable = read_block(scan, rows, columns)
        assert block.shape[2:] == scan.detector_shape
        if broken.patterns is not None:
            assert n_unreadable == len(broken.lost), f"{n_unreadable} positions unreadable"
            expected = broken.patterns.copy()
            for position in broken.lost:
                expected[position] = 0
            np.testing.assert_array_equal(block, expected)
    return "loaded"


def corpus(name: str, folder: Path) -> Iterator[Broken]:
    """Yield broken files of a format, each in a folder of its own below `folder`; made one after the other."""
    makers: list[Callable[[str, Path], Iterator[Broken]]] = [_bytes, _members, *_OWN.get(name, ())]
    for maker in makers:
        yield from maker(name, folder)


class _Folders:
    """New folders, and healthy files in them."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder, self.count = name, folder, 0

    def new(self) -> Path:
        self.count += 1
        room = self.folder / f"{self.count:04}"
        room.mkdir(parents=True)
        return room

    def healthy(self) -> tuple[Path, np.ndarray, dict[str, Any]]:
        return MAKERS[self.name](self.new())


def _bytes(name: str, folder: Path) -> Iterator[Broken]:  # noqa: C901 -- a list, not a decision
    """Single files: cut short, overwritten, with nonsense at every place of the header, and in other clothes."""
    folders = _Folders(name, folder / "bytes")
    path, data, options = folders.healthy()
    if path.is_dir():
        return
    whole = path.read_bytes()

    def with_bytes(what: str, content: bytes, **known: Any) -> Broken:
        path.write_bytes(content)
        return Broken(what, path, options=options, **known)

    for kept in (0, 1, 7, 8, 64, 511, 512):
        if kept < len(whole):
            yield with_bytes(f"only {kept} bytes", whole[:kept], must="refuse")
    for share in (0.1, 0.5, 0.9):
        yield with_bytes(f"cut at {share:.0%}", whole[: int(share * len(whole))])
    yield with_bytes("last byte missing", whole[:-1])
    yield with_bytes("zeros of the same length", bytes(len(whole)), **({} if name == "raw" else {"must": "refuse"}))
    yield with_bytes("wrong magic", b"NOTMAGIC" + whole[8:], **({"patterns": None} if name == "raw" else {}))
    yield with_bytes("behind 13 other bytes", b"13 more bytes" + whole)
    yield with_bytes("more behind", whole + b"more" * 100)
    yield with_bytes("text", b"no scan at all\n" * 400, **({} if name == "raw" else {"must": "refuse"}))
    for at in (*range(0, min(len(whole), 128), 4), *range(128, min(len(whole), 2048), 32)):
        for word in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f")[: 4 if at < 64 else 2]:
            yield with_bytes(f"{word.hex()} at byte {at}", (whole[:at] + word + whole[at + 4 :])[: len(whole)])
    rng = np.random.default_rng(1)
    for index in range(40):
        changed = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 4096), 3):
            changed[place] ^= 1 << int(rng.integers(8))
        yield with_bytes(f"random bits {index}", bytes(changed))
    for other in MAKERS:
        if other != name:
            stranger = MAKERS[other](folders.new())[0]
            if stranger.is_file():
                yield with_bytes(f"the bytes of {other}", stranger.read_bytes())
    yield with_bytes("whole again", whole, must="load", patterns=data)


def _members(name: str, folder: Path) -> Iterator[Broken]:
    """Formats of several files: each of them missing, emptied, cut, nonsense or a folder."""
    folders = _Folders(name, folder / "members")
    path, _, _ = folders.healthy()
    names = [member.relative_to(path.parent) for member in sorted(path.parent.rglob("*")) if member.is_file()]
    if len(names) == 1:
        return
    for member in names[:: -(-len(names) // 8)]:
        for what, change in _CHANGES.items():
            path, _, options = folders.healthy()
            change(path.parent / member)
            yield Broken(f"{member} {what}", path, options=options)


def _to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _to_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


_CHANGES: dict[str, Callable[[Path], Any]] = {
    "missing": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "nonsense": lambda path: path.write_bytes(b"\xff" * 300),
    "a folder": _to_folder,
    "a link to itself": _to_loop,
}


def _hdf5(name: str, folder: Path) -> Iterator[Broken]:
    folders = _Folders(name, folder / "hdf5")

    def file(what: str, write: Callable[[h5py.File], Any], must: str = "refuse", **known: Any) -> Broken:
        path = folders.new() / "scan.h5"
        with h5py.File(path, "w") as stream:
            write(stream)
        return Broken(what, path, must, **known)

    def dataset(values: Any, **options: Any) -> Callable[[h5py.File], Any]:
        return lambda stream: stream.create_dataset("scan", data=values, **options)

    yield file("no dataset", lambda stream: None)
    for dtype in ("complex64", "S5", "M8[s]"):
        stored = np.zeros(DATA.shape, "i8" if dtype == "M8[s]" else dtype)
        yield file(dtype, dataset(stored), "load" if dtype == "M8[s]" else "refuse")
    yield file("compound", dataset(np.zeros(DATA.shape, [("a", "u1"), ("b", "f4")])))
    yield file("objects", lambda stream: stream.create_dataset("scan", DATA.shape, h5py.special_dtype(vlen=np.uint8)))
    yield file("texts", lambda stream: stream.create_dataset("scan", DATA.shape, h5py.string_dtype()))
    yield file("references", lambda stream: stream.create_dataset("scan", DATA.shape, h5py.ref_dtype))
    yield file("no numbers", lambda stream: stream.create_dataset("scan", data=h5py.Empty("u2")))
    yield file("one number", dataset(np.uint16(3)))
    for shape in ((7,), (4, 5), (1, 2, 3, 4, 5), (2, 0, 4, 5)):
        yield file(f"shape {shape}", dataset(np.zeros(shape, np.uint16)))
    for dtype in (">u2", ">f4", "<f8", "f2", "i1", "u8", "?", ">f2", "longdouble"):
        yield file(f"type {dtype}", dataset(DATA.astype(dtype)), "load", patterns=DATA.astype(dtype))
    wide = np.zeros(DATA.shape, np.float32)
    wide[0, 1], wide[1, 2, 0, 0] = np.nan, np.inf
    yield file("NaN and infinity", dataset(wide), "load", patterns=wide)
    yield file("hot pixels", dataset(np.full(DATA.shape, 2**16 - 1, np.uint16)), "load")
    yield file("zeros", dataset(np.zeros(DATA.shape, np.uint16)), "load", patterns=np.zeros(DATA.shape, np.uint16))
    for odd in ("a\nb", "ü €", "..", " ", "x" * 2000, "a\tb\r"):
        where = dataset(DATA) if odd == ".." else (lambda stream, odd=odd: stream.create_dataset(odd, data=DATA))
        yield file(f"named {odd[:9]!r}", where, "load", patterns=DATA)
        yield file(f"two like {odd[:9]!r}", lambda stream, odd=odd: [
            stream.create_dataset(f"{part}/{odd.replace('..', 'dots')}", data=DATA) for part in "ab"
        ])  # fmt: skip
    yield file("odd attributes", _odd_attributes, "load", patterns=DATA)
    yield file("more shape than numbers", lambda stream: stream.create_dataset(
        "scan", (10**6, 10**6, 64, 64), "u2", chunks=(1, 1, 64, 64)), "load")  # fmt: skip
    yield file("patterns of 16 GiB", lambda stream: stream.create_dataset(
        "scan", (2, 2, 2**17, 2**16), "u2", chunks=(1, 1, 2**10, 2**10), compression="gzip"))  # fmt: skip
    yield file("chunks of 3 GiB", lambda stream: stream.create_dataset(
        "scan", (2**11, 2**11, 32, 32), "u1", chunks=(2**11, 3 * 2**9, 32, 32), compression="gzip"))  # fmt: skip
    yield from _damaged_chunks(folders)
    yield from _filters(folders)
    yield from _outside(folders)
    yield from _dectris(folders)


def _odd_attributes(stream: h5py.File) -> None:
    node = stream.create_dataset("scan", data=DATA)
    odd: tuple[Any, ...] = ("text", np.nan, -1.0, np.zeros((3, 3)), h5py.Empty("f4"), np.inf, 1e400, b"\xff\xfe")
    names = ("voltage_kV", "convergence_mrad", "mrad_per_px", "scan_step_A", "thickness_nm", "rotation_deg", "flip")
    for attribute, value in zip(names, odd, strict=False):
        node.attrs[attribute] = value
    node.attrs["material"] = b"\xff\xfe"
    stream.attrs["default"], stream.attrs["signal"] = b"\xff", np.zeros(3)


def _damaged_chunks(folders: _Folders) -> Iterator[Broken]:
    """One compressed chunk in the middle is nonsense, or gone; the others are whole."""
    kinds: tuple[dict[str, Any], ...] = (
        {"compression": "gzip"},
        {"compression": "gzip", "fletcher32": True, "shuffle": True},
        {"compression": "lzf"},
    )
    for options in kinds:
        for what in ("nonsense", "short", "zeros"):
            path = folders.new() / "scan.h5"
            with h5py.File(path, "w") as stream:
                stream.create_dataset("scan", data=DATA, chunks=(1, 1, 4, 5), **options)
                chunk = stream["scan"].id.get_chunk_info_by_coord((0, 2, 0, 0))
            content = bytearray(path.read_bytes())
            fill = {"nonsense": b"\xa5", "zeros": b"\0", "short": b"\x78"}[what]
            first = chunk.byte_offset + (chunk.size // 2 if what == "short" else 0)
            content[first : chunk.byte_offset + chunk.size] = fill * (chunk.byte_offset + chunk.size - first)
            path.write_bytes(content)
            known: dict[str, Any] = {"patterns": DATA, "lost": frozenset({(0, 2)})}
            # lzf has no checksum: what it makes of nonsense may be numbers
            yield Broken(f"a chunk of {'+'.join(map(str, options.values()))} is {what}", path, "load",
                         **({} if options["compression"] == "lzf" else known))  # fmt: skip


def _filters(folders: _Folders) -> Iterator[Broken]:
    path = folders.new() / "scan.h5"
    with h5py.File(path, "w") as stream:
        stream.create_dataset("scan", data=DATA, chunks=(1, 1, 4, 5), **hdf5plugin.Bitshuffle())
    content = path.read_bytes()
    number = struct.pack("<H", 32008)
    assert number in content
    path.write_bytes(content.replace(number, struct.pack("<H", 32999)))
    yield Broken("an unknown filter", path)


def _outside(folders: _Folders) -> Iterator[Broken]:
    """Numbers that lie in other files: refused, and right where that is allowed."""
    room = folders.new()
    with h5py.File(room / "other.h5", "w") as stream:
        stream["data"] = DATA
    DATA.tofile(room / "numbers.bin")
    layout = h5py.VirtualLayout(DATA.shape, DATA.dtype)
    layout[:] = h5py.VirtualSource(str(room / "other.h5"), "data", shape=DATA.shape)
    raw = [(str(room / "numbers.bin"), 0, h5py.h5f.UNLIMITED)]
    kinds: dict[str, Callable[[h5py.File], Any]] = {
        "link": lambda stream: stream.__setitem__("scan", h5py.ExternalLink("other.h5", "/data")),
        "storage": lambda stream: stream.create_dataset("scan", DATA.shape, DATA.dtype, external=raw),
        "virtual": lambda stream: stream.create_virtual_dataset("scan", layout),
    }
    for kind, write in kinds.items():
        with h5py.File(room / f"{kind}.h5", "w") as stream:
            write(stream)
        yield Broken(f"external {kind}", room / f"{kind}.h5", "refuse")
        yield Broken(f"external {kind}, named", room / f"{kind}.h5", "refuse", options={"dataset": "scan"})
        allowed = {"allow_external": True}
        yield Broken(f"external {kind}, allowed", room / f"{kind}.h5", "load", DATA, options=allowed)
    for name, link in {"loop": h5py.SoftLink("/scan"), "away": h5py.SoftLink("/not/there")}.items():
        with h5py.File(room / f"{name}.h5", "w") as stream:
            stream["scan"] = link
        yield Broken(f"a soft link, {name}", room / f"{name}.h5", "refuse")
        yield Broken(f"a soft link, {name}, named", room / f"{name}.h5", "refuse", options={"dataset": "scan"})
    with h5py.File(room / "self.h5", "w") as stream:
        stream["scan"] = h5py.ExternalLink("self.h5", "/scan")
    yield Broken("an external link to itself", room / "self.h5", "refuse")
    yield Broken("an external link to itself, allowed", room / "self.h5", "refuse", options={"allow_external": True})
    with h5py.File(room / "gone.h5", "w") as stream:
        stream["scan"] = h5py.ExternalLink("../../../../etc/passwd", "/data")
    yield Broken("an external link to what is no scan", room / "gone.h5", "refuse")
    yield Broken("the same, allowed", room / "gone.h5", "refuse", options={"allow_external": True})


def _dectris(folders: _Folders) -> Iterator[Broken]:
    """A Dectris master whose data files are missing, short or damaged."""
    for what in ("whole", "missing", "damaged", "other pixels"):
        room = folders.new()
        for index, part in enumerate((DATA[0], DATA[1]), start=1):
            with h5py.File(room / f"s_data_{index:06}.h5", "w") as stream:
                stored = part[:, 1:] if what == "other pixels" and index == 2 else part
                stream.create_dataset("entry/data/data", data=stored, chunks=(1, *stored.shape[1:]), compression="gzip")
        with h5py.File(room / "s_master.h5", "w") as stream:
            for index in (1, 2):
                stream[f"entry/data/data_{index:06}"] = h5py.ExternalLink(f"s_data_{index:06}.h5", "entry/data/data")
        second = room / "s_data_000002.h5"
        if what == "missing":
            second.unlink()
        elif what == "damaged":
            second.write_bytes(second.read_bytes()[:600])
        must, known = ("load", DATA) if what == "whole" else ("refuse", None)
        yield Broken(f"Dectris data file {what}", room / "s_master.h5", must, known, options={"scan_shape": SCAN})


def _arrays(name: str, folder: Path) -> Iterator[Broken]:
    """``.npy`` and ``.npz``: arrays that are no scan, unusual ones that are, headers that lie."""
    folders = _Folders(name, folder / "arrays")

    def file(what: str, array: np.ndarray, must: str = "refuse", **known: Any) -> Broken:
        path = folders.new() / f"scan.{name}"
        (np.save if name == "npy" else np.savez_compressed)(path, array)
        return Broken(what, path, must, **known)

    def bare(
        what: str, header: str, version: bytes = b"\x01\x00", body: bytes = DATA.tobytes(), **known: Any
    ) -> Broken:
        path = folders.new() / f"scan.{name}"
        length = struct.pack("<H" if version[0] == 1 else "<I", len(header))
        content = b"\x93NUMPY" + version + length + header.encode("latin-1") + body
        if name == "npy":
            path.write_bytes(content)
        else:
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("scan.npy", content)
        return Broken(what, path, **{"must": "refuse", **known})

    yield file("objects", np.array([[[[{"a": 1}]]]], dtype=object))
    for dtype in ("complex64", "U5", "S3", "datetime64[s]", "V8"):
        yield file(dtype, np.zeros(DATA.shape, dtype))
    yield file("compound", np.zeros(DATA.shape, [("a", "u1"), ("b", "f4")]))
    for shape in ((), (7,), (4, 5), (1, 2, 3, 4, 5), (2, 0, 4, 5), (0, 3, 4, 5), (2, 3, 4, 0)):
        yield file(f"shape {shape}", np.zeros(shape, np.uint16))
    for dtype in (">u2", ">f4", "f2", "i1", "u8", "?", "longdouble"):
        yield file(f"type {dtype}", DATA.astype(dtype), "load", patterns=DATA.astype(dtype))
    yield file("Fortran order", np.asfortranarray(DATA), "load", patterns=DATA)
    good = "{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3, 4, 5), }"
    yield bare("a header of version 2", good.ljust(80), b"\x02\x00", must="load", patterns=DATA)
    yield bare("a header of version 9", good, b"\x09\x00")
    for what, header in {
        "negative": good.replace("2,", "-2,"),
        "huge": good.replace("2, 3", "9223372036854775807, 3"),
        "overflowing": good.replace("(2, 3, 4, 5)", "(4294967296, 4294967296, 4, 5)"),
        "float": good.replace("2, 3", "2.0, 3"),
        "code": good.replace("'<u2'", "__import__('os').getcwd()"),
        "deep": "(" * 5000,
        "nested": good.replace("'<u2'", "[('a', '<u2')]"),
        "endless": good + " " * 60000,
        "empty": "",
        "half": good[:20],
        "no shape": "{'descr': '<u2', 'fortran_order': False}",
        "type of another world": good.replace("<u2", "<w9"),
    }.items():
        must = "either" if what == "endless" else "refuse"
        yield bare(f"a header that is {what}", header, must=must)
    yield bare("fewer numbers than its header says", good, body=DATA.tobytes()[:-7])
    if name == "npz":
        yield from _archives(folders)


def _archives(folders: _Folders) -> Iterator[Broken]:
    """Archives that expand hugely, lead elsewhere, or are damaged inside."""
    path = folders.new() / "scan.npz"
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {(64, 2, 8192, 65536)}, }}".ljust(118)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr("scan.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.encode() + bytes(2**20))
    yield Broken("a header larger than what is packed", path, "refuse")
    path = folders.new() / "scan.npz"
    np.savez_compressed(path, scan=DATA, meta=np.array("[" * 100_000))
    yield Broken("deep JSON beside", path, "load", DATA)
    path = folders.new() / "scan.npz"
    np.savez_compressed(path, scan=DATA, meta=np.zeros(2**25, np.uint8))
    yield Broken("a huge description", path, "load", DATA)
    path = folders.new() / "scan.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../scan.npy", b"\x93NUMPY")
        archive.writestr("/etc/scan.npy", b"x" * 9)
    yield Broken("members that lead out of the folder", path, "refuse")
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 1000, (6, 8, 16, 16)).astype(np.uint16)
    for what in ("damaged", "cut"):
        path = folders.new() / "scan.npz"
        np.savez_compressed(path, scan=noise)
        content = bytearray(path.read_bytes())
        middle = len(content) // 2
        content[middle : middle + 200] = bytes(200)
        path.write_bytes(content if what == "damaged" else content[:middle])
        yield Broken(f"packed numbers {what} in the middle", path, "load" if what == "damaged" else "refuse")


def _tiffs(name: str, folder: Path) -> Iterator[Broken]:
    """Folders with gaps and strangers; pages that differ, or say that they are large."""
    folders = _Folders(name, folder / "tiffs")

    def images(what: str, names: list[str], must: str = "refuse", **known: Any) -> Broken:
        room = folders.new() / "scan"
        room.mkdir()
        for index, image in enumerate(names):
            tifffile.imwrite(room / image, DATA.reshape(-1, 4, 5)[index % 6])
        return Broken(what, room, must, options={"scan_shape": SCAN}, **known)

    yield images("no images", [])
    yield images("a gap", [f"p{i}.tif" for i in (0, 1, 2, 4, 5, 6)])
    yield images("a missing corner", [f"r{i}c{j}.tif" for i in range(2) for j in range(3)][:-1])
    yield images("odd names", ["ü.tif", "€.tif", "a b.tif", "  .tif", "x\ny.tif", "....tif"])
    yield images("huge numbers", [f"p{10**40 + i}.tif" for i in range(6)], "load", patterns=DATA)
    for what, change in {
        "of another size": lambda path: tifffile.imwrite(path, np.zeros((9, 9), np.uint16)),
        "of another type": lambda path: tifffile.imwrite(path, np.zeros((4, 5), np.float32)),
        "empty": lambda path: path.write_bytes(b""),
        "cut short": lambda path: path.write_bytes(path.read_bytes()[:-10]),
        "nonsense": lambda path: path.write_bytes(b"II*\0" + b"\xff" * 300),
        "missing": Path.unlink,
    }.items():
        broken = images(f"the fifth image {what}", [f"p{i}.tif" for i in range(6)], "load")
        change(broken.path / "p4.tif")
        if what == "missing":
            yield Broken(broken.what, broken.path, "refuse", options=broken.options)
            continue
        yield Broken(broken.what, broken.path, "load", DATA, frozenset({(1, 1)}), broken.options)
    secret = folders.new() / "secret.tif"
    tifffile.imwrite(secret, DATA[0, 0])
    broken = images("a link that leads out of the folder", [f"p{i}.tif" for i in range(6)])
    (broken.path / "p0.tif").unlink()
    (broken.path / "p0.tif").symlink_to(secret)
    yield broken
    yield Broken("such a link, allowed", broken.path, "load", DATA, options={**broken.options, "allow_external": True})


def _tiff_stack(name: str, folder: Path) -> Iterator[Broken]:
    folders = _Folders(name, folder / "stack")
    stack = DATA.reshape(-1, 4, 5)
    options = {"scan_shape": SCAN}
    path = folders.new() / "scan.tif"
    with tifffile.TiffWriter(path) as writer:
        for index, page in enumerate(stack):
            writer.write(page[:, 1:] if index == 3 else page, photometric="minisblack", contiguous=False)
    yield Broken("pages of different sizes", path, "refuse", options=options)
    path = folders.new() / "scan.tif"
    tifffile.imwrite(path, stack, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as file:
        offset, count = file.pages[3].dataoffsets[0], file.pages[3].databytecounts[0]
    content = bytearray(path.read_bytes())
    content[offset : offset + count] = b"\xa5" * count
    path.write_bytes(content)
    yield Broken("a damaged page in the middle", path, "load", DATA, frozenset({(1, 0)}), options)
    path = folders.new() / "scan.tif"
    tifffile.imwrite(path, np.zeros((6, 4, 5), np.complex64), photometric="minisblack")
    yield Broken("complex numbers", path, "refuse", options=options)
    path = folders.new() / "scan.tif"
    bomb = np.zeros((2, 2**13, 2**13), np.uint8)
    tifffile.imwrite(path, bomb, compression="zlib", photometric="minisblack", rowsperstrip=2**13)
    with tifffile.TiffFile(path) as file:
        for page in file.pages:
            for tag, value in (("ImageLength", 4), ("ImageWidth", 4), ("RowsPerStrip", 4)):
                content = bytearray(path.read_bytes())
                struct.pack_into(
                    "<I" if page.tags[tag].dtype == 4 else "<H", content, page.tags[tag].valueoffset, value
                )
                path.write_bytes(content)
    yield Broken("pages that expand to more than they hold", path, "either", options={"scan_shape": (1, 2)})


def _xml(name: str, folder: Path) -> Iterator[Broken]:
    """EMPAD: XML that expands, names other files, or says nonsense."""
    folders = _Folders(name, folder / "xml")

    def text(what: str, content: str | bytes, must: str = "refuse", **known: Any) -> Broken:
        path, _, options = folders.healthy()
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return Broken(what, path, must, options=options, **known)

    root = "<root><pix_x>{}</pix_x><pix_y>{}</pix_y><raw_file filename='{}'/></root>"
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    yield text("a billion laughs", f'<!DOCTYPE r [<!ENTITY l0 "ha">{laughs}]><root>&l11;</root>')
    yield text("quadratic growth", f'<!DOCTYPE r [<!ENTITY a "{"a" * 100_000}">]><root>{"&a;" * 20_000}</root>')
    yield text("an external entity", '<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]><root>&e;</root>')
    yield text("deep nesting", "<a>" * 100_000)
    yield text("another encoding", '<?xml version="1.0" encoding="utf-99"?><root/>')
    for name_of_raw in ("../scan.raw", "/etc/passwd", "..", ".", "not there.raw", "a\nb", ""):
        yield text(f"names {name_of_raw!r}", root.format(3, 2, name_of_raw.replace("\n", "&#10;")))
    for count in ("-3", "1e300", "nan", "inf", "99999999", "x", ""):
        yield text(f"{count!r} columns", root.format(count, 2, "scan_x3_y2.raw"), "either")
    path, data, options = folders.healthy()
    elsewhere = folders.new() / "elsewhere.raw"
    raw = path.with_name("scan_x3_y2.raw").rename(elsewhere)
    path.with_name("scan_x3_y2.raw").symlink_to(raw)
    yield Broken("its raw file is a link out of the folder", path, "refuse", options=options)
    yield Broken("such a link, allowed", path, "load", data, options={**options, "allow_external": True})


def _zarr(name: str, folder: Path) -> Iterator[Broken]:
    """Chunks of a store damaged, sizes that are not true, types that are no numbers."""
    import zarr

    folders = _Folders(name, folder / "zarr")
    for version in (2, 3):
        for what in ("nonsense", "cut", "empty"):
            path = folders.new() / "scan.zarr"
            zarr.create_array(path, data=DATA, chunks=(1, 1, 4, 5), zarr_format=version)
            chunk = path / ("0.2.0.0" if version == 2 else "c/0/2/0/0")
            packed = chunk.read_bytes()
            chunk.write_bytes({"nonsense": b"\xa5" * 40, "cut": packed[: len(packed) // 2], "empty": b""}[what])
            yield Broken(f"a chunk of version {version} is {what}", path, "load", DATA, frozenset({(0, 2)}))
        path = folders.new() / "scan.zarr"
        zarr.create_array(path, shape=(10**6, 10**6, 64, 64), chunks=(1, 1, 64, 64), dtype="u2", zarr_format=version)
        yield Broken(f"more shape than numbers, version {version}", path, "load")
        path = folders.new() / "scan.zarr"
        huge = (64, 64, 2**11, 2**11)
        zarr.create_array(path, shape=huge, chunks=huge, dtype="u2", zarr_format=version)
        yield Broken(f"chunks of 32 GiB, version {version}", path, "refuse")
        path = folders.new() / "scan.zarr"
        zarr.create_array(path, shape=DATA.shape, dtype="c8", zarr_format=version)
        yield Broken(f"complex numbers, version {version}", path, "refuse")
    for what, text in {"no JSON": "{", "deep": "[" * 100_000, "a list": "[]", "nothing": "", "a number": "3"}.items():
        path = folders.new() / "scan.zarr"
        zarr.create_array(path, data=DATA, zarr_format=3)
        (path / "zarr.json").write_text(text)
        yield Broken(f"its description is {what}", path, "refuse")


def _zarr_linked(name: str, folder: Path) -> Iterator[Broken]:
    """Parts of a store that are links, and names that climb out of it."""
    import zarr

    folders = _Folders(name, folder / "linked")

    def store(version: int = 3) -> Path:
        path = folders.new() / "scan.zarr"
        zarr.create_array(path, data=DATA, chunks=(1, 1, 4, 5), zarr_format=version)
        return path

    for version, what in ((2, ".zarray"), (2, "1.1.0.0"), (3, "zarr.json"), (3, "c"), (3, "c/1"), (3, "c/1/1/0/0")):
        path = store(version)
        (path / what).rename(path.with_name("elsewhere"))
        (path / what).symlink_to(path.with_name("elsewhere"))
        yield Broken(f"{what} is a link out of the store", path, "refuse")
        yield Broken("such a link, allowed", path, "load", DATA, options={"allow_external": True})
    path = store()
    (path / "c/1/1/0/0").rename(path / "kept")
    (path / "c/1/1/0/0").symlink_to("../../../../kept")
    yield Broken("a link within the store", path, "load", DATA)
    path = store()
    (path / "c/1/1/0/0").unlink()
    (path / "c/1/1/0/0").symlink_to("0")
    yield Broken("a link to itself", path, "either")
    inner, outer = store(), folders.new() / "group.zarr"
    zarr.create_group(outer).create_array("a", data=DATA, chunks=DATA.shape)
    zarr.consolidate_metadata(outer)
    text = (outer / "zarr.json").read_text().replace('"a"', json.dumps(f"../../{inner.parent.name}/{inner.name}"))
    (outer / "zarr.json").write_text(text)
    yield Broken("a name that climbs out of the store", outer, "refuse")


def _lying_headers(name: str, folder: Path) -> Iterator[Broken]:
    """Vendor headers that promise more, or something else, than the file holds."""
    folders = _Folders(name, folder / "headers")
    path, _, options = folders.healthy()
    whole = path.read_bytes()
    places = {"mrc": (0, 4, 8, 12, 92), "blockfile": (12, 20, 24, 26), "tvips": (0, 4, 8, 12, 16, 48)}[name]
    for at in places:
        for number in (0, 1, 2, 3, 7, 255, 65535, 2**31 - 1, 2**32 - 1):
            content = bytearray(whole)
            width = "<H" if name == "blockfile" and at >= 20 else "<I"
            struct.pack_into(width, content, at, min(number, 65535) if width == "<H" else number)
            room = folders.new() / path.name
            room.write_bytes(content)
            yield Broken(f"{number} at byte {at}", room, options=options)


def _merlin(name: str, folder: Path) -> Iterator[Broken]:
    folders = _Folders(name, folder / "merlin")
    path, _, options = folders.healthy()
    whole = path.read_bytes()
    for what, old, new in (
        ("raw data", b"U16,", b"R64,"),
        ("an unknown depth", b"U16,", b"U99,"),
        ("no size", b"0256,0256", b"0000,0000"),
        ("another size", b"0256,0256", b"9999,9999"),
        ("a negative size", b"0256,0256", b"-256,-256"),
        ("an offset of nothing", b"00384", b"00000"),
        ("an offset beyond the file", b"00384", b"99999"),
        ("no numbers", b"MQ1,000000,00384", b"MQ1,abcdef,ghijk"),
    ):
        assert old in whole
        room = folders.new() / path.name
        room.write_bytes(whole.replace(old, new))
        yield Broken(what, room, options=options)
    for text in (
        "",
        "ScanX:\t0\nScanY:\t0\n",
        "ScanX:\t99999999999999999999\nScanY:\t1\n",
        "\xff",
        "ScanX:\t3\n" * 9999,
    ):
        room = folders.new()
        shutil.copy(path, room / path.name)
        (room / path.name).with_suffix(".hdr").write_text(text, encoding="utf-8")
        yield Broken(f"a header file {text[:20]!r}", room / path.name)


def _raw_layouts(name: str, folder: Path) -> Iterator[Broken]:
    folders = _Folders(name, folder / "layouts")
    path, _, _ = folders.healthy()
    for text in ("u1,1,1", "u2,4,5", "f8,4,5", ">u2,4,5,7,3", "u2,99999999,99999999", "u2,4,5,999999999999", "empad"):
        for shape in (None, SCAN, (10**9, 10**9)):
            options = {"raw": RawLayout.parse(text), "scan_shape": shape}
            yield Broken(f"read as {text} with {shape}", path, options=options)


def _topspin(name: str, folder: Path) -> Iterator[Broken]:
    folders = _Folders(name, folder / "topspin")
    changes: dict[str, Callable[[h5py.Group], Any]] = {
        "a pattern missing": lambda scan: scan.__delitem__("4"),
        "a pattern of another size": lambda scan: _replaced(scan, "4/Data", np.zeros((2, 2), np.float32)),
        "a pattern of text": lambda scan: _replaced(scan, "4/Data", "text"),
        "a pattern that is a group": lambda scan: (scan.__delitem__("4/Data"), scan.create_group("4/Data")),
        "no positions": lambda scan: [_replaced(scan, f"{i}/Metadata", np.bytes_("<a/>")) for i in range(6)],
        "positions of nonsense": lambda scan: [_replaced(scan, f"{i}/Metadata", np.bytes_("<a")) for i in range(6)],
        "positions of numbers": lambda scan: [_replaced(scan, f"{i}/Metadata", 3) for i in range(6)],
        "a link elsewhere": lambda scan: _replaced(scan, "4/Data", h5py.ExternalLink("other.h5", "/data")),
    }
    for what, change in changes.items():
        path, data, options = folders.healthy()
        with h5py.File(path, "a") as file:
            change(file["a0dba950-15bf-4a74-a81c-9cea8560c2c8"])
        known = (
            {"must": "load", "patterns": data, "lost": frozenset({(1, 1)})} if what.endswith(("size", "text")) else {}
        )
        yield Broken(what, path, options=options, **({"must": "refuse"} if "link" in what else known))
    path, _, options = folders.healthy()
    laughs = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))
    with h5py.File(path, "a") as file:
        scan = file["a0dba950-15bf-4a74-a81c-9cea8560c2c8"]
        _replaced(scan, "0/Metadata", np.bytes_(f'<!DOCTYPE r [<!ENTITY l0 "ha">{laughs}]><root>&l11;</root>'))
    yield Broken("a billion laughs", path, options=options)


def _replaced(group: h5py.Group, place: str, value: Any) -> None:
    del group[place]
    group[place] = value


_OWN: dict[str, tuple[Callable[[str, Path], Iterator[Broken]], ...]] = {
    "hdf5": (_hdf5,),
    "npy": (_arrays,),
    "npz": (_arrays,),
    "zarr": (_zarr, _zarr_linked),
    "tiff_folder": (_tiffs,),
    "tiff": (_tiff_stack,),
    "mib": (_merlin,),
    "empad": (_xml,),
    "raw": (_raw_layouts,),
    "blockfile": (_lying_headers,),
    "topspin": (_topspin,),
    "tvips": (_lying_headers,),
    "mrc": (_lying_headers,),
}
