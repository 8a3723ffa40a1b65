"""The ellipticity of rings comes back with its axis, is undone where calibrated, and is not made up from noise."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from helpers.rings import CENTRE, IRON, disks_of, elliptical
from napari_4dstem_orient.calibration.calibrate import calibrate
from napari_4dstem_orient.calibration.ellipse import fit_ellipse
from napari_4dstem_orient.calibration.quality import Quality
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.distortion import (
    distorted,
    from_ratio_and_axis,
    ratio_and_axis,
    undistorted,
)
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.napari_plugin.state.snapshot import Detector


@pytest.mark.parametrize("axis", [30, 150])
@pytest.mark.parametrize("false", [0.25, 1.0])
def test_ratio_and_axis_come_back(axis, false):
    fit = fit_ellipse(elliptical(disks_of(IRON, false=false), 1.06, axis))
    assert fit.trustworthy, fit.doubts
    assert fit.ratio == pytest.approx(1.06, abs=0.005)
    assert fit.axis == pytest.approx(axis, abs=4)  # the mirrored axis is 60° off
    assert fit.quality() is Quality.POOR
    assert fit.quality(fit.distortion) is Quality.GOOD


def test_round_rings_are_round(copper):
    fit = fit_ellipse(disks_of(copper))
    assert fit.ratio < 1.005
    assert fit.quality() is Quality.GOOD
    assert fit.error < 0.0015


@pytest.mark.parametrize("number", [6, 20, 400])
def test_disks_anywhere_tell_nothing(number):
    rng = np.random.default_rng(3)
    beam = [[*CENTRE, 1e3]]
    lists = [np.r_[beam, np.c_[rng.uniform(0, 128, (number, 2)), np.ones(number)]] for _ in range(50)]
    fit = fit_ellipse(BraggDisks.from_lists((5, 10), lists, detector_shape=(128, 128)))
    assert not fit.trustworthy
    assert fit.quality() is Quality.CHECK


def test_too_few_disks_are_refused():
    beam = BraggDisks.from_lists((1, 20), [np.array([[64, 64, 100.0]])] * 20, detector_shape=(128, 128))
    with pytest.raises(UserError, match="too few disks"):
        fit_ellipse(beam)


def test_the_distortion_is_undone_in_the_detectors_frame():
    distortion = from_ratio_and_axis(1.05, 20)
    assert ratio_and_axis(distortion) == pytest.approx((1.05, 20))
    disks = elliptical(disks_of(IRON), 1.05, 20)
    plain = Calibration(q_pixel=0.0328, rotation=35, flip=True, q_pixel_from="typed")
    wanted, _ = calibrate(disks_of(IRON), plain)
    corrected, _ = calibrate(disks, plain.with_(distortion=distortion))
    np.testing.assert_allclose(corrected.qx, wanted.qx, atol=0.004)
    np.testing.assert_allclose(corrected.qy, wanted.qy, atol=0.004)
    mirrored, _ = calibrate(disks, plain.with_(distortion=from_ratio_and_axis(1.05, -20)))
    assert np.abs(mirrored.qx - wanted.qx).max() > 0.03
    assert corrected.provenance["calibration"]["distortion"] == distortion
    there = np.array([[1.0, 0.3], [-0.2, 0.9]])
    pixels = Detector((128, 128), 0.0328, 35, True, distortion).pixels(there)
    one = BraggDisks.from_lists(
        (1, 1), [np.c_[np.r_[[[0, 0]], pixels] + 64, [9, 1, 1]]], detector_shape=(128, 128)
    )
    back, _ = calibrate(one, plain.with_(distortion=distortion))
    np.testing.assert_allclose(back.at(0, 0)[1:, :2], there, atol=1e-4)


def test_distorting_is_the_inverse():
    x, y = np.random.default_rng(0).normal(size=(2, 9))
    np.testing.assert_allclose(undistorted(*distorted(x, y, (0.03, -0.05)), (0.03, -0.05)), (x, y))


def test_a_calibration_with_it_survives_json_and_nonsense_is_refused():
    known = Calibration(distortion=(0.01, -0.02))
    assert Calibration(**json.loads(json.dumps(asdict(known)))) == known
    with pytest.raises(UserError, match="distortion"):
        Calibration(distortion=(0.5, 0.0))
