"""Virtual images and the Bragg vector map are sums that can be checked by hand."""

import dask.array as da
import numpy as np
import pytest

from napari_4dstem_orient.core import memory
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.detection.coarse_first import coarse_first, coarse_to_fine
from napari_4dstem_orient.detection.reduced import LiveImage, binning_for, reduce_scan
from napari_4dstem_orient.detection.vector_map import bragg_vector_map, vector_map_frame
from napari_4dstem_orient.detection.virtual import mean_pattern, virtual_image, virtual_images
from napari_4dstem_orient.detection.virtual_detector import (
    VirtualDetector,
    describe_detector,
    units_per_pixel,
)


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
    image = bragg_vector_map(disks)
    step, start = vector_map_frame(disks)
    assert image[128, 128] == 5
    for qx, qy, intensity in rows:
        assert image[round((qx - start[0]) / step[0]), round((qy - start[1]) / step[1])] == intensity


# ---------------------------------------------------------------- detectors, coarse first, live


def uneven_scan(chunks=(3, 2, 16, 20)) -> Scan:
    """7 × 5 patterns of 16 × 20 pixels, all different."""
    data = np.random.default_rng(0).integers(0, 60_000, (7, 5, 16, 20)).astype(np.uint16)
    return Scan(da.from_array(data, chunks=chunks))


def test_a_detector_is_a_disc_or_a_ring_along_the_right_axes():
    disc = VirtualDetector((3.0, 12.0), 2.0).mask((16, 20))
    assert disc.sum() == 13
    assert disc[5, 12]
    assert not disc[12, 3]
    ring = VirtualDetector((3.0, 12.0), 2.0, 1.0).mask((16, 20))
    assert ring.sum() == 12
    assert not ring[3, 12]
    assert VirtualDetector((0, 0), 3.0, 2.0).with_outer(1.0).outer > 2.0
    assert VirtualDetector((0, 0), 3.0).with_inner(9.0).inner < 3.0


@pytest.mark.parametrize("chunks", [(1, 1, 16, 20), (3, 2, 16, 20), (7, 5, 16, 20), (2, 5, 8, 10)])
@pytest.mark.parametrize("patterns_at_once", [1, 3, 100])
def test_every_pattern_is_read_once_coarse_to_fine(chunks, patterns_at_once, monkeypatch):
    monkeypatch.setattr(memory, "BATCH_BYTES", patterns_at_once * 4 * 16 * 20)
    scan = uneven_scan(chunks)
    seen = np.zeros(35, int)
    for positions, block in coarse_first(scan):
        seen[positions] += 1
        assert len(block) <= patterns_at_once
        np.testing.assert_array_equal(block, scan.data.compute().reshape(35, 16, 20)[positions])
    np.testing.assert_array_equal(seen, 1)
    first, second = coarse_to_fine(8)[:2]
    assert abs(first - second) >= 4


@pytest.mark.parametrize("detector", [VirtualDetector((3, 12), 2.5), VirtualDetector((20, 9), 12.0, 8.0)])
def test_a_virtual_image_is_the_sum_over_the_mask_and_grows(detector):
    scan = uneven_scan((1, 2, 16, 20))
    mask = detector.mask((16, 20))
    grown = []
    image = virtual_image(scan, mask, glimpse=lambda so_far: grown.append(so_far()))
    expected = scan.data.compute().astype(float)[..., mask].sum(-1)
    np.testing.assert_allclose(image, expected, rtol=1e-6)
    first_row = coarse_to_fine(7)[0]
    np.testing.assert_allclose(grown[0], np.broadcast_to(expected[first_row], (7, 5)), rtol=1e-6)
    np.testing.assert_array_equal(grown[-1], image)


