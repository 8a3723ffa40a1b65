"""Neighbours tell of the noise what a pattern alone does not: within 20 %, disks everywhere, whatever the camera."""

import dask.array as da
import numpy as np
import pytest
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter, rotate, uniform_filter

from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.neighbours import measure_scan
from napari_4dstem_orient.detection.noise_level import measure_noise
from napari_4dstem_orient.detection.patterns import sample_patterns, sample_rows
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.suggest import settings_for_probe, suggest

SIZE, RADIUS = 96, 3.0
PROBE = synthetic_probe(RADIUS, (SIZE, SIZE))
SMOOTHING = settings_for_probe(PROBE).smoothing
TEMPLATE = PROBE.blurred(SMOOTHING)


def lattice(angle, tilt, halo):
    """Draw a pattern of one electron: a beam, disks every 17 px as a tilt lights them, and a halo."""
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    image = np.clip(RADIUS + 0.5 - np.hypot(y, x), 0, 1)
    for h, k in np.ndindex(5, 5):
        row, col = 17 * np.array(
            [
                np.cos(angle) * (h - 2) - np.sin(angle) * (k - 2),
                np.sin(angle) * (h - 2) + np.cos(angle) * (k - 2),
            ]
        )
        if (h, k) != (2, 2) and max(abs(row), abs(col)) < SIZE / 2 - 4:
            error = (h - 2) * tilt[0] + (k - 2) * tilt[1]
            light = 0.3 * np.exp(-(error**2) / 0.18 - 0.1 * ((h - 2) ** 2 + (k - 2) ** 2))
            image += light * np.clip(RADIUS + 0.5 - np.hypot(y - row, x - col), 0, 1)
    wide = 1 / (1 + (np.hypot(y, x) / 10) ** 2) ** 1.5
    return (1 - halo) * image / image.sum() + halo * (0.8 * wide / wide.sum() + 0.2 / SIZE**2)


def bent(halo=0.25, rows=6, cols=12):
    return np.array(
        [
            [lattice(0.3 + 0.002 * (i + j), (0.01 * i - 0.05, 0.01 * j), halo) for j in range(cols)]
            for i in range(rows)
        ]
    )


def measured(patterns):
    scan = Scan(da.from_array(np.asarray(patterns, np.float32)))
    return measure_scan(scan, sample_patterns(scan, 40), PROBE, SMOOTHING)


def counted(light, electrons):
    return np.random.default_rng(1).poisson(electrons * light).astype(float)


@pytest.mark.parametrize("halo", [0.25, 0.0], ids=["halo", "nothing between disks"])
@pytest.mark.parametrize(("electrons", "counts"), [(1e3, 1), (1e4, 1), (1e5, 20), (1e6, 0.01), (1e6, 1)])
def test_electrons_of_any_number_and_counts_each(electrons, counts, halo):
    found = measured(counts * counted(bent(halo), electrons))
    assert found.gain == pytest.approx(counts, rel=0.2)
    assert (found.dark, found.doubt) == (0.0, "")


