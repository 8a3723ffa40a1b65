"""Virtual images of a scan, and its mean and maximum pattern, in one pass over the data."""

from __future__ import annotations

import numpy as np

from napari_4dstem_orient.detection.direct_beam import direct_beam_of
from napari_4dstem_orient.detection.patterns import batch_length, check_batch
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.progress import Progress, silent
from napari_4dstem_orient.scan import Scan

BRIGHT_FIELD = 1.3
"""Radius of the bright-field detector, in radii of the direct beam."""

DARK_FIELD = 2.0
"""Inner radius of the annular dark-field detector, in radii of the direct beam."""


def virtual_images(
    scan: Scan,
    center: tuple[float, float] | None = None,
    radius: float | None = None,
    progress: Progress = silent,
) -> dict[str, np.ndarray]:
    """Integrate every pattern over virtual detectors.

    Parameters
    ----------
    scan : Scan
    center : (float, float), optional
        Direct beam along (det_y, det_x) in pixels; found in some of the patterns by default.
    radius : float, optional
        Radius of the direct beam in pixels; found likewise.
    progress : Progress
        Called between batches; may raise ``Cancelled``.

    Returns
    -------
    dict of str to ndarray, float32
        ``"bright field"`` and ``"annular dark field"`` of shape (scan_y, scan_x): counts within 1.3 radii of the
        direct beam, and beyond 2 radii; ``"mean pattern"`` and ``"maximum pattern"`` of shape (det_y, det_x).

    Raises
    ------
    UserError
        If a pattern holds NaN, infinite or negative values.
    """
    masks = _masks(scan, center, radius)
    total = scan.scan_shape[0] * scan.scan_shape[1]
    integrals = np.zeros((total, 2), np.float32)
    summed = np.zeros(scan.detector_shape, np.float64)
    maximum = np.full(scan.detector_shape, -np.inf, np.float32)
    progress(0, total)
    for where, block in scan.batches(batch_length(scan)):
        check_batch(block, where, scan)
        integrals[where] = block.reshape(len(block), -1) @ masks
        summed += block.sum(axis=0, dtype=np.float64)
        np.maximum(maximum, block.max(axis=0), out=maximum)
        progress(where.stop, total)
    return {
        "bright field": integrals[:, 0].reshape(scan.scan_shape),
        "annular dark field": integrals[:, 1].reshape(scan.scan_shape),
        "mean pattern": (summed / total).astype(np.float32),
        "maximum pattern": maximum,
    }


def _masks(scan: Scan, center: tuple[float, float] | None, radius: float | None) -> np.ndarray:
    """Return the two detectors as float32 of shape (det_y * det_x, 2)."""
    rows, cols = scan.detector_shape
    if center is None or radius is None:
        try:
            beam = direct_beam_of(scan)
        except UserError:
            # Without a direct beam (an empty scan, say) the middle of the detector has to do; the images are
            # there to be looked at, and broken patterns are refused when they are read.
            beam = None
        center = center or (beam.center if beam else ((rows - 1) / 2, (cols - 1) / 2))
        radius = radius or (beam.radius if beam else min(rows, cols) / 16)
    y, x = np.ogrid[:rows, :cols]
    distance = np.hypot(y - center[0], x - center[1]).ravel()
    masks = np.stack([distance <= BRIGHT_FIELD * radius, distance >= DARK_FIELD * radius], axis=1)
    return masks.astype(np.float32)
