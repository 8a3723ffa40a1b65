"""A disk's signal-to-noise ratio is its height over the scatter of the correlation at its place."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.drawn_disks import draw_disk, scan_of
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.detection.correlation import Correlator
from napari_4dstem_orient.detection.detect import detect_disks
from napari_4dstem_orient.detection.noise import Noise
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.indexing.scoring import Measured

CPU, SIDE, RADIUS, SMOOTHING = torch.device("cpu"), 64, 3.0, 0.7
PROBE = synthetic_probe(RADIUS, (SIDE, SIDE))
PLACES = np.array([[32, 32], [32, 37], [20, 44], [50, 14]])
"""In the beam, at its rim, in the halo, and nearly in the dark."""


def expected():
    """Return electrons in each pixel: a beam and its halo."""
    row, col = np.indices((SIDE, SIDE))
    halo = 8 * np.exp(-np.hypot(row - 32, col - 32) / 12)
    return 0.5 + halo + 40 * draw_disk((SIDE, SIDE), 32, 32, RADIUS)


@pytest.mark.parametrize(("gain", "readout"), [(1.0, 0.0), (7.0, 0.0), (3.0, 6.0)])
def test_noise_is_what_the_correlation_scatters_by_at_each_place(gain, readout):
    rng = np.random.default_rng(3)
    counts = gain * rng.poisson(expected(), (1500, SIDE, SIDE)) + rng.normal(0, readout, (1500, SIDE, SIDE))
    images = torch.as_tensor(counts, dtype=torch.float32)
    settings = DetectionSettings(smoothing=SMOOTHING)
    # without the cut at 0, which makes scatter in the dark smaller than that of a sum
    height = Correlator(PROBE, replace(settings, smoothing=0.0), CPU).correlate(torch.fft.rfft2(images))
    height = torch.as_tensor(
        np.fft.ifft2(np.fft.fft2(height) * np.fft.fft2(gaussian())).real, dtype=torch.float32
    )
    noise = Noise(PROBE, SMOOTHING, gain, CPU, readout**2)
    for row, col in PLACES:
        place = (np.arange(1500), np.full(1500, row), np.full(1500, col))
        deviation = 1 / noise.signal_to_noise(torch.fft.rfft2(images), *place, np.ones(1500))
        scatter = float(height[:, row, col].std())
        assert np.sqrt((deviation**2).mean()) == pytest.approx(scatter, rel=0.06)


def gaussian():
    step = np.fft.fftfreq(SIDE, 1 / SIDE)
    image = np.exp(-(step[:, None] ** 2 + step**2) / (2 * SMOOTHING**2))
    return image / image.sum()


def test_peaks_far_below_any_demand_have_their_exact_ratio_too():
    images = torch.fft.rfft2(torch.as_tensor(expected()[None], dtype=torch.float32))
    place = [np.zeros(4, np.int64), *PLACES.T]
    noise = Noise(PROBE, SMOOTHING, 2.0, CPU)
    one, tiny = (noise.signal_to_noise(images, *place, np.full(4, height)) for height in (1.0, 1e-3))
    np.testing.assert_allclose(tiny, 1e-3 * one)


@pytest.mark.parametrize("engine", ["torch", pytest.param("py4DSTEM", marks=pytest.mark.py4dstem)])
def test_detection_tells_it_whatever_it_demands(engine):
    pattern = np.random.default_rng(5).poisson(expected())
    scan = scan_of([pattern, 4 * pattern])
    told = []
    for least in (0.1, 2.0):
        settings = DetectionSettings(
            min_relative_intensity=0, min_signal_to_noise=least, gain=1.0, smoothing=SMOOTHING, engine=engine
        )
        disks = detect_disks(scan, PROBE, settings)
        assert disks.snr.dtype == np.float32
        assert disks.snr.min() >= least
        assert disks.sure(2.0).counts.tolist() == [[(part.snr >= 2).sum() for part in both(disks)]]
        told.append(disks)
    every, some = told
    assert len(every) > len(some)
    # of the same disks it is the same; of four times the counts it is twice as much
    for one, all_ in zip(both(some), both(every), strict=True):
        np.testing.assert_allclose(np.sort(one.snr), np.sort(all_.sure(2.0).snr), rtol=1e-5)
    first, second = both(every)
    np.testing.assert_allclose(2 * first.snr[0], second.snr[0], rtol=1e-4)


def both(disks):
    return disks.only(0, 0), disks.only(0, 1)


def test_where_the_correlation_is_no_sum_of_counts_nobody_knows_it():
    settings = DetectionSettings(correlation_power=0.5, smoothing=SMOOTHING)
    assert detect_disks(scan_of([expected()]), PROBE, settings).snr is None


def test_a_padded_block_has_it_beside_the_intensity_and_measured_disks_too():
    values = np.array([3.0, 9.0, 5.0], np.float32)
    disks = BraggDisks((1, 2), np.array([0, 2, 3]), values, values, values, snr=values + 1)
    block, mask = disks.padded(3)
    np.testing.assert_array_equal(block[..., 3], [[10, 4, 0], [6, 0, 0]])  # the strongest first
    measured = Measured.of(torch.from_numpy(block), torch.from_numpy(mask), 8.0)
    np.testing.assert_array_equal(measured.snr, [[0, 4, 0], [6, 0, 0]])  # the first lies beyond reach
    np.testing.assert_array_equal(measured[torch.tensor([1])].snr, [[6, 0, 0]])
    block, mask = replace(disks, snr=None).padded(3)
    assert Measured.of(torch.from_numpy(block), torch.from_numpy(mask), 8.0).snr is None
