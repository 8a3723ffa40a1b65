"""Neighbours speak where truth is known: a made-up method that cannot tell twins apart in one position."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.made_maps import CU, rotations, turn
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.certainty import Certainty, IndexingStatus
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.pooled import PoolVerdict
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.indexing.base import Verified
from napari_4dstem_orient.indexing.pooling.pool import pool
from napari_4dstem_orient.indexing.settings import AcceptanceSettings

TWIN = np.diag([-1.0, -1.0, 1.0])
GRAINS = rotations(12, seed=4)
ACCEPTED = AcceptanceSettings()


OWN, VERIFIED = 0.1, 0.3
"""Degrees; precision of what positions answer, and of what is verified for them."""


def answers(truth, right, sure):
    """A map in which some positions took the twin; ``truth`` counts into GRAINS, -1 is vacuum."""
    shape = truth.shape
    own = GRAINS[truth].reshape(*shape, 3, 3).astype(np.float32)
    twin = (own @ TWIN).astype(np.float32)
    pick = right[..., None, None]
    probability = np.zeros((*shape, 2), np.float32)
    probability[..., 0], probability[..., 1] = sure, 0.98 - sure
    there = truth >= 0
    probability[~there] = 0
    flags, precision = np.zeros(shape, np.uint8), np.full((*shape, 2), OWN, np.float32)
    precision[~there] = np.nan
    certainty = Certainty(probability[..., 0], probability[..., 0], flags, probability, precision)
    return OrientationMap(
        phases=(CU,),
        rotation=np.where(there[..., None, None], np.where(pick, own, twin), np.eye(3, dtype=np.float32)),
        phase_id=np.where(there, 0, -1).astype(np.int32),
        score=np.where(there, 0.8, 0).astype(np.float32),
        status=np.where(there, IndexingStatus.INDEXED, IndexingStatus.LOW_SCORE).astype(np.uint8),
        n_matched=np.where(there, 9, 0).astype(np.int32),
        runner_up=np.where(pick, twin, own)[:, :, None],
        runner_up_score=np.where(there, 0.79, 0).astype(np.float32)[..., None],
        method="transformer",
        provenance={"method": "transformer"},
        certainty=certainty,
    )


def disks_of(truth):
    """One disk at each position, whose place names its grain; none in vacuum."""
    lists = [[[0.5 * grain, 0.0, 1.0]] if grain >= 0 else [] for grain in truth.ravel()]
    return BraggDisks.from_lists(
        truth.shape, [np.array(rows, float).reshape(-1, 3) for rows in lists], calibrated=True
    )


def grain_of(disks):
    """The grain that most of the intensity names, for each position; -1 where there is no disk."""
    block, inside = disks.padded(1)
    return np.where(inside[:, 0], np.rint(block[:, 0, 0] / 0.5).astype(int), -1)


def index(disks):
    """Pools tell twins apart."""
    grain = grain_of(disks)[:, None]
    return answers(grain, np.ones(grain.shape, bool), 0.95)


def verify(offered):
    """Twins look alike to one position, whatever else is offered does not fit."""
    grain = grain_of(offered.disks)
    own = GRAINS[grain]
    angle = np.minimum(
        misorientation(offered.rotation, own, CU), misorientation(offered.rotation, own @ TWIN, CU)
    )
    fits = (angle < 5) & (grain >= 0)
    return Verified(
        offered.rotation,
        np.where(fits, 20.0, 1e-4),
        np.where(fits, 0.8, 0.5).astype(np.float32),
        np.full(len(fits), 9, np.int32),
        np.full((len(fits), 2), VERIFIED, np.float32),
    )


def pooled(truth, seed=0, share=0.5, sure=0.6):
    right = np.random.default_rng(seed).random(truth.shape) < share
    alone = answers(truth, right, sure)
    return alone, pool(alone, disks_of(truth), index, verify, ACCEPTED)


def is_right(found, truth):
    angle = misorientation(found.rotation, GRAINS[truth].reshape(*truth.shape, 3, 3), CU)
    return (angle < 1) & found.indexed


def two_grains(rows=12, cols=17):
    truth = np.zeros((rows, cols), int)
    truth[:, cols // 2 :] = 1
    return truth


@pytest.mark.parametrize("shape", [(12, 17), (1, 30), (30, 1), (4, 3), (33, 40)])
def test_twins_follow_what_their_grain_measured(shape):
    truth = two_grains(*shape)
    alone, found = pooled(truth)
    assert 0.2 < is_right(alone, truth).mean() < 0.8
    assert is_right(found, truth).all()
    changed = found.pooled.verdict == PoolVerdict.CHANGED
    np.testing.assert_array_equal(changed, ~is_right(alone, truth))
    assert (found.pooled.verdict[~changed] == PoolVerdict.CONFIRMED).all()
    assert (found.certainty.reliability > alone.certainty.reliability).all()
    # Every answer is as precise as it was found to be when it was verified.
    expected = np.where(changed, VERIFIED, OWN)[..., None].repeat(2, -1)
    np.testing.assert_allclose(found.certainty.precision, expected, rtol=1e-6)
    # The own answer that was given up is the first runner-up.
    np.testing.assert_array_equal(found.runner_up[changed, 0], alone.rotation[changed])


def test_neighbours_can_be_undone_to_the_bit():
    alone, found = pooled(two_grains())
    undone = found.alone()
    assert undone.pooled is None
    assert alone.alone() is alone
    for name, values in alone.arrays.items():
        np.testing.assert_array_equal(undone.arrays[name], values, err_msg=name)


@pytest.mark.parametrize(
    "island",
    [
        [(5, 5)],
        [(5, 5), (5, 6)],
        [(row, 7) for row in range(12)],
        [(5, col) for col in range(3, 9)],
        [(0, 0)],
    ],
    ids=["single", "pair", "lamella across", "lamella", "corner"],
)
def test_what_differs_from_its_surroundings_stays(island):
    truth = np.zeros((12, 17), int)
    at = tuple(np.array(island).T)
    truth[at] = 3
    _, found = pooled(truth, share=0.5, sure=0.6)
    kept = (
        misorientation(found.rotation[at], GRAINS[3], CU),
        misorientation(found.rotation[at], GRAINS[3] @ TWIN, CU),
    )
    assert (np.minimum(*kept) < 1).all()  # one of its own two answers
    others = truth == 0
    assert is_right(found, truth)[others].all()


def test_a_few_positions_alone_are_judged_alone():
    truth = np.array([[0, 1], [2, 3]])
    alone, found = pooled(truth)
    assert (found.pooled.verdict == PoolVerdict.ALONE).all()
    for name, values in alone.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], values, err_msg=name)


def test_vacuum_beside_a_grain_stays_vacuum():
    truth = two_grains()
    truth[:, :4] = -1
    alone, found = pooled(truth)
    assert not found.indexed[:, :4].any()
    np.testing.assert_array_equal(found.status[:, :4], alone.status[:, :4])
    assert is_right(found, truth)[:, 4:].all()


def test_a_position_that_could_not_tell_hears_its_neighbours():
    truth = two_grains()
    alone = answers(truth, np.ones(truth.shape, bool), 0.6)
    arrays = {name: values.copy() for name, values in alone.arrays.items()}
    arrays["phase_id"][5, 4], arrays["status"][5, 4] = -1, IndexingStatus.UNRELIABLE
    arrays["rotation"][5, 4], arrays["probability"][5, 4] = np.eye(3), 0.05
    found = pool(alone.with_arrays(arrays), disks_of(truth), index, verify, ACCEPTED)
    assert is_right(found, truth)[5, 4]
    assert found.pooled.verdict[5, 4] == PoolVerdict.CHANGED


def test_own_disks_that_exclude_the_pool_win():
    truth = two_grains()
    alone = answers(truth, np.ones(truth.shape, bool), 0.97)

    def wrong(disks):
        found = index(disks)
        return replace(found, rotation=(found.rotation @ turn([1, 2, 3], 25)).astype(np.float32))

    found = pool(alone, disks_of(truth), wrong, verify, ACCEPTED)
    np.testing.assert_array_equal(found.rotation, alone.rotation)
    assert (found.pooled.verdict == PoolVerdict.KEPT).all()
    assert (found.certainty.reliability < alone.certainty.reliability).all()


def test_a_method_without_probabilities_pools_by_its_scores():
    truth = two_grains()
    right = np.random.default_rng(2).random(truth.shape) < 0.5
    alone = replace(answers(truth, right, 0.6), certainty=None)
    found = pool(
        alone, disks_of(truth), lambda disks: replace(index(disks), certainty=None), verify, ACCEPTED
    )
    assert found.certainty is None
    assert is_right(found, truth).mean() >= is_right(alone, truth).mean()
