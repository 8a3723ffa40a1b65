"""A correction that costs evidence is taken back; what is said of a pose is said of that pose."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

import napari_4dstem_orient as orient
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.crystals.rotations import from_vector, random_rotations
from napari_4dstem_orient.indexing.prediction import predicted_pattern
from napari_4dstem_orient.indexing.scoring import Measured, score
from napari_4dstem_orient.indexing.settings import ScoreSettings
from napari_4dstem_orient.indexing.verification.features import MAX_PEAKS, PoseHypothesis
from napari_4dstem_orient.indexing.verification.ranking import Candidate, Shortlist, rank

SCORING = ScoreSettings()


@pytest.fixture(scope="module")
def many_disks():
    """Eight patterns of cuprite with more disks than the verifier looks at, and their orientations."""
    cuprite = find_phase("Cu2O")
    truth = random_rotations(60, torch.Generator().manual_seed(2))
    patterns = [
        torch.from_numpy(predicted_pattern(cuprite, rotation, 200.0, 2.1)[:, :3])
        for rotation in truth.numpy()
    ]
    chosen = [number for number, disks in enumerate(patterns) if len(disks) > MAX_PEAKS + 4][:8]
    disks = torch.zeros(8, max(len(patterns[number]) for number in chosen), 3)
    for row, number in enumerate(chosen):
        disks[row, : len(patterns[number])] = patterns[number]
    return Measured.of(disks, disks[..., 2] > 0, 2.1), truth[chosen], cuprite


def judged(many_disks, start, step, verdict, later_verdict):
    """Judge one hypothesis each with a verifier that turns it by ``step``, once, and then says ``later_verdict``."""
    measured, _, cuprite = many_disks

    def verifier(seen, pose, reflector, max_peaks=MAX_PEAKS):
        assert seen.mask.sum(1).min() > max_peaks - 4
        moved = (pose.rotation[:, 0] - start[: len(pose.rotation)]).abs().flatten(1).amax(1) > 1e-4
        turn = from_vector(torch.where(moved[:, None], 0.0, torch.tensor(step)))
        told = torch.where(moved, later_verdict, verdict)[:, None].expand(-1, pose.scale.shape[1])
        return told, PoseHypothesis(pose.rotation @ turn[:, None], pose.scale, pose.origin)

    reflector = Reflector.of(cuprite, 200.0, 2.1)
    candidate = Candidate(
        0, start[:, None], reflector, torch.as_tensor(cuprite.symmetry, dtype=torch.float32)
    )
    short = Shortlist(candidate, PoseHypothesis.of(start[:, None]), torch.ones(8, 1))
    return rank(measured, [short], verifier, SCORING, 3, 1), reflector


def test_a_correction_that_costs_evidence_is_taken_back(many_disks):
    _, truth, _ = many_disks
    found, _ = judged(many_disks, truth, [0.03, 0.0, 0.0], verdict=1.5, later_verdict=-2.0)
    np.testing.assert_allclose(found.rotation[:, 0], truth.numpy(), atol=1e-6)
    np.testing.assert_allclose(found.probability, 1 / (1 + math.exp(-1.5)), atol=1e-4)
    assert found.score.min() > 0.9


@pytest.mark.parametrize("verdict", [1.4, 2.5])
def test_what_is_said_of_a_correction_that_is_taken_is_said_of_its_pose(many_disks, verdict):
    measured, truth, _ = many_disks
    back = from_vector(torch.tensor([-0.02, 0.0, 0.0]))
    found, reflector = judged(many_disks, truth @ back, [0.02, 0.0, 0.0], verdict=1.5, later_verdict=verdict)
    np.testing.assert_allclose(found.rotation[:, 0], truth.numpy(), atol=1e-5)
    np.testing.assert_allclose(found.probability, 1 / (1 + math.exp(-verdict)), atol=1e-4)
    expected = score(measured, truth[:, None], reflector, SCORING)
    np.testing.assert_allclose(found.score, expected.value, atol=1e-4)
    np.testing.assert_array_equal(found.n_matched, expected.n_matched)


@pytest.mark.parametrize("scale", [1.0, 1.015])
def test_faint_false_disks_cost_little(scale):
    """150 of them beside 15 true ones: a third of the answers were once turned away by the last correction."""
    copper, random = find_phase("Cu"), np.random.default_rng(0)
    truth = Rotation.random(80, random_state=1).as_matrix()
    lists = []
    for rotation in truth:
        disks = predicted_pattern(copper, rotation, 200.0, 2.1)[:40, :3].astype(float)
        disks = disks[disks[:, 2] > 0.02]
        disks[:, :2] = disks[:, :2] * scale + random.normal(0, 0.003, (len(disks), 2))
        false = np.c_[random.uniform(-1.6, 1.6, (150, 2)), 10 ** random.uniform(-3.0, -1.1, 150)]
        lists.append(np.vstack([disks, [0, 0, 20], false]))
    disks = BraggDisks.from_lists((1, 80), lists, calibrated=True, reach=2.1)
    made = orient.map_orientations(disks, [copper], 200.0)
    apart = misorientation(made.rotation[0].astype(float), truth, copper)
    indexed, sure = made.indexed[0], made.certainty.reliability[0] > 0.8
    assert indexed.mean() > 0.95
    assert (indexed & (apart < 2)).mean() > 0.77
    assert (sure & (~indexed | (apart > 5))).sum() <= 1
