"""Measured diffraction patterns as pictures. Knows no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

GAMMA = 0.5
"""Weak disks matter as much as strong ones."""
DECADES = 1000.0
"""Of brightness, that a logarithmic picture spreads from black to white."""
WHITEST = 99.7
"""Percentile of a pattern's pixels that is white where the place of the direct beam is not known."""
DIRECT_BEAM = 0.05
"""Share of the detector around the direct beam that does not count for a picture's contrast."""


class Curve(StrEnum):
    """How brightness becomes grey."""

    ROOT = "gamma 0.5"
    LINEAR = "linear"
    LOG = "logarithmic"


@dataclass(frozen=True)
class Contrast:
    """How a picture is shown.

    Attributes
    ----------
    curve : Curve
    white : float
        Percentile of the picture's pixels from which on everything is white.
    """

    curve: Curve = Curve.ROOT
    white: float = 100.0

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Return a picture from black (0) to white (1) as it is seen."""
        shown = np.nan_to_num(picture)
        if self.white < 100:
            shown = np.clip(shown / max(float(np.percentile(shown, self.white)), 1e-6), 0, 1)
        if self.curve is Curve.LOG:
            return np.asarray(np.log1p((DECADES - 1) * shown) / np.log(DECADES))
        return shown if self.curve is Curve.LINEAR else np.asarray(shown**GAMMA)


USUAL = Contrast()


def measured_picture(pattern: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Scale a pattern from black (0) to white (1) for its reflections: the direct beam may be all white."""
    rows, cols = np.indices(pattern.shape, sparse=True)
    beside = np.hypot(rows - origin[0], cols - origin[1]) > DIRECT_BEAM * min(pattern.shape)
    black, white = np.nanpercentile(pattern, 40), np.nanpercentile(pattern[beside], 99.9)
    return np.clip((pattern - black) / max(white - black, 1e-6), 0, 1)


def raw_picture(pattern: np.ndarray) -> np.ndarray:
    """Scale a pattern from black (0) to white (1) where the place of the direct beam is not known."""
    finite = pattern[np.isfinite(pattern)]
    if finite.size == 0:
        return np.zeros(pattern.shape)
    black, white = (float(level) for level in np.percentile(finite, [1, WHITEST]))
    if white <= black:
        black, white = float(finite.min()), float(finite.max())
    return np.clip((pattern - black) / max(white - black, 1e-6), 0, 1)


def grey_levels(picture: np.ndarray, contrast: Contrast = USUAL) -> np.ndarray:
    """Turn a picture from black (0) to white (1) into grey levels, uint8; usually weak disks are lifted."""
    return np.asarray(np.rint(255 * contrast.apply(picture)), np.uint8)
