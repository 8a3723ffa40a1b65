"""Read a scan while what was read before is being looked at."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.core.memory import Portions
from napari_4dstem_orient.core.scan import Scan


@dataclass(frozen=True, eq=False)
class Piece:
    """Some patterns of a scan.

    Attributes
    ----------
    positions : ndarray of int, shape (n,)
        Their flat scan positions (row-major).
    patterns : ndarray, float32, shape (n, det_y, det_x)
    """

    positions: np.ndarray
    patterns: np.ndarray

    def __len__(self) -> int:
        return len(self.patterns)

    def __getitem__(self, part: slice) -> Piece:
        return Piece(self.positions[part], self.patterns[part])


def read_ahead(scan: Scan, portions: Portions) -> Generator[Piece, None, None]:
    """Yield the patterns of a scan in portions, read by a thread of its own.

    Parameters
    ----------
    scan : Scan
    portions : Portions
        How many patterns to read, and to yield, at once, and how many reads to be ahead.
    """
    blocks = scan.batches(portions.read)
    reader = ThreadPoolExecutor(1, thread_name_prefix="reading")
    try:
        waiting = deque(reader.submit(next, blocks, None) for _ in range(portions.ahead))
        while (found := waiting.popleft().result()) is not None:
            waiting.append(reader.submit(next, blocks, None))
            where, block = found
            for start in range(0, len(block), portions.together):
                part = slice(start, start + portions.together)
                yield Piece(where[part], block[part])
    finally:
        reader.shutdown(cancel_futures=True)
