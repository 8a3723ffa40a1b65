"""The step after the map: what neighbours measured together, by the same runner that made the map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.indexing.settings import AcceptanceSettings
from napari_4dstem_orient.workflow.chunks import Runner, Whole, in_chunks
from napari_4dstem_orient.workflow.steps import Indexing, join_maps

if TYPE_CHECKING:
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.indexing.base import Offered, Verified

PARTS = 100
"""Steps of the progress in each pass."""


def with_neighbours(
    alone: OrientationMap, disks: BraggDisks, step: Indexing, runner: Runner, progress: Progress
) -> OrientationMap:
    """Return a map in the light of what neighbours measured (``indexing.pooling``).

    Pools come from the whole map, so they do not depend on how rows were cut for the runner.

    Parameters
    ----------
    alone : OrientationMap
        The joined map, each position judged alone.
    disks : BraggDisks
        Calibrated; those it was made from.
    step : Indexing
        That made it.
    runner : Runner
        Who indexes the pools' disks and verifies what they say.
    progress : callable
        ``progress(done, total)`` in parts of the work; may raise ``Cancelled``.
    """
    from napari_4dstem_orient.indexing.base import Verified
    from napari_4dstem_orient.indexing.pooling.pool import TILES, pool

    passes, most = 0, PARTS * 2 * len(TILES)

    def do(whole: Whole) -> list[Any]:
        nonlocal passes
        before, passes = passes, passes + 1

        def part(done: int, total: int) -> None:
            progress(PARTS * before + PARTS * done // max(total, 1), most)

        return in_chunks(step, whole, runner, part)

    def index(measured: BraggDisks) -> OrientationMap:
        return join_maps(do(measured))

    def verify(offered: Offered) -> Verified:
        return Verified.join(do(offered))

    answer = pool(alone, disks, index, verify, step.asked.acceptance or AcceptanceSettings())
    progress(most, most)
    return replace(answer, provenance={**alone.provenance, "pooling": {"tiles": list(TILES)}})
