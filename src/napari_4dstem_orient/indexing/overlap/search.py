"""Several crystals in one pattern: what the first leaves unexplained is indexed, and the first is looked at again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.pooled import Pooled, PoolVerdict
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.indexing.overlap.explained import Explainer

CLEAR = 1
"""Sure disks that a further crystal must explain, and no other does."""
BELIEVED = 0.4
"""Reliability that a further crystal must have by the disks that the others leave; of multislice patterns of one
crystal less than one in a hundred reaches this and ``LEAST_SCORE`` with what is left."""
LEAST_SCORE = 0.3
"""The score it must have by the same disks."""
SAME = 5.0
"""Degrees; answers closer than this are one crystal."""


def passes(most: int) -> int:
    """Return how many times something is indexed, at most, where so many crystals are looked for."""
    return sum(2 * crystals for crystals in range(2, most + 1))


def with_others(
    first: OrientationMap,
    disks: BraggDisks,
    index: Callable[[BraggDisks], OrientationMap],
    explainer: Explainer,
    most: int,
) -> OrientationMap:
    """Look for further crystals at each position, and for the first again without their disks.

    Parameters
    ----------
    first : OrientationMap
        Its answers are the first crystals. Must know reliability.
    disks : BraggDisks
        Calibrated; those it was made from.
    index : callable
        Indexes the disks that others leave as those of a scan.
    explainer : Explainer
        Of the same disks.
    most : int
        Crystals in a pattern at most, 2 or more.

    Returns
    -------
    OrientationMap
        With ``beside`` and ``share``; its answer may be another one where there are others.
    """
    none = replace(first.only(np.zeros(first.scan_shape, bool)), provenance={}, pooled=None)
    found = [first]
    while len(found) < most:
        explained = [explainer.by(*_flat(each)) for each in found]
        left = explainer.clear & ~np.any(explained, axis=0)
        where = np.flatnonzero(found[-1].indexed.ravel() & (explainer.count(left) >= CLEAR))
        if not len(where):
            break
        further = index(disks.where(~np.any(explained, axis=0)).take(where))
        further = _claimed(further, found, where, explainer, left)
        if not further.indexed.any():
            break
        found.append(none.put(where, further))
        found = _looked_at_again(found, disks, index, explainer)
    return first if len(found) == 1 else together(found, explainer, first)


def _flat(found: OrientationMap) -> tuple[np.ndarray, np.ndarray]:
    return found.rotation.reshape(-1, 3, 3), found.phase_id.ravel()


def _claimed(
    further: OrientationMap,
    found: Sequence[OrientationMap],
    where: np.ndarray,
    explainer: Explainer,
    left: np.ndarray,
) -> OrientationMap:
    """Return the answers (n, 1) at flat positions ``where`` that are further crystals; the others are refused."""
    whole = found[0].nothing(found[0].scan_shape).put(where, further)
    own = explainer.count(left & explainer.by(*_flat(whole)))[where] >= CLEAR
    sure = (further.confidence >= BELIEVED) & (further.score >= LEAST_SCORE)
    new = ~np.any([_same(further, each.take(where)) for each in found], axis=0)
    return further.only(sure & new & own[:, None])


def _same(one: OrientationMap, other: OrientationMap) -> np.ndarray:
    """Return where two maps have the same answer."""
    same = one.indexed & (one.phase_id == other.phase_id)
    for number, phase in enumerate(one.phases):
        rows = same & (one.phase_id == number)
        same[rows] = misorientation(one.rotation[rows], other.rotation[rows], phase) < SAME
    return same


def _looked_at_again(
    found: list[OrientationMap],
    disks: BraggDisks,
    index: Callable[[BraggDisks], OrientationMap],
    explainer: Explainer,
) -> list[OrientationMap]:
    """Index each crystal again without the disks of the others, where there is a newest one."""
    where = np.flatnonzero(found[-1].indexed.ravel())
    settled = np.zeros(len(where), bool)
    if (pooled := found[0].pooled) is not None:
        settled = np.isin(pooled.verdict.ravel()[where], (PoolVerdict.CONFIRMED, PoolVerdict.CHANGED))
    newest = len(found) - 1
    for rank in (*range(newest), newest, *range(newest)):
        others = [each for number, each in enumerate(found) if number != rank]
        explained = np.any([explainer.by(*_flat(each)) for each in others], axis=0)
        again, now = index(disks.where(~explained).take(where)), found[rank].take(where)
        taken = np.any([_same(again, each.take(where)) for each in others], axis=0)
        # What neighbours said of the first outweighs one pattern's disks, unless these are surer.
        heard = settled[:, None] & (rank == 0) & (again.confidence <= now.confidence)
        better = np.flatnonzero(again.indexed & ~taken & ~heard)
        found[rank] = found[rank].put(where[better], again.take(better))
    return found


def together(found: Sequence[OrientationMap], explainer: Explainer, before: OrientationMap) -> OrientationMap:
    """Return the first map with the others, and each crystal's share of the light that they explain.

    Undoing what neighbours did leads to what they changed ``before`` anybody looked for further crystals.
    """
    explained = np.array([explainer.by(*_flat(each)) & explainer.reflections for each in found])
    weight = 1 / explained.sum(0).clip(1)  # a disk of several crystals is shared
    light = np.array([explainer.light(each, weight) for each in explained])
    total = light.sum(0)
    shares = np.divide(light, total, out=np.zeros_like(light), where=total > 0).astype(np.float32)
    first, *others = (
        replace(each, share=share.reshape(each.scan_shape)) for each, share in zip(found, shares, strict=True)
    )
    pooled = before.pooled
    if pooled is not None:
        pooled = Pooled.of(pooled.verdict, pooled.undone(before.arrays), first.arrays)
    return replace(first, beside=tuple(others), pooled=pooled)
