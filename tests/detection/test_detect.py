"""Disks are found where they were drawn, weak ones too, and little else."""

import dask.array as da
import numpy as np
import pytest

from helpers.drawn_disks import draw_disk, kinematic_patterns, scan_of
from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.detect import detect_at, detect_disks, detect_patterns
from napari_4dstem_orient.detection.noise_level import measure_noise
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.detection.suggest import settings_for_probe, suggest


def compare(found, truth, tolerance):
    """Return which true disks were found and which found disks are false."""
    apart = np.hypot(found[:, None, 0] - truth[:, 0], found[:, None, 1] - truth[:, 1])
    return apart.min(axis=0) < tolerance, apart.min(axis=1) > tolerance


@pytest.mark.parametrize(("electrons", "of_all"), [(2e5, 0.85), (1e4, 0.6)])
def test_suggested_settings_find_weak_disks_and_few_false_ones(copper, electrons, of_all):
    radius = 2.3
    patterns, truth = kinematic_patterns(copper, electrons)
    scan = scan_of(patterns)
    disks = detect_disks(scan)
    hits, clear, false, total = [], [], 0, 0
    for index, rows in enumerate(truth):
        found = disks.sure().at(0, index)
        hit, wrong = compare(found, rows, radius)
        halo = 0.1 * electrons / 1600  # counts per pixel where it matters
        area = np.pi * radius**2
        visible = rows[:, 2] / np.sqrt(rows[:, 2] + area * halo) > 6
        hits.extend(hit)
        clear.extend(hit[visible])
        false += wrong.sum()
        total += len(found)
    assert np.mean(clear) > 0.97
    assert np.mean(hits) > of_all  # down to 0.0001 of the direct beam
    assert false / total < 0.15


def test_patterns_without_a_specimen_keep_only_the_direct_beam(copper):
    patterns, _ = kinematic_patterns(copper, 1e5)
    y, x = np.ogrid[:128, :128]
    halo = np.exp(-np.hypot(y - 64, x - 64) / 16)
    beam = 4e3 * draw_disk((128, 128), 64, 64, 2.3) + 1e4 * halo / halo.sum()
    bare = np.random.default_rng(2).poisson(beam, (16, 128, 128))
    disks = detect_disks(scan_of(np.concatenate([patterns, bare])))
    assert disks.sure().counts[0, 16:].mean() < 3
    assert disks.sure().counts[0, :16].mean() > 10


def test_positions_are_those_of_the_detector_axes(copper):
    pattern = 50 * draw_disk((96, 80), 40.3, 33.7, 3) + 20 * draw_disk((96, 80), 60.25, 50.5, 3)
    probe = synthetic_probe(3.0, (96, 80))
    found = detect_patterns(pattern[None], probe, DetectionSettings(min_relative_intensity=0.05))[0]
    assert found.shape == (2, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, :2], [[40.3, 33.7], [60.25, 50.5]], atol=0.15)
    assert found[0, 2] > found[1, 2]


@pytest.mark.py4dstem
@pytest.mark.parametrize("subpixel", ["poly", "multicorr"])
def test_detection_is_py4dstems_own(copper, subpixel):
    from py4DSTEM.braggvectors.diskdetection import find_Bragg_disks

    patterns, _ = kinematic_patterns(copper, 1e5, count=2)
    probe = synthetic_probe(2.3, (128, 128))
    settings = DetectionSettings(
        min_intensity=0.3,
        min_relative_intensity=0.001,
        min_spacing=5.0,
        edge=4,
        max_disks=30,
        subpixel=subpixel,
    )
    mine = detect_disks(scan_of(patterns), probe, settings)
    theirs = find_Bragg_disks(
        patterns,
        probe.kernel,
        corrPower=1,
        sigma=0.5,
        subpixel=subpixel,
        minAbsoluteIntensity=0.3,
        minRelativeIntensity=0.001,
        minPeakSpacing=5.0,
        edgeBoundary=4,
        maxNumPeaks=30,
    )
    for index, points in enumerate(theirs):
        expected = np.stack([points.data[name] for name in ("qx", "qy", "intensity")], axis=1)
        np.testing.assert_allclose(mine.at(0, index), expected, rtol=1e-4, atol=1e-4)


def test_progress_is_told_and_can_cancel(small_scan):
    told = []
    detect_disks(small_scan, progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, 12)
    assert told[-1] == (12, 12)

    def stop(done, total):
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        detect_disks(small_scan, progress=stop)


