"""Zone axes that need templates: of those that a crystal's symmetry makes alike only one, whatever its axes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from napari_4dstem_orient.crystals.laue import laue_class, to_standard
from napari_4dstem_orient.crystals.phase import Phase

_WEDGES = {
    "-1": (0, 360),
    "2/m": (0, 180),
    "mmm": (0, 90),
    "4/m": (0, 90),
    "4/mmm": (0, 45),
    "-3": (0, 120),
    "-3m": (-30, 30),
    "6/m": (0, 60),
    "6/mmm": (30, 0),
}
"""Degrees from a about the principal axis, between which a Laue class's zone axes lie down to the equator."""

_CUBIC = {"m-3": [(0, 0, 1), (1, 0, 0), (1, 1, 1)], "m-3m": [(0, 0, 1), (0, 1, 1), (1, 1, 1)]}


def zone_triangles(phase: Phase) -> np.ndarray:
    """Return spherical triangles that together hold each zone axis of a crystal, once.

    Zone axes count as one if the Laue group, inversion included, makes one of the other: a template's mirrored
    pattern is matched too, and that is the pattern of the opposite zone axis.

    Returns
    -------
    ndarray, shape (t, 3, 3)
        Corners, one a row, as unit vectors in crystal Cartesian coordinates; no side is longer than 90°.
    """
    symbol = laue_class(phase).symbol
    corners = np.array([_CUBIC[symbol]] if symbol in _CUBIC else _wedges(*_WEDGES[symbol]), float)
    corners /= np.linalg.norm(corners, axis=-1, keepdims=True)
    return corners @ to_standard(phase)


def zone_count(triangles: np.ndarray, step: float) -> int:
    """Return how many zone axes py4DSTEM makes of triangles (t, 3, 3), ``step`` degrees apart."""
    sides = np.degrees(np.arccos(np.einsum("tk,tck->tc", triangles[:, 0], triangles[:, 1:]).clip(-1, 1)))
    rows = np.rint(sides.max(1) / step).astype(int)
    return int(((rows + 1) * (rows + 2) // 2).sum())


def _wedges(start: float, end: float) -> list[list[tuple[float, float, float]]]:
    """Divide a wedge about z into such as py4DSTEM can fill: of at most 90°."""
    parts = int(np.ceil(abs(end - start) / 90))
    rim = [(np.cos(turn), np.sin(turn), 0.0) for turn in np.deg2rad(np.linspace(start, end, parts + 1))]
    return [[(0.0, 0.0, 1.0), *pair] for pair in pairwise(rim)]
