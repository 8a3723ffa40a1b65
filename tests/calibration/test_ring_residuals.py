"""Residuals of the rings: none where the calibration is right, and of the right sign where it is not."""

import numpy as np
import pytest

from helpers.rings import Q_PIXEL, TITANIUM, disks_of
from napari_4dstem_orient.calibration.calibrate import calibrate
from napari_4dstem_orient.calibration.quality import Quality
from napari_4dstem_orient.calibration.ring_residuals import ring_residuals
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration


def calibrated(phase, factor=1.0):
    known = Calibration(q_pixel=factor * Q_PIXEL, q_pixel_from="typed")
    return calibrate(disks_of(phase), known)[0]


def test_a_right_calibration_is_good(copper):
    found = ring_residuals(calibrated(copper), copper, Q_PIXEL)
    assert len(found.expected) > 4
    # The innermost ring of a face-centred cube, {111}.
    assert found.expected[0] == pytest.approx(np.sqrt(3) / 3.615, abs=1e-3)
    np.testing.assert_allclose(found.measured, found.expected, rtol=0.01)
    assert found.quality is Quality.GOOD
    absolute, relative = found.rms
    assert absolute == pytest.approx(np.sqrt(np.mean((found.measured - found.expected) ** 2)))
    assert relative == pytest.approx(np.sqrt(np.mean((found.measured / found.expected - 1) ** 2)))


@pytest.mark.parametrize("factor", [1.012, 1 / 1.012])
def test_a_wrong_pixel_is_told_by_as_much_as_it_is_wrong(copper, factor):
    found = ring_residuals(calibrated(copper, factor), copper, factor * Q_PIXEL)
    assert np.median(found.relative) == pytest.approx(factor - 1, abs=0.002)
    assert found.quality is Quality.CHECK


@pytest.mark.parametrize("factor", [0.96, 0.98, 1.02, 1.03, 1.05])
def test_a_worse_pixel_is_never_called_good(copper, factor):
    found = ring_residuals(calibrated(copper, factor), copper, factor * Q_PIXEL)
    assert found.quality is not Quality.GOOD


def test_another_crystal_is_not_called_good(copper):
    assert ring_residuals(calibrated(copper), TITANIUM, Q_PIXEL).quality is not Quality.GOOD


def test_too_few_disks_are_refused(copper):
    one = BraggDisks.from_lists((1, 1), [np.array([[0, 0, 9.0], [0.5, 0, 1]])], calibrated=True)
    with pytest.raises(UserError, match="too few"):
        ring_residuals(one, copper, Q_PIXEL)
