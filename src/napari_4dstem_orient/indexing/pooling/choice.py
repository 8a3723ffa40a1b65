"""What pools say to each position, and what each position makes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.pooled import Pooled, PoolVerdict
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.base import Hypotheses, MapBuilder
from napari_4dstem_orient.indexing.pooling.candidates import Candidates, apart, best_first, share
from napari_4dstem_orient.indexing.pooling.grouping import LIKELY, Pools
from napari_4dstem_orient.indexing.settings import AcceptanceSettings

NEAR = 6.0
"""Degrees; a hypothesis closer than this to the pool's is the same: grains bend, and both are a little off."""
MEMBERS_ERR, BESIDE_ERR = 0.003, 0.05
"""Share of a pool's members, and of positions beside it in no pool, that are something else than the pool says."""
DOUBT = 0.003
"""Added to what a pool makes a hypothesis: it may be wrong, however sure it is."""
SHARPENED, OWN = 2.0, 0.5
"""Powers of what pools think of a crystal together, and of what the position's own disks, which they have seen, add."""
BESIDE = 2
"""Neighbours in a pool that make a position one beside it."""
HEARD = 0.01
"""Hypotheses of pools less probable than this change nothing."""


@dataclass(frozen=True, eq=False)
class Voices:
    """What pools say to positions: n hypotheses, sorted by position.

    Attributes
    ----------
    said : Candidates
        Whose owner is the flat scan position that hears it; n.
    chance : ndarray, float64, shape (n,)
        Probability that the pool gives the hypothesis.
    pool : ndarray, int64, shape (n,)
        Which pool.
    loudness : ndarray, float64, shape (n,)
        Of that pool: its size.
    total : ndarray, float64, shape (positions,)
        Loudness of all pools that speak to a position.
    member : ndarray, bool, shape (positions,)
        Whether a position is in any of them.
    """

    said: Candidates
    chance: np.ndarray
    pool: np.ndarray
    loudness: np.ndarray
    total: np.ndarray
    member: np.ndarray

    @classmethod
    def none(cls, positions: int) -> Voices:
        """Return silence."""
        empty = np.zeros(0)
        said = Candidates(
            empty.astype(np.int64),
            np.zeros((0, 3, 3), np.float32),
            empty.astype(np.int32),
            empty,
            empty.astype(np.float32),
            empty.astype(np.int32),
            np.zeros((0, 2), np.float32),
        )
        return cls(said, empty, empty.astype(np.int64), empty, np.zeros(positions), np.zeros(positions, bool))

    def and_of(self, pools: Pools, answers: OrientationMap, tried: np.ndarray) -> Voices:
        """Return these, and what other pools say to their members and beside them.

        Parameters
        ----------
        pools : Pools
        answers : OrientationMap
            Of the pools, which are its rows.
        tried : ndarray, bool, shape (scan_y, scan_x)
            Where there are disks to judge by.
        """
        place, pool, loudness = _audience(pools, tried)
        told = Candidates.of(answers)
        chance = share(told.owner, told.odds, np.ones(len(pools)))
        heard = (chance > HEARD) & (told.phase_id >= 0)
        told, chance = told[heard], chance[heard]
        pair, voice = matches(pool, told.owner)
        member = self.member.copy()
        member[pools.members] = True
        # Members hear nothing that is said beside pools.
        before = self.member | ~member
        total = self.total * before + np.bincount(place, loudness, tried.size)
        old = before[self.said.owner]
        said = self.said[old].joined(replace(told[voice], owner=place[pair]))
        order = np.argsort(np.concatenate([self.said.owner[old], place[pair]]), kind="stable")
        first = self.pool.max(initial=-1) + 1

        def both(mine: np.ndarray, others: np.ndarray) -> np.ndarray:
            return np.concatenate([mine[old], others])[order]

        return Voices(
            said,
            both(self.chance, chance[voice]),
            both(self.pool, first + pool[pair]),
            both(self.loudness, loudness[pair]),
            total,
            member,
        )


