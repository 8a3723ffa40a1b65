"""Virtual images of a scan, and its mean and maximum pattern, in one pass over the data; single ones coarse first."""

from __future__ import annotations

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.memory import batch_length
from napari_4dstem_orient.core.progress import Glimpse, Progress, no_glimpse, silent
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.coarse_first import coarse_first, nearest
from napari_4dstem_orient.detection.direct_beam import DirectBeam, direct_beam_of
from napari_4dstem_orient.detection.patterns import check_batch
from napari_4dstem_orient.detection.virtual_detector import BRIGHT_FIELD, DARK_FIELD


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
    done = 0
    for where, block in scan.batches(batch_length(scan)):
        check_batch(block, where, scan)
        integrals[where] = block.reshape(len(block), -1) @ masks
        summed += block.sum(axis=0, dtype=np.float64)
        np.maximum(maximum, block.max(axis=0), out=maximum)
        done += len(where)
        progress(done, total)
    return {
        "bright field": integrals[:, 0].reshape(scan.scan_shape),
        "annular dark field": integrals[:, 1].reshape(scan.scan_shape),
        "mean pattern": (summed / total).astype(np.float32),
        "maximum pattern": maximum,
    }


def beam_or_middle(scan: Scan) -> DirectBeam:
    """Find a scan's direct beam; without one (an empty scan, say) the middle of the detector has to do.

    Virtual images are there to be looked at, and broken patterns are refused when they are read.
    """
    rows, cols = scan.detector_shape
    try:
        return direct_beam_of(scan)
    except UserError:
        return DirectBeam(((rows - 1) / 2, (cols - 1) / 2), min(rows, cols) / 16)


def virtual_image(
    scan: Scan, mask: np.ndarray, progress: Progress = silent, glimpse: Glimpse = no_glimpse
) -> np.ndarray:
    """Integrate every pattern over one virtual detector, the scan's rows coarse to fine.

    Parameters
    ----------
    scan : Scan
        Read in pieces, within the detector's bounding box only.
    mask : ndarray of bool, shape (det_y, det_x)
        The pixels that count (``VirtualDetector.mask``).
    progress : Progress
        Called between pieces with (positions done, positions in all); may raise ``Cancelled``.
    glimpse : Glimpse
        Sees the image grow: rows not read yet are as the nearest one that is.

    Returns
    -------
    ndarray, float32, shape (scan_y, scan_x)
        Counts.

    Raises
    ------
    UserError
        If a pattern holds NaN, infinite or negative values.
    """
    rows, cols = scan.scan_shape
    image = np.zeros(rows * cols, np.float32)
    if not mask.any():
        return image.reshape(rows, cols)
    box = _bounding_box(mask)
    weights = mask[box].ravel().astype(np.float32)
    left, done = np.full(rows, cols), 0

    def so_far() -> np.ndarray:
        read = np.flatnonzero(left == 0)
        return image.reshape(rows, cols)[read][nearest(read, rows)]

    progress(0, len(image))
    for positions, block in coarse_first(scan, box):
        image[positions] = block.reshape(len(block), -1) @ weights
        np.subtract.at(left, positions // cols, 1)
        done += len(positions)
        progress(done, len(image))
        if (left == 0).any():
            glimpse(so_far)
    return image.reshape(rows, cols)


def mean_pattern(scan: Scan, chosen: np.ndarray, progress: Progress = silent) -> np.ndarray:
    """Average the patterns of a region of the scan, its rows coarse to fine.

    Parameters
    ----------
    scan : Scan
    chosen : ndarray of bool, shape (scan_y, scan_x)
    progress : Progress
        Called between pieces with (positions done, positions in all); may raise ``Cancelled``.

    Returns
    -------
    ndarray, float32, shape (det_y, det_x)

    Raises
    ------
    UserError
        If the region holds no scan position, or a pattern NaN, infinite or negative values.
    """
    total, done = int(chosen.sum()), 0
    if not total:
        raise UserError("The region holds no scan position; drag it over the scan.")
    summed = np.zeros(scan.detector_shape)
    inside = chosen.ravel()
    progress(0, total)
    for positions, block in coarse_first(scan, wanted=chosen):
        part = block[inside[positions]]
        summed += part.sum(axis=0, dtype=np.float64)
        done += len(part)
        progress(done, total)
    return (summed / total).astype(np.float32)


def _bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    rows, cols = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)


def _masks(scan: Scan, center: tuple[float, float] | None, radius: float | None) -> np.ndarray:
    """Return the two detectors as float32 of shape (det_y * det_x, 2)."""
    rows, cols = scan.detector_shape
    if center is None or radius is None:
        beam = beam_or_middle(scan)
        center, radius = center or beam.center, radius or beam.radius
    y, x = np.ogrid[:rows, :cols]
    distance = np.hypot(y - center[0], x - center[1]).ravel()
    masks = np.stack([distance <= BRIGHT_FIELD * radius, distance >= DARK_FIELD * radius], axis=1)
    return masks.astype(np.float32)
