"""A long step taken a few scan rows at a time, so that it can be spread over processes and taken up again.

The chunks depend on the scan's shape alone: one process, many, and a run that was interrupted in between give the
same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol

from napari_4dstem_orient.core.progress import Progress, silent

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


class Chunkable(Protocol):
    """What is cut into chunks: a ``Scan`` or ``BraggDisks``."""

    @property
    def scan_shape(self) -> tuple[int, int]:
        """Scan positions along (y, x)."""

    def rows(self, start: int, stop: int) -> Any:
        """Return some rows as a whole of their own."""


class ChunkStore(Protocol):
    """Where the results of chunks outlast the process."""

    def find(self, rows: Rows, cols: int) -> Any | None:
        """Return the result of a chunk, or None."""

    def add(self, rows: Rows, result: Any) -> None:
        """Keep the result of a chunk."""


class Runner(Protocol):
    """Who does the work: this process (``SerialRunner``), or a cluster's workers (``workflow.cluster.Cluster``)."""

    @property
    def description(self) -> str | None:
        """Which workers, in words; None for this process alone."""

    def run(
        self, step: Step, whole: Chunkable, todo: Sequence[Rows], progress: Progress
    ) -> Generator[tuple[Rows, Any], None, None]:
        """Yield the result of each chunk as it is done; ``progress`` counts their scan positions."""


class SerialRunner:
    """Does the chunks one after the other in this process."""

    description = None

    def run(
        self, step: Step, whole: Chunkable, todo: Sequence[Rows], progress: Progress
    ) -> Generator[tuple[Rows, Any], None, None]:
        """Yield the result of each chunk; see ``Runner.run``."""
        cols, total, before = whole.scan_shape[1], positions(todo, whole), 0
        work = step.begin() if todo else None
        for start, stop in todo:
            assert work is not None
            yield (start, stop), work(whole.rows(start, stop), start, _counting_on(progress, before, total))
            before += (stop - start) * cols


def row_chunks(scan_shape: tuple[int, int]) -> list[Rows]:
    """Return the rows of each chunk of a scan, in order; whole rows, together all of them."""
    rows, cols = scan_shape
    size = min(MOST, max(FEWEST, rows * cols // PARTS))
    step = max(1, size // max(cols, 1))
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]


def positions(chunks: Sequence[Rows], whole: Chunkable) -> int:
    """Return how many scan positions some chunks have."""
    return sum(stop - start for start, stop in chunks) * whole.scan_shape[1]


def in_chunks(
    step: Step,
    whole: Chunkable,
    runner: Runner,
    progress: Progress = silent,
    kept: ChunkStore | None = None,
    seen: Callable[[Mapping[Rows, Any]], None] = lambda done: None,
) -> list[Any]:
    """Take a step over a whole scan.

    Parameters
    ----------
    step : Step
    whole : Scan or BraggDisks
    runner : Runner
    progress : callable
        ``progress(done, total)`` in scan positions; may raise ``Cancelled``.
    kept : Kept, optional
        Chunks that are there already are not done again, and those that are done are put there.
    seen : callable
        Called after each chunk with the results of all that are done, by their rows.

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
    with closing(runner.run(step, whole, todo, _counting_on(progress, resumed, total))) as results:
        for rows, result in results:
            if kept:
                kept.add(rows, result)
            found[rows] = result
            seen(found)
    return [found[rows] for rows in chunks]


def _counting_on(progress: Progress, before: int, total: int) -> Progress:
    return lambda done, _: progress(before + done, total)
