"""Grains: connected positions of one phase without a boundary between them, and what is true of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from napari_4dstem_orient.analysis.boundaries import (
    Neighbours,
    boundary_kinds,
    kernel_average,
    neighbour_angles,
)
from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.core.parameters import parameter
from napari_4dstem_orient.core.progress import Progress, silent

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap

_CHUNK = 65_536
_PASSES = 3
"""How often all orientations of a grain are brought next to its mean: the first mean may be of a bent grain's edge."""


@dataclass(frozen=True)
class GrainSettings:
    """What makes a grain.

    Attributes
    ----------
    threshold : float
        Degrees of misorientation between neighbours above which there is a boundary.
    smallest : int
        Positions that a grain must have; fewer make none.
    """

    threshold: Annotated[
        float,
        parameter(
            "Boundary above",
            "Misorientation of neighbouring positions above which a boundary runs between them. "
            "Larger than the map's noise; 15 shows high-angle boundaries only.",
            "°",
            min=0.5,
            max=62.0,
            step=0.5,
        ),
    ] = 5.0
    smallest: Annotated[
        int,
        parameter(
            "Smallest grain",
            "Connected positions fewer than these make no grain.",
            "positions",
            min=1,
            max=1_000_000,
        ),
    ] = 4


@dataclass(frozen=True, eq=False)
class Grains:
    """The grains of a map, the largest first; n is their number.

    Attributes
    ----------
    orientation_map : OrientationMap
    settings : GrainSettings
    boundaries : Neighbours
        A ``Boundary`` between each pair of neighbouring positions.
    label : ndarray, int32, shape (scan_y, scan_x)
        1 to n; 0 where there is no answer or the grain would be too small.
    deviation : ndarray, float32, shape (scan_y, scan_x)
        Misorientation from the grain's mean in degrees; NaN outside grains.
    kernel : ndarray, float32, shape (scan_y, scan_x)
        Kernel average misorientation in degrees (see ``kernel_average``), boundaries left out; NaN where there is none.
    phase_id : ndarray, int32, shape (n,)
        Index into the map's phases.
    size : ndarray, int64, shape (n,)
        Positions.
    mean : ndarray, float64, shape (n, 3, 3)
        Mean orientation matrices (columns are the lab axes in crystal Cartesian coordinates).
    spread : ndarray, float64, shape (n,)
        Grain orientation spread: mean misorientation from the mean orientation, degrees.
    score : ndarray, float64, shape (n,)
        Mean score.
    reliability : ndarray, float64, shape (n,), or None
        Mean reliability; None where the map does not know it.
    middle : ndarray, int64, shape (n, 2)
        The grain's own position (row, column) that is nearest to its centre of mass.
    """

    orientation_map: OrientationMap
    settings: GrainSettings
    boundaries: Neighbours
    label: np.ndarray
    deviation: np.ndarray
    kernel: np.ndarray
    phase_id: np.ndarray
    size: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    score: np.ndarray
    reliability: np.ndarray | None
    middle: np.ndarray

    def __len__(self) -> int:
        return len(self.size)

    @property
    def area(self) -> np.ndarray | None:
        """Area of each grain in nm²; None where the scan step is unknown."""
        step = self.orientation_map.r_pixel
        return None if step is None else self.size * step**2

    @property
    def diameter(self) -> np.ndarray | None:
        """Diameter in nm of the circle of the same area; None where the scan step is unknown."""
        return None if self.area is None else 2 * np.sqrt(self.area / np.pi)

    @property
    def spread_map(self) -> np.ndarray:
        """Grain orientation spread at each position, float32, shape (scan_y, scan_x); NaN outside grains.

        GOS in EBSD: S. I. Wright et al., Microsc. Microanal. 17 (2011) 316.
        """
        return np.append(np.nan, self.spread)[self.label].astype(np.float32)

    def boundary_length(self, kind: int) -> float:
        """Return the length of all boundaries of one kind, in nm, or in positions where the step is unknown.

        Along the sides of square positions, as drawn: a slanting boundary counts as its steps.
        """
        down, along = self.orientation_map.steps or (1.0, 1.0)
        # Between a position and the one below it, the boundary is as long as a step along the row.
        return float(
            (self.boundaries.down == kind).sum() * along + (self.boundaries.right == kind).sum() * down
        )


def find_grains(
    orientation_map: OrientationMap, settings: GrainSettings | None = None, progress: Progress = silent
) -> Grains:
    """Find the grains of a map.

    Two neighbouring positions (four neighbours each) belong to one grain if they are of one phase and turned against
    each other by no more than the threshold.

    Parameters
    ----------
    orientation_map : OrientationMap
    settings : GrainSettings, optional
    progress : callable
    """
    settings = settings or GrainSettings()
    angles = neighbour_angles(orientation_map, progress)
    label = _connect(orientation_map.indexed, angles, settings)
    return _measure(orientation_map, settings, angles, label)


