"""Zarr stores: plain ones, and the ``.zspy`` of HyperSpy, read with zarr itself."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import zarr
from zarr.core.buffer import Buffer
from zarr.storage import LocalStore, ZipStore

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.io.choice import choose_place
from napari_polarmap.io.errors import ScanFileError
from napari_polarmap.io.frames import arranged
from napari_polarmap.io.hdf5_calibration import hyperspy_calibration, own_calibration
from napari_polarmap.io.limits import check_pieces

_LOOKED_AT: Final = 20_000


def read(
    path: Path,
    *,
    scan_shape: tuple[int, int] | None = None,
    dataset: str | None = None,
    allow_external: bool = False,
) -> Scan4D:
    """Open the 4D array of a Zarr store, version 2 or 3, folder or zip file, lazily.

    RosettaSciIO up to 0.15 opens ``.zspy`` with zarr 2 only.

    Raises
    ------
    ScanFileError
        If it is no store or holds no such array, or links lead out of it.
    DatasetNeededError
        If several arrays would do.
    ScanShapeNeededError
        If the array is a stack and `scan_shape` is not given.
    """
    if path.is_file() and not zipfile.is_zipfile(path):
        raise ScanFileError(f"{path}: neither a folder nor a zip file; a Zarr store is one of these")
    store: Any = ZipStore(path, mode="r") if path.is_file() else _folder(path, allow_external=allow_external)
    try:
        root = zarr.open(store, mode="r")
    except ScanFileError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ScanFileError(f"{path}: not a readable Zarr store ({str(error) or type(error).__name__})") from None
    close = store.close if path.is_file() else (lambda: None)
    if isinstance(root, zarr.Array):
        check_pieces(path, root.chunks, root.dtype.itemsize, "chunks")
        return Scan4D(
            arranged(root, scan_shape, path, "the array"), _calibration(root, None), path.stem, path, None, close
        )
    arrays = dict(_arrays(root))
    found = {place: tuple(array.shape) for place, array in arrays.items()}
    place = f"/{dataset.strip('/')}" if dataset else choose_place(found, path, shape_given=scan_shape is not None)
    if place not in arrays:
        raise ScanFileError(f"{path}: there is no array {place} in this store; it holds {', '.join(found) or 'none'}")
    check_pieces(path, arrays[place].chunks, arrays[place].dtype.itemsize, "chunks")
    group = root[place.rpartition("/")[0].strip("/")] if place.count("/") > 1 else root
    data = arranged(arrays[place], scan_shape, path, f"array {place}")
    return Scan4D(data, _calibration(arrays[place], group), path.stem, path, place, close)


def _folder(path: Path, *, allow_external: bool) -> LocalStore:
    """Return a store of files, none of which lies behind a link to elsewhere unless `allow_external`.

    Up to `_LOOKED_AT` files are looked at beforehand; a large store has millions, and of these each is looked at when
    it is read.
    """
    if allow_external:
        return LocalStore(path, read_only=True)
    store = InsideStore(path, read_only=True)
    waiting, count = [path], 0
    while waiting and count < _LOOKED_AT:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                count += 1
                if entry.is_symlink():
                    store.check(os.path.relpath(entry.path, path))
                elif entry.is_dir():
                    waiting.append(Path(entry.path))
    return store


class InsideStore(LocalStore):
    """A folder of which nothing is read that lies elsewhere: neither through links nor by names that climb out."""

    def check(self, key: str) -> None:
        """Raise `ScanFileError` if what belongs to a key does not lie in the folder."""
        home = os.path.realpath(self.root)
        if not Path(os.path.realpath(self.root / key)).is_relative_to(home):
            raise ScanFileError(
                f"{self.root}: {key} leads out of the store; if you trust where that leads, give --allow-external"
            )

    async def get(self, key: str, *args: Any, **options: Any) -> Buffer | None:
        """See `zarr.abc.store.Store.get`."""
        self.check(key)
        return await super().get(key, *args, **options)

    async def get_partial_values(self, prototype: Any, key_ranges: Iterable[Any]) -> list[Buffer | None]:
        """See `zarr.abc.store.Store.get_partial_values`."""
        asked = list(key_ranges)
        for key, _ in asked:
            self.check(key)
        return await super().get_partial_values(prototype, asked)

    def get_sync(self, key: str, **options: Any) -> Buffer | None:
        """Read without waiting for others, as later versions of zarr do."""
        self.check(key)
        return super().get_sync(key, **options)


def _arrays(group: Any, place: str = "") -> list[tuple[str, Any]]:
    """List the arrays of real numbers below a group, sorted by place."""
    found: list[tuple[str, Any]] = []
    for name, member in sorted(group.members()):
        if isinstance(member, zarr.Group):
            found += _arrays(member, f"{place}/{name}")
        elif member.dtype.kind in "buif" and member.size:
            found.append((f"{place}/{name}", member))
    return found


def _calibration(array: Any, group: Any) -> Calibration:
    found: dict[str, Any] = {}
    for reader, node in ((own_calibration, array), (hyperspy_calibration, group)):
        try:
            values = reader(node)
        except (KeyError, ValueError, TypeError, AttributeError):
            continue
        for name, value in values.items():
            if value is not None:
                found.setdefault(name, value)
    return Calibration(**found)
