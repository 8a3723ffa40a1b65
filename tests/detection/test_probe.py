"""Disk radii are found over all sizes, and templates measured on vacuum are centred."""

import dask.array as da
import numpy as np
import pytest

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.detect import detect_patterns
from napari_4dstem_orient.detection.probe import (
    probe_from_file,
    probe_from_vacuum,
    synthetic_probe,
)
from napari_4dstem_orient.detection.radius import find_radius
from napari_4dstem_orient.detection.settings import DetectionSettings


def pattern(size, radius, shift, spacing, rng, electrons, spots=False):
    """Draw a direct beam and eight weaker disks around it, unevenly lit, on a halo."""
    y, x = np.ogrid[:size, :size]
    middle = np.array([size / 2, size / 2]) + shift
    image = np.zeros((size, size))
    turn = rng.uniform(0, np.pi)
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            row = middle[0] + spacing * (i * np.cos(turn) - j * np.sin(turn))
            col = middle[1] + spacing * (i * np.sin(turn) + j * np.cos(turn))
            apart = np.hypot(y - row, x - col)
            shape = np.exp(-0.5 * (apart / radius) ** 2) if spots else np.clip(radius + 0.5 - apart, 0, 1)
            light = 1 + 0.5 * ((y - row) * rng.normal() + (x - col) * rng.normal()) / (2 * radius)
            image += (1 if i == j == 0 else rng.uniform(0.02, 0.4)) * shape * np.maximum(light, 0.1)
    halo = np.exp(-np.hypot(y - middle[0], x - middle[1]) / (size / 8))
    return rng.poisson(0.85 * electrons * image / image.sum() + 0.15 * electrons * halo / halo.sum())


def scan(size, radius, electrons=1e5, spots=False):
    rng = np.random.default_rng(round(10 * radius) + size)
    spacing = max(3 * radius, 9.0)
    data = [pattern(size, radius, rng.normal(0, 1, 2), spacing, rng, electrons, spots) for _ in range(12)]
    return Scan(da.from_array(np.array(data, np.uint16).reshape(3, 4, size, size)))


@pytest.mark.parametrize(
    ("size", "radius"),
    [(125, 2), (128, 3.5), (125, 8), (125, 20), (256, 2), (256, 6), (256, 15), (256, 30), (515, 30)],
)
@pytest.mark.parametrize("electrons", [2e5, 1e4])
def test_the_radius_of_drawn_disks_is_found(size, radius, electrons):
    assert find_radius(scan(size, radius, electrons)).px == pytest.approx(radius, rel=0.08, abs=0.4)


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.6])
def test_spots_have_the_radius_of_best_signal_to_noise(sigma):
    assert find_radius(scan(112, sigma, spots=True)).px == pytest.approx(1.58 * sigma, abs=0.7)


def test_hot_pixels_do_not_matter():
    noisy = scan(128, 6)
    data = noisy.data.compute()
    data[..., 20, 90] = 60000
    assert find_radius(Scan(da.from_array(data))).px == pytest.approx(6, abs=0.4)


def vacuum_patterns(radius, size=96, count=8):
    rng = np.random.default_rng(0)
    y, x = np.ogrid[:size, :size]
    centers = [np.array([size / 2 + 3, size / 2 - 5]) + rng.integers(-3, 4, 2) for _ in range(count)]
    return np.array(
        [rng.poisson(80 * np.clip(radius + 0.5 - np.hypot(y - r, x - c), 0, 1)) for r, c in centers],
        np.uint16,
    )


@pytest.mark.parametrize("radius", [1.5, 2.5, 7.0])
def test_a_measured_template_is_centred_and_blind_to_background(radius):
    probe = probe_from_vacuum(vacuum_patterns(radius))
    assert probe.kind == "vacuum"
    assert probe.radius == pytest.approx(radius, abs=0.35)
    assert abs(probe.kernel.sum()) < 1e-4
    y, x = np.ogrid[:96, :96]
    drawn = 50 * np.clip(radius + 0.5 - np.hypot(y - 60, x - 31), 0, 1)
    found = detect_patterns(drawn[None], probe, DetectionSettings(min_relative_intensity=0.5))[0]
    np.testing.assert_allclose(found[:, :2], [[60, 31]], atol=0.15)
    synthetic = synthetic_probe(radius, (96, 96))
    likeness = np.corrcoef(probe.kernel.ravel(), synthetic.kernel.ravel())[0, 1]
    assert likeness > 0.9


