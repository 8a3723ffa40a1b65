"""Parent and precipitate: of the disks that all crystals leave, no parent may be the explanation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.certainty import Certainty
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.indexing.overlap.explained import Explainer
from napari_4dstem_orient.indexing.overlap.search import BELIEVED, CLEAR, LEAST_SCORE, together


def left_by(found: OrientationMap, disks: BraggDisks, explainer: Explainer) -> BraggDisks:
    """Return the disks that no crystal found so far explains.

    Parameters
    ----------
    found : OrientationMap
        And what lies ``beside``.
    disks : BraggDisks
        Those it was made from, and the explainer.
    explainer : Explainer
        Of the map's phases.
    """
    return disks.where(~_explained(found, explainer))


def with_left(found: OrientationMap, others: OrientationMap, explainer: Explainer) -> OrientationMap:
    """Return a map with the crystals that the disks speak for which it leaves.

    As in ``search`` such a crystal is believed where it explains sure disks that no other does, and is reliable.

    Parameters
    ----------
    found : OrientationMap
        Of parents and other phases; fewer than ``MOST_CRYSTALS``.
    others : OrientationMap
        Of what it leaves (``left_by``), by the same method, and of the other phases only.
    explainer : Explainer
        Of the phases of ``found``.
    """
    number = [
        next(k for k, mine in enumerate(found.phases) if mine.same_crystal(phase)) for phase in others.phases
    ]
    further = replace(others, phase_id=np.append(number, -1).astype(np.int32)[others.phase_id])
    left = explainer.clear & ~_explained(found, explainer)
    own = explainer.count(left & _explained(further, explainer)).reshape(others.scan_shape) >= CLEAR
    claimed = others.indexed & own & (others.confidence >= BELIEVED) & (others.score >= LEAST_SCORE)
    first = replace(found, beside=(), share=None)
    ranks = [first, *found.beside, replace(first.only(np.zeros(found.scan_shape, bool)), provenance={})]
    further = _like(further, first)
    place = found.crystals
    for rank, each in enumerate(ranks):
        where = np.flatnonzero(claimed & (place == rank))
        ranks[rank] = each.put(where, further.take(where))
    while len(ranks) > 1 and not ranks[-1].indexed.any():
        ranks.pop()
    answer = together(ranks, explainer, found)
    return answer if answer.beside else replace(answer, share=None)


def _explained(found: OrientationMap, explainer: Explainer) -> np.ndarray:
    parts = [
        explainer.by(each.rotation.reshape(-1, 3, 3), each.phase_id.ravel())
        for each in (found, *found.beside)
    ]
    return np.asarray(np.any(parts, axis=0))


def _like(others: OrientationMap, first: OrientationMap) -> OrientationMap:
    """Return a map of fewer phases, and so of fewer runners-up, with as many of both as another."""
    shape = (*others.scan_shape, first.runner_up.shape[2] - others.runner_up.shape[2])
    certainty = others.certainty
    if certainty is not None and certainty.probability is not None:
        likely = np.concatenate([certainty.probability, np.zeros(shape, np.float32)], -1)
        certainty = Certainty(**{**vars(certainty), "probability": likely})
    turns = np.broadcast_to(np.eye(3, dtype=np.float32), (*shape, 3, 3))
    return replace(
        others,
        phases=first.phases,
        runner_up=np.concatenate([others.runner_up, turns], 2),
        runner_up_score=np.concatenate([others.runner_up_score, np.zeros(shape, np.float32)], 2),
        certainty=certainty,
    )
