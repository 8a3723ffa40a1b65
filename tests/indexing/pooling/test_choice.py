"""What a position makes of what pools say, in numbers."""

import numpy as np
import pytest

from helpers.made_maps import CU, rotations, turn
from napari_4dstem_orient.indexing.pooling.candidates import Candidates
from napari_4dstem_orient.indexing.pooling.choice import (
    BESIDE_ERR,
    DOUBT,
    MEMBERS_ERR,
    OWN,
    SHARPENED,
    Voices,
    offers,
    weigh,
    with_verified,
)

ONE, OTHER, THIRD = rotations(3, seed=8)


def candidates(rotation, odds, matched=9):
    count = len(rotation)
    return Candidates(
        np.zeros(count, int),
        np.array(rotation, np.float32).reshape(-1, 3, 3),
        np.zeros(count, np.int32),
        np.array(odds, float),
        np.full(count, 0.8, np.float32),
        np.broadcast_to(np.array(matched, np.int32), count),
        np.zeros((count, 2), np.float32),
    )


def voices(rotation, chance, pool, member=True):
    count = len(rotation)
    loudness = np.full(count, 10.0)
    total = np.array([10.0 * len(set(pool))])
    said = candidates(rotation, np.ones(count))
    return Voices(said, np.array(chance), np.array(pool), loudness, total, np.array([member]))


def by_hand(odds, told, err):
    """Two hypotheses, both said by every pool; ``told`` (pools, 2)."""
    agreement = np.log1p(np.array(told) / DOUBT).mean(0)
    weight = np.expm1(SHARPENED * agreement)
    support = weight / (weight.sum() + 1)
    within = support * np.array(odds) ** OWN
    mass = (1 - err) * (support * odds).sum() * within / within.sum() + err * np.array(odds)
    return mass / (mass.sum() + err), support


@pytest.mark.parametrize("member", [True, False])
def test_pools_decide_by_bayes_rule(member):
    odds = np.array([8.0, 2.0])
    told = [[0.2, 0.7], [0.3, 0.6]]
    said = voices([ONE, OTHER, ONE, OTHER], np.ravel(told), [0, 0, 1, 1], member)
    probability, support = weigh(candidates([ONE, OTHER], odds), said, (CU,))
    expected, expected_support = by_hand(odds, told, MEMBERS_ERR if member else BESIDE_ERR)
    np.testing.assert_allclose(probability, expected, rtol=1e-9)
    np.testing.assert_allclose(support, expected_support, rtol=1e-9)
    assert probability[1] > probability[0]


def test_without_pools_own_odds_stand():
    silent = Voices.none(1)
    probability, support = weigh(candidates([ONE, OTHER], [6.0, 3.0]), silent, (CU,))
    np.testing.assert_allclose(probability, [0.6, 0.3])
    np.testing.assert_array_equal(support, 0)


def test_what_own_disks_exclude_does_not_win():
    said = voices([OTHER], [0.99], [0])
    probability, _ = weigh(candidates([ONE, OTHER], [1e3, 1e-2]), said, (CU,))
    assert probability[0] > 0.99
    probability, _ = weigh(candidates([ONE, OTHER], [1e3, 1e3]), said, (CU,))
    assert probability[1] > 0.99


def test_of_two_that_mean_the_same_the_better_is_supported():
    near = ONE @ turn([1, 0, 0], 4)
    _, support = weigh(candidates([ONE, near, OTHER], [5.0, 1.0, 1.0]), voices([ONE], [0.9], [0]), (CU,))
    assert support[0] > 0.9
    np.testing.assert_array_equal(support[1:], 0)


def test_only_what_was_not_verified_is_offered():
    near = OTHER @ turn([0, 1, 0], 3)
    own = candidates([ONE, near], [4.0, 1.0], [9, -1])
    offered = offers(own, voices([ONE, OTHER, THIRD, THIRD], [0.5, 0.3, 0.2, 0.4], [0, 0, 0, 1]), (CU,))
    assert len(offered) == 2  # the answer needs no second look, and what two pools say is offered once
    told = {tuple(np.round(rotation.ravel(), 3)) for rotation in offered.rotation}
    assert told == {tuple(np.round(rotation.astype(np.float32).ravel(), 3)) for rotation in (near, THIRD)}
    assert len(offers(own, voices([THIRD], [0.05], [0]), (CU,))) == 0
    both = with_verified(own, candidates([near, THIRD], [2.0, 0.1]), (CU,))
    assert sorted(both.odds) == [0.1, 2.0, 4.0]  # the runner-up gave way to what was verified
