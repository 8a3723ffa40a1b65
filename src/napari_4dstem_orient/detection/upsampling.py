"""Place peaks by upsampling the correlation around them, as py4DSTEM's "multicorr", all peaks at once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from napari_4dstem_orient.detection.selection import rank_in_group

FACTOR = 16
"""Points for each pixel."""

REACH = 12
"""Points on each side of the place from which the search starts."""

NODES = 8
"""Places along each axis where the correlation is computed; a polynomial through them gives the other points.
Within 1.5 px no correlation bends more than it can follow: the error is 0.02 % at the detector's finest period."""

TOGETHER = 8
"""Peaks of one pattern that share a matrix product."""

VALUES_AT_ONCE = 2**21
"""Size of the copied patterns in a matrix product: bounds the memory."""


class Upsampling:
    """Trigonometric interpolation of correlation images on a fine grid around peaks.

    Refinement by matrix products: M. Guizar-Sicairos et al., Opt. Lett. 33 (2008) 156.

    Parameters
    ----------
    shape : (int, int)
        Detector pixels along (y, x).
    device : torch.device
    """

    def __init__(self, shape: tuple[int, int], device: torch.device) -> None:
        points = np.arange(-REACH, REACH) / FACTOR
        angle = (2 * np.arange(NODES) + 1) * np.pi / (2 * NODES)
        nodes = points.mean() + (points[-1] - points[0]) / 2 * np.cos(angle)
        self.shape, self.device = shape, device
        self.weights = [self._on_device(_periodic_weights(size, tuple(nodes))) for size in shape]
        self.polynomial = self._on_device(_lagrange(nodes, points))
        # Along both axes together py4DSTEM takes the highest frequency of an even number of pixels, which is its own
        # mirror image, for a wave along the diagonal. Phase correlation gives that wave weight.
        self.alternating = [self._on_device(np.cos(np.pi * np.arange(size)) / size) for size in shape]
        self.sine = self._on_device(np.sin(np.pi * (np.arange(4)[:, None] / 2 + nodes)))
        self.diagonal = shape[0] % 2 == 0 and shape[1] % 2 == 0

    def refine(
        self, correlation: torch.Tensor, pattern: np.ndarray, row: np.ndarray, col: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Move peaks to the highest point of the fine grid, and from there by a parabola.

        Parameters
        ----------
        correlation : Tensor, float32, shape (n, det_y, det_x)
            Neither blurred nor clipped.
        pattern : ndarray of int, shape (m,)
            Sorted.
        row, col : ndarray, shape (m,)
            Where the peaks are, within half a pixel.

        Returns
        -------
        row, col : ndarray, float64, shape (m,)
        """
        halves = np.round(2 * np.stack([row, col])).astype(np.int64)
        lane = rank_in_group(pattern)
        new = lane % TOGETHER == 0
        group = np.cumsum(new) - 1
        owner, slot = pattern[new], group * TOGETHER + lane % TOGETHER
        padded = np.zeros((2, len(owner) * TOGETHER), np.int64)
        padded[:, slot] = halves
        step = max(1, VALUES_AT_ONCE // (self.shape[0] * self.shape[1]))
        shifts = [
            self._shift(correlation, owner[at : at + step], padded[:, at * TOGETHER : (at + step) * TOGETHER])
            for at in range(0, len(owner), step)
        ]
        moved = np.concatenate(shifts, axis=1)[:, slot] if shifts else np.zeros((2, 0))
        return halves[0] / 2 + moved[0], halves[1] / 2 + moved[1]

    def _shift(self, correlation: torch.Tensor, owner: np.ndarray, halves: np.ndarray) -> np.ndarray:
        """Return the way (2, 8 n) in px from half-pixel places to the maximum, for n groups of 8 peaks."""
        images = correlation.index_select(0, torch.as_tensor(owner, device=self.device))
        places = torch.as_tensor(halves, device=self.device)
        down, across = (
            weights.index_select(0, half) for weights, half in zip(self.weights, places, strict=True)
        )
        rows = torch.bmm(down.reshape(len(owner), -1, self.shape[0]), images)
        coarse = torch.bmm(rows.reshape(len(across), NODES, self.shape[1]), across.transpose(1, 2))
        if self.diagonal:
            wave = (self.alternating[0] @ images @ self.alternating[1]).repeat_interleave(TOGETHER)
            y, x = self.sine[places % 4]
            coarse -= (wave[:, None] * y)[:, :, None] * x[:, None, :]
        fine = self.polynomial @ coarse @ self.polynomial.T
        return _highest(fine).cpu().numpy()

    def _on_device(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=self.device)


def _highest(fine: torch.Tensor) -> torch.Tensor:
    """Return where (2, n) the highest point of each fine grid lies, in px from its middle."""
    side = fine.shape[1]
    at = fine.reshape(len(fine), -1).argmax(dim=1)
    row, col = at // side, at % side
    # At the grid's rim a parabola has no third point: py4DSTEM then stays on the grid, along both axes.
    inside = (row > 0) & (row < side - 1) & (col > 0) & (col < side - 1)
    y, x = row.clamp(1, side - 2), col.clamp(1, side - 2)
    every = torch.arange(len(fine), device=fine.device)
    middle = fine[every, y, x]
    place = []
    for whole, before, after in (
        (row, fine[every, y - 1, x], fine[every, y + 1, x]),
        (col, fine[every, y, x - 1], fine[every, y, x + 1]),
    ):
        bend = 4 * middle - 2 * after - 2 * before
        part = torch.where(inside & (bend > 0), (after - before) / bend, 0)
        place.append((whole - REACH + part) / FACTOR)
    return torch.stack(place)


@lru_cache(maxsize=4)
def _periodic_weights(size: int, nodes: tuple[float, ...]) -> np.ndarray:
    """Return weights, float32 (2 size, node, size): those at [i] interpolate an axis at i / 2 + nodes."""
    place = np.array([0, 0.5])[:, None, None] + np.array(nodes)[:, None] - np.arange(-size, size)
    turn = np.tan if size % 2 == 0 else np.sin
    with np.errstate(divide="ignore", invalid="ignore"):
        kernel = np.sin(np.pi * place) / (size * turn(np.pi * place / size))
    kernel = np.where(np.abs(place - size * np.round(place / size)) < 1e-9, 1.0, kernel)
    windows = np.lib.stride_tricks.sliding_window_view(kernel.astype(np.float32), size, axis=-1)
    # kernel [half, node, size - n:][:size] belongs to pixel n
    return np.ascontiguousarray(windows[:, :, :0:-1].transpose(2, 0, 1, 3)).reshape(
        2 * size, len(nodes), size
    )


def _lagrange(nodes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the matrix (points, nodes) of the polynomial through values at the nodes."""
    result = np.ones((len(points), len(nodes)))
    for this, node in enumerate(nodes):
        for other in np.delete(nodes, this):
            result[:, this] *= (points - other) / (node - other)
    return result
