"""Read a scan while what was read before is being looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from napari_4dstem_orient.scan import Scan

BLOCKS_AHEAD = 2
"""Blocks that are read before they are asked for: with the one in use, what bounds the memory."""


def read_ahead(scan: Scan, patterns: int, at_once: int) -> Generator[tuple[slice, np.ndarray], None, None]:
    """Yield what ``scan.batches(patterns)`` yields, read by a thread of its own, in pieces.

    Parameters
    ----------
    scan : Scan
    patterns : int
        Patterns to read at once.
    at_once : int
        Most patterns in a piece.

    Yields
    ------
    where : slice
        Flat scan positions (row-major) of the piece.
    piece : ndarray, float32, shape (n, det_y, det_x)
    """
    blocks = scan.batches(patterns)
    reader = ThreadPoolExecutor(1, thread_name_prefix="reading")
    try:
        waiting = deque(reader.submit(next, blocks, None) for _ in range(BLOCKS_AHEAD))
        while (found := waiting.popleft().result()) is not None:
            waiting.append(reader.submit(next, blocks, None))
            where, block = found
            for start in range(0, len(block), at_once):
                piece = block[start : start + at_once]
                first = where.start + start
                yield slice(first, first + len(piece)), piece
    finally:
        reader.shutdown(cancel_futures=True)