def test_a_region_has_a_mean_pattern_and_reads_no_other_rows():
    scan = uneven_scan((1, 5, 16, 20))
    chosen = np.zeros((7, 5), bool)
    chosen[2:4, 1:4] = True
    told = []
    mean = mean_pattern(scan, chosen, progress=lambda done, total: told.append((done, total)))
    np.testing.assert_allclose(mean, scan.data.compute()[chosen].mean(0), rtol=1e-6)
    assert told == [(0, 6), (3, 6), (6, 6)]
    with pytest.raises(UserError, match="no scan position"):
        mean_pattern(scan, np.zeros((7, 5), bool))


def test_the_live_image_follows_a_moving_detector_exactly():
    scan = uneven_scan()
    data = scan.data.compute().astype(float)
    reduced = reduce_scan(scan, 1)
    assert reduced.counts.dtype == np.uint16
    live = LiveImage(reduced)
    path = [VirtualDetector((row, 9.0), 3.0) for row in np.arange(0, 16, 0.7)]
    path += [VirtualDetector((8.0, 9.0), 30.0, 2.0), VirtualDetector((8.0, 9.0), 30.0, 2.6)]
    for detector in path:
        mask = detector.mask((16, 20))
        np.testing.assert_array_equal(live(mask), data[..., mask].sum(-1).astype(np.float32))
    np.testing.assert_allclose(reduced.mean, data.mean((0, 1)), rtol=1e-6)
    np.testing.assert_array_equal(reduced.maximum, data.max((0, 1)))
    chosen = np.random.default_rng(1).random((7, 5)) < 0.4
    np.testing.assert_allclose(reduced.mean_of(chosen), data[chosen].mean(0), rtol=1e-6)


def test_a_scan_too_large_for_the_budget_is_binned_or_not_kept_at_all():
    data = np.random.default_rng(0).integers(0, 200, (4, 3, 33, 40)).astype(np.uint16)
    scan = Scan(da.from_array(data))
    everything = 12 * 33 * 40 * 2
    assert binning_for(scan, everything) == 1
    assert binning_for(scan, everything - 1) == 2
    assert binning_for(scan, 1000) is None
    reduced = reduce_scan(scan, 2)
    assert reduced.counts.shape == (17 * 20, 12)
    everywhere = np.ones((33, 40), bool)
    np.testing.assert_allclose(LiveImage(reduced)(everywhere), data.sum((2, 3), dtype=float))
    mask = VirtualDetector((16, 12), 9.0).mask((33, 40))
    np.testing.assert_allclose(LiveImage(reduced)(mask), data[..., mask].sum(-1, dtype=float), rtol=0.08)
    chosen = np.ones((4, 3), bool)
    assert reduced.mean_of(chosen).shape == (33, 40)
    np.testing.assert_allclose(reduced.mean_of(chosen).sum(), data.mean((0, 1)).sum(), rtol=1e-5)


def test_detectors_are_named_in_the_units_that_are_known():
    calibration = Calibration(voltage=300.0, q_pixel=0.02)
    units = units_per_pixel(calibration)
    assert units["mrad"] == pytest.approx(1e3 * 0.0196875 * 0.02, rel=1e-4)
    beam = (31.0, 33.0)

    def name(detector, unit):
        return describe_detector(detector, beam, unit, units[unit], 4.0)

    assert name(VirtualDetector(beam, 5.0), "Å⁻¹") == "Bright field 0–0.1 Å⁻¹"
    assert name(VirtualDetector(beam, 40.0, 20.0), "Å⁻¹") == "ADF 0.4–0.8 Å⁻¹"
    assert name(VirtualDetector((41.0, 13.0), 5.0), "px") == "Dark field at (10, −20) px"
    assert list(units_per_pixel(Calibration(voltage=300.0))) == ["px"]


def test_a_vector_map_is_summed_once_for_the_same_disks():
    one, same_again = (
        BraggDisks.from_lists((1, 1), [np.array([[3.0, 4.0, 5.0]])], detector_shape=(8, 8)) for _ in range(2)
    )
    image = bragg_vector_map(one)
    assert bragg_vector_map(one) is image
    assert bragg_vector_map(same_again) is not image
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0] = 1
