"""The batched engine finds the disks that py4DSTEM finds, and is no further from the truth."""

import threading
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import torch

from helpers.drawn_disks import kinematic_patterns, scan_of
from helpers.multislice import multislice_patterns, multislice_scan
from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.core.memory import Portions
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.batched import BatchedDetection
from napari_4dstem_orient.detection.detect import detect_disks, detect_patterns
from napari_4dstem_orient.detection.engine import Py4DSTEMDetection
from napari_4dstem_orient.detection.peaks import Peaks, local_maxima
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.radius import find_radius
from napari_4dstem_orient.detection.read_ahead import read_ahead
from napari_4dstem_orient.detection.selection import far_apart
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.detection.suggest import settings_for_probe, suggest
from napari_4dstem_orient.samples.silver import silver_twins

CPU = torch.device("cpu")
THEIRS = {"min_signal_to_noise": 0.0}  # py4DSTEM has its own criteria only


def both_engines(patterns, probe, settings):
    """Return each engine's disks, one (n, 3) array for each pattern."""
    found = []
    for engine in (BatchedDetection(probe, settings, CPU), Py4DSTEMDetection(probe, settings)):
        counts, rows = engine(np.asarray(patterns, np.float32))
        found.append(np.split(rows, np.cumsum(counts)[:-1]))
    return found


def apart(some, others, floor=0.0):
    """Return how far each disk above twice the floor is from the nearest disk of the other engine."""
    result = []
    for mine, theirs in ((some, others), (others, some)):
        for a, b in zip(mine, theirs, strict=True):
            clear = a[a[:, 2] > 2 * floor]
            if len(clear) and len(b):
                distance = np.hypot(clear[:, None, 0] - b[:, 0], clear[:, None, 1] - b[:, 1])
                result.append(distance.min(axis=1))
            else:
                result.append(np.full(len(clear), np.inf))
    return np.concatenate(result)


def check_agreement(patterns, probe, settings, floor=None):
    mine, theirs = both_engines(patterns, probe, settings)
    distance = apart(mine, theirs, settings.min_intensity if floor is None else floor)
    assert len(distance) > 2 * len(patterns)
    assert (distance < 0.05).mean() >= 0.99
    assert np.median(distance) < 0.01
    return mine, theirs


@pytest.mark.py4dstem
@pytest.mark.parametrize("subpixel", ["poly", "multicorr"])
def test_same_disks_on_the_silver_sample(subpixel):
    scan = silver_twins()
    scan = Scan(scan.data[30:34, 100:106], scan.calibration)
    probe = synthetic_probe(find_radius(scan).px, scan.detector_shape)
    settings = replace(suggest(scan, probe)[0], **THEIRS, subpixel=subpixel)
    patterns = next(scan.batches(24))[1]
    check_agreement(patterns, probe, settings)


@pytest.mark.py4dstem
@pytest.mark.parametrize("subpixel", ["poly", "multicorr"])
@pytest.mark.parametrize("electrons", [1e4, 1e5, 1e6])
def test_same_disks_at_every_dose(copper, electrons, subpixel):
    patterns, _ = kinematic_patterns(copper, electrons, count=8)
    probe = synthetic_probe(2.3, (128, 128))
    settings = replace(suggest(scan_of(patterns), probe)[0], **THEIRS, subpixel=subpixel)
    mine, theirs = check_agreement(patterns, probe, settings)
    assert sum(map(len, mine)) == pytest.approx(sum(map(len, theirs)), rel=0.01)


@pytest.mark.py4dstem
@pytest.mark.parametrize("subpixel", ["poly", "multicorr"])
@pytest.mark.parametrize("size", [125, 192, 256, 515])
def test_same_disks_on_detectors_of_any_size(copper, size, subpixel):
    radius = 2.3 * size / 128
    patterns, _ = kinematic_patterns(copper, 1e5, count=2, size=size, radius=radius)
    probe = synthetic_probe(radius, (size, size))
    settings = replace(
        settings_for_probe(probe), min_intensity=0.3 * (128 / size) ** 2, subpixel=subpixel, max_disks=30
    )
    check_agreement(patterns, probe, settings)


@pytest.mark.py4dstem
@pytest.mark.parametrize("subpixel", ["poly", "multicorr"])
@pytest.mark.parametrize("power", [0.0, 0.5, 0.8])
def test_same_disks_for_every_correlation_power(copper, power, subpixel):
    patterns, _ = kinematic_patterns(copper, 1e5, count=4)
    patterns = patterns[:, :, 8:-20]  # a detector that is not square
    probe = synthetic_probe(2.3, (128, 100))
    settings = replace(
        settings_for_probe(probe), correlation_power=power, subpixel=subpixel, min_relative_intensity=0.02
    )
    check_agreement(patterns, probe, settings)


