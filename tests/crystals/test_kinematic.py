"""Kinematic patterns in torch against py4DSTEM's, with the sign of the excitation error pinned."""

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.core.units import electron_wavelength
from napari_4dstem_orient.crystals.kinematic import (
    Reflector,
    excitation_error,
)
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.rotations import random_rotations

WIDTH = 0.02
K_MAX = 1.5


def py4dstem_pattern(phase, rotation: np.ndarray, voltage: float, precession: float | None) -> np.ndarray:
    """Return py4DSTEM's pattern as rows of (qx, qy, intensity), direct beam left out."""
    from py4DSTEM.process.diffraction.crystal import Orientation

    crystal = phase.to_py4dstem()
    crystal.calculate_structure_factors(K_MAX)
    crystal.setup_diffraction(voltage * 1e3)
    orientation = Orientation(num_matches=1)
    orientation.matrix[0] = rotation
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peaks = crystal.generate_diffraction_pattern(
            orientation,
            ind_orientation=0,
            sigma_excitation_error=WIDTH,
            tol_excitation_error_mult=6,
            tol_intensity=0,
            k_max=K_MAX,
            precession_angle_degrees=precession,
        )
    rows = np.stack([peaks.data["qx"], peaks.data["qy"], peaks.data["intensity"]], axis=1)
    return rows[np.hypot(rows[:, 0], rows[:, 1]) > 1e-3]


def our_pattern(phase, rotation: np.ndarray, voltage: float, precession: float) -> np.ndarray:
    """Return our pattern, intensities in py4DSTEM's units."""
    reflector = Reflector.of(phase, voltage, K_MAX, precession)
    g_lab = reflector.in_lab(torch.as_tensor(rotation, dtype=torch.float32))
    intensity = reflector.excite(g_lab, WIDTH) * float(phase.reflections(K_MAX).intensity.max())
    return torch.cat([g_lab[:, :2], intensity[:, None]], dim=1).numpy()


@pytest.mark.py4dstem
@pytest.mark.parametrize("precession", [0.0, 1.0])
@pytest.mark.parametrize(("name", "voltage"), [("Cu", 300.0), ("Ti", 200.0), ("TiO2", 80.0)])
def test_positions_and_intensities_are_py4dstems(name, voltage, precession):
    phase = find_phase(name)
    for seed in (1, 2, 3):
        rotation = Rotation.random(random_state=seed).as_matrix()
        theirs = py4dstem_pattern(phase, rotation, voltage, precession or None)
        mine = our_pattern(phase, rotation, voltage, precession)
        brightest_one = theirs[:, 2].max()
        apart = np.linalg.norm(theirs[:, None, :2] - mine[None, :, :2], axis=2)
        # Two reflections, one above the other, may share a place: the partner is the one of nearest brightness.
        cost = np.where(apart < 1e-4, np.abs(theirs[:, None, 2] - mine[None, :, 2]), np.inf)
        assert np.isfinite(cost.min(axis=1)).all()
        # py4DSTEM samples the precession cone at other azimuths than we do.
        assert cost.min(axis=1).max() < (0.02 if precession else 1e-3) * brightest_one
        assert mine[:, 2].sum() == pytest.approx(theirs[:, 2].sum(), rel=0.02 if precession else 1e-3)


def test_a_reflection_is_excited_above_the_plane_not_below():
    """The beam travels along -z: g_z = +λ g² / 2 is on the Ewald sphere; fails if the sign is flipped."""
    wavelength = electron_wavelength(300.0)
    lengths = torch.tensor([0.5, 1.0, 1.5], dtype=torch.float64)
    height = wavelength * lengths.square() / 2
    flat = torch.sqrt(lengths.square() - height.square())
    above = torch.stack([flat, torch.zeros(3, dtype=torch.float64), height], dim=1)
    below = above * torch.tensor([1.0, 1.0, -1.0])
    assert torch.allclose(excitation_error(above, wavelength), torch.zeros(3, dtype=torch.float64), atol=1e-9)
    assert (excitation_error(below, wavelength) < -0.9 * wavelength * lengths.square()).all()


@pytest.mark.py4dstem
def test_the_excitation_error_is_py4dstems_sign_included():
    phase = find_phase("Cu")
    crystal = phase.to_py4dstem()
    crystal.calculate_structure_factors(K_MAX)
    crystal.setup_diffraction(300e3)
    rotation = Rotation.random(random_state=7).as_matrix()
    g_lab = phase.reflections(K_MAX).g @ rotation
    theirs = crystal.excitation_errors(g_lab.T)
    mine = excitation_error(torch.as_tensor(g_lab), electron_wavelength(300.0)).numpy()
    assert np.allclose(mine, theirs, atol=1e-6)
    assert not np.allclose(mine, crystal.excitation_errors(-g_lab.T), atol=1e-2)


def test_turning_the_crystal_by_a_symmetry_on_the_left_changes_nothing():
    phase = find_phase("Ti")
    rotation = Rotation.random(random_state=5).as_matrix()
    reference = sorted_pattern(our_pattern(phase, rotation, 200.0, 0.0))
    operation = phase.symmetry[3]
    left = sorted_pattern(our_pattern(phase, operation @ rotation, 200.0, 0.0))
    right = sorted_pattern(our_pattern(phase, rotation @ operation, 200.0, 0.0))
    assert np.allclose(left, reference, atol=1e-3 * reference[:, 2].max())
    assert not np.allclose(right[:, :2], reference[:, :2], atol=0.05)


def sorted_pattern(pattern: np.ndarray) -> np.ndarray:
    """Return the eight brightest disks, brightest first."""
    return pattern[np.argsort(-pattern[:, 2])][:8]


def test_the_wavelength_is_the_relativistic_one():
    assert electron_wavelength(300.0) == pytest.approx(0.0196875, abs=1e-6)
    assert electron_wavelength(200.0) == pytest.approx(0.0250793, abs=1e-6)


def test_extinction_distance_of_copper_111():
    """242 Å at 100 kV in Hirsch et al. (1965); scattering factors differ between tables by some per cent."""
    reflector = Reflector.of(find_phase("Cu"), 100.0, 0.6)
    first = reflector.extinction[reflector.g.norm(dim=1) < 0.5]
    assert first.numpy() == pytest.approx(np.full(8, 260.0), rel=0.12)


@pytest.mark.parametrize("precession", [0.0, 0.7])
def test_the_brightest_are_the_most_excited_within_reach(precession):
    reflector = Reflector.of(find_phase("Cu"), 300.0, 2.1, precession)
    rotation = random_rotations(6, torch.Generator().manual_seed(1)).view(2, 3, 3, 3)
    g_lab = reflector.in_lab(rotation)
    seen = g_lab[..., :2].norm(dim=-1) <= 1.5
    expected, index = (reflector.excite(g_lab, WIDTH) * seen).topk(12, dim=-1)
    position, intensity = reflector.brightest(rotation, WIDTH, 1.5, 12)
    assert torch.allclose(intensity, expected, atol=1e-5)
    strong = expected > 0.02
    there = torch.gather(g_lab[..., :2], 2, index[..., None].expand(-1, -1, -1, 2))
    assert torch.allclose(position.norm(dim=-1)[strong], there.norm(dim=-1)[strong], atol=1e-4)
