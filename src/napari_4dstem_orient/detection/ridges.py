"""Tell disks from what shines beside them too: diffuse rings of amorphous layers, Kikuchi bands, streaks.

On a ring about as wide as a disk the correlation is a ridge, and noise makes maxima along it. Such a maximum stands
out of the noise, but not of its neighbours on the ridge; a disk does, on every line through it.
"""

from __future__ import annotations

import numpy as np
import torch

from napari_4dstem_orient.detection.peaks import Peaks

LINES = 8
"""Lines through a maximum that are looked along."""
PLACES = (1.0, 1.5, 2.0)
"""Disk radii from the maximum, on both sides: from the rim to where neighbouring disks may begin."""
SHARE = 0.3
"""Of a maximum's height: what stays higher along a line is a ridge. So are 71 % of the copper sample's false disks,
nearly all of them on its ring, and 3 % of its true ones; of multislice patterns' true disks at most 1 in 1,000."""
CLEAR = 5.0
"""A maximum that stands so many times the noise above a ridge is a disk all the same: one among touching disks, say."""


def on_ridge(height: np.ndarray, along: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Tell which maxima noise has made on a ridge, bool (n,).

    Parameters
    ----------
    height, along, ratio : ndarray, shape (n,)
        Of the maxima, of the ridge that each lies on, and signal-to-noise.
    """
    share = along / height
    return (share > SHARE) & ((1 - share) * ratio < CLEAR)


class Ridges:
    """How high correlation images stay along lines through their maxima.

    Parameters
    ----------
    radius : float
        Of a disk, in px.
    device : torch.device
    """

    def __init__(self, radius: float, device: torch.device) -> None:
        angle = np.pi * np.arange(LINES) / LINES
        way = radius * np.array(PLACES)[:, None] * np.array([1.0, -1.0])[:, None, None]
        steps = np.stack([way * np.sin(angle), way * np.cos(angle)])
        self.down, self.right = torch.as_tensor(np.rint(steps).astype(np.int64), device=device)

    def along(self, images: torch.Tensor, peaks: Peaks) -> np.ndarray:
        """Return the height along the line where it stays highest: the mean of both sides' lowest, shape (n,).

        Parameters
        ----------
        images : Tensor, float32, shape (m, rows, cols)
            Where the peaks are maxima; at the rim its last pixels count for what lies beyond.
        peaks : Peaks
            n of them.
        """
        _, rows, cols = images.shape
        pattern, row, col = (
            torch.as_tensor(part, device=images.device)[:, None, None, None]
            for part in (peaks.pattern, peaks.row, peaks.col)
        )
        y, x = (row + self.down).clamp(0, rows - 1), (col + self.right).clamp(0, cols - 1)
        sides = images.reshape(-1).take((pattern * rows + y) * cols + x).amin(2)
        return np.asarray(sides.mean(1).amax(1).cpu().numpy(), np.float64)
