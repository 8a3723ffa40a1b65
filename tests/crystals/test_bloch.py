"""Bloch waves in torch against py4DSTEM's, beam by beam."""

import contextlib
import io
import warnings

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.crystals.bloch import THERMAL_DISPLACEMENT, BlochWaves
from napari_4dstem_orient.crystals.library import find_phase

THICKNESSES = [50.0, 200.0, 700.0]


def py4dstem_dynamical(phase, rotation, voltage, k_max, q):
    """Return py4DSTEM's intensities (3, n) of the beams at the lab positions ``q``, which all take part."""
    from emdfile import PointList

    crystal = phase.to_py4dstem()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        crystal.setup_diffraction(voltage * 1e3)
        crystal.calculate_dynamical_structure_factors(
            voltage * 1e3, "WK", k_max=2 * k_max, thermal_sigma=THERMAL_DISPLACEMENT
        )
        reflections = phase.reflections(k_max)
        lab = reflections.g @ rotation
        which = [int(np.argmin(np.linalg.norm(lab[:, :2] - place, axis=1))) for place in q]
        assert len(set(which)) == len(which)
        rows = np.zeros(
            len(q) + 1, [(n, float) for n in ("qx", "qy", "intensity")] + [(n, int) for n in "hkl"]
        )
        for field, values in zip(("qx", "qy"), lab[which, :2].T, strict=True):
            rows[field][1:] = values
        for field, values in zip("hkl", reflections.hkl[which].T, strict=True):
            rows[field][1:] = values
        found = crystal.generate_dynamical_diffraction_pattern(
            PointList(rows), THICKNESSES, zone_axis_cartesian=rotation[:, 2], always_return_list=True
        )
    return np.stack([pattern.data["intensity"][1:] for pattern in found])


@pytest.mark.py4dstem
@pytest.mark.parametrize(("name", "voltage"), [("Cu", 300.0), ("Si", 200.0), ("Ti", 200.0), ("GaAs", 120.0)])
def test_intensities_are_py4dstems(name, voltage):
    phase, k_max = find_phase(name), 1.4
    waves = BlochWaves.of(phase, voltage, k_max)
    for seed in (1, 2):
        rotation = Rotation.random(random_state=seed).as_matrix()
        q, mine = waves.diffract(
            torch.as_tensor(rotation[None], dtype=torch.float32), torch.tensor([THICKNESSES]), beams=25
        )
        theirs = py4dstem_dynamical(phase, rotation, voltage, k_max, q[0].numpy())
        for ours, reference in zip(mine[0].numpy(), theirs, strict=True):
            strong = reference > 0.01 * reference.max()
            assert ours[strong] == pytest.approx(reference[strong], rel=0.01, abs=1e-4 * reference.max())


def test_a_crystal_without_inversion_has_complex_potentials_and_a_moved_origin_none():
    assert BlochWaves.of(find_phase("GaAs"), 200.0, 1.0).potential.is_complex()
    assert not BlochWaves.of(find_phase("Si"), 200.0, 1.0).potential.is_complex()


def test_thin_crystals_scatter_kinematically():
    """For t → 0 a beam's intensity is (π t / ξ)² sin²(π s t) / (π s t)², ξ = 1 / (λ |U|)."""
    phase, thickness = find_phase("Cu"), 5.0
    waves = BlochWaves.of(phase, 300.0, 1.5)
    rotation = torch.as_tensor(Rotation.random(random_state=3).as_matrix()[None], dtype=torch.float32)
    _, found = waves.diffract(rotation, torch.tensor([[thickness]]), beams=30)
    index = waves._most_excited(_errors(waves, rotation), 30)[0, 1:]
    coupling = waves.potential[waves._place(waves.hkl[index])].abs() * waves.wavelength
    beat = torch.sinc(_errors(waves, rotation)[0, index] * thickness).square()
    expected = (torch.pi * thickness * coupling).square() * beat
    assert found[0, 0].numpy() == pytest.approx(expected.numpy(), rel=0.2, abs=0.02 * float(expected.max()))


def _errors(waves, rotation):
    from napari_4dstem_orient.crystals.kinematic import excitation_error

    return excitation_error(waves.g @ rotation, waves.wavelength)


def test_no_electron_is_lost():
    rotation = torch.as_tensor(Rotation.random(4, random_state=4).as_matrix(), dtype=torch.float32)
    thickness = torch.full((4, 1), 300.0)
    waves = BlochWaves.of(find_phase("Cu"), 300.0, 1.5)
    index = waves._most_excited(_errors(waves, rotation), 30)
    total = waves._intensities(index, _errors(waves, rotation).gather(1, index), thickness, 1e9).sum(-1)
    assert torch.allclose(total, torch.ones_like(total), atol=1e-4)


def test_beams_beyond_the_cut_take_no_part():
    phase = find_phase("Cu")
    waves = BlochWaves.of(phase, 300.0, 2.1)
    rotation = torch.as_tensor(Rotation.random(2, random_state=8).as_matrix(), dtype=torch.float32)
    thickness = torch.tensor([[100.0], [400.0]])
    cut = 0.04
    _, intensity = waves.diffract(rotation, thickness, excitation_cut=cut)
    index = waves._most_excited(_errors(waves, rotation), 48)
    beyond = _errors(waves, rotation).gather(1, index)[:, 1:].abs() > cut
    assert beyond.any()
    assert (intensity[:, 0][beyond] < 1e-10).all()
    assert (intensity[:, 0][~beyond] > 1e-8).all()


def test_precession_averages_over_the_cone():
    """A cone of angle zero is a still beam; a wide one lights more reflections, evenly."""
    phase = find_phase("Cu")
    waves = BlochWaves.of(phase, 200.0, 1.5)
    rotation = torch.as_tensor(Rotation.random(1, random_state=9).as_matrix(), dtype=torch.float32)
    thickness = torch.tensor([[150.0]])
    _, still = waves.diffract(rotation, thickness)
    _, hardly = waves.diffract(rotation, thickness, precession=1e-6)
    _, wide = waves.diffract(rotation, thickness, precession=1.0)
    assert torch.allclose(still, hardly, atol=1e-5)
    visible = [int((pattern > 0.01 * pattern.max()).sum()) for pattern in (still, wide)]
    assert visible[1] > visible[0]
