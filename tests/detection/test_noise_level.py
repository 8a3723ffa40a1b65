"""The noise is measured as it is, within 20 %, whatever made the patterns; where it cannot be, that is said."""

import dask.array as da
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from helpers.multislice import multislice_patterns
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.detect import detect_disks
from napari_4dstem_orient.detection.noise_level import measure_noise
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.suggest import settings_for_probe, suggest

RADIUS = 3.0


def expected(electrons, patterns=12, size=128, seed=0):
    """Draw mean patterns: a beam, 25 disks anywhere, a halo with a ring, and a little light everywhere."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    apart = np.hypot(y - size / 2, x - size / 2)
    halo = 1 / (1 + (apart / 10) ** 2) ** 1.5 + 0.05 * np.exp(-(((apart - 38) / 5) ** 2))
    result = []
    for _ in range(patterns):
        image = np.clip(RADIUS + 0.5 - apart, 0, 1)
        for row, col in rng.uniform(4, size - 4, (25, 2)):
            image += 0.05 * rng.exponential() * np.clip(RADIUS + 0.5 - np.hypot(y - row, x - col), 0, 1)
        result.append(0.75 * image / image.sum() + 0.2 * halo / halo.sum() + 0.05 / size**2)
    return electrons * np.array(result)


def measured(patterns):
    probe = synthetic_probe(RADIUS, patterns.shape[1:])
    return measure_noise(patterns, probe, settings_for_probe(probe).smoothing)


def counted(electrons, **options):
    return np.random.default_rng(1).poisson(expected(electrons, **options)).astype(float)


@pytest.mark.parametrize("electrons", [1e3, 1e4, 1e5, 1e6, 1e7])
@pytest.mark.parametrize("counts", [1, 20, 0.1])
def test_electrons_of_any_number_and_counts_each(electrons, counts):
    found = measured(counts * counted(electrons))
    assert found.gain == pytest.approx(counts, rel=0.2)
    assert (found.dark, found.doubt) == (0.0, "")


@pytest.mark.parametrize("patterns", [1, 2])
def test_one_pattern_is_enough_to_come_near(patterns):
    assert measured(counted(1e5, patterns=patterns)).gain == pytest.approx(1, rel=0.4)


@pytest.mark.parametrize(("blur", "electrons"), [(0.5, 1e5), (0.5, 1e6), (1.0, 1e5), (1.0, 1e6), (1.5, 1e5)])
def test_a_blurring_camera_leaves_so_much_noise_on_the_scale_of_a_disk(blur, electrons):
    patterns = gaussian_filter(counted(electrons), (0, blur, blur))
    probe = synthetic_probe(RADIUS, patterns.shape[1:])
    template = probe.blurred(settings_for_probe(probe).smoothing)
    share = (gaussian_filter(template, blur, mode="wrap") ** 2).sum() / (template**2).sum()
    found = measured(patterns)
    if blur > 1:  # where too few places are free, that is said, and the noise rather taken for too strong
        assert found.gain == pytest.approx(share, rel=0.2) or (
            found.doubt and share < found.gain < 2.5 * share
        )
        return
    assert found.gain == pytest.approx(share, rel=0.2)
    # and that is what a template sees of a flat place
    flat = gaussian_filter(
        np.random.default_rng(2).poisson(50, (40, 128, 128)).astype(float), (0, blur, blur)
    )
    seen = np.fft.irfft2(np.fft.rfft2(flat) * np.conj(np.fft.rfft2(template)))[:, 20:-20, 20:-20]
    assert seen.var() == pytest.approx(50 * found.gain * (template**2).sum(), rel=0.2)


def share_left(blur):
    probe = synthetic_probe(RADIUS, (128, 128))
    template = probe.blurred(settings_for_probe(probe).smoothing)
    return (gaussian_filter(template, blur, mode="wrap") ** 2).sum() / (template**2).sum()


@pytest.mark.parametrize("blur", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("crystal", ["cu", "fe"])
def test_strong_blur_is_seen_through_where_disks_leave_room(crystal, blur):
    share = multislice_patterns(crystal).share[::8]
    light = 0.9 * share + 0.1 * share.sum() / share.size
    patterns = np.random.default_rng(1).poisson(1e5 * light).astype(float)
    assert measured(gaussian_filter(patterns, (0, blur, blur))).gain == pytest.approx(
        share_left(blur), rel=0.2
    )


@pytest.mark.parametrize("blur", [1.0, 1.5, 2.0, 2.5])
@pytest.mark.parametrize("electrons", [1e5, 1e6, 1e7])
def test_where_disks_leave_none_it_is_said_and_safe(electrons, blur):
    patterns = gaussian_filter(counted(electrons, patterns=6, seed=3), (0, blur, blur))
    found, right = measured(patterns), share_left(blur)
    assert found.gain > 0.8 * right
    assert found.gain < 1.2 * right or "could only be estimated" in found.doubt


@pytest.mark.parametrize(
    ("counts", "offset", "readout"),
    [(1, 100, 0), (1, 100, 2), (1, 0, 1), (5, 0, 10), (5, -1, 10), (20, 300, 30)],
)
def test_offsets_and_readout_noise_are_told_from_electrons(counts, offset, readout):
    noise = np.random.default_rng(3).normal(0, 1, (12, 128, 128))
    patterns = counts * counted(1e5) + offset + readout * noise
    found = measured(patterns)
    for electrons in (0.3, 3, 40):
        there = counts * electrons + offset
        right = counts**2 * electrons + readout**2
        assert found.gain * there + found.dark == pytest.approx(right, rel=0.25, abs=0.25 * counts**2)


@pytest.mark.parametrize("electrons", [1e5, 1e6])
def test_white_noise_is_known_however_many_disks_there_are(electrons):
    """A disk every 10 px: blocks of pixels and the template see nothing but disks."""
    y, x = np.mgrid[:128, :128]
    light = 1 + 200 * np.clip(RADIUS + 0.5 - np.hypot((y + 4) % 10 - 4.5, (x + 2) % 10 - 4.5), 0, 1)
    patterns = np.random.default_rng(6).poisson(electrons * light / light.sum(), (12, 128, 128))
    found = measured(patterns.astype(float))
    assert found.gain == pytest.approx(1, rel=0.2) or "could only be estimated" in found.doubt
    assert found.gain > 0.8


def test_dead_and_hot_pixels_do_not_matter():
    patterns = counted(1e5)
    patterns[:, ::7, ::5] = 0
    patterns[:, 40] = 0
    patterns[:, 30, ::9] = 5000
    assert measured(patterns).gain == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize(
    "patterns",
    [expected(1e5), np.full((4, 64, 64), 5.0), np.zeros((4, 64, 64)), np.rint(expected(1e6))],
    ids=["without noise", "constant", "empty", "rounded"],
)
def test_where_there_is_no_noise_it_is_said(patterns):
    found = measured(patterns)
    assert 0 < found.gain <= 1
    assert np.isfinite(found.dark)
    assert found.dark >= 0
    assert "could only be estimated" in found.doubt


def test_between_disks_there_may_be_nothing_at_all():
    """Simulated electrons without a background: only disks have noise."""
    y, x = np.mgrid[:256, :256]
    image = np.zeros((256, 256))
    for row in (-51, 0, 51):
        for col in (-51, 0, 51):
            image += (100 if row or col else 400) * (np.hypot(y - 128 - row, x - 128 - col) < 5.12)
    counts = np.random.default_rng(0).poisson(image, (2, 2, 256, 256)).astype(np.uint16)
    scan = Scan(da.from_array(counts))
    assert 0.5 < suggest(scan, synthetic_probe(5.12, (256, 256)))[0].gain < 3
    assert (detect_disks(scan).counts == 9).all()


def test_patterns_of_ones_and_zeros_keep_their_disks():
    y, x = np.mgrid[:128, :128]
    places = np.array([(row, col) for row in range(16, 128, 16) for col in range(16, 128, 16)])
    image = (np.hypot(y - places[:, :1, None], x - places[:, 1:, None]) < 4.2).any(axis=0)
    scan = Scan(da.from_array(np.tile(image.astype(np.uint8), (2, 3, 1, 1))))
    assert (detect_disks(scan).counts == len(places)).all()


def test_a_blurred_8_bit_camera_gives_disks_with_places():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:128, :128]
    square = (y - 64) ** 2 + (x - 64) ** 2
    image = 20000 * np.exp(-square / 2 / 2.5**2) + 300 * np.exp(-square / 2 / 25**2) + 60
    for _ in range(25):
        row, col = rng.uniform(8, 120, 2)
        image += rng.exponential(900) * np.exp(-((y - row) ** 2 + (x - col) ** 2) / 2 / 2.0**2)
    camera = np.clip(gaussian_filter(rng.poisson(image).astype(float), 1.5) / 32, 0, 255).astype(np.uint8)
    disks = detect_disks(Scan(da.from_array(camera[None, None])))
    assert np.isfinite(disks.qx).all()
    assert 15 <= len(disks.sure()) <= 30
    assert disks.provenance["settings"]["gain"] > 0.01
    assert any("could only be estimated" in doubt for doubt in disks.provenance["doubts"])


def test_offset_and_readout_noise_make_no_disks():
    """Where readout noise is as strong as weak disks, hardly any of it is taken for a disk."""
    noise = np.random.default_rng(4).normal(0, 10, (12, 128, 128))
    patterns = 5 * counted(3e4) + noise
    data = da.from_array(np.maximum(patterns, -0.05 * patterns.max()).reshape(3, 4, 128, 128))
    probe = synthetic_probe(RADIUS, (128, 128))
    settings = suggest(Scan(data), probe)[0]
    assert settings.dark_noise == pytest.approx(100, rel=0.25)
    assert detect_disks(Scan(data), probe, settings).sure().counts.mean() < 30
