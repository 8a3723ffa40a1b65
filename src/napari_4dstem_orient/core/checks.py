"""Patterns that cannot be diffraction patterns, found before they do harm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.errors import UserError

if TYPE_CHECKING:
    from napari_4dstem_orient.core.scan import Scan

# Dark-subtracted detectors (EMPAD, many cameras) scatter a little below zero around the beam; counts that
# wrapped round, logarithms and differences of patterns go as far down as up.
_NOISE = 0.1


def check_patterns(block: np.ndarray, where: str | slice, source: str = "The scan") -> None:
    """Refuse a batch of patterns with NaN, infinite or truly negative pixels.

    Parameters
    ----------
    block : ndarray, shape (n, det_y, det_x)
        Patterns, for example a batch from ``Scan.batches``.
    where : str or slice
        Where they are: words, or the flat scan positions of the batch.
    source : str
        The scan's name for the message.

    Raises
    ------
    UserError
        A pixel is not finite, or below zero by more than a tenth of the brightest pixel.
    """
    if block.size == 0:
        return
    lowest, highest = block.min(), block.max()
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        bad = int(np.argmax(~np.isfinite(block).all(axis=(1, 2))))
        raise UserError(
            f"{source} has pixels that are not numbers (NaN or infinite), first in {_place(where, bad)}; "
            "replace them, for example by zero, and load it again."
        )
    if lowest < 0 and -float(lowest) > _NOISE * max(float(highest), 0.0):
        bad = int(np.argmin(block.min(axis=(1, 2))))
        raise UserError(
            f"{source} has negative pixels down to {float(lowest):g} (brightest {float(highest):g}), "
            f"worst in {_place(where, bad)}; patterns must be counts, not logarithms or wrapped integers."
        )


def check_sample(scan: Scan) -> None:
    """Check a few patterns of a scan: corners, centre and two between.

    Raises
    ------
    UserError
        As ``check_patterns``, or a pattern cannot be read.
    """
    rows, cols = scan.scan_shape
    places = {(0, 0), (rows - 1, cols - 1), (rows // 2, cols // 2), (rows // 4, 3 * cols // 4), (0, cols - 1)}
    for row, col in sorted(places):
        check_patterns(
            scan.pattern(row, col)[None], f"the pattern at scan position ({row}, {col})", scan.source
        )


def _place(where: str | slice, index: int) -> str:
    return (
        where if isinstance(where, str) else f"pattern number {where.start + index} (counted along the rows)"
    )
