"""A long step taken a few scan rows at a time, so that it can be spread over processes and taken up again.

The chunks depend on the scan's shape alone: one process, many, and a run that was interrupted in between give the
same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from napari_4dstem_orient.core.progress import Progress, going_on, silent

if TYPE_CHECKING:
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.scan import Scan
    from napari_4dstem_orient.indexing.base import Offered
    from napari_4dstem_orient.workflow.store import Chunks

Whole: TypeAlias = "Scan | BraggDisks | Offered"
"""What is cut into chunks."""

Rows = tuple[int, int]
"""Scan rows: the first, and one past the last."""

ChunkFunction = Callable[[Any, int, Progress], Any]
"""Turns some rows of a scan or its disks into a result; also told the number of their first row."""

MOST = 8192
"""Scan positions of a chunk: half a minute of detection on one core, and enough to fill a GPU."""
FEWEST = 1024
PARTS = 16
"""A scan too small for full chunks is cut in about so many, if they keep ``FEWEST`` positions."""


class Step(Protocol):
    """What is done to every chunk. Pickled for other processes, so it holds neither data nor models."""

    def begin(self) -> ChunkFunction:
        """Load what the work needs, once in each process.

        Raises
        ------
        UserError
            It cannot be loaded.
        """


class Runner(Protocol):
    """Who does the work: this process (``SerialRunner``), or a cluster's workers (``workflow.cluster.Cluster``)."""

    @property
    def description(self) -> str | None:
        """Which workers, in words; None for this process alone."""

    def run(
        self, step: Step, whole: Whole, todo: Sequence[Rows], progress: Progress
    ) -> Generator[tuple[Rows, Any], None, None]:
        """Yield the result of each chunk as it is done; ``progress`` counts their scan positions."""


class SerialRunner:
    """Does the chunks one after the other in this process."""

    description = None

    def run(
        self, step: Step, whole: Whole, todo: Sequence[Rows], progress: Progress
    ) -> Generator[tuple[Rows, Any], None, None]:
        """Yield the result of each chunk; see ``Runner.run``."""
        cols, total, before = whole.scan_shape[1], positions(todo, whole), 0
        work = step.begin() if todo else None
        for start, stop in todo:
            assert work is not None
            yield (start, stop), work(whole.rows(start, stop), start, going_on(progress, before, total))
            before += (stop - start) * cols


def row_chunks(scan_shape: tuple[int, int]) -> list[Rows]:
    """Return the rows of each chunk of a scan, in order; whole rows, together all of them."""
    rows, cols = scan_shape
    size = min(MOST, max(FEWEST, rows * cols // PARTS))
    step = max(1, size // max(cols, 1))
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]


def positions(chunks: Sequence[Rows], whole: Whole) -> int:
    """Return how many scan positions some chunks have."""
    return sum(stop - start for start, stop in chunks) * whole.scan_shape[1]


def in_chunks(
    step: Step,
    whole: Whole,
    runner: Runner,
    progress: Progress = silent,
    kept: Chunks | None = None,
    seen: Callable[[Mapping[Rows, Any]], None] = lambda done: None,
    resumes: Callable[[float], None] = lambda share: None,
) -> list[Any]:
    """Take a step over a whole scan.

    Parameters
    ----------
    step : Step
    whole : Scan or BraggDisks
    runner : Runner
    progress : callable
        ``progress(done, total)`` in scan positions; may raise ``Cancelled``.
    kept : Chunks, optional
        Chunks that are there already are not done again, and those that are done are put there.
    seen : callable
        Called after each chunk with the results of all that are done, by their rows.
    resumes : callable
        Called once with the share that is there already, where there is some.

    Returns
    -------
    list
        The results of all chunks, in order.
    """
    chunks, cols = row_chunks(whole.scan_shape), whole.scan_shape[1]
    there = {rows: kept.find(rows, cols) for rows in chunks} if kept else {}
    found = {rows: result for rows, result in there.items() if result is not None}
    todo = [rows for rows in chunks if rows not in found]
    total = positions(chunks, whole)
    resumed = total - positions(todo, whole)
    progress(resumed, total)
    if found:
        resumes(resumed / total)
        seen(found)
    with closing(runner.run(step, whole, todo, going_on(progress, resumed, total))) as results:
        for rows, result in results:
            if kept:
                kept.add(rows, result)
            found[rows] = result
            seen(found)
    return [found[rows] for rows in chunks]
