"""Find datasets in an HDF5 file without leaving the file unasked."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Final

import h5py

from napari_polarmap.core.data import LazyArray
from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.file_frames import plain_array
from napari_polarmap.io.limits import check_pieces

_BUILT_IN_FILTERS: Final = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32, 32000}
_MAX_LINKS: Final = 32
DECTRIS_PIECE: Final = re.compile(r"/entry/data/data_\d+")
"""Where the master file of a Dectris detector links to the files that hold its patterns."""


def find_datasets(file: h5py.File, *, allow_external: bool) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """List what a file holds; nothing is read but names and shapes.

    Returns
    -------
    shapes : dict of str to tuple
        Of the datasets of real numbers that are not empty, by their place, sorted.
    outside : list of str
        Links and storage in other files; links are followed only if `allow_external`.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    outside: list[str] = []
    waiting: list[tuple[str, Any]] = [("", file["/"])]
    seen = set()
    while waiting:
        place, group = waiting.pop()
        info = h5py.h5o.get_info(group.id)
        if (info.fileno, info.addr) in seen:
            continue
        seen.add((info.fileno, info.addr))
        for name in group:
            link = group.get(name, getlink=True)
            followed = allow_external or _is_own_piece(file, f"{place}/{name}", link)
            if isinstance(link, h5py.ExternalLink):
                outside += [] if followed else [f"{place}/{name} -> {link.filename}"]
            if isinstance(link, h5py.SoftLink) or (isinstance(link, h5py.ExternalLink) and not followed):
                continue
            node = group.get(name)
            if isinstance(node, h5py.Group):
                waiting.append((f"{place}/{name}", node))
            elif isinstance(node, h5py.Dataset) and node.dtype.kind in "buif" and node.size:
                shapes[f"{place}/{name}"] = tuple(node.shape)
                outside += [f"{place}/{name} -> {source}" for source in _other_files(node)]
    return dict(sorted(shapes.items())), outside


def open_dataset(file: h5py.File, place: str, path: Path, *, allow_external: bool) -> h5py.Dataset:
    """Open the dataset at `place`; links and storage outside the file only if `allow_external`.

    Raises
    ------
    ScanFileError
        If it is not there, no dataset, outside the file, or compressed in an unknown way.
    """
    node: Any = file["/"]
    parts = [part for part in place.split("/") if part]
    for _ in range(len(parts) + _MAX_LINKS):
        if not parts:
            break
        name = parts.pop(0)
        link = node.get(name, getlink=True) if isinstance(node, h5py.Group) else None
        if isinstance(link, h5py.SoftLink):
            parts = [part for part in link.path.split("/") if part] + parts
            node = node.file["/"] if link.path.startswith("/") else node
            continue
        if isinstance(link, h5py.ExternalLink) and not (allow_external or _is_own_piece(file, place, link)):
            raise outside_error(path, f"{place} -> {link.filename}")
        node = None if link is None else node.get(name)
        if node is None:
            raise ScanFileError(f"{path}: there is no dataset {place} in this file")
    if not isinstance(node, h5py.Dataset):
        raise ScanFileError(f"{path}: {place} is no dataset; name one with --dataset")
    sources = _other_files(node)
    if sources and not allow_external:
        raise outside_error(path, f"{place} -> {sources[0]}")
    _check_filters(node, path)
    if node.chunks:
        check_pieces(path, node.chunks, node.dtype.itemsize, "compressed chunks")
    return node


def _is_own_piece(file: h5py.File, place: str, link: object) -> bool:
    """Tell whether a link of a Dectris master file leads to one of its data files beside it, and no further."""
    if not isinstance(link, h5py.ExternalLink) or not DECTRIS_PIECE.fullmatch(place):
        return False
    master = Path(file.filename)
    stem = master.stem.removesuffix("_master")
    piece = master.with_name(link.filename) if Path(link.filename).name == link.filename else master
    if not piece.name.startswith(f"{stem}_data_") or piece.is_symlink() or not piece.is_file():
        return False
    node = file.get(place)
    return isinstance(node, h5py.Dataset) and Path(node.file.filename).name == piece.name


def nexus_signal(file: h5py.File) -> str | None:
    """Return the place of the data that a NeXus file names as its main ones."""
    node: Any = file
    for _ in range(_MAX_LINKS):
        below = node.get(_word(node.attrs.get("default"))) if "default" in node.attrs else None
        if not isinstance(below, h5py.Group):
            break
        node = below
    found = node.get(_word(node.attrs.get("signal"))) if "signal" in node.attrs else None
    return found.name if isinstance(found, h5py.Dataset) and found.file == file else None


def _word(value: Any) -> str:
    """Return a text of an attribute as a name; letters that no name can have are replaced."""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.encode(errors="replace").decode()


def _other_files(node: h5py.Dataset) -> list[str]:
    """Return the other files in which a dataset keeps its numbers."""
    files = [str(source[0]) for source in node.external or ()]
    if node.is_virtual:
        files += [source.file_name for source in node.virtual_sources() if source.file_name != "."]
    return files


def outside_error(path: Path, link: str) -> ScanFileError:
    """Return the error for data that lie in other files."""
    return ScanFileError(
        f"{path}: its data lie in another file ({link}); if you trust where that leads, give --allow-external"
    )


def _check_filters(node: h5py.Dataset, path: Path) -> None:
    plist = node.id.get_create_plist()
    codes = {plist.get_filter(index)[0] for index in range(plist.get_nfilters())}
    if codes - _BUILT_IN_FILTERS:
        import hdf5plugin  # noqa: F401  (registers further compression filters)
    missing = [code for code in codes if not h5py.h5z.filter_avail(code)]
    if missing:
        raise ScanFileError(f"{path}: {node.name} is compressed with HDF5 filter {missing[0]}, which is not known here")


def plainly(node: h5py.Dataset, path: Path) -> LazyArray:
    """Return contiguous uncompressed numbers as patterns in the file, anything else as it is.

    The first and the last pattern are compared with what HDF5 reads.
    """
    as_is: LazyArray = node
    offset = None if node.chunks or node.external or node.is_virtual else node.id.get_offset()
    stored_as_read = node.id.get_type().equal(h5py.h5t.py_create(node.dtype)) and node.dtype.kind in "uif"
    if offset is None or not stored_as_read or node.file.filename != str(path) or node.ndim not in (3, 4):
        return as_is
    try:
        frames = plain_array(path, node.shape, node.dtype, offset_bytes=offset)
    except (OSError, ValueError):
        return as_is
    row = frames.reshape(1, math.prod(node.shape[:-2]), *node.shape[-2:])
    ends = ((0,) * (node.ndim - 2), 0), (tuple(size - 1 for size in node.shape[:-2]), -1)
    return frames if all(node[at].tobytes() == row[0, number].tobytes() for at, number in ends) else as_is
