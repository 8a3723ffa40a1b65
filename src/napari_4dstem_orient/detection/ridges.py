"""Tell disks from what shines beside them too: diffuse rings of amorphous layers, Kikuchi bands, streaks.

On a ring about as wide as a disk the correlation is a ridge, and noise makes maxima along it. Such a maximum stands
out of the noise, but not of its neighbours on the ridge; a disk does, on every line through it (``Ridges``). Rings
too faint for that to be seen in one pattern are seen around the whole circle (``Rings``).
"""

from __future__ import annotations

import numpy as np
import torch

from napari_4dstem_orient.core.devices import sorted_rows
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
AROUND = 64
"""Places on a circle that are looked at."""
FAINT = 10.0
"""Signal-to-noise ratio from which on a maximum on a ring is seen by what is beside it."""
TOGETHER = 2**15
"""Circles that are looked at together: bounds the memory."""
NEVER = 1e30
"""Higher than any correlation: places that are not seen come last."""
OWN = 2.0
"""Disk radii from a maximum within which a circle shows its own disk."""
MEDIAN_ERROR = 1.858
"""Standard error of one value's median in distances from the lower quartile to the median: 1.253 / 0.6745."""


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
        y, x = (row + self.down).clamp_(0, rows - 1), (col + self.right).clamp_(0, cols - 1)
        at = y.add_(pattern * rows).mul_(cols).add_(x)
        sides = images.reshape(-1).index_select(0, at.reshape(-1)).view(at.shape).amin(2)
        return np.asarray(sides.mean(1).amax(1).cpu().numpy(), np.float64)


class Rings:
    """How high correlation images are on the circle around the direct beam that each maximum lies on.

    Parameters
    ----------
    radius : float
        Of a disk, in px.
    device : torch.device
    """

    def __init__(self, radius: float, device: torch.device) -> None:
        self.radius, self.apart = radius, OWN * radius
        angle = 2 * np.pi * (np.arange(AROUND) + 0.5) / AROUND
        cos, sin = np.cos(angle), np.sin(angle)
        turns = np.stack([[cos, -sin], [sin, cos]]), 2 * np.sin(angle / 2)
        self.turned, self.chord = (
            torch.as_tensor(part, dtype=torch.float32, device=device) for part in turns
        )

    def level(self, images: torch.Tensor, peaks: Peaks, asked: np.ndarray) -> np.ndarray:
        """Return how high each circle surely is, at least 0, shape (n,): its median less one standard error.

        The maximum's own disk does not count, and other disks on the circle hardly change a median.

        Parameters
        ----------
        images : Tensor, float32, shape (m, rows, cols)
            Where the peaks are maxima; the strongest of each is taken for the direct beam.
        peaks : Peaks
            n of them.
        asked : ndarray, bool, shape (n,)
            Of which it is wanted; 0 is returned for the others.
        """
        beam = _strongest(peaks)
        places = np.stack([peaks.pattern, peaks.row, peaks.col, peaks.row[beam], peaks.col[beam]])
        result, left = np.zeros(len(beam)), np.flatnonzero(asked)
        for start in range(0, len(left), TOGETHER):
            part = left[start : start + TOGETHER]
            pattern, *where = torch.as_tensor(places[:, part, None], device=images.device)
            result[part] = self._level(images, pattern, *where).cpu().numpy()
        return result

    def _level(
        self,
        images: torch.Tensor,
        pattern: torch.Tensor,
        row: torch.Tensor,
        col: torch.Tensor,
        beam_row: torch.Tensor,
        beam_col: torch.Tensor,
    ) -> torch.Tensor:
        """Return the level of some circles; where all else is (n, 1), shape (n,)."""
        _, rows, cols = images.shape
        way = torch.cat([row - beam_row, col - beam_col], 1).float()
        length = way.norm(dim=1, keepdim=True)
        y, x = (
            (way @ turn).round_().add_(beam)
            for turn, beam in zip(self.turned, (beam_row, beam_col), strict=True)
        )
        on_y, on_x = y.clamp(0, rows - 1), x.clamp(0, cols - 1)
        # Pixels beyond the detector's rim, and into the maximum's own disk; numbers are faster than conditions.
        own = (self.apart - length * self.chord).clamp_(min=0)
        unseen = y.sub_(on_y).abs_().add_(x.sub_(on_x).abs_()).add_(own).mul_(NEVER).clamp_(max=1)
        at = on_y.long().add_(pattern * rows).mul_(cols).add_(on_x.long())
        values = images.reshape(-1).index_select(0, at.reshape(-1)).view(at.shape)
        ordered = sorted_rows(values.add_(unseen, alpha=NEVER))
        count = AROUND - unseen.ceil_().sum(1, keepdim=True).long()
        low, middle = (ordered.gather(1, count * share // 4) for share in (1, 2))
        disks = (count / AROUND * torch.pi * length / self.radius).clamp(min=1)
        level = middle - MEDIAN_ERROR * (middle - low) / disks.sqrt()
        return torch.where(count > 0, level.clamp(min=0), torch.zeros_like(level))[:, 0]


def _strongest(peaks: Peaks) -> np.ndarray:
    """Return, for each peak, which is the strongest of its pattern; patterns follow each other."""
    order = np.lexsort((peaks.height, peaks.pattern))
    last = np.searchsorted(peaks.pattern, peaks.pattern, side="right") - 1
    return np.asarray(order[last])
