"""Which windows are tried: from the lattice found or given, as many as the dose asks for; and what they cost."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from napari_polarmap.core.data import Calibration, Scan4D
from napari_polarmap.core.lattice import Lattice, lattice_from_step, square_vectors
from napari_polarmap.core.pooling import centre_axes
from napari_polarmap.models.registry import Prediction
from napari_polarmap.pipeline import evidence
from napari_polarmap.pipeline.evidence import classify
from napari_polarmap.pipeline.frame import Frame
from napari_polarmap.pipeline.mapping import Inspection
from napari_polarmap.pipeline.parameters import MapParams
from napari_polarmap.pipeline.tiling import tiles
from napari_polarmap.pipeline.windows import lattice_used, plan_windows

FOUND = Lattice(vectors_px=np.reshape(square_vectors(10.0), (2, 2)))
UNKNOWN = Lattice(vectors_px=np.full((2, 2), np.nan), resolved=False, source="unknown")


class GeneratedArray:
    """Counts made on reading, with a tally of what was read; every pattern is a disk of the same sum."""

    dtype = np.dtype(np.uint16)

    def __init__(self, scan_shape: tuple[int, int], edge: int = 16, electrons: int = 100) -> None:
        self.shape = (*scan_shape, edge, edge)
        self.pattern = np.full((edge, edge), electrons // edge**2 + 1, np.uint16)
        self.read = 0

    def __getitem__(self, key):
        rows, columns = (len(range(*part.indices(n))) for part, n in zip(key, self.shape[:2], strict=True))
        self.read += rows * columns
        return np.broadcast_to(self.pattern, (rows, columns, *self.shape[2:]))


@dataclass
class Stub:
    """A classifier that always answers RU and remembers what it was asked."""

    info = SimpleNamespace(grid_px=16, grid_mrad=2.0)
    predictor = None

    def __post_init__(self):
        self.electrons = []

    def predict(self, patterns, *, pooled, electrons=None):
        if pooled:
            self.electrons.append(np.asarray(electrons))
        probability = np.zeros((len(patterns), 8), np.float32)
        probability[:, 1] = 1
        return Prediction(probability, np.ones(len(patterns), np.float32))

    def embed(self, patterns):
        return np.zeros((len(patterns), 2), np.float32)


def inspected(scan: Scan4D, lattice: Lattice) -> Inspection:
    centers = np.full((*scan.scan_shape, 2), 7.5)
    disk = SimpleNamespace(center_px=(7.5, 7.5), radius_px=6.0)
    statistics = SimpleNamespace(total=np.full(scan.scan_shape, float(scan.data.pattern.sum())), com_px=centers)
    return Inspection(disk, statistics, lattice, 2.0, centers, SimpleNamespace())


def generated(scan_shape: tuple[int, int], lattice: Lattice = FOUND, params: MapParams | None = None, **scan_options):
    scan = Scan4D(GeneratedArray(scan_shape, **scan_options), Calibration(scan_step_A=0.4))
    inspection, params = inspected(scan, lattice), params or MapParams()
    plan, notes = plan_windows(scan, inspection, params)
    return Frame(scan, Stub(), inspection, params), plan, notes


def finish(steps):
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return done.value


def test_where_the_dose_is_low_windows_are_large_and_at_ample_dose_small():
    _, low, _ = generated((200, 200), electrons=200)
    _, ample, _ = generated((200, 200), electrons=200_000)
    assert [pool.cells for pool in low.pools] == [1, 3, 4, 6, 8, 12]
    assert [pool.cells for pool in ample.pools] == [1, 2, 3]


def test_a_given_lattice_takes_the_place_of_the_one_found_and_is_told():
    given = square_vectors(7.5, 10)
    _, plan, notes = generated((80, 80), params=MapParams(lattice_px=given))
    assert plan.lattice.source == "given"
    np.testing.assert_allclose(plan.lattice.vectors_px.ravel(), given)
    assert any("given, not found" in note for note in notes)


@pytest.mark.parametrize(("radius_px", "expected"), [(None, 15.0), (7.0, 7.0), (500.0, 39.5)])
def test_without_a_lattice_a_round_neighbourhood_is_averaged_and_told(radius_px, expected):
    _, plan, notes = generated((80, 90), UNKNOWN, MapParams(radius_px=radius_px))
    assert [pool.cells for pool in plan.pools] == [0]
    assert plan.base.half[0] == int(expected)
    assert any(f"averaged over {expected:.1f} positions" in note and "not cancel" in note for note in notes)


def test_a_radius_takes_the_place_of_a_nominal_lattice_only():
    for lattice, cells in ((lattice_from_step(0.4), 0), (FOUND, 1)):
        _, plan, _ = generated((80, 80), lattice, MapParams(radius_px=9))
        assert plan.pools[0].cells == cells


@pytest.mark.parametrize("step_A", [0.04, 0.001])
def test_a_cell_that_the_scan_does_not_hold_is_never_laid_out(monkeypatch, step_A):
    monkeypatch.setattr("napari_polarmap.pipeline.windows.cell_window", lambda vectors: pytest.fail("gigabytes"))
    frame, plan, notes = generated((80, 80), lattice_from_step(step_A))
    assert plan is None
    assert any("smaller than one unit cell" in note for note in notes)
    assert not lattice_used(plan, frame.inspection).known, "positions would be compared with those of cells outside"


@pytest.mark.parametrize("most_nodes", [10**6, 900, 400])
def test_tiles_answer_for_every_position_and_centre_once_and_hold_what_their_windows_need(most_nodes):
    shape = (173, 260)
    _, plan, _ = generated(shape, electrons=2000)
    positions, centres = np.zeros(shape, int), np.zeros(plan.grid.shape, int)
    for tile in tiles(shape, plan, most_nodes):
        positions[tile.own] += 1
        centres[tile.centred] += 1
        for pool in plan.pools:
            for axis, at in enumerate(centre_axes(plan.grid, pool)):
                mine = at[(at >= tile.centred[axis].start) & (at < tile.centred[axis].stop)]
                assert (mine - pool.half[axis] >= tile.nodes[axis].start).all()
                assert (mine + pool.half[axis] < tile.nodes[axis].stop).all()
    assert (positions == 1).all()
    assert (centres == 1).all()


def test_tiles_do_not_change_the_answers():
    frame, plan, _ = generated((120, 150), electrons=2000)
    rng = np.random.default_rng(0)
    frame.classifier.predict = lambda patterns, *, pooled, electrons=None: Prediction(
        np.tile(np.float32(0.125), (len(patterns), 8)), patterns[:, 3, 4] / patterns.sum(axis=(1, 2))
    )
    counts = rng.poisson(5.0, (120, 150, 16, 16)).astype(np.uint16)
    frame.scan = Scan4D(counts)
    whole = finish(classify(frame, plan))
    parts = finish(classify(frame, plan, tile_bytes=4 * 16**2 * 30**2))
    np.testing.assert_allclose(parts.single, whole.single, rtol=1e-5)
    for one, other in zip(parts.pooled, whole.pooled, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_memory_stays_bounded_and_patterns_are_read_little_more_than_once(monkeypatch):
    """512 x 512 positions, windows that reach 60 positions to each side; unpacked they are 256 MiB."""
    block, tile = 2 * 2**20, 4 * 2**20
    monkeypatch.setattr(evidence, "BLOCK_BYTES", block)
    frame, plan, _ = generated((512, 512), electrons=100)
    assert plan.pools[-1].cells == 12
    steps = classify(frame, plan, singles=False, tile_bytes=tile)
    tracemalloc.start()
    try:
        next(steps)
        maps = tracemalloc.get_traced_memory()[0]  # what is asked for is there from the start
        tracemalloc.reset_peak()
        while next(steps).done >= 0:
            peak = tracemalloc.get_traced_memory()[1]
            assert peak < maps + tile + 8 * block
    except StopIteration:
        pass
    finally:
        tracemalloc.stop()
    assert frame.scan.data.read < 2.5 * 512 * 512


def test_each_window_tells_the_classifier_how_many_electrons_it_rests_on():
    frame, plan, _ = generated((80, 80), electrons=2000)
    finish(classify(frame, plan, singles=False))
    per_position = float(frame.scan.data.pattern.sum())
    told = np.concatenate(frame.classifier.electrons)
    expected = [pool.effective_positions * per_position for pool in plan.pools]
    assert told.min() == pytest.approx(expected[0], rel=0.2)
    # The largest window is cut to the scan, whose rim lies in fewer cell averages than its middle.
    assert 0.7 * 80**2 * per_position < told.max() < 80**2 * per_position