def _connect(indexed: np.ndarray, angles: Neighbours, settings: GrainSettings) -> np.ndarray:
    """Give numbers to the connected positions, the largest grain first, 0 where there is none."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    number = np.arange(indexed.size, dtype=np.int32).reshape(indexed.shape)
    down, right = angles.down <= settings.threshold, angles.right <= settings.threshold
    one = np.concatenate([number[:-1][down], number[:, :-1][right]])
    other = np.concatenate([number[1:][down], number[:, 1:][right]])
    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(indexed.size,) * 2)
    _, component = connected_components(graph, directed=False)
    size = np.bincount(component[indexed.ravel()], minlength=component.max(initial=-1) + 1)
    order = np.argsort(-size, kind="stable")
    kept = order[size[order] >= settings.smallest]
    names = np.zeros(len(size), np.int32)
    names[kept] = np.arange(1, len(kept) + 1)
    return np.where(indexed, names[component].reshape(indexed.shape), 0).astype(np.int32)


def _measure(
    orientation_map: OrientationMap, settings: GrainSettings, angles: Neighbours, label: np.ndarray
) -> Grains:
    inside = label > 0
    grain = label[inside] - 1
    size = np.bincount(grain)
    where = np.argwhere(inside)
    middle = _middles(where, grain, size)
    phase_id = orientation_map.phase_id[tuple(middle.T)].astype(np.int32)
    mean = orientation_map.rotation[tuple(middle.T)].astype(float)
    off = np.zeros(len(grain))
    for number, phase in enumerate(orientation_map.phases):
        here = phase_id[grain] == number
        if here.any():
            rotation = orientation_map.rotation[inside][here]
            off[here] = average(rotation, grain[here], mean, phase.symmetry)
    deviation = np.full(label.shape, np.nan, np.float32)
    deviation[inside] = off
    certainty = orientation_map.certainty

    def of_each(values: np.ndarray) -> np.ndarray:
        return np.bincount(grain, values) / size

    return Grains(
        orientation_map=orientation_map,
        settings=settings,
        boundaries=boundary_kinds(orientation_map, angles, settings.threshold),
        label=label,
        deviation=deviation,
        kernel=kernel_average(angles, settings.threshold),
        phase_id=phase_id,
        size=size,
        mean=mean,
        spread=of_each(off),
        score=of_each(orientation_map.score[inside]),
        reliability=None if certainty is None else of_each(certainty.reliability[inside]),
        middle=middle,
    )


def _middles(where: np.ndarray, grain: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return each grain's position nearest to its centre of mass, shape (n, 2)."""
    if not len(grain):
        return np.zeros((0, 2), int)
    centre = np.stack([np.bincount(grain, axis) / size for axis in where.T], axis=1)
    distance = np.square(where - centre[grain]).sum(axis=1)
    order = np.lexsort((distance, grain))
    return where[order[np.cumsum(size) - size]]


def average(rotation: np.ndarray, grain: np.ndarray, mean: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
    """Put the mean orientation of each grain in place; return each position's misorientation from it in degrees.

    The mean of unit quaternions (eigenvector of Σ q qᵀ) is the rotation nearest to the sum of the matrices
    (F. L. Markley et al., J. Guidance 30 (2007) 1193), all of one symmetry variant: that nearest to the mean so far.
    """
    present = np.unique(grain)
    for _ in range(_PASSES):
        total = np.zeros((len(mean), 9))
        for part in parts(len(grain), _CHUNK):
            near = nearest_variant(rotation[part], mean[grain[part]], symmetry).reshape(-1, 9)
            for entry in range(9):
                total[:, entry] += np.bincount(grain[part], near[:, entry], minlength=len(mean))
        u, _, vt = np.linalg.svd(total[present].reshape(-1, 3, 3))
        u[:, :, 2] *= np.linalg.det(u @ vt)[:, None]
        mean[present] = u @ vt
    off = np.empty(len(grain))
    for part in parts(len(grain), _CHUNK):
        goal = mean[grain[part]]
        apart = nearest_variant(rotation[part], goal, symmetry) - goal
        chord = np.sqrt(np.einsum("nij,nij->n", apart, apart) / 8)
        off[part] = np.rad2deg(2 * np.arcsin(np.clip(chord, 0, 1)))
    return off


def nearest_variant(rotation: np.ndarray, goal: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
    """Return of each orientation the equivalent S R that is nearest to the goal, shape (n, 3, 3)."""
    rotation = rotation.astype(float)
    traces = (goal @ rotation.swapaxes(1, 2)).reshape(-1, 9) @ symmetry.reshape(-1, 9).T
    return symmetry[traces.argmax(axis=1)] @ rotation
