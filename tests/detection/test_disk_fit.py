"""Where the truth is known, disks are nearer to it than py4DSTEM's, and the detection knows how near."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from helpers.drawn_disks import draw_disk
from helpers.multislice import MultislicePatterns, multislice_patterns, multislice_scan
from napari_4dstem_orient.calibration.calibrate import calibrate
from napari_4dstem_orient.core.bragg_disks import SURE, BraggDisks
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.detection.detect import detect_disks, detect_patterns
from napari_4dstem_orient.detection.disk_fit import DiskFit
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.radius import find_radius
from napari_4dstem_orient.detection.suggest import settings_for_probe, suggest

PATTERNS = 40
NEAR = 1.8  # px within which a disk belongs to a reflection


def some(crystal):
    every = multislice_patterns(crystal)
    return every.part(slice(None, None, len(every) // PATTERNS))


def reflections(patterns: MultislicePatterns, dose):
    """Return the places, in px, of each pattern's excited reflections, and how many electrons they hold at least."""
    reflector = Reflector.of(find_phase(patterns.crystal), patterns.calibration.voltage, 2.2)
    rows, cols = np.indices(patterns.share.shape[1:])
    result = []
    for rotation, share in zip(patterns.rotation, patterns.share, strict=True):
        g = reflector.in_lab(torch.as_tensor(rotation, dtype=torch.float32))
        error = reflector.excitation_errors(g)[0]
        excited = 1 / (1 + (error * reflector.extinction).square()).numpy() > 1e-5
        place = patterns.origin + g[:, :2].numpy() / patterns.calibration.q_pixel
        place = place[excited & (np.abs(place - 64).max(1) < 62)]  # disks are found as near to the rim
        near = np.hypot(rows - place[:, :1, None], cols - place[:, 1:, None]) < 3.1
        result.append((place, (near * share).sum((1, 2)) * dose))
    return result


def compare(truth, origin, disks, floor=0.0):
    """Return recall, false disks, errors (n, 2) in px, and uncertainties, of all but the direct beams."""
    found, false, errors, spread, total = 0, 0, [], [], 0
    for index, (place, electrons) in enumerate(truth):
        part = slice(*disks.offsets[index : index + 2])
        at = np.stack([disks.qx[part], disks.qy[part]], 1)
        use = (np.hypot(*(at - origin).T) > 7) & (disks.intensity[part] >= floor)
        apart = at[use, None] - place
        distance = np.hypot(apart[..., 0], apart[..., 1])
        # The strongest reflection nearby made the disk.
        which = np.where(distance < NEAR, electrons, -1).argmax(1)
        good = distance.min(axis=1, initial=99) < NEAR
        false += (~good).sum()
        errors.append(apart[np.flatnonzero(good), which[good]])
        clear = electrons > 5
        total += clear.sum()
        found += np.isin(np.flatnonzero(clear), which[good]).sum()
        if disks.uncertainty is not None:
            spread.append(disks.uncertainty[part][use][good])
    return found / total, false, np.concatenate(errors), np.concatenate(spread) if spread else None


@pytest.mark.py4dstem
@pytest.mark.parametrize(
    ("crystal", "dose", "share"), [("cu", 1e4, 0.5), ("cu", 1e5, 0.75), ("fe", 1e6, 1.0)]
)
def test_nearer_to_the_truth_than_py4dstem(crystal, dose, share):
    """Of the sure disks, at equal recall, fewer are false; places are nearer, and their uncertainty is right."""
    patterns = some(crystal)
    scan = multislice_scan(patterns, dose)
    probe = synthetic_probe(find_radius(scan).px, scan.detector_shape)
    settings = suggest(scan, probe)[0]
    truth = reflections(patterns, dose)
    ours = detect_disks(scan, probe, settings)
    *_, error, spread = compare(truth, patterns.origin, ours.sure(1.25))  # fainter ones: a little too sure
    assert np.mean((error / spread[:, None]) ** 2) == pytest.approx(1, abs=0.35)
    recall, false, error, _ = compare(truth, patterns.origin, ours.sure())
    theirs = replace(
        settings,
        engine="py4DSTEM",
        subpixel="poly",
        min_signal_to_noise=0.0,
        min_intensity=0.1 * settings.gain,
    )
    disks = detect_disks(scan, probe, theirs)
    for floor in (
        np.geomspace(5, 0.1, 40) * settings.gain
    ):  # the highest at which it finds as many reflections
        its_recall, its_false, its_error, nothing = compare(truth, patterns.origin, disks, floor)
        if its_recall >= recall:
            break
    assert its_recall >= recall
    assert nothing is None
    assert false <= share * its_false
    assert np.sqrt(np.mean(error**2)) < 0.92 * np.sqrt(np.mean(its_error**2))


