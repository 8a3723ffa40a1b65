"""What the crystal may be at each position, as far as its own disks say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.scoring import SURE, odds_by_score

FAINT = 1e-4
"""Of the likeliest hypothesis' odds; others are left alone."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """Hypotheses of many places, sorted by place; m is their number.

    Attributes
    ----------
    owner : ndarray, int64, shape (m,)
        Flat scan position, or number of a pool.
    rotation : ndarray, float32, shape (m, 3, 3)
    phase_id : ndarray, int32, shape (m,)
        -1 where the orientation is not known any more, as of answers that were refused.
    odds : ndarray, float64, shape (m,)
        How much likelier the place's own disks make it than that no hypothesis is right.
    score : ndarray, float32, shape (m,)
    n_matched : ndarray, int32, shape (m,)
        -1 where it was not counted; such a candidate cannot become the answer.
    precision : ndarray, float32, shape (m, 2)
        As ``Certainty.precision``; NaN where it is not known.
    """

    owner: np.ndarray
    rotation: np.ndarray
    phase_id: np.ndarray
    odds: np.ndarray
    score: np.ndarray
    n_matched: np.ndarray
    precision: np.ndarray

    @classmethod
    def of(cls, answers: OrientationMap) -> Candidates:
        """Return the answers of a map and their runners-up."""
        rotation = np.concatenate([answers.rotation[..., None, :, :], answers.runner_up], 2)
        score = np.concatenate([answers.score[..., None], answers.runner_up_score], 2)
        count = rotation.shape[2]
        rotation, score = rotation.reshape(-1, count, 3, 3), score.reshape(-1, count)
        certainty = answers.certainty
        if certainty is not None and certainty.probability is not None:
            likely = certainty.probability.reshape(-1, count).astype(np.float64)
            odds = likely / (1 - likely.sum(1, keepdims=True)).clip(1 / SURE)
        else:
            odds = odds_by_score(score, score[:, :1]) * (score > 0)
        owner, which = (odds > FAINT * odds.max(1, keepdims=True)).nonzero()
        # What was refused is something else than what is offered, and may win nothing.
        phase_id = answers.phase_id.ravel()[owner]
        counted = (which == 0) & (phase_id >= 0)
        matched = np.where(counted, answers.n_matched.ravel()[owner], -1).astype(np.int32)
        precision = np.full((len(owner), 2), np.nan, np.float32)
        if certainty is not None and certainty.precision is not None:
            precision[counted] = certainty.precision.reshape(-1, 2)[owner[counted]]
        answer = rotation[owner, which], phase_id, odds[owner, which], score[owner, which]
        return cls(owner, *answer, matched, precision)

    def __len__(self) -> int:
        return len(self.owner)

    def __getitem__(self, which: np.ndarray) -> Candidates:
        return Candidates(**{name: values[which] for name, values in vars(self).items()})

    def joined(self, others: Candidates) -> Candidates:
        """Return these and others, sorted by place."""
        both = {name: np.concatenate([values, getattr(others, name)]) for name, values in vars(self).items()}
        return Candidates(**both)[np.argsort(both["owner"], kind="stable")]


def share(owner: np.ndarray, weight: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Return each weight as a share of all weights of its place and of ``rest``, by place, which nothing has."""
    return np.asarray(weight / (np.bincount(owner, weight, len(rest)) + rest).clip(1e-300)[owner])


def best_first(owner: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order that puts the heaviest of each place first, and the rank of each within its place."""
    order = np.lexsort((-weight, owner))
    first = np.flatnonzero(np.diff(owner[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
    return order, rank


def apart(
    one: np.ndarray,
    phase_one: np.ndarray,
    other: np.ndarray,
    phase_other: np.ndarray,
    phases: tuple[Phase, ...],
) -> np.ndarray:
    """Return the misorientation of pairs of orientations (n, 3, 3) in degrees; 180 between phases."""
    angle = np.full(len(one), 180.0)
    for number, phase in enumerate(phases):
        same = np.flatnonzero((phase_one == number) & (phase_other == number))
        angle[same] = misorientation(one[same], other[same], phase)
    return angle
