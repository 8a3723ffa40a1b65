"""The smallest angle between two orientations of a crystal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.memory import parts

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase

_CHUNK = 65_536


def misorientation(first: np.ndarray, second: np.ndarray, phase: Phase) -> np.ndarray:
    """Return the disorientation angle: the smallest over all symmetrically equivalent descriptions.

    A symmetry operation S acts on the left of an orientation matrix: S R is the same crystal, R S is not.

    The name and the thing: H. Grimmer, Acta Cryst. A 30 (1974) 685.

    Parameters
    ----------
    first, second : ndarray, shape (..., 3, 3)
        Orientation matrices (columns are the lab axes in crystal Cartesian coordinates); leading dimensions
        broadcast.
    phase : Phase
        The crystal both belong to.

    Returns
    -------
    angle : ndarray, float64, shape (...)
        Degrees.
    """
    first, second = np.broadcast_arrays(np.asarray(first, float), np.asarray(second, float))
    one, other = first.reshape(-1, 3, 3), second.reshape(-1, 3, 3)
    angle = np.empty(len(one))
    for part in parts(len(one), _CHUNK):
        angle[part] = _smallest_angle(one[part], other[part], phase.symmetry)
    return angle.reshape(first.shape[:-2])


def _smallest_angle(first: np.ndarray, second: np.ndarray, symmetry: np.ndarray) -> np.ndarray:
    # trace(firstᵀ S second) for every S in one product; the largest trace belongs to the smallest angle.
    traces = (first @ second.swapaxes(1, 2)).reshape(-1, 9) @ symmetry.reshape(-1, 9).T
    nearest = symmetry[traces.argmax(axis=1)]
    # The arc cosine of a trace is blind below 0.03° in single precision; the length of the difference is not.
    chord = np.linalg.norm(first - nearest @ second, axis=(1, 2)) / np.sqrt(8)
    return np.rad2deg(2 * np.arcsin(np.clip(chord, 0, 1)))
