"""Axes in another order than ours, put right while reading."""

from __future__ import annotations

import itertools

import h5py
import numpy as np
import pytest

from napari_polarmap.core.axes import AXES, AxisOrder, Reordered
from napari_polarmap.io import open_scan

DATA = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
KEYS = [
    (0,),
    (slice(None), slice(None)),
    (slice(0, 2), slice(1, 3)),
    (1, 2),
    (-1, [2, 0]),
    (slice(None, None, -1), slice(None, None, 2), slice(1, 3), 4),
    (..., 1),
    (slice(0, 0),),
]


@pytest.mark.parametrize("mirrored", [(), ("scan_x",), ("scan_y", "det_y"), AXES])
def test_every_order_is_read_as_the_turned_array(tmp_path, mirrored):
    with h5py.File(tmp_path / "stored.h5", "w") as file:
        for index, stored in enumerate(itertools.permutations(AXES)):
            order = AxisOrder(stored=stored, mirrored=mirrored)
            whole = DATA[tuple(slice(None, None, -1) if name in mirrored else slice(None) for name in AXES)]
            node = file.create_dataset(str(index), data=whole.transpose([AXES.index(name) for name in stored]))
            np.testing.assert_array_equal(order.apply(node[()]), DATA)
            lazy = Reordered(node, order)
            assert lazy.shape == DATA.shape
            for key in KEYS:
                np.testing.assert_array_equal(lazy[key], DATA[key])


def test_opening_a_scan_puts_its_axes_in_order(tmp_path):
    np.save(tmp_path / "scan.npy", DATA.transpose(1, 0, 2, 3)[..., ::-1])
    scan = open_scan(tmp_path / "scan.npy", axes=AxisOrder.parse("scan_x,scan_y,det_y,-det_x"))
    np.testing.assert_array_equal(scan.data[:, :], DATA)
    np.testing.assert_array_equal(scan.pattern(1, 2), DATA[1, 2])
    assert scan.axes.mirrored == ("det_x",)


def test_a_stack_that_was_scanned_column_by_column_gets_the_shape_of_the_scan(tmp_path):
    np.save(tmp_path / "stack.npy", DATA.transpose(1, 0, 2, 3).reshape(6, 4, 5))
    order = AxisOrder.parse("scan_x,scan_y,det_y,det_x")
    np.testing.assert_array_equal(open_scan(tmp_path / "stack.npy", scan_shape=(2, 3), axes=order).data[:, :], DATA)


@pytest.mark.parametrize("text", ["scan_y,scan_x", "y,x,ky,kx", "scan_y,scan_y,det_y,det_x", ""])
def test_an_order_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"scan_y,scan_x,det_y,det_x in any order fits"):
        AxisOrder.parse(text)


def test_an_index_outside_is_an_error():
    lazy = Reordered(DATA, AxisOrder(mirrored=("scan_y",)))
    with pytest.raises(IndexError, match="outside an axis of 2"):
        lazy[2]
    with pytest.raises(IndexError, match="5 indices"):
        lazy[0, 0, 0, 0, 0]