@pytest.mark.parametrize("blur", [0.5, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("electrons", [1e4, 1e6])
def test_of_a_blurred_camera_it_is_what_a_template_sees_at_most_places(blur, electrons):
    """Where disks follow each other too closely to see through the blur in one pattern."""
    light = bent()
    found = measured(gaussian_filter(counted(light, electrons), (0, 0, blur, blur)))
    assert found.doubt == ""
    mean = electrons * light[3, 6]

    def seen(image, weights):
        return irfft2(rfft2(image) * np.conj(rfft2(weights)))[9:-9, 9:-9]

    right = seen(mean, gaussian_filter(TEMPLATE, blur, mode="wrap") ** 2)
    told = found.gain * seen(gaussian_filter(mean, blur), TEMPLATE**2) + found.dark * (TEMPLATE**2).sum()
    assert np.median(told / right) == pytest.approx(1, abs=0.2)


CAMERAS = {
    **{
        f"blur {blur}": lambda images, blur=blur: gaussian_filter(images, (0, 0, blur, blur))
        for blur in (1, 2, 3)
    },
    "box": lambda images: uniform_filter(images, (0, 0, 3, 3)),
    "turned": lambda images: rotate(images, 10, (2, 3), reshape=False, order=1, mode="nearest"),
    "read out": lambda images: (
        20 * gaussian_filter(images, (0, 0, 1.5, 1.5))
        + np.random.default_rng(4).normal(300, 20, images.shape)
    ),
}


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
def test_of_any_camera_it_is_what_a_template_sees_of_even_light(camera):
    """Within 20 %; if no number is right there and at most places, that is said, and it is no less."""
    found = measured(camera(counted(bent(), 1e4)))
    even = camera(np.random.default_rng(2).poisson(3, (1, 40, SIZE, SIZE)).astype(float))
    right = irfft2(rfft2(even[0]) * np.conj(rfft2(TEMPLATE)))[:, 15:-15, 15:-15].var()
    told = found.variance(even.mean()) * (TEMPLATE**2).sum()
    assert told > 0.8 * right
    assert told < 1.2 * right or "blurs disks into each other" in found.doubt


@pytest.mark.parametrize(
    ("counts", "offset", "readout"), [(1, 100, 2), (1, 40, 10), (5, 40, 10), (20, 300, 30), (1, 500, 100)]
)
def test_offsets_and_readout_noise_stronger_than_electrons(counts, offset, readout):
    light = bent()
    noise = np.random.default_rng(3).normal(0, readout, light.shape)
    found = measured(counts * counted(light, 1e5) + offset + noise)
    assert found.doubt == ""
    for electrons in (1, 10):
        right = counts**2 * electrons + readout**2
        assert found.variance(counts * electrons + offset) == pytest.approx(right, rel=0.2)


@pytest.mark.parametrize(("electrons", "step", "doubted"), [(1e5, 4, False), (1e6, 32, True)])
def test_a_coarse_8_bit_camera(electrons, step, doubted):
    """Bright places have the electrons' noise, dim ones no less than rounding's; if most are dim, it is said."""
    found = measured(np.clip(np.floor(counted(bent(), electrons) / step), 0, 255))
    assert ("coarse rounding" in found.doubt) is doubted
    for value in (3, 20):
        assert found.variance(value) == pytest.approx(value / step + 1 / 12, rel=0.2)


@pytest.mark.parametrize("halo", [0.05, 0.1])
@pytest.mark.parametrize("step", [1.5, 2, 16])
def test_an_8_bit_camera_with_a_faint_halo_is_doubted(halo, step):
    """Single patterns take for noise what is rounded there, half of all electrons."""
    found = measured(np.clip(np.floor(counted(bent(halo), 1e5) / step), 0, 255))
    assert "could only be estimated" in found.doubt
    assert found.gain == pytest.approx(1 / step, rel=0.2)


def test_rows_of_nothing_are_no_neighbours():
    patterns = counted(bent(), 1e5)
    patterns[:2] = 0
    assert measured(patterns).gain == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize("shape", [(24, 1), (1, 24), (12, 2)])
def test_neighbours_may_lie_in_columns(shape):
    patterns = counted(np.tile(lattice(0.3, (0, 0), 0.0), (*shape, 1, 1)), 1e5)
    assert measured(patterns).gain == pytest.approx(1, rel=0.2)
    rows = sample_rows(Scan(da.from_array(patterns.astype(np.float32))), 100)
    assert len(np.unique(rows.reshape(-1, SIZE * SIZE), axis=0)) == 24


@pytest.mark.parametrize("electrons", [1e3, 1e4, 1e6])
def test_where_neighbours_differ_single_patterns_tell(electrons):
    rng = np.random.default_rng(5)
    light = np.array(
        [[lattice(rng.uniform(0, 6), rng.uniform(-0.3, 0.3, 2), 0.25) for _ in range(9)] for _ in range(4)]
    )
    found = measured(counted(light, electrons))
    assert found.gain == pytest.approx(1, rel=0.2)
    assert found.doubt == ""


@pytest.mark.parametrize("weights", [[1, 1, 1], [1, 2, 1], [1, 4, 1]])
def test_a_scan_smoothed_over_positions_has_no_less_noise(weights):
    """What neighbours share does not show between them."""
    share = np.array(weights) / sum(weights)
    patterns = counted(bent(cols=14), 1e5)
    smooth = sum(part * patterns[:, i : i + 12] for i, part in enumerate(share))
    found, right = measured(smooth), (share**2).sum()
    assert found.gain > 0.6 * right  # those two apart share a third of it at most
    assert found.gain < 1.2 * right or "could only be estimated" in found.doubt


def test_too_few_neighbours_leave_it_to_single_patterns():
    patterns = counted(bent(rows=2, cols=4), 1e5)
    scan = Scan(da.from_array(patterns.astype(np.float32)))
    some = sample_patterns(scan, 40)
    assert measure_scan(scan, some, PROBE, SMOOTHING) == measure_noise(some, PROBE, SMOOTHING)


def test_a_broken_neighbour_does_not_matter():
    patterns = counted(bent(), 1e5)
    scan = Scan(da.from_array(patterns.astype(np.float32)))
    some = sample_patterns(scan, 10)
    patterns[2, 3, 5, 5] = np.nan
    broken = Scan(da.from_array(patterns.astype(np.float32)))
    assert measure_scan(broken, some, PROBE, SMOOTHING).gain == pytest.approx(1, rel=0.2)


def test_it_is_what_is_suggested():
    scan = Scan(da.from_array(20 * counted(bent(0.0), 1e5)))
    settings, doubt = suggest(scan, PROBE)
    assert settings.gain == pytest.approx(20, rel=0.2)
    assert doubt == ""
