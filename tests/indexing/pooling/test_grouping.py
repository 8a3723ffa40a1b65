"""Which positions are pooled."""

import numpy as np

from helpers.made_maps import CU, rotations, turn
from napari_4dstem_orient.indexing.pooling.candidates import Candidates
from napari_4dstem_orient.indexing.pooling.grouping import Pools, _once, links, pools_of


def candidates(owner, rotation):
    count = len(owner)
    return Candidates(
        np.array(owner),
        np.array(rotation, np.float32),
        np.zeros(count, np.int32),
        np.ones(count),
        np.ones(count, np.float32),
        np.zeros(count, np.int32),
        np.zeros((count, 2), np.float32),
    )


def chain(rows, cols):
    """Links of all neighbours of a scan."""
    number = np.arange(rows * cols).reshape(rows, cols)
    across = np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()], 1)
    return np.concatenate([across, np.stack([number[:-1].ravel(), number[1:].ravel()], 1)])


def test_neighbours_are_linked_by_any_likely_hypothesis():
    one, other = rotations(2, seed=1)
    near = one @ turn([0, 1, 0], 2.0)
    found = candidates([0, 1, 1, 2, 3], [one, other, near, one @ turn([0, 1, 0], 5.0), other])
    likely = np.array([0.9, 0.7, 0.2, 0.9, 0.9])
    pairs = links(found, likely, (1, 4), (CU,))
    # 0 and 1 by a runner-up, 1 and 2 by nothing within 3° but 3.0° apart, 3 is no neighbour of 1.
    assert [0, 1] in pairs.tolist()
    assert [2, 3] not in pairs.tolist()
    unlikely = links(found, np.where(likely == 0.2, 0.05, likely), (1, 4), (CU,))
    assert [0, 1] not in unlikely.tolist()


def test_links_reach_all_eight_neighbours_and_no_other_row():
    same = candidates(range(12), np.tile(rotations(1), (12, 1, 1)))
    pairs = links(same, np.ones(12), (3, 4), (CU,))
    apart = np.abs(np.array(np.divmod(pairs[:, 0], 4)) - np.array(np.divmod(pairs[:, 1], 4)))
    assert apart.max() == 1
    assert len(pairs) == 3 * 3 + 2 * 4 + 2 * 2 * 3  # across, down, both diagonals
    assert len(np.unique(pairs, axis=0)) == len(pairs)


def test_pools_lie_in_tiles_that_overlap_and_cover_everything():
    pools = pools_of(chain(20, 13), (20, 13), 8)
    row, col = np.divmod(pools.members, 13)
    for number in range(len(pools)):
        mine = pools.pool == number
        assert np.ptp(row[mine]) < 8
        assert np.ptp(col[mine]) < 8
    assert set(pools.members) == set(range(260))
    assert np.bincount(pools.members).max() <= 4
    keys = [tuple(sorted(pools.members[pools.pool == number])) for number in range(len(pools))]
    assert len(set(keys)) == len(keys)


def test_what_is_not_linked_is_not_pooled_and_few_make_no_pool():
    pairs = chain(6, 8)
    left = (pairs % 8 < 4).all(1) | (pairs % 8 >= 4).all(1)
    pools = pools_of(pairs[left], (6, 8), 8)
    for number in range(len(pools)):
        assert len(set(pools.members[pools.pool == number] % 8 < 4)) == 1
    assert len(pools_of(chain(1, 3), (1, 3), 8)) == 0
    assert len(pools_of(np.zeros((0, 2), int), (5, 5), 8)) == 0


def test_pools_of_other_members_are_kept_whatever_their_sums():
    """Both have four members of the same sum and the same sum of squares."""
    one, other = [0, 4, 5, 10], [1, 2, 6, 10]
    pools = _once(Pools(np.array(one + other + one), np.array([0, 4, 8, 12])))
    assert pools.members.tolist() == one + other
    assert pools.offsets.tolist() == [0, 4, 8]
