"""Neighbours speak: positions that may be one crystal are indexed together, and each hears what they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.certainty import IndexingStatus
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.indexing.base import Offered, Verified
from napari_4dstem_orient.indexing.pooling.candidates import Candidates, share
from napari_4dstem_orient.indexing.pooling.choice import Voices, choose, offers, weigh, with_verified
from napari_4dstem_orient.indexing.pooling.grouping import links, pools_of
from napari_4dstem_orient.indexing.pooling.merging import merge
from napari_4dstem_orient.indexing.settings import AcceptanceSettings

TILES = (8, 16, 32)
"""Rows and columns of the tiles within which pools are made, round by round: what the first cannot decide, more
electrons may, and where the first left a crystal in pieces the next finds it whole."""
_TRIED = (
    IndexingStatus.INDEXED,
    IndexingStatus.LOW_SCORE,
    IndexingStatus.UNRELIABLE,
    IndexingStatus.AMBIGUOUS_PHASE,
)


def pool(
    alone: OrientationMap,
    disks: BraggDisks,
    index: Callable[[BraggDisks], OrientationMap],
    verify: Callable[[Offered], Verified],
    acceptance: AcceptanceSettings,
) -> OrientationMap:
    """Return the map in the light of what neighbours measured.

    Parameters
    ----------
    alone : OrientationMap
        Each position judged by its own disks.
    disks : BraggDisks
        Calibrated; those it was made from.
    index : callable
        Indexes the disks of pools as those of a scan.
    verify : callable
        Verifies hypotheses of pools by the disks of single positions.
    acceptance : AcceptanceSettings
        As of the map.

    Returns
    -------
    OrientationMap
        With ``pooled``, which undoes it.
    """
    phases, shape = alone.phases, alone.scan_shape
    tried = np.isin(alone.status, _TRIED)
    found, voices = Candidates.of(alone), Voices.none(tried.size)
    probability = share(found.owner, found.odds, np.ones(tried.size))
    support = np.zeros(len(found))
    for tile in TILES:
        pools = pools_of(links(found, probability, shape, phases), shape, tile)
        if not len(pools):
            break
        voices = voices.and_of(pools, index(merge(disks, pools)), tried)
        found = with_verified(found, _verified(found, voices, alone, disks, verify), phases)
        probability, support = weigh(found, voices, phases)
        if max(shape) <= tile:
            break
    spoken_to = voices.total[found.owner] > 0
    return choose(alone, found[spoken_to], probability[spoken_to], support[spoken_to], acceptance)


def _verified(
    found: Candidates,
    voices: Voices,
    alone: OrientationMap,
    disks: BraggDisks,
    verify: Callable[[Offered], Verified],
) -> Candidates:
    """Return what pools say to positions, as their own disks see it."""
    wanted = offers(found, voices, alone.phases)
    if not len(wanted):
        return wanted
    against = alone.score.ravel()[wanted.owner]
    told = verify(Offered(disks.take(wanted.owner), wanted.rotation, wanted.phase_id, against))
    answer = told.rotation, wanted.phase_id, told.odds, told.score, told.n_matched, told.precision
    return Candidates(wanted.owner, *answer)
