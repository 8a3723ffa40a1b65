"""The detector's elliptical distortion: a symmetric stretch (1 + e) along one axis and (1 - e) across it.

Written as D = 1 + [[c, s], [s, -c]] with (c, s) = (e cos 2φ0, e sin 2φ0), where φ0 is the long axis of the rings, from
the detector's first axis (qx, down the rows) towards its second (qy). Measured = D true; ``Calibration.distortion``.
"""

from __future__ import annotations

import numpy as np

Distortion = tuple[float, float]


def undistorted(x: np.ndarray, y: np.ndarray, distortion: Distortion) -> tuple[np.ndarray, np.ndarray]:
    """Return where measured positions, from the direct beam, would lie on a detector that distorts nothing."""
    c, s = distortion
    if not (c or s):
        return x, y
    scale = 1 / (1 - c * c - s * s)
    return scale * ((1 - c) * x - s * y), scale * ((1 + c) * y - s * x)


def distorted(x: np.ndarray, y: np.ndarray, distortion: Distortion) -> tuple[np.ndarray, np.ndarray]:
    """Return where the detector shows true positions; the inverse of ``undistorted``."""
    c, s = distortion
    return (1 + c) * x + s * y, (1 - c) * y + s * x


def ratio_and_axis(distortion: Distortion) -> tuple[float, float]:
    """Return a ring's long over its short axis, and the long one's angle in degrees (0 to 180) from the first axis."""
    c, s = distortion
    e = float(np.hypot(c, s))
    return (1 + e) / (1 - e), float(np.rad2deg(np.arctan2(s, c)) / 2 % 180)


def from_ratio_and_axis(ratio: float, axis: float) -> Distortion:
    """Return the distortion of rings with this ratio of axes and this long axis (degrees)."""
    e, twice = (ratio - 1) / (ratio + 1), np.deg2rad(2 * axis)
    return float(e * np.cos(twice)), float(e * np.sin(twice))
