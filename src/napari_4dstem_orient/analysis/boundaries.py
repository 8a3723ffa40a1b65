"""Where neighbouring scan positions are turned against each other, and lines to draw there."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.analysis.special_boundaries import from_special, is_cubic, tolerance
from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.crystals.misorientation import misorientation

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap

HIGH_ANGLE = 15.0
"""Degrees from which a boundary counts as one of high angle: the usual convention."""
_CHUNK = 65_536


class Boundary(IntEnum):
    """What lies between two neighbouring positions."""

    NONE = 0
    LOW_ANGLE = 1
    HIGH_ANGLE = 2
    TWIN = 3
    PHASE = 4

    @property
    def text(self) -> str:
        """What to call it."""
        return {
            Boundary.NONE: "none",
            Boundary.LOW_ANGLE: f"low angle (below {HIGH_ANGLE:.0f}°)",
            Boundary.HIGH_ANGLE: f"high angle (from {HIGH_ANGLE:.0f}°)",
            Boundary.TWIN: "Σ3 twin",
            Boundary.PHASE: "between phases",
        }[self]


@dataclass(frozen=True, eq=False)
class Neighbours:
    """One value for each pair of neighbouring scan positions.

    Attributes
    ----------
    down : ndarray, shape (scan_y - 1, scan_x)
        Between a position and the one below it (next row).
    right : ndarray, shape (scan_y, scan_x - 1)
        Between a position and the one right of it (next column).
    """

    down: np.ndarray
    right: np.ndarray


def neighbour_angles(orientation_map: OrientationMap, progress: Progress = silent) -> Neighbours:
    """Return the misorientation of every pair of neighbours, float32, in degrees.

    NaN where one of the two has no answer, or they belong to different phases. Memory beside the result is that
    of a few rows.
    """
    rows, cols = orientation_map.scan_shape
    down = np.full((max(rows - 1, 0), cols), np.nan, np.float32)
    right = np.full((rows, max(cols - 1, 0)), np.nan, np.float32)
    step = max(1, _CHUNK // max(cols, 1))
    for top in range(0, rows, step):
        bottom = min(top + step, rows)
        here = np.s_[top:bottom]
        right[here] = _angles(orientation_map, (here, np.s_[:-1]), (here, np.s_[1:]))
        last = min(bottom, rows - 1)
        if last > top:
            down[top:last] = _angles(orientation_map, np.s_[top:last, :], np.s_[top + 1 : last + 1, :])
        progress(bottom, rows)
    return Neighbours(down, right)


def _angles(orientation_map: OrientationMap, one: tuple, other: tuple) -> np.ndarray:
    phase, rotation = orientation_map.phase_id, orientation_map.rotation
    same = np.where(phase[one] == phase[other], phase[one], -1)
    angles = np.full(same.shape, np.nan, np.float32)
    for number, crystal in enumerate(orientation_map.phases):
        pairs = same == number
        if pairs.any():
            angles[pairs] = misorientation(rotation[one][pairs], rotation[other][pairs], crystal)
    return angles


def kernel_average(angles: Neighbours, most: float) -> np.ndarray:
    """Return the kernel average misorientation of each position, float32, shape (scan_y, scan_x), degrees.

    The mean over those of its four neighbours that are turned against it by no more than ``most`` degrees, which
    leaves boundaries out; NaN where there is none.

    KAM, and what it says of strain: S. I. Wright et al., Microsc. Microanal. 17 (2011) 316.
    """
    shape = len(angles.right), angles.down.shape[1]
    total, count = np.zeros(shape), np.zeros(shape, int)
    for values, one, other in (
        (angles.down, np.s_[:-1], np.s_[1:]),
        (angles.right, np.s_[:, :-1], np.s_[:, 1:]),
    ):
        within = values <= most
        for side in (one, other):
            total[side] += np.where(within, values, 0)
            count[side] += within
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def boundary_kinds(orientation_map: OrientationMap, angles: Neighbours, threshold: float) -> Neighbours:
    """Tell what lies between every pair of neighbours.

    Parameters
    ----------
    orientation_map : OrientationMap
    angles : Neighbours
        As ``neighbour_angles`` returns them.
    threshold : float
        Degrees above which there is a boundary.

    Returns
    -------
    Neighbours
        ``Boundary`` values, uint8. Twins are Σ3 within Brandon's tolerance, and only known in cubic crystals. A
        position without an answer has no boundary.
    """
    all_rows = np.s_[:]
    return Neighbours(
        _kinds(orientation_map, angles.down, threshold, np.s_[:-1, :], np.s_[1:, :]),
        _kinds(orientation_map, angles.right, threshold, (all_rows, np.s_[:-1]), (all_rows, np.s_[1:])),
    )


def _kinds(
    orientation_map: OrientationMap, angles: np.ndarray, threshold: float, one: tuple, other: tuple
) -> np.ndarray:
    phase, rotation = orientation_map.phase_id, orientation_map.rotation
    kinds = np.zeros(angles.shape, np.uint8)
    kinds[angles > threshold] = Boundary.LOW_ANGLE
    kinds[(angles > threshold) & (angles >= HIGH_ANGLE)] = Boundary.HIGH_ANGLE
    kinds[(phase[one] != phase[other]) & (phase[one] >= 0) & (phase[other] >= 0)] = Boundary.PHASE
    for number, crystal in enumerate(orientation_map.phases):
        if not is_cubic(crystal):
            continue
        near = (kinds == Boundary.HIGH_ANGLE) & (angles > 60 - tolerance(3)) & (phase[one] == number)
        row, col = np.nonzero(near)
        for part in ((row[some], col[some]) for some in parts(len(row), _CHUNK)):
            off = from_special(rotation[one][part], rotation[other][part], crystal, "Σ3")
            twins = off <= tolerance(3)
            kinds[part[0][twins], part[1][twins]] = Boundary.TWIN
    return kinds


def edge_lines(edges: Neighbours) -> np.ndarray:
    """Return straight lines along the pairs of neighbours that are marked.

    Parameters
    ----------
    edges : Neighbours
        Boolean.

    Returns
    -------
    ndarray, float32, shape (n, 2, 2)
        Start and extent (row, column) of each line, in scan positions whose centres are whole numbers. Marks in
        a row make one line, so that even a map of noise is not many lines.
    """
    return np.concatenate([_runs(edges.down), _runs(edges.right.T)[..., ::-1]])


def outline(inside: np.ndarray) -> np.ndarray:
    """Return lines around the positions that are marked, shape (scan_y, scan_x), as ``edge_lines`` does."""
    framed = np.pad(inside, 1)
    lines = edge_lines(Neighbours(framed[1:] != framed[:-1], framed[:, 1:] != framed[:, :-1]))
    lines[:, 0] -= 1
    return lines


def _runs(edges: np.ndarray) -> np.ndarray:
    """Return the lines below positions (r, c) that are marked, shape (n, 2, 2)."""
    change = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    (row, first), (_, end) = np.nonzero(change == 1), np.nonzero(change == -1)
    start = np.stack([row + 0.5, first - 0.5], axis=-1)
    extent = np.stack([np.zeros(len(row)), end - first], axis=-1)
    return np.stack([start, extent], axis=1).astype(np.float32)
