"""How the orientation changes along a line over the map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.crystals.misorientation import misorientation

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap


@dataclass(frozen=True, eq=False)
class Profile:
    """Misorientations along a line of n scan positions.

    Attributes
    ----------
    positions : ndarray, int64, shape (n, 2)
        Row and column of each, from the line's start to its end.
    distance : ndarray, float64, shape (n,)
        From the start: nm, or scan positions where the step is unknown.
    to_start : ndarray, float64, shape (n,)
        Misorientation from the start in degrees; NaN where there is no answer, or one of another phase.
    to_former : ndarray, float64, shape (n,)
        Misorientation from the position before; NaN also at the start.
    unit : str
        Of ``distance``.
    """

    positions: np.ndarray
    distance: np.ndarray
    to_start: np.ndarray
    to_former: np.ndarray
    unit: str


def line_profile(
    orientation_map: OrientationMap, start: tuple[float, float], end: tuple[float, float]
) -> Profile:
    """Follow a straight line over a map, one position for each step along its longer direction.

    Parameters
    ----------
    orientation_map : OrientationMap
    start, end : (float, float)
        Row and column; what lies outside the map is moved to its rim.
    """
    last = np.array(orientation_map.scan_shape) - 1
    ends = np.clip(np.rint([start, end]).astype(int), 0, last)
    count = np.abs(ends[1] - ends[0]).max() + 1
    positions = np.rint(np.linspace(ends[0], ends[1], int(count))).astype(int)
    rotation, phase_id = (
        values[tuple(positions.T)] for values in (orientation_map.rotation, orientation_map.phase_id)
    )
    to_start, to_former = np.full((2, count), np.nan)
    for number, phase in enumerate(orientation_map.phases):
        here = phase_id == number
        if here[0]:
            to_start[here] = misorientation(rotation[here], rotation[0], phase)
        pairs = np.flatnonzero(here[1:] & here[:-1])
        to_former[pairs + 1] = misorientation(rotation[pairs + 1], rotation[pairs], phase)
    steps = orientation_map.steps
    distance = np.hypot(*((positions - positions[0]) * (steps or (1.0, 1.0))).T)
    return Profile(positions, distance, to_start, to_former, "positions" if steps is None else "nm")
