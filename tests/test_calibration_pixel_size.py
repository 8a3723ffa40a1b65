"""The pixel size comes back from a crystal's rings, and another crystal's rings are doubted."""

import numpy as np
import pytest

from napari_4dstem_orient.calibration.pixel_size import fit_q_pixel
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.phase import Phase

Q_PIXEL = 0.0328
IRON = Phase(
    "Fe", (2.87, 2.87, 2.87, 90, 90, 90), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), np.full(2, 26), np.ones(2)
)
TITANIUM = Phase(
    "Ti",
    (2.95, 2.95, 4.68, 90, 90, 120),
    np.array([[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]),
    np.full(2, 22),
    np.ones(2),
)


def disks_of(phase, q_pixel=Q_PIXEL, scatter=0.4, false=0.25, patterns=80, grains=80, middle=64):
    """Draw patterns of randomly turned crystals, with scattered positions and false disks."""
    rng = np.random.default_rng(1)
    reflections = phase.reflections(1.4 * middle * q_pixel)
    turns = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(grains)]
    lists = []
    for index in range(patterns):
        g = reflections.g @ turns[index % grains]
        miss = g[:, 2] - 0.0197 * (g**2).sum(axis=1) / 2
        strength = reflections.intensity * np.exp(-((miss / 0.02) ** 2))
        place = g[:, :2] / q_pixel
        shown = (strength > 2e-3 * reflections.intensity.max()) & (np.abs(place).max(axis=1) < middle - 3)
        place = place[shown] + rng.normal(0, scatter, (shown.sum(), 2))
        wrong = rng.uniform(3 - middle, middle - 3, (round(false * len(place)), 2))
        rows = np.r_[
            [[0, 0, 5 * reflections.intensity.max()]],
            np.c_[place, strength[shown]],
            np.c_[wrong, np.full(len(wrong), 2e-3 * reflections.intensity.max())],
        ]
        lists.append(rows + np.array([middle, middle + 1.5, 0]))
    return BraggDisks.from_lists((1, patterns), lists, detector_shape=(2 * middle, 2 * middle))


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
