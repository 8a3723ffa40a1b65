"""Virtual images and the Bragg vector map are sums that can be checked by hand."""

import dask.array as da
import numpy as np
import pytest

from napari_4dstem_orient.detection.vector_map import bragg_vector_map, vector_map_frame
from napari_4dstem_orient.detection.virtual import virtual_images
from napari_4dstem_orient.disks import BraggDisks
from napari_4dstem_orient.errors import Cancelled, UserError
from napari_4dstem_orient.scan import Scan


def test_virtual_images_are_the_sums_they_say(small_scan):
    images = virtual_images(small_scan, center=(31, 33), radius=3.0)
    data = small_scan.data.compute().astype(float)
    y, x = np.ogrid[:64, :64]
    distance = np.hypot(y - 31, x - 33)
    np.testing.assert_allclose(images["bright field"], data[..., distance <= 3.9].sum(-1), rtol=1e-5)
    np.testing.assert_allclose(images["annular dark field"], data[..., distance >= 6].sum(-1), rtol=1e-5)
    np.testing.assert_allclose(images["mean pattern"], data.mean((0, 1)), rtol=1e-5)
    np.testing.assert_array_equal(images["maximum pattern"], data.max((0, 1)))


def test_the_direct_beam_is_found_by_default(small_scan):
    by_hand = virtual_images(small_scan, center=(31, 33), radius=3.1)
    found = virtual_images(small_scan)
    np.testing.assert_allclose(found["bright field"], by_hand["bright field"], rtol=0.02)


def test_an_empty_scan_has_empty_images():
    images = virtual_images(Scan(da.zeros((2, 3, 16, 16))))
    assert all(not image.any() for image in images.values())


def test_progress_can_cancel_and_broken_patterns_are_named(small_scan):
    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        virtual_images(small_scan, progress=stop)
    data = small_scan.data.compute().astype(np.float32)
    data[2, 3, 0, 0] = np.nan
    with pytest.raises(UserError, match="row 2, column 3"):
        virtual_images(Scan(da.from_array(data)))


def test_the_vector_map_puts_qx_down_and_qy_across():
    disks = BraggDisks.from_lists(
        (1, 2), [np.array([[3, 7, 2.0]]), np.array([[3.2, 6.9, 1.0]])], detector_shape=(10, 12)
    )
    image = bragg_vector_map(disks)
    assert image.shape == (10, 12)
    assert image[3, 7] == 3
    assert image.sum() == 3


def test_a_calibrated_vector_map_has_the_direct_beam_in_the_middle():
    rows = np.array([[0, 0, 5.0], [1.0, 0, 2.0], [0, -0.5, 1.0]])
    disks = BraggDisks.from_lists((1, 1), [rows], calibrated=True)
    image = bragg_vector_map(disks, (64, 64))
    step, start = vector_map_frame(disks, (64, 64))
    assert image[32, 32] == 5
    for qx, qy, intensity in rows:
        assert image[round((qx - start[0]) / step[0]), round((qy - start[1]) / step[1])] == intensity
