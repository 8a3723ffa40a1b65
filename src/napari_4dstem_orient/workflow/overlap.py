"""Several crystals in a pattern: further ones, and those beside a parent, by the same runner that made the map."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.workflow.chunks import Runner, in_chunks
from napari_4dstem_orient.workflow.steps import Indexing, join_maps

if TYPE_CHECKING:
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.indexing.overlap.explained import Explainer

PARTS = 100
"""Steps of the progress in each pass."""


def with_others(
    first: OrientationMap, disks: BraggDisks, step: Indexing, runner: Runner, progress: Progress
) -> OrientationMap:
    """Return a map with further crystals of its patterns (``indexing.overlap``), where there are any.

    Parameters
    ----------
    first : OrientationMap
        The joined map; neighbours have spoken.
    disks : BraggDisks
        Calibrated; those it was made from.
    step : Indexing
        That made it.
    runner : Runner
        Who indexes the disks that are left.
    progress : callable
        ``progress(done, total)`` in parts of the work; may raise ``Cancelled``.
    """
    from napari_4dstem_orient.indexing.overlap import search

    explainer = explainer_of(first, disks, step)
    passes, most = 0, PARTS * search.passes(step.crystals)

    def index(left: BraggDisks) -> OrientationMap:
        nonlocal passes
        before, passes = passes, passes + 1

        def part(done: int, total: int) -> None:
            progress(PARTS * before + PARTS * done // max(total, 1), most)

        return join_maps(in_chunks(step, left, runner, part))

    answer = search.with_others(first, disks, index, explainer, step.crystals)
    progress(most, most)
    told = {"most": step.crystals, "found": 1 + len(answer.beside)}
    return replace(answer, provenance={**first.provenance, "crystals": told})


def explainer_of(found: OrientationMap, disks: BraggDisks, step: Indexing) -> Explainer:
    """Return what tells which disks of the scan a map's crystals explain."""
    from napari_4dstem_orient.indexing.overlap.explained import Explainer

    asked = step.asked
    return Explainer(disks, found.phases, asked.voltage, asked.precession, asked.template_reach)