def test_chosen_positions_have_the_disks_of_the_whole_scan_and_the_others_none(small_scan):
    scan, probe = small_scan, synthetic_probe(3.0, (64, 64))
    settings, _ = suggest(scan, probe)
    whole, told = detect_disks(scan, probe, settings, device="cpu"), []
    some = detect_at(scan, np.array([2, 5]), probe, settings, lambda *done: told.append(done), "cpu")
    assert np.flatnonzero(some.counts.ravel()).tolist() == [2, 5]
    assert (some.detector_shape, some.scan_shape) == (whole.detector_shape, whole.scan_shape)
    one, other = whole.take(np.array([2, 5])), some.take(np.array([2, 5]))
    np.testing.assert_array_equal(one.offsets, other.offsets)
    for name, values in one.values.items():
        np.testing.assert_allclose(values, getattr(other, name), rtol=1e-4, atol=1e-4)
    assert (told[0], told[-1]) == ((0, 2), (2, 2))


def test_provenance_is_plain_json(small_scan):
    import json

    provenance = json.loads(json.dumps(detect_disks(small_scan).provenance))
    assert provenance["settings"]["subpixel"] == "fit"
    assert provenance["probe"]["kind"] == "synthetic"


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "NaN"), (-300.0, "negative")])
def test_broken_patterns_are_named(small_scan, value, word):
    data = small_scan.data.compute().astype(np.float32)
    data[1, 2, 5, 5] = value
    probe = synthetic_probe(3.0, (64, 64))
    with pytest.raises(UserError, match=rf"{word}.*row 1, column 2"):
        detect_disks(Scan(da.from_array(data)), probe, settings_for_probe(probe))
    with pytest.raises(UserError, match=rf"{word}.*row 1, column 2"):
        detect_at(Scan(da.from_array(data)), np.array([1, 6]), probe, settings_for_probe(probe))


def test_no_disks_anywhere_says_what_to_do():
    probe = synthetic_probe(3.0, (64, 64))
    empty = Scan(da.zeros((2, 2, 64, 64), dtype=np.uint16), source="empty.npy")
    with pytest.raises(UserError, match=r"No disks anywhere in empty\.npy: lower the min. intensity"):
        detect_disks(empty, probe, settings_for_probe(probe))
    with pytest.raises(UserError, match="empty or flat"):
        detect_disks(empty)


def test_a_probe_of_another_detector_is_refused(small_scan):
    with pytest.raises(UserError, match="32 × 32"):
        detect_disks(small_scan, synthetic_probe(3.0, (32, 32)))


def test_the_floor_follows_the_noise(copper):
    """The same electrons make the same disks, however many counts the camera makes of each."""
    patterns, _ = kinematic_patterns(copper, 1e5)
    probe = synthetic_probe(2.3, (128, 128))
    one, seven = (suggest(scan_of(patterns * counts), probe)[0] for counts in (1, 7))
    assert one.gain == pytest.approx(1, abs=0.25)
    assert seven.gain == pytest.approx(7 * one.gain, rel=0.01)
    assert seven.min_intensity == pytest.approx(7 * one.min_intensity, rel=0.02)
    found = [
        detect_disks(scan_of(patterns * counts), probe, settings)
        for counts, settings in ((1, one), (7, seven))
    ]
    assert len(found[1]) == pytest.approx(len(found[0]), rel=0.02)


@pytest.mark.parametrize("gain", [1, 30])
def test_where_every_place_is_lit_pixels_tell_of_an_electrons_counts(gain):
    """Disks of radius 3 every 11 pixels: no tile is without one."""
    y, x = np.mgrid[:64, :64]
    disks = ((y + 4) % 11 - 4) ** 2 + ((x + 2) % 11 - 4) ** 2 <= 9
    patterns = gain * np.random.default_rng(3).poisson(1 + 60 * disks, (20, 64, 64))
    found = measure_noise(patterns, synthetic_probe(3.0, (64, 64)), 0.76).gain
    assert 0.7 * gain < found < 2.5 * gain


def test_few_tiles_without_a_disk_are_enough_to_know_an_electrons_counts(small_scan):
    """Five disks reach nearly everything on a detector of 64 × 64 pixels."""
    probe = synthetic_probe(3.0, small_scan.detector_shape)
    settings = suggest(small_scan, probe)[0]
    assert 0.8 < settings.gain < 1.6
    assert np.median(detect_disks(small_scan, probe, settings).sure().counts) == 5
