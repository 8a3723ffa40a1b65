"""A job fits the detector pixel to a crystal's rings, and says so."""

import numpy as np
import pytest

from helpers.rings import IRON, Q_PIXEL, disks_of
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.run import Results, run


@pytest.fixture(scope="module")
def disks(copper):
    return disks_of(copper)


def calibrated(disks, crystal, q_pixel=None):
    known = Calibration(voltage=300, q_pixel=q_pixel, q_pixel_from="unknown" if q_pixel is None else "file")
    return run(Job(ring_crystal=crystal), Stage.CALIBRATED, have=Results(disks=disks, calibration=known))


@pytest.mark.parametrize("guess", [None, 1.04 * Q_PIXEL])
def test_a_good_fit_is_taken(disks, copper, guess):
    done = calibrated(disks, copper, guess)
    assert done.calibration.q_pixel == pytest.approx(Q_PIXEL, rel=2e-3)
    assert done.calibration.q_pixel_from == "fitted"
    told = done.calibrated.provenance["calibration"]
    assert told["q_pixel"] == done.calibration.q_pixel
    assert "rings of Cu" in told["pixel_fit"]
    near = np.sort(np.hypot(done.calibrated.qx, done.calibrated.qy))
    assert np.abs(near - np.sqrt(3) / 3.615).min() < 1e-3


def test_a_doubtful_fit_changes_nothing_that_is_known(disks):
    done = calibrated(disks, IRON, 1.04 * Q_PIXEL)
    assert done.calibration.q_pixel == 1.04 * Q_PIXEL
    assert done.calibration.q_pixel_from == "file"
    warnings = done.calibrated.provenance["calibration"]["warnings"]
    assert any("Doubtful" in warning for warning in warnings)


def test_a_doubtful_fit_of_an_unknown_pixel_is_said_to_be_doubtful(disks):
    assert calibrated(disks, IRON).calibration.q_pixel_from == "doubtful"


def test_what_is_in_reciprocal_units_already_is_not_fitted(disks, copper):
    done = calibrated(disks, copper, Q_PIXEL)
    with pytest.raises(UserError, match="already"):
        calibrated(done.calibrated, copper)


def test_the_crystal_is_kept_with_the_job(copper):
    again = Job.from_dict(Job(ring_crystal=copper).to_dict())
    assert again.ring_crystal.same_crystal(copper)
