"""Maxima on rings and bands are no disks; disks are, on a ring, in a row, and touching each other."""

import numpy as np
import pytest
import torch

from napari_4dstem_orient.detection.batched import BatchedDetection
from napari_4dstem_orient.detection.peaks import Peaks
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.ridges import Ridges, Rings, on_ridge
from napari_4dstem_orient.detection.selection import PeakStatus
from napari_4dstem_orient.detection.settings import DetectionSettings

SIDE, RADIUS, MIDDLE = 128, 4.0, 64.0
SETTINGS = DetectionSettings(
    min_intensity=0.0,
    min_relative_intensity=0.0,
    min_signal_to_noise=3.0,
    gain=1.0,
    min_spacing=6.0,
    edge=2,
    subpixel="fit",
)


def drawn(places, counts, ring=0.0, seed=0):
    """Return a noisy pattern with disks of so many counts in each pixel, and a diffuse ring as wide as a disk."""
    row, col = np.indices((SIDE, SIDE))
    mean = 0.2 + ring * np.exp(-(((np.hypot(row - MIDDLE, col - MIDDLE) - 40) / 3.0) ** 2))
    for (y, x), level in zip(places, np.broadcast_to(counts, len(places)), strict=True):
        mean = mean + level * np.clip(RADIUS + 0.5 - np.hypot(row - y, col - x), 0, 1)
    return np.random.default_rng(seed).poisson(mean).astype(np.float32)


def detection(settings=SETTINGS):
    return BatchedDetection(synthetic_probe(RADIUS, (SIDE, SIDE)), settings, torch.device("cpu"))


def found_near(disks, places):
    """Return which places have a disk, and how many disks have no place."""
    apart = np.hypot(*(disks[:, None, :2] - np.asarray(places)).transpose(2, 0, 1))
    return apart.min(0) < 2, int((apart.min(1) >= 2).sum())


def test_noise_on_a_diffuse_ring_makes_no_disks_and_hides_none():
    places = MIDDLE + 40 * np.array([[1, 0], [-1, 0], [0, 1], [0.6, -0.8], [0, 0]])
    pattern = drawn(places, [12, 12, 12, 12, 200], ring=5.0)
    _, disks = detection()(pattern[None])
    there, strangers = found_near(disks, places)
    assert there.all()
    assert strangers <= 3
    places_of_all, status = detection().candidates(pattern)
    on_ridge = places_of_all[status == PeakStatus.ON_RIDGE]
    assert len(on_ridge) >= 8
    assert np.abs(np.hypot(*(on_ridge[:, :2] - MIDDLE).T) - 40).max() < 5
    assert "ring" in PeakStatus.ON_RIDGE.text
    without = detection(DetectionSettings(**{**vars(SETTINGS), "min_signal_to_noise": 0.0}))
    assert found_near(without(pattern[None])[1], places)[1] > 8  # as py4DSTEM would


@pytest.mark.parametrize("spacing", [2.2, 3.0, 5.0])
def test_disks_of_a_lattice_stay_however_near_their_neighbours(spacing):
    steps = spacing * RADIUS * np.arange(-3, 4)
    places = MIDDLE + np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    places = places[np.abs(places - MIDDLE).max(1) < 55]
    levels = np.where(np.arange(len(places)) % 2, 15.0, 20.0)
    _, disks = detection()(drawn(places, levels)[None])
    assert found_near(disks, places)[0].all()


def test_heights_are_read_along_the_line_where_they_stay_highest():
    images = torch.zeros(2, 41, 41)
    images[1, 20, :] = 3.0  # a ridge along the columns
    images[1, 20, 20] = 4.0
    images[0, 20, 20] = 4.0
    one = np.array([0, 1, 1])
    peaks = Peaks(one, np.array([20, 20, 0]), np.array([20, 20, 0]), np.zeros((3, 3, 3)))
    np.testing.assert_allclose(Ridges(4.0, torch.device("cpu")).along(images, peaks), [0, 3, 0])


