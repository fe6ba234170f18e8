"""Figures of the errors, one per map and one of what is irregular."""

from __future__ import annotations

import numpy as np
import pytest

from napari_polarmap.core.directions import UNDEFINED, Direction
from napari_polarmap.io.result import PolarizationMap
from napari_polarmap.pipeline.error_report import write_error_figures

SHAPE = (24, 32)


@pytest.fixture
def result() -> PolarizationMap:
    direction = np.full(SHAPE, Direction.RU, np.uint8)
    direction[:, 20:] = Direction.LD
    return PolarizationMap(
        direction=direction,
        probability=np.full((*SHAPE, 8), 0.125, np.float32),
        angle_deg=np.zeros(SHAPE, np.float32),
        confidence=np.ones(SHAPE, np.float32),
        irregularity=np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32),
        irregular=np.zeros(SHAPE, bool),
        com_px=np.zeros((*SHAPE, 2), np.float32),
        domain=direction,
        virtual_image=np.ones(SHAPE, np.float32),
        single_direction=direction,
        provenance={"measured": {"lattice_vectors_px": [[0.0, 8.0], [8.0, 0.0]]}},
    )


@pytest.mark.parametrize("with_defect", [True, False])
def test_every_figure_is_written(result, tmp_path, with_defect):
    label = np.full(SHAPE, Direction.RU, np.uint8)
    label[:2] = UNDEFINED
    defect = np.zeros(SHAPE, bool)
    defect[10:14, 10:14] = True
    paths = write_error_figures(tmp_path / "new", "scan", result, label, defect if with_defect else None)
    names = ["scan_errors_single.png", "scan_errors_domain.png", "scan_irregularity.png"]
    assert [path.name for path in paths] == names[: 3 if with_defect else 2]
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in paths)


def test_a_map_without_errors_or_lattice_has_figures_too(result, tmp_path):
    plain = PolarizationMap(**{**result.arrays(), "provenance": {}})
    assert len(write_error_figures(tmp_path, "scan", plain, plain.domain, None)) == 2
