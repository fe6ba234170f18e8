"""What the Explorer looks at: a scan, what was measured of it, and its map."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.preprocessing import center_of_mass
from napari_polarmap.core.scan_frame import com_shift, diffraction_lattice_px
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.inspection import Inspection
from napari_polarmap.pipeline.layer_base import MAP_KEY, SOURCE_KEY
from napari_polarmap.widgets.judging import belongs
from napari_polarmap.widgets.pattern_view import Overlay
from napari_polarmap.widgets.scan_layers import ScanLayers
from napari_polarmap.widgets.scan_notes import ScanNotes, notes_of


class Explored(QObject):
    """The scan that is explored, always with its newest calibration, inspection and map.

    Signals
    -------
    chosen()
        Another scan, or none.
    changed()
        The same scan is known better, or otherwise.
    """

    chosen = Signal()
    changed = Signal()

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self.layers = ScanLayers(viewer, self)
        self.scan: Scan4D | None = None
        self.layers.listed.connect(self._on_layers)
        self.layers.recalibrated.connect(self._on_recalibrated)
        ScanNotes.said.changed.connect(self.changed)

    def detach(self) -> None:
        """Let go of the viewer."""
        ScanNotes.said.changed.disconnect(self.changed)
        self.layers.detach()

    def choose(self, scan: Scan4D | None) -> None:
        """Explore a scan."""
        self.scan = scan
        self.chosen.emit()

    @property
    def inspection(self) -> Inspection | None:
        """Disk, lattice and centres of mass, as far as a dock has measured them."""
        return None if self.scan is None else notes_of(self.scan).for_scan(self.scan)

    @property
    def result(self) -> PolarizationMap | None:
        """The map of the scan that came into the window last."""
        for layer in reversed(self._viewer.layers):
            result = layer.metadata.get(MAP_KEY)
            if (
                result is not None
                and self.scan is not None
                and belongs(result, layer.metadata.get(SOURCE_KEY), self.scan)
            ):
                return result
        return None

    @property
    def mrad_per_px(self) -> float | None:
        """Angle per detector pixel, from the calibration or the radius of the disk; None where neither tells."""
        known, inspection = self.scan.calibration, self.inspection
        if known.mrad_per_px is not None or known.convergence_mrad is None or inspection is None:
            return known.mrad_per_px
        return known.convergence_mrad / inspection.disk.radius_px

    def shift_mrad(self) -> NDArray[np.float64]:
        """Return the deflection at every position in the frame of the scan, shape (scan_y, scan_x, 2).

        Raises
        ------
        ValueError
            With one sentence, if the disk or its scale is not known.
        """
        if self.scan is None:
            raise ValueError("Open a scan first.")
        if self.inspection is None:
            raise ValueError("Find the disk first, by the button at the top.")
        if self.mrad_per_px is None:
            raise ValueError("Enter the convergence angle or mrad/px in the calibration first.")
        statistics = self.inspection.statistics
        return com_shift(statistics.com_px, self.inspection.plane_px, self.scan.calibration, self.mrad_per_px)

    def overlay(self, pattern: NDArray[np.number], place: tuple[int, int] | NDArray[np.bool_]) -> Overlay:
        """Return disk, centre of mass, crop and lattice for a pattern at a position, or the mean over a mask."""
        inspection = self.inspection
        if inspection is None:
            return Overlay()
        centers = inspection.plane_px[place].reshape(-1, 2)
        y, x = (float(value) for value in centers.mean(axis=0))
        crop_px = notes_of(self.scan).crop_px
        return Overlay(
            disk_px=((y, x), inspection.disk.radius_px),
            com_px=near_com(pattern, (y, x), inspection.disk.radius_px),
            crop_px=None if crop_px is None else ((y, x), crop_px),
            lattice_px=self._lattice(np.array([y, x]), pattern.shape),
        )

    def _lattice(self, center: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64] | None:
        if self.mrad_per_px is None:
            return None
        try:
            disks = diffraction_lattice_px(self.inspection.lattice, self.scan.calibration, self.mrad_per_px, reach=8)
        except ValueError:
            return None
        disks = disks + center
        inside = ((disks >= -0.5) & (disks <= np.array(shape[:2]) - 0.5)).all(axis=1)
        return disks[inside] if 0 < inside.sum() <= 200 else None

    def _on_layers(self) -> None:
        scans = self.layers.scans
        if self.layers.same(self.scan) is None:
            self.choose(scans[0] if scans else None)
        else:
            self.changed.emit()

    def _on_recalibrated(self) -> None:
        current = self.layers.same(self.scan)
        if current is not None:
            self.scan = current
            self.changed.emit()


def near_com(pattern: NDArray[np.number], center: tuple[float, float], radius_px: float) -> tuple[float, float]:
    """Return the centre of mass inside 1.25 times the disk, as the map uses it."""
    y, x = np.ogrid[: pattern.shape[0], : pattern.shape[1]]
    near = np.hypot(y - center[0], x - center[1]) <= 1.25 * radius_px
    com: Any = center_of_mass(np.maximum(np.nan_to_num(pattern), 0), near)
    return float(com[0]), float(com[1])