def test_a_maximum_well_above_its_ridge_is_a_disk():
    height, along = np.array([10.0, 10.0, 10.0]), np.array([2.0, 6.0, 6.0])
    np.testing.assert_array_equal(on_ridge(height, along, np.array([5.0, 11.0, 14.0])), [False, True, False])


def test_an_end_of_a_ridge_is_not_on_it():
    """A mean of both sides: what stays high on one side alone stands out on the line."""
    images = torch.zeros(1, 41, 41)
    images[0, 20, 20:] = 1.0
    peaks = Peaks(np.array([0]), np.array([20]), np.array([20]), np.zeros((1, 3, 3)))
    np.testing.assert_allclose(Ridges(4.0, torch.device("cpu")).along(images, peaks), 0.5)


def test_noise_on_a_ring_too_faint_to_be_seen_in_one_place_makes_no_disks():
    """The ring adds about one standard deviation to the correlation; nobody would see it beside one maximum."""
    places = MIDDLE + 40 * np.array([[1, 0], [-1, 0], [0, 1], [0.6, -0.8], [0, 0]])
    kept, strangers, without = [], 0, 0
    for seed in range(12):
        pattern = drawn(places, [6, 6, 6, 6, 200], ring=0.6, seed=seed)
        there, more = found_near(detection()(pattern[None])[1], places)
        kept.append(there)
        strangers += more
        disks, status = detection().candidates(pattern)
        on_ring = np.abs(np.hypot(*(disks[:, :2] - MIDDLE).T) - 40) < 4
        without += int((on_ring & (status == PeakStatus.ON_RIDGE)).sum())
    assert np.all(kept)
    assert without > 12  # a disk or more in each pattern, as before
    assert strangers < without / 2


def one_ring(height, cover=0.0):
    """Return an image with a ring of radius 20 about a beam, a share of it covered by something brighter."""
    row, col = np.indices((81, 81)) - 40
    image = np.where(np.abs(np.hypot(row, col) - 20) < 2, height, 0.0)
    image[(np.abs(np.hypot(row, col) - 20) < 2) & (np.arctan2(row, col) < 2 * np.pi * cover - np.pi)] = 50.0
    image[40, 40] = 100.0
    return torch.as_tensor(image, dtype=torch.float32)[None]


def level(image, row=40, col=60, strongest=100.0):
    beam = np.array([0, 0])
    samples = np.zeros((2, 3, 3))
    samples[:, 1, 1] = strongest, 10.0
    peaks = Peaks(beam, np.array([40, row]), np.array([40, col]), samples)
    return Rings(2.0, torch.device("cpu")).level(image, peaks, np.array([True, True]))


def test_a_circle_tells_what_its_ring_has_whatever_disks_lie_on_it():
    np.testing.assert_allclose(level(one_ring(3.0)), [0, 3.0])
    np.testing.assert_allclose(level(one_ring(3.0, cover=0.4)), [0, 3.0], atol=0.01)
    np.testing.assert_allclose(level(one_ring(3.0), col=50), [0, 0])  # beside the ring
    np.testing.assert_allclose(level(one_ring(-3.0)), [0, 0])  # what lies in a trench is not helped


def test_a_circle_beyond_the_detector_is_known_by_what_lies_on_it():
    image = one_ring(3.0)[:, :, :62]
    np.testing.assert_allclose(level(image), [0, 3.0])
    np.testing.assert_allclose(level(image[:, :41, :41], row=20, col=40), [0, 3.0])


def test_an_uneven_circle_is_less_sure_than_an_even_one():
    image = one_ring(3.0)
    noisy = image + torch.as_tensor(np.random.default_rng(0).normal(0, 2.0, image.shape), dtype=torch.float32)
    assert 1.5 < level(noisy)[1] < 3.0


def test_patterns_without_maxima_have_no_circles():
    nothing = Peaks(*(np.zeros(0, np.int64) for _ in range(3)), np.zeros((0, 3, 3)))
    assert Rings(2.0, torch.device("cpu")).level(torch.zeros(1, 9, 9), nothing, np.zeros(0, bool)).shape == (
        0,
    )
    counts, _ = detection()(np.zeros((2, SIDE, SIDE), np.float32))
    assert counts.tolist() == [0, 0]
