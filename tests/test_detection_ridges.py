"""Maxima on rings and bands are no disks; disks are, on a ring, in a row, and touching each other."""

import numpy as np
import pytest
import torch

from napari_4dstem_orient.detection.batched import BatchedDetection
from napari_4dstem_orient.detection.peaks import Peaks
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.ridges import Ridges, on_ridge
from napari_4dstem_orient.detection.selection import Fate
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
    places_of_all, fate = detection().candidates(pattern)
    on_ridge = places_of_all[fate == Fate.ON_RIDGE]
    assert len(on_ridge) >= 8
    assert np.abs(np.hypot(*(on_ridge[:, :2] - MIDDLE).T) - 40).max() < 5
    assert "ring" in Fate.ON_RIDGE.text
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
