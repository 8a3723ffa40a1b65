"""All sure disks of a scan in one image of diffraction space."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks

_summed: WeakKeyDictionary[BraggDisks, np.ndarray] = WeakKeyDictionary()


def bragg_vector_map(disks: BraggDisks) -> np.ndarray:
    """Add up the intensities of all sure disks where they lie in diffraction space; done once.

    Returns
    -------
    ndarray, float32
        Summed intensity, not to be written to: the detector's pixels for disks in pixels, 256 × 256 for calibrated
        ones. ``vector_map_frame`` tells where they lie.
    """
    if disks not in _summed:
        _summed[disks] = _sum(disks.sure(), _shape(disks))
    return _summed[disks]


def _sum(disks: BraggDisks, shape: tuple[int, int]) -> np.ndarray:
    step, start = _frame(disks, shape)
    row = np.floor((disks.qx - start[0]) / step[0] + 0.5).astype(np.int64)
    col = np.floor((disks.qy - start[1]) / step[1] + 0.5).astype(np.int64)
    inside = (row >= 0) & (row < shape[0]) & (col >= 0) & (col < shape[1])
    flat = row[inside] * shape[1] + col[inside]
    total = np.bincount(flat, weights=disks.intensity[inside], minlength=shape[0] * shape[1])
    image = total.reshape(shape).astype(np.float32)
    image.flags.writeable = False
    return image


def vector_map_frame(disks: BraggDisks) -> tuple[tuple[float, float], tuple[float, float]]:
    """Tell where a Bragg vector map lies.

    Returns
    -------
    step : (float, float)
        Size of a map pixel along (qx, qy), in the disks' own unit (px, or Å⁻¹ once calibrated).
    start : (float, float)
        Centre of map pixel (0, 0). Calibrated maps have the direct beam in the middle of their pixel
        (shape // 2).
    """
    return _frame(disks.sure(), _shape(disks))


def _frame(disks: BraggDisks, shape: tuple[int, int]) -> tuple[tuple[float, float], tuple[float, float]]:
    if disks.calibrated:
        reach = float(max(np.abs(disks.qx).max(initial=0), np.abs(disks.qy).max(initial=0))) or 1.0
        step = (2.1 * reach / shape[0], 2.1 * reach / shape[1])
        return step, (-step[0] * (shape[0] // 2), -step[1] * (shape[1] // 2))
    return (1.0, 1.0), (0.0, 0.0)


def _shape(disks: BraggDisks) -> tuple[int, int]:
    if disks.calibrated:
        return (256, 256)
    if disks.detector_shape is not None:
        return disks.detector_shape
    reach = (disks.qx.max(initial=0), disks.qy.max(initial=0))
    return (int(reach[0]) + 2, int(reach[1]) + 2)
