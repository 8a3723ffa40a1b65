"""Which patterns to look at before the whole scan is run, and whether they are diffraction patterns at all."""

from __future__ import annotations

import numpy as np

from napari_4dstem_orient.core.checks import check_patterns
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.memory import SAMPLE_BYTES, pattern_bytes
from napari_4dstem_orient.core.scan import Scan


def check_batch(block: np.ndarray, positions: np.ndarray | slice, scan: Scan) -> None:
    """Refuse patterns that hold no counts, as ``core.checks.check_patterns``, and name the scan position.

    Parameters
    ----------
    block : ndarray, shape (n, det_y, det_x)
    positions : ndarray of int, or slice
        Flat scan positions of the block.
    scan : Scan
        Where they come from.

    Raises
    ------
    UserError
        If a pattern holds NaN, infinite or negative values.
    """
    try:
        check_patterns(block, "a batch", scan.source)
    except UserError:
        lowest = block.min(axis=(1, 2))
        finite = np.isfinite(lowest) & np.isfinite(block.max(axis=(1, 2)))
        worst = int(np.argmin(np.where(finite, lowest, -np.inf)))
        rows, cols = scan.scan_shape
        row, col = divmod(int(np.arange(rows * cols)[positions][worst]), cols)
        check_patterns(
            block[worst : worst + 1], f"the pattern at scan position (row {row}, column {col})", scan.source
        )
        raise


def sample_patterns(scan: Scan, count: int = 32) -> np.ndarray:
    """Return patterns spread at random, always the same ones, over the scan.

    Returns
    -------
    ndarray, float32, shape (n, det_y, det_x)
        At most ``count`` patterns, in scan order; fewer of very large ones (see ``SAMPLE_BYTES``).

    Raises
    ------
    UserError
        If one of them holds NaN, infinite or negative values.
    """
    total = scan.scan_shape[0] * scan.scan_shape[1]
    count = min(count, total, max(1, SAMPLE_BYTES // pattern_bytes(scan)))
    chosen = np.sort(np.random.default_rng(0).choice(total, count, replace=False))
    block = np.empty((count, *scan.detector_shape), np.float32)
    for place, flat in zip(block, chosen.tolist(), strict=True):
        place[:] = scan.pattern(*divmod(flat, scan.scan_shape[1]))
    check_batch(block, chosen, scan)
    return block


def sample_rows(scan: Scan, count: int) -> np.ndarray:
    """Return rows of three neighbours, no pattern in two of them, spread at random, always the same ones.

    Returns
    -------
    ndarray, float32, shape (n, 3, det_y, det_x)
        At most ``count`` rows; none of a scan that is less than three positions wide.
    """
    high, wide = scan.scan_shape
    down, right = (1, 3) if wide >= 3 else (3, 1)
    grid = high // down, wide // right
    count = min(count, grid[0] * grid[1])
    rows = np.empty((count, 3, *scan.detector_shape), np.float32)
    for place, index in zip(rows, np.random.default_rng(0).permutation(grid[0] * grid[1]), strict=False):
        row, col = index // grid[1] * down, index % grid[1] * right
        place[:] = scan.read(slice(row, row + down), slice(col, col + right))
    return rows


def aligned_mean(patterns: np.ndarray) -> np.ndarray:
    """Return the mean pattern after whole-pixel shifts onto the plain mean, which undo a wandering beam.

    Parameters
    ----------
    patterns : ndarray, shape (n, det_y, det_x)

    Returns
    -------
    ndarray, float64, shape (det_y, det_x)
    """
    from scipy import fft

    if len(patterns) == 1:
        return np.array(patterns[0], np.float64)
    target = np.conj(fft.rfft2(patterns.mean(axis=0, dtype=np.float64)))
    total = np.zeros(patterns.shape[1:])
    for pattern in patterns:
        overlap = fft.irfft2(fft.rfft2(pattern) * target, s=pattern.shape)
        shift = np.unravel_index(np.argmax(overlap), overlap.shape)
        total += np.roll(pattern, (-shift[0], -shift[1]), axis=(0, 1))
    return total / len(patterns)
