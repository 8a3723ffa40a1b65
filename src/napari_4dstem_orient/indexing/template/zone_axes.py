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


def zone_rotations(phase: Phase, step: float) -> np.ndarray:
    """Return an orientation matrix for each of a crystal's zone axes, about ``step`` degrees apart: (z, 3, 3)."""
    axes = np.concatenate([_filled(corners, step) for corners in zone_triangles(phase)])
    aside = np.eye(3)[np.abs(axes).argmin(1)]
    x = np.cross(aside, axes)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return np.stack([x, np.cross(axes, x), axes], axis=2)


def _filled(corners: np.ndarray, step: float) -> np.ndarray:
    """Return unit vectors all over a triangle (3, 3): rows parallel to the side across from its first corner."""
    sides = np.degrees(np.arccos((corners[1:] @ corners[0]).clip(-1, 1)))
    rows = max(int(np.ceil(sides.max() / step)), 1)
    share = np.arange(1, rows + 1) / rows
    left, right = (_between(corners[0], corner, share) for corner in corners[1:])
    lines = [
        _between(one, other, np.arange(number + 2) / (number + 1))
        for number, (one, other) in enumerate(zip(left, right, strict=True))
    ]
    return np.concatenate([corners[:1], *lines])


def _between(one: np.ndarray, other: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return unit vectors on the arc from one to another."""
    arc = np.arccos((one @ other).clip(-1, 1))
    mixed = np.sin((1 - share) * arc)[:, None] * one + np.sin(share * arc)[:, None] * other
    return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)


def _wedges(start: float, end: float) -> list[list[tuple[float, float, float]]]:
    """Divide a wedge about z into such as py4DSTEM can fill: of at most 90°."""
    parts = int(np.ceil(abs(end - start) / 90))
    rim = [(np.cos(turn), np.sin(turn), 0.0) for turn in np.deg2rad(np.linspace(start, end, parts + 1))]
    return [[(0.0, 0.0, 1.0), *pair] for pair in pairwise(rim)]
