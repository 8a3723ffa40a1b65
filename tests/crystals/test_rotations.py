"""Rotations as tensors, symmetry, and the loss: against scipy and cases with known answers."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.crystals.rotations import about_beam, from_six, from_vector, random_rotations
from napari_4dstem_orient.training.loss import hypothesis_loss, misorientation_angle

TILTED = Rotation.from_euler("ZXZ", [20, 9, 11], degrees=True).as_matrix()


def degrees(found, true, phase):
    symmetry = torch.as_tensor(phase.symmetry, dtype=torch.float32)
    as_tensor = [torch.as_tensor(np.asarray(each, np.float32)) for each in (found, true)]
    return np.rad2deg(misorientation_angle(*as_tensor, symmetry).numpy())


def test_random_rotations_are_rotations_and_cover_the_sphere():
    drawn = random_rotations(4000, torch.Generator().manual_seed(0))
    assert torch.allclose(drawn @ drawn.transpose(1, 2), torch.eye(3).expand_as(drawn), atol=1e-5)
    assert torch.allclose(torch.linalg.det(drawn), torch.ones(4000), atol=1e-5)
    assert drawn.mean(0).abs().max() < 0.05


def test_from_six_keeps_a_rotation_and_mends_anything_else():
    assert torch.allclose(
        from_six(torch.tensor(TILTED[:, :2].T.reshape(-1))), torch.tensor(TILTED), atol=1e-6
    )
    mended = from_six(torch.tensor([3.0, 0.1, 0.2, 1.0, 2.0, -1.0]))
    assert torch.allclose(mended @ mended.T, torch.eye(3), atol=1e-6)
    assert torch.linalg.det(mended) == pytest.approx(1, abs=1e-5)


def test_rotation_vectors_agree_with_scipy():
    vectors = np.array([[0.3, -0.2, 0.5], [0, 0, 0.1], [1e-9, 0, 0]])
    assert np.allclose(
        from_vector(torch.tensor(vectors)).numpy(), Rotation.from_rotvec(vectors).as_matrix(), atol=1e-7
    )
    assert np.allclose(
        about_beam(torch.tensor(0.1)).numpy(), Rotation.from_rotvec([0, 0, 0.1]).as_matrix(), atol=1e-6
    )


def test_symmetry_acts_on_the_left_and_only_there(copper):
    quarter_turn = copper.symmetry[
        np.argmin([abs(np.trace(s) - 1) + abs(s[2, 2] - 1) for s in copper.symmetry])
    ]
    general = Rotation.from_euler("ZXZ", [20, 38, 11], degrees=True).as_matrix()
    assert degrees(quarter_turn @ general, general, copper) == pytest.approx(0, abs=0.1)
    assert degrees(general @ quarter_turn, general, copper) > 10


def test_misorientation_angle_is_the_angle_turned_and_has_a_finite_gradient(copper):
    turned = TILTED @ Rotation.from_rotvec([0, np.deg2rad(7), 0]).as_matrix()
    assert degrees(turned, TILTED, copper) == pytest.approx(7, abs=0.01)
    same = torch.tensor(TILTED, dtype=torch.float32, requires_grad=True)
    misorientation_angle(same, same.detach(), torch.eye(3)[None]).backward()
    assert torch.isfinite(same.grad).all()


def test_the_best_hypothesis_takes_the_loss_and_the_logits_learn_which_it_is():
    true = torch.eye(3)[None]
    far = from_vector(torch.tensor([[0.0, 0.0, 1.0]]))
    rotations = torch.stack([far, true], 1)
    right, angles = hypothesis_loss(rotations, torch.tensor([[-5.0, 5.0]]), true, torch.eye(3)[None])
    wrong, _ = hypothesis_loss(rotations, torch.tensor([[5.0, -5.0]]), true, torch.eye(3)[None])
    assert angles[0].tolist() == pytest.approx([1.0, 0.0], abs=2e-3)
    assert wrong > right + 0.5
