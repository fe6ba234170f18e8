"""From blocks of a scan to patterns on a classifier's grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_polarmap.core.data import Scan4D
from napari_polarmap.core.missing import donors, missing_positions
from napari_polarmap.core.resampling import Resampler, resample_patterns
from napari_polarmap.core.sums import plain, read_block
from napari_polarmap.models.registry import Classifier
from napari_polarmap.models.template import TEMPLATE_FILE, TemplatePredictor, load_estimator
from napari_polarmap.models.weights import read_info
from napari_polarmap.pipeline.inspection import Inspection, disk_centers
from napari_polarmap.pipeline.parameters import MapParams


def fitting_estimator(classifier: Classifier) -> TemplatePredictor | None:
    """Return the packaged physical estimator where it takes patterns on the classifier's grid, or is the classifier."""
    info = read_info(TEMPLATE_FILE)
    if isinstance(classifier.predictor, TemplatePredictor) and classifier.info.sha256 == info.sha256:
        return classifier.predictor
    fits = classifier.info.grid_px == info.grid_px and abs(classifier.info.grid_mrad / info.grid_mrad - 1) < 1e-3
    return load_estimator() if fits else None


class Frame:
    """Everything that takes a block of the scan to patterns on the classifier's grid."""

    def __init__(self, scan: Scan4D, classifier: Classifier, inspection: Inspection, params: MapParams) -> None:
        self.scan, self.classifier, self.inspection, self.params = scan, classifier, inspection, params
        self.centers = disk_centers(inspection, params.center)
        self.crystal_angle_deg = scan.calibration.crystal_angle_deg
        self.counted = scan.dtype.kind in "ui"
        """The patterns are counts, of electrons as far as known."""
        missing = missing_positions(inspection.statistics.total, counted=self.counted)
        self._donors = donors(missing, self._lattice())
        self._missing = missing if missing.any() else None
        self.hollow: NDArray[np.bool_] = missing & (self._donors[..., 0] < 0)
        """Positions without a pattern, and without another that stands for it."""
        self.estimator = fitting_estimator(classifier)
        info, calibration = classifier.info, scan.calibration
        self._geometry: dict[str, Any] = {
            "mrad_per_px": inspection.mrad_per_px,
            "size_px": info.grid_px,
            "grid_mrad": info.grid_mrad,
            "rotation_deg": calibration.rotation_deg - calibration.crystal_angle_deg,
            "flip": calibration.flip,
            "distortion": calibration.distortion if calibration.ellipse_ratio > 1 else None,
        }
        self._resampler = Resampler(scan.detector_shape, self.centers.reshape(-1, 2), **self._geometry)
        self._coverage = self._covered()

    def electrons(
        self, patterns: NDArray[np.float32], positions: float | NDArray[np.float64] = 1.0
    ) -> NDArray[np.float64] | None:
        """Return the electrons that averages over so many positions rest on; None where counts are not known."""
        total = patterns.sum(axis=(1, 2), dtype=np.float64)
        return np.maximum(total * positions, 1.0) if self.counted else None

    def patterns(self, rows: slice, columns: slice) -> NDArray[np.float32]:
        """Return the patterns of a block, crystal axes along the array axes, shape (n, grid, grid).

        For a position without a pattern another stands, see `missing.donors`.
        """
        raw, _ = read_block(self.scan, rows, columns, self._resampler.box)
        centers = self.centers[rows, columns]
        if self._missing is not None:
            raw, centers = raw.copy(), centers.copy()
            for i, j in np.argwhere(self._missing[rows, columns] & ~self.hollow[rows, columns]):
                y, x = (int(at) for at in self._donors[rows, columns][i, j])
                raw[i, j] = read_block(self.scan, slice(y, y + 1), slice(x, x + 1), self._resampler.box)[0][0, 0]
                centers[i, j] = self.centers[y, x]
        patterns = plain(raw).reshape(-1, *raw.shape[2:])
        grid: NDArray[np.float32] = self._resampler(patterns, centers.reshape(-1, 2))
        grid *= self._coverage
        return grid

    def _lattice(self) -> NDArray[np.float64] | None:
        """Return the lattice given, or the one found."""
        if self.params.lattice_px is not None:
            return np.reshape(np.asarray(self.params.lattice_px, np.float64), (2, 2))
        return self.inspection.lattice.vectors_px if self.inspection.lattice.known else None

    def _covered(self) -> NDArray[np.float32]:
        """Where the detector sees both a pixel of the grid and the one opposite.

        A pixel whose counterpart is missing would make a false odd part.
        """
        height, width = self.scan.detector_shape
        seen = np.ones((1, height, width), np.float32)
        center = np.asarray(self.inspection.disk.center_px)
        if self.params.crop_px is not None:
            y, x = np.mgrid[:height, :width]
            half = self.params.crop_px / 2
            seen[0] = (np.abs(y - center[0]) <= half) & (np.abs(x - center[1]) <= half)
        # Counts per solid angle are kept, so a whole pixel of the grid holds this many of the detector's.
        whole = (self.classifier.info.grid_mrad / self.inspection.mrad_per_px) ** 2
        grid = resample_patterns(seen, center, **self._geometry)[0] >= 0.99 * whole
        both: NDArray[np.bool_] = grid & grid[::-1, ::-1]
        return both.astype(np.float32)
