"""A peak must stand out of what the ground between disks shows by itself, and no farther than that."""

import dask.array as da
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from helpers.multislice import multislice_patterns, multislice_scan
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.detect import detect_disks
from napari_4dstem_orient.detection.noise_level import NoiseLevel
from napari_4dstem_orient.detection.probe import probe_for, synthetic_probe
from napari_4dstem_orient.detection.suggest import settings_for_probe, suggest
from napari_4dstem_orient.detection.unrest import MOST, unrest
from napari_4dstem_orient.samples.silver import silver_grains, silver_twins

PROBE = synthetic_probe(3.0, (128, 128))


def of(patterns, noise):
    return unrest(patterns, PROBE, settings_for_probe(PROBE).smoothing, noise)


@pytest.mark.parametrize("counts", [0.2, 5, 1000])
def test_a_smooth_ground_has_none_whatever_its_noise(counts):
    rng = np.random.default_rng(0)
    light = counts * (1 + np.linspace(0, 1, 128))
    patterns = 3.0 * rng.poisson(light, (8, 128, 128)) + 10 + rng.normal(0, 2, (8, 128, 128))
    assert of(patterns, NoiseLevel(3.0, 4.0 - 30.0)) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("uneven", "expected"), [(0.5, 1.12), (1.0, 1.41)])
def test_what_is_uneven_adds_to_the_noise(uneven, expected):
    """A ground that varies on the scale of a disk by so many times the noise there."""
    rng = np.random.default_rng(1)
    kernel = np.fft.rfft2(PROBE.blurred(settings_for_probe(PROBE).smoothing))

    def seen(image):
        return np.fft.irfft2(np.fft.rfft2(image) * np.conj(kernel)).std()

    ground = gaussian_filter(rng.standard_normal((128, 128)), 2, mode="wrap")
    noise = rng.standard_normal((128, 128)) * 20
    ground *= uneven * seen(noise) / seen(ground)
    patterns = rng.poisson(400 + ground, (8, 128, 128)).astype(float)
    assert of(patterns, NoiseLevel(1.0)) == pytest.approx(expected, abs=0.08)


def test_disks_everywhere_are_no_ground():
    y, x = np.mgrid[:128, :128] % 9
    lattice = np.clip(3.5 - np.hypot(y - 4, x - 4), 0, 1)[None]
    assert of(1 + 1000 * lattice, NoiseLevel(1.0)) == MOST
    assert of(np.zeros((2, 128, 128)), NoiseLevel(1.0)) == 1


def test_more_electrons_show_more_of_what_is_uneven():
    found = []
    for dose in (1e4, 1e6):
        scan = multislice_scan(multislice_patterns(), dose)
        found.append(suggest(scan, probe_for(scan))[0].unrest)
    assert 1 <= found[0] < 1.08 < found[1] < 1.33


def test_rings_of_real_patterns_make_no_crystal_of_a_vacuum():
    scan, vacuum = silver_twins(), ~silver_grains().any(axis=0)[2:4]
    probe = probe_for(scan)
    disks = detect_disks(scan.rows(2, 4), probe, suggest(scan, probe)[0])
    counts = disks.sure().counts.reshape(vacuum.shape)[vacuum]
    assert counts.mean() < 1.7  # the beam among them
    assert (counts >= 4).mean() < 0.03


def test_nothing_at_all_between_disks_is_smooth():
    y, x = np.mgrid[:128, :128]
    image = sum(np.hypot(y - row, x - col) < 3 for row, col in ((64, 64), (64, 90), (40, 64))).astype(float)
    assert of(np.tile(1000 * image, (6, 1, 1)), NoiseLevel(12.3, 4640.0)) == 1


def test_noise_that_was_only_estimated_is_not_raised_again():
    rng, (y, x) = np.random.default_rng(5), np.mgrid[:64, :64]
    patterns = np.zeros((8, 6, 64, 64))
    for row in range(2, 8):  # before them two rows of nothing
        for col in range(6):
            angle = 0.1 * row + 0.02 * col
            turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            for h, k in np.ndindex(5, 5):
                at = 31 + 11.07 * (np.array([h - 2, k - 2]) @ turn)
                height = 120 / (abs(h - 2) + abs(k - 2) or 0.3)
                patterns[row, col] += height * ((y - at[0]) ** 2 + (x - at[1]) ** 2 <= 9)
    patterns[2:] = rng.poisson(patterns[2:] + 1)
    found, doubt = suggest(Scan(da.from_array(patterns.astype(np.uint16))), synthetic_probe(3.04, (64, 64)))
    assert "could only be estimated" in doubt
    assert found.unrest == 1