def test_a_template_comes_from_a_region_of_the_scan():
    data = np.zeros((3, 4, 96, 96), np.uint16)
    data[:2, 1:3] = vacuum_patterns(5.0, count=4).reshape(2, 2, 96, 96)
    source = Scan(da.from_array(data), source="specimen.h5")
    probe = probe_from_vacuum(source, (slice(0, 2), slice(1, 3)))
    assert probe.kind == "region"
    assert probe.radius == pytest.approx(5, abs=0.3)
    assert probe.provenance["region"] == "0:2, 1:3"
    with pytest.raises(UserError, match="holds no scan position"):
        probe_from_vacuum(source, (slice(5, 6), slice(0, 1)))
    with pytest.raises(
        UserError, match=r"region 2:3, 0:4 of specimen.h5 shows no probe: it is empty or flat"
    ):
        probe_from_vacuum(source, (slice(2, 3), slice(0, 4)))


def test_a_template_comes_from_a_file(tmp_path):
    import h5py

    mean = vacuum_patterns(4.0).mean(axis=0)
    np.save(tmp_path / "vacuum.npy", mean)
    with h5py.File(tmp_path / "vacuum.h5", "w") as file:
        file["probe/image"] = mean
    for probe in (
        probe_from_file(tmp_path / "vacuum.npy"),
        probe_from_file(tmp_path / "vacuum.h5", "probe/image"),
    ):
        assert probe.radius > 3.5
        assert "vacuum" in probe.provenance["source"]


def test_a_single_frame_is_a_probe_and_a_wide_aperture_is_none(tmp_path):
    from helpers.format_files import mib

    mib(tmp_path / "one.mib", vacuum_patterns(5.0, count=1))
    assert probe_from_file(tmp_path / "one.mib").radius == pytest.approx(5, abs=0.4)
    mib(tmp_path / "some.mib", vacuum_patterns(5.0, count=6))
    assert probe_from_file(tmp_path / "some.mib").radius == pytest.approx(5, abs=0.4)
    with pytest.raises(UserError, match="shows no probe"):
        probe_from_vacuum(vacuum_patterns(35.0))


@pytest.mark.parametrize("radius", [0.2, 40])
def test_impossible_radii_are_refused(radius):
    with pytest.raises(UserError, match="does not suit a detector"):
        synthetic_probe(radius, (64, 64))


@pytest.mark.parametrize("shape", [(96, 96), (97, 120), (31, 33)])
def test_a_drawn_template_is_a_soft_disk_minus_a_ring_about_the_first_pixel(shape):
    kernel = synthetic_probe(4.2, shape).kernel
    y, x = (np.fft.fftfreq(side) * side for side in shape)
    apart = np.hypot(y[:, None], x)
    disk = 1 / (1 + np.exp(4 * (apart - 4.2)))
    ring = np.where(apart < 2.5 * 4.2, np.cos(np.pi / 2 * apart / (2.5 * 4.2)) ** 2, 0)
    np.testing.assert_allclose(kernel, disk / disk.sum() - ring / ring.sum(), rtol=1e-4, atol=1e-9)
    assert abs(kernel.sum()) < 1e-6


@pytest.mark.py4dstem
@pytest.mark.parametrize(("radius", "shape"), [(6.3, (96, 128)), (1.2, (64, 64)), (20.0, (256, 256))])
def test_drawn_templates_are_py4dstems_where_the_detector_has_a_middle(radius, shape):
    from py4DSTEM.braggvectors.probe import Probe

    drawn = Probe.generate_synthetic_probe(radius, 1.0, shape)
    middle = (shape[0] / 2, shape[1] / 2)
    theirs = drawn.get_kernel(mode="sigmoid", radii=(0, 2.5 * radius), origin=middle)
    np.testing.assert_allclose(synthetic_probe(radius, shape).kernel, theirs, atol=1e-6 * theirs.max())


def test_the_transform_is_as_precise_whatever_numpy_is_installed():
    """NumPy 2 transforms single precision in single precision: answers near a tie would differ from NumPy 1.26's."""
    probe = synthetic_probe(4.0, (64, 64))
    assert probe.kernel.dtype == np.float32
    expected = np.conj(np.fft.fft2(np.asarray(probe.kernel, np.float64)))
    assert probe.fourier.dtype == np.complex128
    np.testing.assert_array_equal(probe.fourier, expected)
