"""Disks are centred, scaled and turned as py4DSTEM does it, and doubts are said."""

import numpy as np
import pytest

from napari_4dstem_orient.calibration.calibrate import (
    CalibrationSettings,
    calibrate,
    detector_axes,
    fit_origin,
)
from napari_4dstem_orient.calibration.origin import OriginFit
from napari_4dstem_orient.calibration.quality import Quality
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration

SHAPE = (8, 11)


def wandering(surface):
    """Return a direct beam that wanders over the scan, shape (8, 11, 2)."""
    row, col = np.meshgrid(np.linspace(-1, 1, SHAPE[0]), np.linspace(-1, 1, SHAPE[1]), indexing="ij")
    x, y = 61 + 0 * row, 66.5 + 0 * row
    if surface != "constant":
        x, y = x + 3 * row - 2 * col, y - 1.5 * row + 4 * col
    if surface == "parabola":
        x, y = x + 2 * row**2 - row * col, y - 1.5 * col**2
    return np.stack([x, y], axis=-1)


def disks_around(origin, noise=0.1, weak=0.0, missing=0.0, seed=0):
    """Draw direct beams and Friedel pairs; in some patterns the beam is weaker than a disk, in some missing."""
    rng = np.random.default_rng(seed)
    lists = []
    for center in origin.reshape(-1, 2):
        turn = rng.uniform(0, np.pi, 5)
        arm = rng.uniform(12, 45, 5)[:, None] * np.stack([np.cos(turn), np.sin(turn)], axis=1)
        pairs = np.r_[arm, -arm]
        strength = rng.uniform(1, 20, 10)
        fate = rng.uniform()
        beam = 100.0
        if fate < weak:
            strength[0] = 300.0
        rows = np.c_[center + pairs + rng.normal(0, noise, (10, 2)), strength]
        if fate < 1 - missing:
            rows = np.r_[rows, [[*(center + rng.normal(0, noise, 2)), beam]]]
        lists.append(rows[rng.permutation(len(rows))])
    return BraggDisks.from_lists(origin.shape[:2], lists, detector_shape=(128, 128))


@pytest.mark.parametrize("surface", ["constant", "plane", "parabola"])
def test_the_origin_follows_the_wandering_beam(surface):
    truth = wandering(surface)
    fit = fit_origin(disks_around(truth, weak=0.2, missing=0.2), surface)
    assert np.abs(fit.origin - truth).max() < 0.2
    assert fit.residual == pytest.approx(0.1 * np.sqrt(2), rel=0.3)
    assert 0.65 < fit.used < 0.95
    assert np.isnan(fit.measured).any()


def test_a_surface_too_stiff_leaves_a_larger_residual():
    disks = disks_around(wandering("parabola"))
    stiff, right = fit_origin(disks, "plane"), fit_origin(disks, "parabola")
    assert stiff.residual > 3 * right.residual


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (3, 1)])
def test_tiny_scans_have_an_origin_too(shape):
    truth = np.broadcast_to([60.0, 64.0], (*shape, 2))
    fit = fit_origin(disks_around(truth), "parabola")
    assert np.abs(fit.origin - truth).max() < 0.5


def test_empty_patterns_take_the_fit():
    truth = wandering("plane")
    full = disks_around(truth)
    lists = [full.at(*divmod(i, SHAPE[1])) if i % 3 else np.zeros((0, 3)) for i in range(88)]
    fit = fit_origin(BraggDisks.from_lists(SHAPE, lists, detector_shape=(128, 128)))
    assert np.abs(fit.origin - truth).max() < 0.2
    assert fit.used == pytest.approx(2 / 3, abs=0.02)


