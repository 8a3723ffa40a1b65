"""Pixels around peaks, for all peaks of a batch of patterns at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

VALUES_AT_ONCE = 2**21
"""Pixels looked at together: bounds the memory."""


class Surroundings:
    """The square of pixels around a peak.

    Parameters
    ----------
    shape : (int, int)
        Detector pixels along (y, x).
    reach : int
        Pixels on each side; less where the detector is too small.
    device : torch.device
    """

    def __init__(self, shape: tuple[int, ...], reach: int, device: torch.device) -> None:
        self.shape, self.device = shape, device
        self.reach = min(reach, (min(shape) - 1) // 2)
        self.side = 2 * self.reach + 1
        self.step = torch.arange(-self.reach, self.reach + 1, device=device)

    def crop(self, image: np.ndarray) -> np.ndarray:
        """Return the middle of an image (or of a stack of images) that is wrapped around pixel (0, 0)."""
        at = np.arange(-self.reach, self.reach + 1)
        return image[..., at[:, None], at]

    def read(
        self, images: torch.Tensor, pattern: torch.Tensor, row: torch.Tensor, col: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the pixels around some peaks, and which of them lie on the detector.

        Parameters
        ----------
        images : Tensor, float32, shape (n, det_y, det_x)
        pattern, row, col : Tensor, int64, shape (m,)

        Returns
        -------
        values : Tensor, float32, shape (m, side²)
            0 beyond the detector's rim.
        inside : Tensor, float32, shape (m, side²)
            1 on the detector, 0 beyond.
        """
        rows, cols = self.shape
        y, x = row[:, None] + self.step, col[:, None] + self.step
        on_y, on_x = (y >= 0) & (y < rows), (x >= 0) & (x < cols)
        line = pattern[:, None] * rows + y.clamp(0, rows - 1)
        at = line[:, :, None] * cols + x.clamp(0, cols - 1)[:, None, :]
        inside = (on_y[:, :, None] & on_x[:, None, :]).flatten(1).float()
        values = images.reshape(-1).index_select(0, at.reshape(-1)).view(inside.shape)
        return values.mul_(inside), inside

    def parts(self, count: int) -> Iterator[slice]:
        """Yield slices of ``count`` peaks few enough to hold their pixels."""
        step = max(1, VALUES_AT_ONCE // self.side**2)
        for start in range(0, count, step):
            yield slice(start, min(start + step, count))
