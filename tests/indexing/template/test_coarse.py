"""The coarse library of any crystal: where a pattern really lies is among the few likeliest templates."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.indexing.template.coarse import COARSE, coarse_library
from napari_4dstem_orient.indexing.template.matching import likeliest
from napari_4dstem_orient.indexing.template.zone_axes import zone_rotations

PATTERNS = 48


def kinematic(reflector, truth):
    position, intensity = reflector.brightest(torch.as_tensor(truth, dtype=torch.float32), 0.02, 1.6, 40)
    return position, intensity, intensity > 1e-3 * intensity.amax(1, keepdim=True)


@pytest.mark.parametrize("name", ["Cu", "Ti", "Cu2O", "TiO2"])
def test_the_truth_is_among_the_likeliest(name):
    phase = find_phase(name)
    reflector = Reflector.of(phase, 300, 1.6)
    truth = Rotation.random(PATTERNS, random_state=8).as_matrix()
    found = likeliest(coarse_library(phase, reflector), *kinematic(reflector, truth), 16)
    assert found.shape == (PATTERNS, 16, 3, 3)
    assert np.allclose(np.linalg.det(found), 1, atol=1e-5)
    angle = misorientation(found.numpy(), truth[:, None].repeat(16, 1), phase)
    assert (angle.min(1) < COARSE.zone_axis_step).mean() > 0.95
    assert (angle[:, 0] < COARSE.zone_axis_step).mean() > 0.7
    mirrored = likeliest(coarse_library(phase, reflector), *kinematic(reflector, truth), 16).clone()
    mirrored[
        ..., 1
    ] *= -1  # another hand: it is no orientation of the crystal, so hardly any is near by chance
    mirrored[..., 0] *= -1
    assert (
        misorientation(mirrored.numpy(), truth[:, None].repeat(16, 1), phase).min(1) < COARSE.zone_axis_step
    ).mean() < 0.6


@pytest.mark.parametrize("name", ["Cu", "Ti", "TiO2", "SrTiO3"])
@pytest.mark.parametrize("step", [3.0, 8.0])
def test_zone_axes_cover_all_directions(name, step):
    phase = find_phase(name)
    axes = zone_rotations(phase, step)[:, :, 2]
    every = np.concatenate([axes @ np.asarray(one).T for one in phase.symmetry])
    directions = Rotation.random(400, random_state=1).as_matrix()[:, :, 2]
    nearest = np.degrees(np.arccos(np.abs(directions @ every.T).max(1).clip(-1, 1)))
    assert nearest.max() < 0.8 * step
    off = np.einsum("zij,zik->zjk", zone_rotations(phase, step), zone_rotations(phase, step))
    assert np.allclose(off, np.eye(3), atol=1e-12)