def test_the_rim_of_a_disk_lit_from_one_side_tells_its_place():
    x = np.arange(64)
    image = 500 * draw_disk((64, 64), 30.3, 33.6, 4) * (1 + 0.8 * (x - 33.6) / 4) + 1
    probe = synthetic_probe(4.0, (64, 64))
    noisy = np.random.default_rng(0).poisson(image).astype(np.float32)
    fitted, plain = (
        detect_patterns(
            noisy[None], probe, replace(settings_for_probe(probe), min_intensity=20.0, subpixel=how)
        )[0][0]
        for how in ("fit", "poly")
    )
    assert plain[1] - 33.6 > 0.4
    np.testing.assert_allclose(fitted[:2], [30.3, 33.6], atol=0.2)


def test_uncertainty_falls_with_dose_to_what_the_model_can_tell():
    probe = synthetic_probe(4.0, (64, 64))
    fit = DiskFit(probe, 1.0, torch.device("cpu"))
    expected = draw_disk((64, 64), 30.3, 33.6, 4) + 0.02
    spread = []
    for counts in (0.2, 2, 20, 2000):
        images = np.random.default_rng(1).poisson(counts * expected, (50, 64, 64)).astype(np.float32)
        start = np.full(50, 30.0), np.full(50, 34.0)
        row, col, told = fit.refine(torch.as_tensor(images), np.arange(50), *start)
        spread.append(told.mean())
        assert np.hypot(row - 30.3, col - 33.6).mean() < 3 * spread[-1]
    assert spread[0] > 1.3 * spread[1] > 1.3**2 * spread[2] > 1.3**2 * spread[3] > 0.05


@pytest.mark.parametrize("name", ["uncertainty", "snr"])
def test_what_is_known_of_disks_goes_with_them(name):
    rng = np.random.default_rng(0)
    lists = [np.c_[rng.uniform(20, 40, (3, 2)), [9.0, 2, 1]] for _ in range(6)]
    disks = BraggDisks.from_lists((2, 3), lists, detector_shape=(64, 64))
    with pytest.raises(ValueError, match=name):
        replace(disks, **{name: np.ones(3, np.float32)})
    disks = replace(disks, **{name: np.arange(18, dtype=np.float32)})

    def of(part):
        return getattr(part, name)

    np.testing.assert_array_equal(of(disks.only(1, 0)), [9, 10, 11])
    np.testing.assert_array_equal(of(disks.rows(1, 2)), np.arange(9, 18))
    np.testing.assert_array_equal(of(BraggDisks.join([disks.rows(0, 1), disks.rows(1, 2)])), of(disks))
    nothing = BraggDisks.from_lists((1, 3), [np.zeros((0, 3))] * 3, detector_shape=(64, 64))
    np.testing.assert_array_equal(of(BraggDisks.join([nothing, disks])), of(disks))  # nothing knows nothing
    assert of(BraggDisks.join([disks, replace(disks, **{name: None})])) is None


@pytest.mark.py4dstem
def test_uncertainty_and_snr_are_calibrated_and_saved(tmp_path):
    import py4DSTEM

    from napari_4dstem_orient.io.bragg_peaks import load_disks, save_disks
    from napari_4dstem_orient.workflow.store import load_rows, save_rows

    patterns = some("cu")
    scan = multislice_scan(patterns, 1e5)
    disks = detect_disks(scan)
    calibrated, _ = calibrate(disks, patterns.calibration)
    np.testing.assert_allclose(calibrated.uncertainty, disks.uncertainty * patterns.calibration.q_pixel)
    save_rows(calibrated, tmp_path / "rows.npz")
    np.testing.assert_array_equal(calibrated.snr, disks.snr)
    for name in ("uncertainty", "snr"):
        kept = getattr(load_rows(tmp_path / "rows.npz"), name)
        np.testing.assert_array_equal(kept, getattr(calibrated, name))
    ordered = disks.sure().with_others(disks.where(disks.snr < SURE))
    for kind in (disks, calibrated):
        save_disks(kind, tmp_path / "disks.h5", patterns.calibration)
        loaded = load_disks(tmp_path / "disks.h5")
        np.testing.assert_array_equal(loaded.offsets, disks.offsets)
        np.testing.assert_allclose(loaded.uncertainty, ordered.uncertainty, rtol=1e-5)
        np.testing.assert_array_equal(loaded.snr, ordered.snr)
    assert 0 < len(disks.sure()) < len(disks)
    theirs = py4DSTEM.read(str(tmp_path / "disks.h5"))
    assert len(theirs.raw[0, 3].qx) == disks.sure().counts[0, 3]
    np.testing.assert_allclose(
        theirs.raw[0, 3].qx, load_disks(tmp_path / "disks.h5").sure().at(0, 3)[:, 0], rtol=1e-6
    )
