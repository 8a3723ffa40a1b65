"""The rings on which a crystal's reflections lie, however it is turned."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase

FAINT = 1e-3
"""Share of the brightest ring's intensity below which a ring is left out."""


class Rings(NamedTuple):
    """Rings, innermost first.

    Attributes
    ----------
    radii : ndarray, shape (n,)
        Å⁻¹.
    intensity : ndarray, shape (n,)
        Of all reflections of a ring together.
    hkl : ndarray of int, shape (n, 3)
        Indices of one reflection of each, such as (1, 1, 1).
    """

    radii: np.ndarray
    intensity: np.ndarray
    hkl: np.ndarray


def rings_of(phase: Phase, k_max: float) -> Rings:
    """Return the rings of a crystal up to ``k_max`` (Å⁻¹), those without intensity left out."""
    reflections = phase.reflections(round(k_max, 2) + 0.01)
    length = np.linalg.norm(reflections.g, axis=1)
    radii, which = np.unique(np.round(length, 4), return_inverse=True)
    which = which.ravel()
    intensity = np.bincount(which, reflections.intensity)
    kept = np.flatnonzero(intensity > FAINT * intensity.max(initial=0))
    hkl = reflections.hkl
    # The largest first indices, none negative where there is such a reflection.
    order = np.lexsort((-hkl[:, 2], -hkl[:, 1], -hkl[:, 0], (hkl < 0).any(axis=1), which))
    first = order[np.searchsorted(which[order], kept)]
    return Rings(radii[kept], intensity[kept], hkl[first])
