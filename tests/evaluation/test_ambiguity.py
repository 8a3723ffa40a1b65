"""Twins: a zone turned by 180° about its axis diffracts alike, and only a zone does."""

import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.crystals.bloch import BlochWaves
from napari_4dstem_orient.crystals.kinematic import Reflector, excitation_error
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.rotations import from_vector
from napari_4dstem_orient_evaluation.ambiguity import twin_angles


@pytest.fixture(scope="module")
def copper():
    return find_phase("Cu")


def tilted_zone(axis):
    """Return an orientation 3° from a zone axis."""
    z = torch.nn.functional.normalize(torch.tensor(axis), dim=0)
    x = torch.nn.functional.normalize(torch.linalg.cross(z, torch.tensor([0.3, 0.1, 0.9])), dim=0)
    upright = torch.stack([x, torch.linalg.cross(z, x), z], 1)
    return upright @ from_vector(torch.tensor([[0.05, 0.02, 0.3]]))


def in_zone(reflector, axis):
    return (reflector.g @ torch.tensor(axis)).abs() < 1e-4


def test_the_twin_of_a_zone_has_the_same_disks_and_the_same_dynamical_intensities(copper):
    axis = [1.0, 2.0, 3.0]
    reflector, truth = Reflector.of(copper, 300, 1.5), tilted_zone(axis)
    zone = in_zone(reflector, axis)
    q = (reflector.g[zone] @ truth[0])[None, :, :2]
    mask = torch.ones(q.shape[:2], dtype=torch.bool)
    symmetry = torch.as_tensor(copper.symmetry, dtype=torch.float32)
    angle = twin_angles(truth, q, mask, reflector, symmetry, 1.0)
    assert angle.item() > 5
    unit = torch.nn.functional.normalize(torch.tensor([axis]), dim=1)
    twin = from_vector(torch.pi * unit) @ truth
    for one, other in ((truth, twin), (twin, truth)):
        lab, turned = (reflector.g[zone] @ rotation[0] for rotation in (one, other))
        partner = torch.cdist(lab[:, :2], turned[:, :2])
        assert partner.amin(1).max() < 1e-4
        errors = [excitation_error(each, reflector.wavelength) for each in (lab, turned)]
        assert (errors[0] - errors[1][partner.argmin(1)]).abs().max() < 1e-4
    waves = BlochWaves.of(copper, 300, 1.5)
    keep = torch.cat([torch.tensor([True]), zone])
    only = BlochWaves(waves.hkl[keep], waves.g[keep], waves.potential, waves.wavelength)
    thickness = torch.tensor([[300.0]])
    found = []
    for rotation in (truth, twin):
        q, intensity = only.diffract(rotation, thickness, beams=40)
        found.append((q[0], intensity[0, 0]))
    partner = torch.cdist(found[0][0], found[1][0]).argmin(1)
    assert torch.allclose(found[0][1], found[1][1][partner], atol=1e-4)


def test_disks_of_two_zones_have_no_twin(copper):
    reflector = Reflector.of(copper, 300, 1.5)
    truth = torch.as_tensor(Rotation.random(8, random_state=1).as_matrix(), dtype=torch.float32)
    q = (reflector.g @ truth)[..., :2]
    symmetry = torch.as_tensor(copper.symmetry, dtype=torch.float32)
    mask = torch.ones(q.shape[:2], dtype=torch.bool)
    assert (twin_angles(truth, q, mask, reflector, symmetry, 10.0) == 0).all()
