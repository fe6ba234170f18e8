"""What the docks know of a scan together, so that none of them measures again what another has measured."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import ClassVar

from qtpy.QtCore import QObject, Signal

from napari_polarmap.core.calibration import Calibration
from napari_polarmap.core.data import Scan4D
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.inspection import Inspection, conclude
from napari_polarmap.pipeline.scan_calibration import History


class NotesNews(QObject):
    """Tells every dock, by `changed`, that something was measured."""

    changed = Signal()


@dataclass(eq=False)
class ScanNotes:
    """Notes on one scan; they last as long as its data.

    Attributes
    ----------
    inspection : Inspection, optional
        As measured last.
    inspected : Calibration, optional
        With which it was measured.
    history : History
        Calibrations that the scan had.
    ran : dict, optional
        All that the last run depended on, by name.
    exported : PolarizationMap, optional
        The map in the files written last.
    crop_px : float, optional
        Edge of the square that the chosen classifier sees.
    """

    said: ClassVar[NotesNews] = NotesNews()

    inspection: Inspection | None = None
    inspected: Calibration | None = None
    history: History = field(default_factory=History)
    ran: dict[str, object] | None = None
    exported: PolarizationMap | None = None
    crop_px: float | None = None

    def stale(self, settings: dict[str, object]) -> str:
        """Return which setting differs from those of the last run; empty where none does, or nothing ran."""
        return next((name for name, value in (self.ran or {}).items() if settings[name] != value), "")

    def keep(self, inspection: Inspection, calibration: Calibration) -> None:
        """Remember what was measured, and tell those who wait for it."""
        self.inspection, self.inspected = inspection, calibration
        self.said.changed.emit()

    def for_scan(self, scan: Scan4D) -> Inspection | None:
        """Return the inspection with the calibration as it is now; None where the patterns must be read again."""
        if (
            self.inspection is None
            or self.inspected is None
            or scan.calibration.bad_pixels != self.inspected.bad_pixels
        ):
            return None
        if scan.calibration != self.inspected:
            self.inspection = conclude(scan, self.inspection.statistics, self.inspection.descan)
            self.inspected = scan.calibration
        return self.inspection


_NOTES: dict[int, ScanNotes] = {}


def notes_of(scan: Scan4D) -> ScanNotes:
    """Return the notes on a scan, whatever its calibration is now."""
    key = id(scan.data)
    if key not in _NOTES:
        _NOTES[key] = ScanNotes()
        weakref.finalize(scan.data, _NOTES.pop, key, None)
    return _NOTES[key]
