"""Find the local maxima of a batch of correlation images, and place them by a parabola."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

EARLIER, LATER = [0, 1, 3, 6], [2, 5, 7, 8]
"""Neighbours, in reading order, that a maximum must exceed, and those that it may equal: py4DSTEM's choice."""


class Peaks(NamedTuple):
    """Local maxima of correlation images, in the order of the pixels.

    Attributes
    ----------
    pattern, row, col : ndarray, int64, shape (n,)
        Which image of the batch, and which pixel.
    around : ndarray, float64, shape (n, 3, 3)
        The image at the pixel and its neighbours.
    """

    pattern: np.ndarray
    row: np.ndarray
    col: np.ndarray
    around: np.ndarray

    @property
    def height(self) -> np.ndarray:
        """Value at the pixel, shape (n,)."""
        return self.around[:, 1, 1]

    def take(self, which: np.ndarray) -> Peaks:
        """Return some of them, by index or by mask."""
        return Peaks(*(part[which] for part in self))


def local_maxima(images: torch.Tensor, edge: int, floor: float, relative_floor: float) -> Peaks:
    """Find pixels that exceed their eight neighbours.

    Of equal neighbours the one further left counts as the higher, or else the one further up.

    Parameters
    ----------
    images : Tensor, float32, shape (n, rows, cols)
        Not negative.
    edge : int
        Rows and columns of the rim that are left out, at least 1.
    floor : float
        Least value; a maximum is above 0 anyhow.
    relative_floor : float
        Maxima below this share of their image's strongest may be left out already.

    Returns
    -------
    Peaks
    """
    count, rows, cols = images.shape
    if rows <= 2 * edge or cols <= 2 * edge:
        return Peaks(*(np.zeros(0, np.int64),) * 3, np.zeros((0, 3, 3)))
    lowest = images.new_full((count,), floor)
    if relative_floor > 0:
        relative = images.amax((1, 2)) * relative_floor
        if (relative > floor).any():
            # A pixel at the rim need not be a maximum: something brighter may lie outside.
            rim = torch.stack([side.amax((1, 2)) for side in _sides(images, edge + 1)]).amax(0)
            lowest = torch.where(relative > rim * relative_floor, relative.clamp(min=floor), lowest)
    # A little less: rounding is left to the exact comparison that follows.
    lowest = (lowest * (1 - 1e-6)).clamp_(min=torch.finfo(images.dtype).tiny)
    at = _unexceeded(images, lowest, edge)
    step = torch.arange(-1, 2, device=images.device)
    places = (step[:, None] * cols + step).reshape(-1, 1) + at
    around = images.reshape(-1).index_select(0, places.reshape(-1)).view(places.shape)
    peak = (around[4] > around[EARLIER]).all(0) & (around[4] >= around[LATER]).all(0)
    pattern, rest = np.divmod(at[peak].cpu().numpy(), rows * cols)
    heights = around[:, peak].T.cpu().numpy().astype(np.float64)
    return Peaks(pattern, *np.divmod(rest, cols), heights.reshape(-1, 3, 3))


def _sides(images: torch.Tensor, width: int) -> list[torch.Tensor]:
    """Return the four sides of a rim."""
    return [images[:, :width], images[:, -width:], images[:, :, :width], images[:, :, -width:]]


def _unexceeded(images: torch.Tensor, lowest: torch.Tensor, edge: int) -> torch.Tensor:
    """Return the flat indices of pixels off the rim that reach their image's floor and no pixel beside them exceeds."""
    cols, flat = images.shape[2], images.reshape(-1)
    # Beyond a row's end another begins, but pixels there belong to the rim.
    inner = flat[cols:-cols]
    beside = torch.maximum(flat[cols - 1 : -cols - 1], flat[cols + 1 : flat.numel() - cols + 1])
    for other in (flat[: -2 * cols], flat[2 * cols :]):
        torch.maximum(beside, other, out=beside)
    beside.clamp_(min=float(lowest.min()))
    stands = torch.zeros(flat.shape, dtype=torch.bool, device=images.device)
    torch.ge(inner, beside, out=stands[cols:-cols])
    for side in _sides(stands.view(images.shape), edge):
        side.zero_()
    on_cpu = images.device.type == "cpu"  # there NumPy collects several times faster than torch
    at = torch.from_numpy(np.flatnonzero(stands.numpy())) if on_cpu else stands.nonzero()[:, 0]
    return at[flat[at] >= lowest[at.div(images[0].numel(), rounding_mode="floor")]]


def parabola(peaks: Peaks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place peaks by a parabola along each axis, as py4DSTEM's "poly".

    py4DSTEM: B. H. Savitzky et al., Microsc. Microanal. 27 (2021) 712.

    Returns
    -------
    row, col : ndarray, float64, shape (n,)
    height : ndarray, float64, shape (n,)
        The image there, interpolated bilinearly.
    """
    around = peaks.around
    middle = around[:, 1, 1]
    down = _vertex(around[:, 0, 1], middle, around[:, 2, 1])
    across = _vertex(around[:, 1, 0], middle, around[:, 1, 2])
    every = np.arange(len(middle))
    row, col = 1 + (down > 0) * 1 - (down < 0), 1 + (across > 0) * 1 - (across < 0)
    dy, dx = np.abs(down), np.abs(across)
    height = (1 - dy) * ((1 - dx) * middle + dx * around[every, 1, col]) + dy * (
        (1 - dx) * around[every, row, 1] + dx * around[every, row, col]
    )
    return peaks.row + down, peaks.col + across, height


def _vertex(before: np.ndarray, middle: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (after - before) / (4 * middle - 2 * after - 2 * before)
