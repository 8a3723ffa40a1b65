"""Scans that are made when they are looked at: expected counts plus noise from a fixed seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import dask.array as da

BLOCK = 16
"""Scan positions (along a row) made together: few for a click, many for a pass over the scan."""

Expected = Callable[[int, slice], np.ndarray]
"""``expected(row, columns)`` returns the mean counts of those positions, shape (n, det_y, det_x)."""


def poisson_scan(
    name: str,
    shape: tuple[int, int, int, int],
    expected: Expected,
    seed: int,
    dtype: type[np.unsignedinteger],
) -> da.Array:
    """Return a lazy scan of Poisson counts; every position is the same in whatever order it is read.

    Parameters
    ----------
    name : str
        Names the scan in dask's task graph.
    shape : tuple of int
        (scan_y, scan_x, det_y, det_x).
    expected : callable
        Mean counts of some positions of one scan row.
    seed : int
        Fixes the noise.
    dtype : type
        Unsigned integer; larger counts saturate.
    """
    import dask.array as da

    rows, cols, *detector = shape
    most = np.iinfo(dtype).max

    def counts(block_id: tuple[int, ...]) -> np.ndarray:
        row, block = block_id[:2]
        mean = expected(row, slice(block * BLOCK, min((block + 1) * BLOCK, cols)))
        noisy = _poisson(np.random.default_rng([seed, row, block]), mean)
        return np.minimum(noisy, most).astype(dtype)[None]

    widths = tuple(min(BLOCK, cols - start) for start in range(0, cols, BLOCK))
    chunks: Any = ((1,) * rows, widths, (detector[0],), (detector[1],))
    return da.map_blocks(
        counts, chunks=chunks, dtype=dtype, meta=np.empty((0,) * 4, dtype), name=f"{name}-{seed}"
    )


def _poisson(rng: np.random.Generator, mean: np.ndarray) -> np.ndarray:
    """Draw counts; from 100 on the normal distribution is as good and ten times as fast."""
    if mean.min() >= 100:
        noise = rng.standard_normal(mean.shape, dtype=np.float32)
        return np.rint(mean + np.sqrt(mean) * noise)
    return rng.poisson(mean)