@pytest.mark.py4dstem
@pytest.mark.parametrize("smoothing", [0.0, 0.4, 3.0])
def test_same_disks_up_to_the_rim(copper, smoothing):
    patterns, _ = kinematic_patterns(copper, 1e4, count=2)
    patterns = patterns[:, 60:, 60:]  # the direct beam is in a corner
    probe = synthetic_probe(2.3, patterns.shape[1:])
    settings = DetectionSettings(0.02, 0.0, min_spacing=0, edge=1, smoothing=smoothing)
    mine, theirs = both_engines(patterns, probe, settings)
    # Without a blur, few counts make equal neighbours, between which rounding decides.
    assert (apart(mine, theirs) < 0.01).mean() > 0.97


def test_patterns_of_a_batch_do_not_mix(copper):
    patterns, _ = kinematic_patterns(copper, 1e5, count=5)
    patterns[[0, 3]] = 0  # empty ones among them
    probe = synthetic_probe(2.3, (128, 128))
    for subpixel in ("poly", "multicorr"):
        settings = replace(settings_for_probe(probe), min_intensity=0.3, subpixel=subpixel)
        together = detect_patterns(patterns, probe, settings)
        assert [len(rows) > 0 for rows in together] == [False, True, True, False, True]
        for pattern, rows in zip(patterns, together, strict=True):
            np.testing.assert_allclose(detect_patterns(pattern[None], probe, settings)[0], rows, atol=1e-3)


def test_an_empty_scan_has_no_disks_whatever_the_settings():
    empty = np.zeros((3, 32, 48), np.float32)
    for power in (0.0, 0.5, 1.0):
        for subpixel in ("poly", "multicorr"):
            settings = DetectionSettings(correlation_power=power, subpixel=subpixel)
            assert [
                len(rows) for rows in detect_patterns(empty, synthetic_probe(3.0, (32, 48)), settings)
            ] == [0] * 3


def test_the_rim_is_left_out():
    images = torch.zeros(1, 20, 24)
    images[0, 4, 10], images[0, 5, 20], images[0, 10, 23], images[0, 12, 12] = 9.0, 3.0, 8.0, 2.0
    found = local_maxima(images, edge=4, floor=0.0, relative_floor=0.0)
    assert list(zip(found.row, found.col, strict=True)) == [(4, 10), (12, 12)]
    assert len(local_maxima(images, edge=10, floor=0.0, relative_floor=0.0).row) == 0
    # Relative to what is found, not to what lies at the rim.
    assert len(local_maxima(images, edge=5, floor=0.0, relative_floor=0.9).row) == 1


def test_spacing_goes_from_the_strongest_down():
    # Each is 3 px from the next: the strongest drops its neighbours, not their neighbours.
    def row_of(heights, pattern=0):
        around = np.zeros((len(heights), 3, 3))
        around[:, 1, 1] = heights
        n = len(heights)
        return Peaks(np.full(n, pattern), np.full(n, 5), 3 * np.arange(n), around)

    assert far_apart(row_of([5, 4, 3, 2, 1]), 4.0).tolist() == [True, False, True, False, True]
    assert far_apart(row_of([1, 2, 5, 4, 3]), 4.0).tolist() == [True, False, True, False, True]
    assert far_apart(row_of([1, 2, 3, 4, 5]), 3.0).all()
    two = Peaks(*map(np.concatenate, zip(row_of([5, 4]), row_of([4, 5], pattern=1), strict=True)))
    assert far_apart(two, 4.0).tolist() == [True, False, False, True]


