"""Read a scan coarse to fine: any beginning of the pass is spread evenly over the scan."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from napari_4dstem_orient.core.memory import batch_length
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.patterns import check_batch

Box = tuple[slice, slice]
"""Rows and columns of the detector."""


def coarse_to_fine(count: int) -> list[int]:
    """Order 0 … count-1 so that any beginning of it is spread evenly."""
    step = 1 << max(count - 1, 1).bit_length()
    order: dict[int, None] = {}
    while step:
        order.update(dict.fromkeys(range(step // 2, count, step)))
        order.update(dict.fromkeys(range(0, count, step)))
        step //= 2
    return list(order)


def nearest(samples: np.ndarray, size: int) -> np.ndarray:
    """Return for each of 0 … size-1 which of the samples (sorted) is nearest, the lower of two."""
    after = np.searchsorted(samples, np.arange(size)).clip(1, max(len(samples) - 1, 1))
    if len(samples) < 2:
        return np.zeros(size, np.int64)
    before = after - 1
    return np.where(np.arange(size) - samples[before] <= samples[after] - np.arange(size), before, after)


def coarse_first(
    scan: Scan, box: Box = (slice(None), slice(None)), wanted: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read each pattern once, the scan's rows coarse to fine, never more at once than a batch.

    A file's chunks are read whole, so that none is decompressed twice.

    Parameters
    ----------
    scan : Scan
    box : (slice, slice)
        The part of the detector to read; all of it by default.
    wanted : ndarray of bool, shape (scan_y, scan_x), optional
        Read only blocks that hold one of these positions; all by default.

    Yields
    ------
    positions : ndarray of int, shape (n,)
        Flat scan positions (row-major) of the block.
    block : ndarray, float32, shape (n, y, x)
        Their patterns, within the box.

    Raises
    ------
    UserError
        If a pattern holds NaN, infinite or negative values.
    """
    rows, cols = _intervals(scan.data.chunks[0]), _intervals(scan.data.chunks[1])
    most = batch_length(scan)
    number = np.arange(scan.scan_shape[0] * scan.scan_shape[1]).reshape(scan.scan_shape)
    for index in coarse_to_fine(len(rows)):
        start, stop = rows[index]
        step = max(1, min(stop - start, most // cols[0][1]))
        for row in range(start, stop, step):
            below = min(row + step, stop)
            for left, right in _joined(cols, max(1, most // (below - row))):
                here = np.s_[row:below, left:right]
                if wanted is not None and not wanted[here].any():
                    continue
                read = scan.data[(*here, *box)].compute(scheduler="synchronous")
                block = np.asarray(read, np.float32).reshape(-1, *read.shape[2:])
                positions = number[here].ravel()
                check_batch(block, positions, scan)
                yield positions, block


def _intervals(sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    ends = np.cumsum((0, *sizes)).tolist()
    return list(pairwise(ends))


def _joined(intervals: list[tuple[int, int]], most: int) -> Iterator[tuple[int, int]]:
    """Join intervals as long as they hold no more than ``most``; cut those that alone hold more."""
    begin = 0
    for start, stop in intervals:
        if stop - begin > most and start > begin:
            yield begin, start
            begin = start
        while stop - begin > most:
            yield begin, begin + most
            begin += most
    if begin < intervals[-1][1]:
        yield begin, intervals[-1][1]
