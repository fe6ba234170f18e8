"""What the header of each step says, and why Run is disabled."""

from __future__ import annotations

from dataclasses import dataclass

from napari_polarmap.core.data import Scan4D
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.models.weights import ModelInfo
from napari_polarmap.pipeline.inspection import Inspection
from napari_polarmap.widgets.section import State

Header = tuple[State, str]


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that the state of the steps depends on.

    Attributes
    ----------
    problem : str
        Why there is no disk.
    stale : str
        What was changed since the map was computed; empty where nothing was.
    exported : bool
        Files of this map, or of one before it, were written.
    export_stale : bool
        The map is another one than that in the files.
    """

    scan: Scan4D | None
    inspecting: bool
    inspection: Inspection | None
    problem: str
    model: ModelInfo | None
    running: bool
    result: PolarizationMap | None
    stale: str
    exported: bool
    export_stale: bool

    @property
    def reason(self) -> str:
        """Why a run cannot start, as a sentence; empty where it can."""
        if self.scan is None:
            return "To run, open a scan in step 1."
        if self.inspecting:
            return "Run waits for the disk to be found."
        if self.problem:
            return "To run, choose a scan with a bright-field disk."
        if self.inspection is None:
            return "To run, measure the disk in step 2."
        if not self._scaled:
            return "To run, enter the convergence angle or mrad/px in step 1."
        if self.model is None:
            return "To run, choose a classifier file."
        return ""

    @property
    def headers(self) -> list[Header]:
        """State and words for the five steps."""
        return [self._dataset(), self._disk(), self._map(), self._review(), self._export()]

    @property
    def _scaled(self) -> bool:
        known = self.scan.calibration
        return known.mrad_per_px is not None or known.convergence_mrad is not None

    def _dataset(self) -> Header:
        if self.scan is None:
            return State.WAITING, ""
        if not self._scaled:
            return State.ATTENTION, "convergence missing"
        if self.scan.calibration.scan_step_A is None:
            return State.DONE, "no scan step"
        return State.DONE, "calibrated"

    def _disk(self) -> Header:
        if self.inspecting:
            return State.BUSY, "measuring"
        if self.problem:
            return State.ATTENTION, "no disk"
        if self.inspection is None:
            return State.WAITING, "" if self.scan is None else "not measured"
        return State.DONE, f"disk radius {self.inspection.disk.radius_px:.1f} px"

    def _map(self) -> Header:
        if self.running:
            return State.BUSY, "running"
        if self.result is not None and self.stale:
            return State.STALE, f"{self.stale} changed: run again"
        if self.result is not None:
            return State.DONE, "map computed"
        return State.WAITING, "" if self.reason else "ready to run"

    def _review(self) -> Header:
        if self.result is None:
            return State.WAITING, ""
        if self.stale:
            return State.STALE, "of a map that is out of date"
        return State.DONE, f"{int(self.result.irregular.sum())} marked"

    def _export(self) -> Header:
        if self.result is None:
            return State.WAITING, ""
        if self.exported and (self.stale or self.export_stale):
            return State.STALE, "files are older than the settings" if self.stale else "files are older than the map"
        return (State.DONE, "files written") if self.exported else (State.WAITING, "ready")
