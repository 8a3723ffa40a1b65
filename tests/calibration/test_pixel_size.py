"""The pixel size comes back from a crystal's rings, and another crystal's rings are doubted."""

import numpy as np
import pytest

from helpers.rings import IRON, Q_PIXEL, TITANIUM, disks_of
from napari_4dstem_orient.calibration.pixel_size import fit_q_pixel
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError


@pytest.mark.parametrize("off", [None, 0.85, 1.0, 1.15])
def test_the_pixel_size_comes_back(copper, off):
    fit = fit_q_pixel(disks_of(copper), copper, None if off is None else off * Q_PIXEL)
    assert fit.q_pixel == pytest.approx(Q_PIXEL, rel=0.005)
    assert fit.residual_percent < 0.5
    assert len(fit.measured) == len(fit.expected) > 5
    np.testing.assert_allclose(fit.measured, fit.expected, rtol=0.02)
    if off in (None, 1.0):
        assert fit.trustworthy, fit.sentence
    else:
        assert "from the guess" in fit.sentence


def test_other_lattices_work_too():
    for phase in (IRON, TITANIUM):
        fit = fit_q_pixel(disks_of(phase, scatter=0.2, false=0.1), phase, 1.08 * Q_PIXEL)
        assert fit.q_pixel == pytest.approx(Q_PIXEL, rel=0.005)
        assert fit.trustworthy, fit.sentence


def test_few_grains_and_many_false_disks_do_not_mislead(copper):
    fit = fit_q_pixel(disks_of(copper, grains=5, false=0.5), copper, 1.1 * Q_PIXEL)
    assert fit.q_pixel == pytest.approx(Q_PIXEL, rel=0.01)


@pytest.mark.parametrize("guess", [None, Q_PIXEL])
def test_another_crystal_is_doubted(copper, guess):
    disks = disks_of(copper)
    for wrong in (IRON, TITANIUM):
        fit = fit_q_pixel(disks, wrong, guess)
        assert not fit.trustworthy, fit.sentence
        assert fit.sentence.startswith("Doubtful")


def test_the_same_lattice_of_another_size_is_doubted_with_a_guess(copper, silver):
    fit = fit_q_pixel(disks_of(copper), silver, Q_PIXEL)
    assert not fit.trustworthy
    assert "from the guess" in fit.sentence


def test_too_few_disks_are_refused(copper):
    beam = BraggDisks.from_lists((1, 20), [np.array([[64, 64, 100.0]])] * 20, detector_shape=(128, 128))
    with pytest.raises(UserError, match="too few disks"):
        fit_q_pixel(beam, copper)
