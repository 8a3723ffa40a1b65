"""How much of a scan is in memory at once: here a budget becomes numbers of patterns.

Answers do not depend on it: patterns are computed in the same portions whatever the budget, which only says how many
portions there may be at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_4dstem_orient.core.errors import UserError

if TYPE_CHECKING:
    from napari_4dstem_orient.core.scan import Scan

MEMORY = 1024
"""MiB that patterns of a scan may take by default."""
LEAST_MEMORY = 128
"""MiB: one portion at work while the next are read."""
EXPLAINED = (
    "At most so much memory for patterns read ahead or at work, in each process, however large the scan; the program "
    "itself takes some 600 MiB beside it. Answers do not depend on it."
)
"""The setting, for the command line and the window."""

BATCH_BYTES = 32 * 2**20
"""Patterns read at once."""
SAMPLE_BYTES = 128 * 2**20
"""Patterns that are looked at before the whole scan is run: 32 of 1024 × 1024 pixels."""
MOST_READ = 256
"""Patterns read at once for the detection, and those that a GPU computes together."""
TOGETHER_BYTES = 8 * 2**20
"""Patterns that a CPU computes between two reports of progress: a cancelled run stops within about half a second."""
WORKSPACE = 6
"""Times as much as what is correlated at once takes (on a CPU what fits in its cache, or one pattern); measured."""
CACHE_BYTES = 2**19
MOST_AHEAD = 2
"""Reads before they are asked for; more do not make it faster."""


@dataclass(frozen=True)
class Portions:
    """How a scan streams through the detection.

    Attributes
    ----------
    read : int
        Patterns read at once.
    together : int
        Most patterns of a portion.
    ahead : int
        Reads before they are asked for.
    at_work : int
        Most portions at work at a time.
    """

    read: int
    together: int
    ahead: int
    at_work: int


def check_memory(memory: int) -> None:
    """Raise UserError for a budget (MiB) below ``LEAST_MEMORY``."""
    if memory < LEAST_MEMORY:
        raise UserError(f"The memory for patterns is {memory} MiB; give at least {LEAST_MEMORY} MiB.")


def batch_length(scan: Scan) -> int:
    """Return how many patterns to read at once where a scan streams past."""
    return max(1, BATCH_BYTES // pattern_bytes(scan))


def portions(scan: Scan, memory: int, threads: int, on_cpu: bool = True) -> Portions:
    """Say how a scan streams through the detection within a budget; one portion at a time where that is too little.

    Parameters
    ----------
    scan : Scan
    memory : int
        MiB.
    threads : int
        Portions that could be at work at a time.
    on_cpu : bool
        Another device takes what was read as one portion; its own memory is not counted.
    """
    pattern = pattern_bytes(scan)
    read = min(batch_length(scan), MOST_READ)
    together = min(read, max(1, TOGETHER_BYTES // pattern)) if on_cpu else read
    block, as_stored = read * pattern, read * pattern * scan.data.dtype.itemsize // 4
    # A portion, its correlations if they are kept, and what making them takes.
    work = 2 * together * pattern + WORKSPACE * max(pattern, CACHE_BYTES) if on_cpu else block
    # One block is being cut into portions, one is being read and put together.
    left = memory * 2**20 - 2 * block - 2 * as_stored
    at_work = max(1, min(threads, left // work))
    ahead = max(1, min(MOST_AHEAD, 1 + (left - at_work * work) // block))
    return Portions(read, together, ahead, at_work)


def parts(count: int, size: int) -> list[slice]:
    """Cut 0 … count into slices of so many each; the last may be shorter."""
    return [slice(start, start + size) for start in range(0, count, size)]


def pattern_bytes(scan: Scan) -> int:
    """Return how much one pattern takes in single precision."""
    rows, cols = scan.detector_shape
    return 4 * rows * cols
