"""Calibrations as JSON files, for other scans of the same session."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from napari_polarmap.core.calibration import Calibration, known_changes
from napari_polarmap.core.whole_file import whole_file

FORMAT: Final = "napari-polarmap calibration"
FORMAT_VERSION: Final = 1
_NAMES: Final = frozenset(entry.name for entry in fields(Calibration))


def save_calibration(calibration: Calibration, path: str | Path) -> Path:
    """Write a calibration as JSON; what is not known is left out."""
    path = Path(path)
    known = {name: value for name, value in calibration.record().items() if value is not None}
    record = {"format": FORMAT, "format_version": FORMAT_VERSION, "calibration": known}
    with whole_file(path) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def load_calibration(path: str | Path) -> dict[str, Any]:
    """Read what a calibration file says, as arguments of `Scan4D.calibrated`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        With one sentence, if it is no calibration, or a value in it makes no sense.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: not a readable JSON file ({error})") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ValueError(f'{path}: no calibration; a file with "format": "{FORMAT}" fits')
    values = record.get("calibration")
    unknown = set(values) - _NAMES if isinstance(values, dict) else {"calibration"}
    if unknown or not isinstance(values, dict):
        raise ValueError(
            f"{path}: {sorted(unknown)[0]} is no quantity of a calibration; choose of {', '.join(sorted(_NAMES))}"
        )
    try:
        changes = known_changes(values)
        Calibration(**changes)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
    return changes
