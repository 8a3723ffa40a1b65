"""Scattering factors against published numbers and py4DSTEM's."""

import numpy as np
import pytest

from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.scattering import lobato, structure_factors, weickenmeier_kohl

FORWARD = {1: 0.53, 6: 2.51, 14: 5.83, 29: 5.60, 47: 8.67, 79: 10.57}
"""f(0) in Å from Hartree-Fock: International Tables C (2004), table 4.3.1.1."""


@pytest.mark.parametrize("number", FORWARD)
def test_forward_scattering_is_that_of_the_international_tables(number):
    assert lobato(number, np.zeros(1)) == pytest.approx(FORWARD[number], rel=0.03)
    assert weickenmeier_kohl(number, np.zeros(1)) == pytest.approx(FORWARD[number], rel=0.03)


@pytest.mark.parametrize("number", [6, 29, 79, 98])
def test_the_two_tables_tell_the_same_and_fall_as_rutherford(number):
    g = np.linspace(0.2, 4, 40)
    one, other = lobato(number, g), weickenmeier_kohl(number, g)
    assert (np.diff(one) < 0).all()
    assert other == pytest.approx(one, rel=0.15)
    # Far out the nucleus alone scatters: f = Z / (2 π² a₀ g²).
    far = np.array([30.0])
    assert lobato(number, far) == pytest.approx(number / (2 * np.pi**2 * 0.529177 * far**2), rel=0.05)


def test_the_direct_beam_and_absences_are_among_structure_factors():
    phase = find_phase("Cu")
    hkl, g, factor = structure_factors(phase, 1.0)
    direct = (hkl == 0).all(axis=1)
    assert direct.sum() == 1
    assert factor[direct].real == pytest.approx(4 * lobato(29, np.zeros(1)) / 3.615**3, rel=1e-3)
    mixed = np.ptp(hkl % 2, axis=1) > 0
    assert mixed.any()
    assert (np.abs(factor[mixed]) < 1e-12).all()
    np.testing.assert_allclose(np.linalg.norm(g, axis=1), np.linalg.norm(hkl, axis=1) / phase.cell[0])


@pytest.mark.py4dstem
def test_factors_are_py4dstems():
    from py4DSTEM.process.diffraction.WK_scattering_factors import compute_WK_factor
    from py4DSTEM.process.utils import single_atom_scatter

    g, theirs = np.linspace(0.01, 5, 200), single_atom_scatter()
    for number in range(1, 99):
        theirs.get_scattering_factor([number], [1], g, "A")
        np.testing.assert_allclose(lobato(number, g), theirs.fe, rtol=1e-9)
        # theirs is 1 / π of it, times the electrons' relativistic mass
        other = compute_WK_factor(g, number, 1e-9, 0.0, include_core=False, include_phonon=False).real * np.pi
        np.testing.assert_allclose(weickenmeier_kohl(number, g), other, rtol=1e-4)