def _audience(pools: Pools, tried: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return who hears which pool how loud: its members, and positions in no pool with neighbours in it."""
    size, pool = pools.size, pools.pool
    rows, cols = tried.shape
    alone = tried.copy().ravel()
    alone[pools.members] = False
    row, col = np.divmod(pools.members, cols)
    beside = []
    for down, right in ((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)):
        inside = (row + down >= 0) & (row + down < rows) & (col + right >= 0) & (col + right < cols)
        place, of = (row + down)[inside] * cols + (col + right)[inside], pool[inside]
        beside.append((of * tried.size + place)[alone[place]])
    key, count = np.unique(np.concatenate(beside), return_counts=True)
    key, count = key[count >= BESIDE], count[count >= BESIDE]
    return (
        np.concatenate([pools.members, key % tried.size]),
        np.concatenate([pool, key // tried.size]),
        np.concatenate([size[pool], count]).astype(np.float64),
    )


def matches(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of places at which two lists of owners hold the same; the second list is sorted."""
    first, last = np.searchsorted(other, one, "left"), np.searchsorted(other, one, "right")
    count = last - first
    ends = np.cumsum(count)
    index = np.repeat(np.arange(len(one)), count)
    return index, np.arange(len(index)) + np.repeat(first - ends + count, count)


def offers(found: Candidates, voices: Voices, phases: tuple[Phase, ...]) -> Candidates:
    """Return what is said to positions and was not verified by their disks yet, each once.

    Where one of the position's runners-up is near, that is offered in place of the pool's.
    """
    loud = voices.chance > LIKELY
    said, weight = voices.said[loud], (voices.chance * voices.loudness)[loud]
    order, _ = best_first(said.owner, weight)
    said = said[order]
    one, other = matches(said.owner, found.owner)
    angle = apart(
        said.rotation[one], said.phase_id[one], found.rotation[other], found.phase_id[other], phases
    )
    near = angle < NEAR
    verified = np.zeros(len(said), bool)
    verified[one[near & (found.n_matched[other] >= 0)]] = True
    rotation = said.rotation.copy()
    farthest_first = np.argsort(-angle, kind="stable")
    taken = farthest_first[near[farthest_first]]
    rotation[one[taken]] = found.rotation[other[taken]]
    wanted = replace(said, rotation=rotation)[~verified]
    return wanted[~_repeated(wanted, phases)]


def _repeated(wanted: Candidates, phases: tuple[Phase, ...]) -> np.ndarray:
    """Return which candidates nearly equal an earlier one of the same place."""
    one, other = matches(wanted.owner, wanted.owner)
    one, other = one[other < one], other[other < one]
    angle = apart(
        wanted.rotation[one], wanted.phase_id[one], wanted.rotation[other], wanted.phase_id[other], phases
    )
    again = np.zeros(len(wanted), bool)
    again[one[angle < NEAR]] = True
    return again


def with_verified(found: Candidates, verified: Candidates, phases: tuple[Phase, ...]) -> Candidates:
    """Return the candidates and what was verified, the latter in place of runners-up that are the same."""
    one, other = matches(verified.owner, found.owner)
    angle = apart(
        verified.rotation[one], verified.phase_id[one], found.rotation[other], found.phase_id[other], phases
    )
    same = np.zeros(len(found), bool)
    same[other[angle < NEAR]] = True
    return found[~same | (found.n_matched >= 0)].joined(verified)


def weigh(found: Candidates, voices: Voices, phases: tuple[Phase, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return each candidate's probability in the light of the pools, and what they alone make it.

    A position that hears pools is of their crystal, but for a small share that is something else; its own disks say
    which, by Bayes' rule. Of the crystal the pools know more than any single position: the geometric mean of their
    probabilities, sharpened, for they saw different places and thicknesses, decides, and own disks, which they have
    seen too, count for little more.
    """
    one, voice = matches(found.owner, voices.said.owner)
    said = voices.said
    angle = apart(
        found.rotation[one], found.phase_id[one], said.rotation[voice], said.phase_id[voice], phases
    )
    one, voice = one[angle < NEAR], voice[angle < NEAR]
    order, rank = best_first(voice, found.odds[one])
    one, voice = (
        one[order][rank == 0],
        voice[order][rank == 0],
    )  # of two that are the same the better is meant
    pools = voices.pool.max(initial=0) + 1
    _, first, pair = np.unique(one * pools + voices.pool[voice], return_index=True, return_inverse=True)
    chance = np.bincount(pair, voices.chance[voice], len(first))
    told = voices.loudness[voice[first]] * np.log1p(chance / DOUBT)
    agreement = np.bincount(one[first], told, len(found)) / voices.total.clip(1e-12)[found.owner]
    owner, alone = found.owner, voices.total == 0
    support = share(owner, np.expm1(SHARPENED * agreement), np.ones(len(alone)))
    err = np.where(alone, 1.0, np.where(voices.member, MEMBERS_ERR, BESIDE_ERR))
    of_crystal = (1 - err) * np.bincount(owner, support * found.odds, len(err))
    within = share(owner, support * found.odds**OWN, np.zeros(len(err)))
    weight = of_crystal[owner] * within + err[owner] * found.odds
    return share(owner, weight, err), support


def choose(
    alone: OrientationMap,
    found: Candidates,
    probability: np.ndarray,
    support: np.ndarray,
    acceptance: AcceptanceSettings,
) -> OrientationMap:
    """Return the map of the likeliest candidates; ``OrientationMap.alone`` is as before.

    Parameters
    ----------
    alone : OrientationMap
    found : Candidates
        Of the positions that pools speak to.
    probability, support : ndarray, shape (m,)
        As ``weigh`` returns them.
    acceptance : AcceptanceSettings
    """
    can_win = found.n_matched >= 0
    # Where there was no answer, as in vacuum, "none of them" is one.
    can_win &= alone.indexed.ravel()[found.owner] | (probability > 0.5)
    answerable = np.zeros(alone.phase_id.size, bool)
    answerable[found.owner[can_win]] = True
    index = np.flatnonzero(answerable[found.owner] & (found.phase_id >= 0))
    order, rank = best_first(found.owner[index], probability[index] + can_win[index])
    index, width = index[order], 1 + alone.runner_up.shape[2]
    index, rank = index[rank < width], rank[rank < width]
    best = index[rank == 0]
    where = found.owner[best]

    builder = MapBuilder(alone.scan_shape, alone.phases, acceptance, width - 1)
    row = np.searchsorted(where, found.owner[index])
    block = _block(found, probability if alone.certainty is not None else None, index, (row, rank), width)
    builder.put(where, block)
    spoken = builder.finish(alone.method, alone.provenance).arrays
    after = {name: values.copy() for name, values in alone.arrays.items()}
    at = np.divmod(where, alone.scan_shape[1])
    for name, values in after.items():
        values[at] = spoken[name][at]

    verdict = np.zeros(alone.phase_id.size, np.uint8)
    same = (found.rotation[best] == alone.rotation.reshape(-1, 3, 3)[where]).all((1, 2))
    same &= found.phase_id[best] == alone.phase_id.ravel()[where]
    kept = np.where(support[best] >= 0.5, PoolVerdict.CONFIRMED, PoolVerdict.KEPT)
    verdict[where] = np.where(same, kept, PoolVerdict.CHANGED)
    pooled = Pooled.of(verdict.reshape(alone.scan_shape), alone.arrays, after)
    return alone.with_arrays(after, pooled=pooled)


def _block(
    found: Candidates,
    probability: np.ndarray | None,
    index: np.ndarray,
    place: tuple[np.ndarray, np.ndarray],
    width: int,
) -> Hypotheses:
    """Return candidates as a block of hypotheses, the best first; what is impossible fills the rest."""
    first = found.phase_id[index[place[1] == 0]]

    def block(values: np.ndarray, fill: np.ndarray) -> np.ndarray:
        made = np.tile(np.asarray(fill, values.dtype), (len(first), width, *[1] * (values.ndim - 1)))
        made[place] = values[index]
        return made

    zero = np.zeros(1)
    phase_id = np.repeat(first[:, None], width, 1)
    phase_id[place] = found.phase_id[index]
    return Hypotheses(
        block(found.rotation, np.eye(3)),
        phase_id,
        block(found.score, zero),
        block(found.n_matched.clip(0), zero),
        None if probability is None else block(probability, zero),
        found.precision[index[place[1] == 0]],
    )
