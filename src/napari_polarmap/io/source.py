"""Where a scan came from, for the provenance of a result."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from napari_polarmap.core.data import Scan4D

HASH_LIMIT: Final = 10**9
"""Files up to this size [bytes] are named by their SHA-256, larger ones by size and time."""


def describe_source(scan: Scan4D) -> dict[str, Any]:
    """Return name, identity, shape and type of the data, as plain JSON values."""
    record: dict[str, Any] = {
        "path": None if scan.path is None else str(scan.path),
        "dataset": scan.dataset,
        "shape": list(scan.shape),
        "dtype": str(scan.dtype),
    }
    if scan.axes is not None:
        record["axes"] = {"stored": list(scan.axes.stored), "mirrored": list(scan.axes.mirrored)}
    if scan.options:
        record["options"] = dict(scan.options)
    if scan.path is not None and scan.path.is_file():
        status = scan.path.stat()
        record["size"] = status.st_size
        if status.st_size <= HASH_LIMIT:
            record["sha256"] = file_sha256(scan.path)
        else:
            record["modified"] = datetime.fromtimestamp(status.st_mtime, UTC).isoformat(timespec="seconds")
    return record


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
