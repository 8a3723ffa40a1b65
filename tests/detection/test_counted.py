"""Where electrons lie apart a pattern tells that they are counted, whatever the crystal; roundings do not."""

import dask.array as da
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from helpers.multislice import multislice_patterns, multislice_scan
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.counted import counts_electrons
from napari_4dstem_orient.detection.probe import probe_for, synthetic_probe
from napari_4dstem_orient.detection.suggest import suggest

SIZE = 96


def light(n=12):
    """Draw patterns of one electron: a few disks, as strong as chance has it, on a halo."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:SIZE, :SIZE]
    halo = np.exp(-np.hypot(y - 48, x - 48) / 12)
    images = []
    for _ in range(n):
        image = 0.3 * halo / halo.sum()
        for row, col in rng.uniform(10, 86, (8, 2)):
            disk = np.clip(2.8 - np.hypot(y - row, x - col), 0, 1)
            image = image + rng.dirichlet([1, 1])[0] * 0.1 * disk / disk.sum()
        images.append(image / image.sum())
    return np.array(images)


def counted(electrons):
    return np.random.default_rng(0).poisson(electrons * light()).astype(float)


@pytest.mark.parametrize("electrons", [1e3, 3e3, 1e4])
@pytest.mark.parametrize("step", [1.0, 20.0, 0.1])
def test_counted_electrons(electrons, step):
    assert counts_electrons(step * counted(electrons), step) is True


def test_a_blur_that_is_rounded_shows_no_two_electrons_alone():
    smooth = gaussian_filter(counted(5e3), (0, 1.5, 1.5))
    assert counts_electrons(np.floor(smooth / smooth.mean() / 2), 1.0) is False


def test_electrons_of_which_two_pixels_hear_are_none():
    values = counted(3e3)
    second = np.random.default_rng(1).binomial(values.astype(int), 0.4)
    assert counts_electrons(values + np.roll(second, 1, 1), 1.0) is None


@pytest.mark.parametrize("values", [gaussian_filter(counted(1e4), (0, 1, 1)), counted(1e7), 0 * counted(1e3)])
def test_where_none_lie_apart_nobody_can_tell(values):
    assert counts_electrons(values, 1.0) is None


@pytest.mark.parametrize("electrons", [1e3, 3e3, 1e4, 1e5])
def test_elastic_patterns_of_random_crystals_are_counted(electrons):
    """Nothing but disks, of every strength, next to each other: they made one electron 0.6 to 1.4 counts."""
    scan = multislice_scan(multislice_patterns(), electrons, float("inf"))
    settings, doubt = suggest(scan, probe_for(scan))
    assert (settings.gain, settings.dark_noise, doubt) == (1.0, 0.0, "")


@pytest.mark.parametrize("electrons", [3e3, 1e5])
@pytest.mark.parametrize("offset", [7, 100])
def test_a_number_that_a_camera_adds_to_every_pixel_is_no_light(electrons, offset):
    """Where no electron comes every pixel holds it: it made one electron 1e-9 to 600 counts."""
    values = counted(electrons).reshape(3, 4, SIZE, SIZE) + offset
    scan = Scan(da.from_array(np.tile(values, (2, 3, 1, 1)).astype(np.uint16)))
    settings, _ = suggest(scan, synthetic_probe(2.8, (SIZE, SIZE)))
    assert settings.gain == pytest.approx(1, rel=0.2)
    assert settings.dark_noise == pytest.approx(-offset * settings.gain)