def test_spacing_agrees_with_a_plain_loop():
    rng = np.random.default_rng(0)
    flat = np.sort(rng.choice(4 * 50 * 60, 2000, replace=False))
    around = rng.random((2000, 3, 3))
    peaks = Peaks(flat // 3000, flat % 3000 // 60, flat % 60, around)
    for spacing in (2.5, 7.0):
        kept = []
        for one in np.argsort(-peaks.height):
            near = [
                other
                for other in kept
                if peaks.pattern[other] == peaks.pattern[one]
                and np.hypot(peaks.row[other] - peaks.row[one], peaks.col[other] - peaks.col[one]) < spacing
            ]
            if not near:
                kept.append(one)
        assert np.flatnonzero(far_apart(peaks, spacing)).tolist() == sorted(kept)


@pytest.mark.py4dstem
@pytest.mark.parametrize("dose", [1e4, 1e6])
@pytest.mark.parametrize("subpixel", ["poly", "multicorr"])
def test_no_further_from_the_truth_than_py4dstem(copper, dose, subpixel):
    """Kinematic patterns with noise: recall, false peaks and positions."""
    patterns, truth = kinematic_patterns(copper, dose, count=12, seed=7)
    probe = synthetic_probe(2.3, (128, 128))
    settings = replace(suggest(scan_of(patterns), probe)[0], **THEIRS, subpixel=subpixel)
    numbers = []
    for lists in both_engines(patterns, probe, settings):
        hit, false, error = 0, 0, []
        for found, true in zip(lists, truth, strict=True):
            distance = np.hypot(found[:, None, 0] - true[:, 0], found[:, None, 1] - true[:, 1])
            hit += (distance.min(axis=0) < 2.3).sum()
            false += (distance.min(axis=1) >= 2.3).sum()
            error.extend(distance.min(axis=1)[distance.min(axis=1) < 2.3])
        numbers.append((hit, false, np.sqrt(np.mean(np.square(error)))))
    (hit, false, error), (their_hit, their_false, their_error) = numbers
    assert hit >= 0.995 * their_hit
    assert false <= 1.01 * their_false + 1
    assert error <= 1.01 * their_error


@pytest.mark.py4dstem
def test_same_disks_of_multislice_patterns():
    scan = multislice_scan(multislice_patterns("cu"), 1e5)
    probe = synthetic_probe(find_radius(scan).px, scan.detector_shape)
    settings = replace(suggest(scan, probe)[0], **THEIRS, subpixel="poly")
    check_agreement(next(scan.batches(40))[1], probe, settings)


@pytest.mark.py4dstem
def test_both_engines_run_a_whole_scan(small_scan):
    probe = synthetic_probe(3.0, (64, 64))
    settings = replace(settings_for_probe(probe), min_relative_intensity=0.05)
    disks = {
        engine: detect_disks(small_scan, probe, replace(settings, engine=engine), device="cpu")
        for engine in ("torch", "py4DSTEM")
    }
    np.testing.assert_array_equal(disks["torch"].counts, disks["py4DSTEM"].counts)
    np.testing.assert_allclose(disks["torch"].qx, disks["py4DSTEM"].qx, atol=1e-3)
    for engine, found in disks.items():
        assert found.provenance["engine"] == engine
        assert found.provenance["settings"]["engine"] == engine
        assert found.provenance["device"].startswith("CPU")


def test_engine_and_device_must_be_there(small_scan):
    probe = synthetic_probe(3.0, (64, 64))
    with pytest.raises(UserError, match="engine 'magic'; choose one of torch, py4DSTEM"):
        detect_disks(small_scan, probe, DetectionSettings(engine="magic"))
    with pytest.raises(UserError, match="device 'abacus'"):
        detect_disks(small_scan, probe, settings_for_probe(probe), device="abacus")


def test_reading_ahead_is_in_order_bounded_and_stops():
    read = []

    def block(block_info=None):
        row = block_info[None]["chunk-location"][0]
        read.append(row)
        return np.full((1, 4, 16, 16), row, np.uint16)

    data = da.map_blocks(
        block, chunks=((1,) * 20, (4,), (16,), (16,)), dtype=np.uint16, meta=np.zeros((0,) * 4)
    )
    pieces = read_ahead(Scan(data), Portions(read=4, together=3, ahead=2, at_work=1))
    first = [next(pieces) for _ in range(4)]
    assert [piece.positions.tolist() for piece in first] == [[0, 1, 2], [3], [4, 5, 6], [7]]
    assert [piece.patterns[0, 0, 0] for piece in first] == [0, 0, 1, 1]
    assert first[2][1:].positions.tolist() == [5, 6]
    assert len(read) <= 5  # two in use, two ahead
    pieces.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("reading")]


def test_cancelling_leaves_no_thread_behind(small_scan):
    before = set(threading.enumerate())

    def stop(done, total):
        if done:
            raise Cancelled

    with pytest.raises(Cancelled):
        detect_disks(small_scan, synthetic_probe(3.0, (64, 64)), DetectionSettings(), stop)
    assert not [thread for thread in set(threading.enumerate()) - before if "Pool" in thread.name]
