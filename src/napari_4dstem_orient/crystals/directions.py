"""Crystal directions as small integers: what lies along the beam and along the scan."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.crystals.laue import is_hexagonal

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase

MAX_INDEX = 6
# How many degrees nearer a direction must be to be worth one more unit in its indices.
_DEGREES_PER_INDEX = 0.2
# Inside the standard triangle of every Laue class: the equivalent orientation nearest to it is shown.
_INSIDE = np.array([0.9, 0.25, 1.2])
_CHUNK = 16_384


class Direction(NamedTuple):
    """A lattice direction near a given one.

    Attributes
    ----------
    indices : tuple of int
        [u v w], or the four indices [u v t w] for a hexagonal cell.
    error : float
        Angle to the true direction in degrees.
    """

    indices: tuple[int, ...]
    error: float

    @property
    def text(self) -> str:
        """Plain text, such as ``[1 -1 0]``."""
        return "[" + " ".join(str(index) for index in self.indices) + "]"

    @property
    def mathtext(self) -> str:
        """The same for matplotlib, with overbars."""
        return f"$[{overbarred(self.indices)}]$"


def overbarred(indices: Sequence[int]) -> str:
    """Return indices in matplotlib's mathtext, without brackets."""
    bars = [str(index) if index >= 0 else rf"\bar{{{-index}}}" for index in indices]
    return r"\mathregular{" + r"\,".join(bars) + "}"


def zone_axis(rotation: np.ndarray, phase: Phase) -> Direction:
    """Return the lattice direction along lab z (out of plane, towards the viewer).

    Symmetrically equivalent orientations give the same answer, in the same variant as ``in_plane_direction``.

    Parameters
    ----------
    rotation : ndarray, shape (3, 3)
        Orientation matrix: its third column is lab z in crystal Cartesian coordinates.
    phase : Phase
    """
    return nearest_direction(standard_variant(rotation, phase)[:, 2], phase)


def in_plane_direction(rotation: np.ndarray, phase: Phase) -> Direction:
    """Return the lattice direction along lab x (in plane, down the scan's rows); see ``zone_axis``."""
    return nearest_direction(standard_variant(rotation, phase)[:, 0], phase)


def standard_variant(rotation: np.ndarray, phase: Phase) -> np.ndarray:
    """Return the equivalents S R, shape (..., 3, 3), whose zone axes lie in, or next to, the standard triangle."""
    rotation = np.asarray(rotation, float)
    # Variants that share a zone axis differ in lab x only: that breaks the tie.
    nearness = (rotation[..., 2] + 1e-3 * rotation[..., 0]) @ (_INSIDE @ phase.symmetry).T
    return phase.symmetry[nearness.argmax(axis=-1)] @ rotation


def standard_direction(vector: np.ndarray, phase: Phase) -> np.ndarray:
    """Return the equivalent of an axis (± alike), shape (3,), that lies in, or next to, the standard triangle."""
    variants = phase.symmetry @ np.asarray(vector, float)
    variants = np.concatenate([variants, -variants])
    return variants[(variants @ _INSIDE).argmax()]


def nearest_direction(vector: np.ndarray, phase: Phase) -> Direction:
    """Return the simplest lattice direction near a vector in crystal Cartesian coordinates, shape (3,)."""
    unit = np.asarray(vector, float) / np.linalg.norm(vector)
    (indices,), (error,) = _nearest_directions(unit[None], phase)
    return Direction(tuple(indices.tolist()), float(error))


def zone_axes(rotations: np.ndarray, phase: Phase) -> tuple[np.ndarray, np.ndarray]:
    """Return what ``zone_axis`` says of many orientations at once; see ``_nearest_directions``.

    Parameters
    ----------
    rotations : ndarray, shape (n, 3, 3)
    phase : Phase
    """
    return _nearest_directions(standard_variant(rotations, phase)[:, :, 2], phase)


def in_plane_directions(rotations: np.ndarray, phase: Phase) -> tuple[np.ndarray, np.ndarray]:
    """Return what ``in_plane_direction`` says of many orientations at once; see ``zone_axes``."""
    return _nearest_directions(standard_variant(rotations, phase)[:, :, 0], phase)


def _nearest_directions(vectors: np.ndarray, phase: Phase) -> tuple[np.ndarray, np.ndarray]:
    """Return the simplest lattice direction near each vector.

    Parameters
    ----------
    vectors : ndarray, shape (n, 3)
        In crystal Cartesian coordinates, of length 1.

    Returns
    -------
    indices : ndarray, int, shape (n, 3) or (n, 4)
        [u v w], or [u v t w] for a hexagonal cell.
    error : ndarray, float64, shape (n,)
        Angle to the true direction in degrees.
    """
    indices, units, size = _candidates(phase)
    best, error = np.zeros(len(vectors), int), np.full(len(vectors), np.inf)
    lowest = error.copy()
    # All directions of one size cost the same, so that only the nearest of them needs its angle.
    for group in (np.flatnonzero(size == cost) for cost in np.unique(size)):
        for part in parts(len(vectors), _CHUNK):
            cosine = vectors[part] @ units[group].T
            nearest = cosine.argmax(axis=1)
            # From the length of the difference: the arc cosine is blind for small angles.
            chord = np.linalg.norm(vectors[part] - units[group[nearest]], axis=1)
            angle = np.rad2deg(2 * np.arcsin(np.clip(chord / 2, 0, 1)))
            price = angle + _DEGREES_PER_INDEX * size[group[0]]
            better = price < lowest[part]
            best[part][better] = group[nearest[better]]
            error[part][better], lowest[part][better] = angle[better], price[better]
    return indices[best], error


@lru_cache(maxsize=16)
def _candidates(phase: Phase) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return all small indices, their unit vectors and their sizes (sum of the absolute indices)."""
    steps = np.arange(-MAX_INDEX, MAX_INDEX + 1)
    uvw = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    uvw = uvw[np.gcd.reduce(uvw, axis=1) == 1]
    vectors = uvw @ phase.lattice
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    indices = four_indices(uvw) if is_hexagonal(phase) else uvw
    small = np.abs(indices).max(axis=1) <= MAX_INDEX
    return indices[small], units[small], np.abs(indices[small]).sum(axis=1)


def four_indices(uvw: np.ndarray) -> np.ndarray:
    """Turn directions [U V W] of a hexagonal cell, shape (..., 3), into coprime [u v t w], shape (..., 4).

    Weber's indices, u = (2U - V) / 3, v = (2V - U) / 3, t = -(u + v), w = W (L. Weber, Z. Kristallogr. 57 (1922)
    200).
    """
    u, v, w = np.moveaxis(np.asarray(uvw), -1, 0)
    indices = np.stack([2 * u - v, 2 * v - u, -(u + v), 3 * w], axis=-1)
    return indices // np.gcd.reduce(indices, axis=-1)[..., None]
