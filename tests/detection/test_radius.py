"""The disk's radius: calculated where that can be, else measured where the direct beam is not, or too well, seen."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from napari_4dstem_orient.cli import app
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.detection.advice import advise
from napari_4dstem_orient.detection.detect import detect_disks
from napari_4dstem_orient.detection.direct_beam import find_direct_beam
from napari_4dstem_orient.detection.probe import probe_for
from napari_4dstem_orient.detection.radius import calculate_radius, find_radius, measure_radius
from napari_4dstem_orient.io.bragg_peaks import load_disks
from napari_4dstem_orient.samples.copper import copper_polycrystal


def camera(
    radius, beam=2e4, halo=300.0, length=25.0, blur=1.5, size=128, counts=1 / 32, patterns=8, spots=25, seed=0
):
    """Draw patterns of an 8-bit camera that blurs: a beam that it cuts off at 255, a halo and disks anywhere."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    apart = np.hypot(y - size / 2, x - size / 2)
    result = []
    for _ in range(patterns):
        image = beam * np.clip(radius + 0.5 - apart, 0, 1) + halo * np.exp(-apart / length) + 60
        for row, col in rng.uniform(radius, size - radius, (spots, 2)):
            image += (300 + rng.exponential(900)) * np.clip(radius + 0.5 - np.hypot(y - row, x - col), 0, 1)
        image = gaussian_filter(rng.poisson(image).astype(float), blur) if blur else rng.poisson(image)
        result.append(np.clip(image * counts, 0, 255).astype(np.uint8))
    return np.array(result, np.float32)


@pytest.mark.parametrize("radius", [2.5, 4, 7])
@pytest.mark.parametrize(
    ("beam", "halo", "length"), [(2e4, 300, 25), (2e5, 5000, 12), (2e6, 12000, 6), (2e4, 12000, 12)]
)
def test_a_direct_beam_that_is_cut_off_or_haloed_does_not_tell_the_radius(radius, beam, halo, length):
    found = measure_radius(camera(radius, beam, halo, length))
    assert found.px == pytest.approx(np.hypot(radius, 1.5), rel=0.2)
    assert not found.doubt


def test_the_radius_of_one_saturated_pattern_and_of_near_parallel_spots():
    assert measure_radius(camera(4, 2e5, 3000, patterns=1)).px == pytest.approx(4.3, rel=0.2)
    spots = camera(2, 3e5, 30000, 12, blur=1.0, size=144)
    assert measure_radius(spots).px == pytest.approx(2.3, rel=0.25)


def test_a_saturated_beam_alone_is_doubted():
    found = measure_radius(camera(4, 2e5, 300, spots=0))
    assert found.found_by == "direct beam"
    assert "cuts the direct beam off" in found.doubt


@pytest.mark.parametrize(
    ("radius", "size", "spots"), [(13, 128, 25), (16, 128, 8), (20, 256, 25), (25, 256, 8), (30, 256, 8)]
)
def test_parts_of_large_disks_are_not_taken_for_disks(radius, size, spots):
    found = measure_radius(camera(radius, size=size, spots=spots, patterns=4))
    assert found.px == pytest.approx(radius, rel=0.2)
    assert found.found_by == "other disks" or "cuts the direct beam off" in found.doubt


@pytest.mark.parametrize("seed", range(3))
def test_counts_of_few_electrons_are_not_taken_for_saturation(seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:96, :96]
    apart = np.hypot(y - 47, x - 49)
    patterns = rng.poisson(2 * np.clip(5.5 - apart, 0, 1) + 0.01, (6, 96, 96)).astype(np.float32)
    found = measure_radius(patterns)
    assert (found.found_by, found.doubt) == ("direct beam", "")
    assert found.px == pytest.approx(5, abs=0.6)


def test_the_convergence_angle_tells_the_radius():
    known = Calibration(voltage=200, q_pixel=0.01, semiangle=1.5)
    assert calculate_radius(known) == pytest.approx(0.0015 / 0.025079 / 0.01, rel=1e-4)
    assert calculate_radius(known.with_(q_pixel=None)) is None
    scan = copper_polycrystal()
    found = find_radius(scan)
    assert (found.found_by, found.doubt) == ("direct beam", "")  # both agree
    assert found.px == pytest.approx(3.004, abs=0.15)  # as it was drawn
    unknown = scan.with_calibration(scan.calibration.with_(semiangle=None))
    assert find_radius(unknown).found_by == "direct beam"
    assert find_radius(unknown).px == pytest.approx(3.004, abs=0.15)


@pytest.mark.parametrize(
    ("semiangle", "radius", "word"),
    [
        (3.0, 3.05, ""),
        (8.0, 8.13, "but those of the patterns have about 3"),
        (30.0, 3.04, "too large"),
        (0.5, 3.04, ""),
    ],
)
def test_where_measured_and_calculated_radius_disagree_it_is_said(small_scan, semiangle, radius, word):
    scan = small_scan.with_calibration(small_scan.calibration.with_(semiangle=semiangle))
    probe = probe_for(scan)
    assert probe.radius == pytest.approx(radius, abs=0.3)
    assert word in probe.provenance.get("doubt", "")
    assert ("doubt" in probe.provenance) == bool(word)
    assert (word in advise(scan, probe)) or not word


def test_a_number_is_the_radius_of_a_probe(small_scan):
    assert probe_for(small_scan, 2.5).radius == 2.5
    made = detect_disks(small_scan, 2.5).provenance["probe"]
    assert (made["kind"], made["radius"]) == ("synthetic", 2.5)
    with pytest.raises(UserError, match="does not suit a detector of 64 × 64"):
        detect_disks(small_scan, 40.0)


def test_the_command_line_takes_convergence_angle_and_radius(small_scan, tmp_path):
    np.save(tmp_path / "scan.npy", small_scan.data.compute())
    told = ("--voltage", "300", "--q-pixel", "0.05")

    def detect(*options):
        done = CliRunner().invoke(
            app, ["detect", str(tmp_path / "scan.npy"), "-o", str(tmp_path / "d.h5"), *options]
        )
        return done, load_disks(tmp_path / "d.h5").provenance["probe"][
            "radius"
        ] if not done.exit_code else None

    assert detect(*told)[1] == pytest.approx(3.04, abs=0.01)
    assert detect(*told, "--semiangle", "2.5")[1] == pytest.approx(2.54, abs=0.01)
    assert detect("--semiangle", "2.5", "--probe-radius", "3.5")[1] == 3.5
    done, radius = detect(*told, "--semiangle", "9")
    assert radius == pytest.approx(9.14, abs=0.01)
    assert "Warning: The convergence angle of 9 mrad" in done.output
    done, _ = detect("--probe-radius", "3", "--probe", "vacuum.npy")
    assert isinstance(done.exception, UserError)
    assert "not both" in str(done.exception)


@pytest.mark.parametrize("radius", [3, 6])
@pytest.mark.parametrize("height", [2, 20])
@pytest.mark.parametrize("length", [5, 20, 40])
def test_a_halo_as_bright_as_the_beam_is_not_part_of_it(radius, height, length):
    y, x = np.ogrid[:144, :144]
    apart = np.hypot(y - 72, x - 70)
    halo = np.exp(-apart / length)
    for shape in (np.clip(radius + 0.5 - apart, 0, 1), np.exp(-0.5 * (1.58 * apart / radius) ** 2)):
        assert find_direct_beam(1000 * (height * shape + halo)).radius == pytest.approx(radius, rel=0.15)
