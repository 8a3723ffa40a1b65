"""One list of disks for each pool."""

import numpy as np
import pytest

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.indexing.pooling.grouping import Pools
from napari_4dstem_orient.indexing.pooling.merging import AT_ONCE, merge


def pools(*members):
    sizes = [len(one) for one in members]
    return Pools(np.concatenate(members), np.concatenate([[0], np.cumsum(sizes)]))


def test_disks_at_one_place_become_one_with_their_mean_intensity():
    lists = [
        [[0.500, 0.1, 3.0], [-0.7, 0.2, 1.0]],
        [[0.510, 0.1, 1.0], [0.9, -0.9, 2.0]],
        [[0.5, 0.5, 8.0]],
    ]
    snr = np.array([4.0, 2.0, 6.0, 1.0, 9.0], np.float32)
    disks = BraggDisks.from_lists(
        (1, 3), [np.array(rows) for rows in lists], calibrated=True, reach=2.0, snr=snr
    )
    merged = merge(disks, pools([0, 1], [2]))
    assert merged.scan_shape == (2, 1)
    assert merged.reach == 2.0
    assert merged.calibrated
    np.testing.assert_array_equal(merged.counts.ravel(), [3, 1])
    strongest = merged.at(0, 0)[merged.at(0, 0)[:, 2].argsort()[::-1]]
    np.testing.assert_allclose(strongest[0], [(0.5 * 3 + 0.51) / 4, 0.1, 2.0], rtol=1e-6)
    np.testing.assert_allclose(sorted(strongest[1:, 2]), [0.5, 1.0])
    np.testing.assert_allclose(merged.at(1, 0), [[0.5, 0.5, 8.0]])
    both = merged.snr[:3][np.isclose(merged.qx[:3], 0.5025)]
    np.testing.assert_allclose(both, (4 + 6) / np.sqrt(2))


def test_neighbouring_reflections_stay_apart_and_scatter_does_not_split_them():
    rng = np.random.default_rng(3)
    places = np.array([[0.3, 0.0], [0.42, 0.0], [0.3, 0.12], [-1.5, 0.7]])
    lists = [np.column_stack([places + rng.normal(0, 0.008, places.shape), np.ones(4)]) for _ in range(40)]
    disks = BraggDisks.from_lists((5, 8), lists, calibrated=True)
    merged = merge(disks, pools(np.arange(40)))
    strong = merged.at(0, 0)[merged.intensity > 0.5]
    assert len(strong) == 4
    order = np.lexsort(strong[:, :2].T)
    np.testing.assert_allclose(strong[order, :2], places[np.lexsort(places.T)], atol=0.006)
    np.testing.assert_allclose(merged.intensity.sum(), 4.0, rtol=0.05)


@pytest.mark.parametrize("count", [1, AT_ONCE, AT_ONCE + 5])
def test_pools_do_not_touch_each_other(count):
    lists = [np.array([[0.01 * number, -0.4, 1.0 + number]]) for number in range(count)]
    disks = BraggDisks.from_lists((count, 1), lists, calibrated=True)
    merged = merge(disks, pools(*[[number] for number in range(count)]))
    np.testing.assert_allclose(merged.qx, disks.qx, rtol=1e-6)
    np.testing.assert_allclose(merged.intensity, disks.intensity)
    np.testing.assert_array_equal(merged.counts, 1)


def test_empty_lists_are_empty_pools():
    disks = BraggDisks.from_lists((2, 2), [np.zeros((0, 3))] * 4, calibrated=True)
    assert merge(disks, pools([0, 1, 2, 3])).counts.sum() == 0