@pytest.mark.py4dstem
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("rotation", [0.0, 30.0, -115.0])
def test_the_frame_is_py4dstems(rotation, flip):
    from py4DSTEM.braggvectors import BraggVectors

    disks = disks_around(wandering("plane"))
    known = Calibration(q_pixel=0.02, rotation=rotation, flip=flip, q_pixel_from="typed")
    calibrated, report = calibrate(disks, known)

    vectors = BraggVectors(SHAPE, (128, 128))
    vectors.calibration.set_origin((report.origin[..., 0], report.origin[..., 1]))
    vectors.calibration.set_Q_pixel_size(0.02)
    vectors.calibration.set_QR_rotation(np.deg2rad(rotation))
    vectors.calibration.set_QR_flip(flip)
    row, col = 2, 9
    vectors._v_uncal[row, col].add(
        np.array(
            [tuple(values) for values in disks.at(row, col)],
            dtype=[("qx", float), ("qy", float), ("intensity", float)],
        )
    )
    vectors.setcal(center=True, ellipse=False, pixel=True, rotate=True)
    theirs = np.stack([vectors.cal[row, col].qx, vectors.cal[row, col].qy], axis=1)
    mine = calibrated.at(row, col)[:, :2]
    np.testing.assert_allclose(mine, theirs, atol=1e-5)
    # The comparison has teeth: the other sense of rotation, and the other hand, are far off.
    other = calibrate(disks, known.with_(flip=not flip))[0].at(row, col)[:, :2]
    assert np.abs(other - theirs).max() > 0.1
    if rotation:
        other = calibrate(disks, known.with_(rotation=-rotation))[0].at(row, col)[:, :2]
        assert np.abs(other - theirs).max() > 0.1


def test_calibrated_disks_keep_the_beam_and_know_their_reach():
    disks = disks_around(wandering("constant"))
    calibrated, report = calibrate(disks, Calibration(q_pixel=0.02, q_pixel_from="file"))
    assert calibrated.calibrated
    assert len(calibrated) == len(disks)
    assert (np.hypot(calibrated.qx, calibrated.qy) < 0.01).sum() == 88
    assert calibrated.reach == pytest.approx((127 - 66.5) * 0.02, abs=0.01)
    assert report.warnings == []
    assert "good" in report.summary
    assert calibrated.qx.dtype == np.float32


def test_the_report_is_plain_json():
    import json

    calibrated, report = calibrate(disks_around(wandering("plane")), Calibration(q_pixel=0.02))
    assert json.loads(json.dumps(report.to_dict()))["surface"] == "plane"
    json.dumps(calibrated.provenance)


def test_what_is_missing_is_said():
    disks = disks_around(wandering("plane"))
    with pytest.raises(UserError, match="pixel is not known"):
        calibrate(disks, Calibration(voltage=300))
    calibrated, _ = calibrate(disks, Calibration(q_pixel=0.02))
    with pytest.raises(UserError, match="calibrated already"):
        calibrate(calibrated, Calibration(q_pixel=0.02))
    with pytest.raises(UserError, match="no disks"):
        calibrate(BraggDisks.from_lists((1, 2), [np.zeros((0, 3))] * 2), Calibration(q_pixel=0.02))


@pytest.mark.parametrize(
    ("calibration", "changes", "sentence"),
    [
        (Calibration(q_pixel=0.02), {}, "where the pixel size comes from"),
        (Calibration(q_pixel=0.2, q_pixel_from="typed"), {}, "another unit"),
        (Calibration(q_pixel=0.02, q_pixel_from="typed"), {"noise": 1.5}, "orientations will suffer"),
        (Calibration(q_pixel=0.02, q_pixel_from="typed"), {"missing": 0.7}, "found in only"),
    ],
)
def test_doubts_are_plain_sentences(calibration, changes, sentence):
    _, report = calibrate(
        disks_around(wandering("plane"), **changes), calibration, CalibrationSettings("plane")
    )
    assert any(sentence in warning for warning in report.warnings)


@pytest.mark.parametrize(("rotation", "flip"), [(0, False), (30, False), (30, True), (-110, True)])
def test_the_detectors_axes_are_those_that_disks_are_turned_by(rotation, flip):
    lists = [np.array([[20.0, 20, 9], [23, 20, 1], [20, 25, 1]])]
    disks = BraggDisks.from_lists((1, 1), lists, detector_shape=(40, 40))
    known = Calibration(q_pixel=0.1, rotation=rotation, flip=flip, q_pixel_from="typed")
    turned = calibrate(disks, known)[0].at(0, 0)[1:, :2]
    np.testing.assert_allclose(turned, np.array([[0.3], [0.5]]) * detector_axes(rotation, flip), atol=1e-6)


def test_the_direct_beam_is_judged_by_the_disks_radius():
    place = np.zeros((2, 2, 2))
    fit = OriginFit(place, place, "plane", 0.2, 1.0)
    assert [fit.quality(radius) for radius in (3.0, 1.0, 0.5, None)] == [
        Quality.GOOD,
        Quality.CHECK,
        Quality.POOR,
        Quality.CHECK,
    ]
    assert OriginFit(place, place, "plane", 0.2, 0.3).quality(3.0) is Quality.CHECK
    assert OriginFit(place, place, "plane", float("nan"), 0.0).quality(3.0) is Quality.CHECK
