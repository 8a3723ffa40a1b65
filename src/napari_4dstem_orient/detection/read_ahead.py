"""Read a scan while what was read before is being looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.scan import Scan

BLOCKS_AHEAD = 2
"""Blocks that are read before they are asked for: with the one in use, what bounds the memory."""


@dataclass(frozen=True, eq=False)
class Piece:
    """Some patterns of a scan.

    Attributes
    ----------
    first : int
        Flat scan position (row-major) of the first.
    patterns : ndarray, float32, shape (n, det_y, det_x)
    """

    first: int
    patterns: np.ndarray

    def __len__(self) -> int:
        return len(self.patterns)

    def __getitem__(self, part: slice) -> Piece:
        start, _, _ = part.indices(len(self))
        return Piece(self.first + start, self.patterns[part])

    @property
    def positions(self) -> slice:
        """Their flat scan positions."""
        return slice(self.first, self.first + len(self))


def read_ahead(scan: Scan, patterns: int, at_once: int) -> Generator[Piece, None, None]:
    """Yield what ``scan.batches(patterns)`` yields, read by a thread of its own, in pieces.

    Parameters
    ----------
    scan : Scan
    patterns : int
        Patterns to read at once.
    at_once : int
        Most patterns in a piece.
    """
    blocks = scan.batches(patterns)
    reader = ThreadPoolExecutor(1, thread_name_prefix="reading")
    try:
        waiting = deque(reader.submit(next, blocks, None) for _ in range(BLOCKS_AHEAD))
        while (found := waiting.popleft().result()) is not None:
            waiting.append(reader.submit(next, blocks, None))
            where, block = found
            for start in range(0, len(block), at_once):
                yield Piece(where.start + start, block[start : start + at_once])
    finally:
        reader.shutdown(cancel_futures=True)
