"""How densely directions lie on the sphere."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from napari_4dstem_orient.core.memory import parts

BIN = 1.0
"""Degrees: directions nearer than this are counted together, at their mean."""
_KERNEL_CHUNK = 4_000_000


def sphere_density(directions: Iterable[np.ndarray], at: np.ndarray, sigma: float) -> np.ndarray:
    """Return the density of directions in multiples of a uniform one.

    Each direction counts as a von Mises-Fisher distribution with κ = 1/σ², which is round wherever it lies. (orix's
    ``pole_density_function`` smooths azimuth and polar angle, so a pole near the centre becomes a comet.)

    Parameters
    ----------
    directions : iterable of ndarray, shape (n, 3)
        Unit vectors, in portions.
    at : ndarray, shape (m, 3)
        Unit vectors where the density is wanted.
    sigma : float
        Smoothing in degrees.

    Returns
    -------
    ndarray, float64, shape (m,)
        0 without directions.
    """
    centre, weight = _binned(directions)
    if not len(centre):
        return np.zeros(len(at))
    kappa = 1 / np.deg2rad(sigma) ** 2
    peak = 2 * kappa / (1 - np.exp(-2 * kappa)) / weight.sum()
    at, centre, weight = (values.astype(np.float32) for values in (at, centre, weight))
    density = np.empty(len(at))
    for part in parts(len(at), max(1, _KERNEL_CHUNK // len(centre))):
        density[part] = peak * (np.exp(np.float32(kappa) * (at[part] @ centre.T - 1)) @ weight)
    return density


def _binned(directions: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean direction, shape (n, 3), and the number of those that share a bin.

    Bins are squares in Lambert's equal-area projection of either half of the sphere.
    """
    side = int(np.ceil(2 * np.sqrt(2) / np.deg2rad(BIN)))
    sums = np.zeros((2 * side * side, 4))
    for vectors in directions:
        x, y, z = vectors.T
        stretch = np.sqrt(2 / (1 + np.abs(z)))
        col, row = (
            np.clip((each * stretch / np.sqrt(8) + 0.5) * side, 0, side - 1).astype(int) for each in (x, y)
        )
        number = ((z < 0) * side + row) * side + col
        for column, weights in enumerate((x, y, z, None)):
            sums[:, column] += np.bincount(number, weights, minlength=len(sums))
    sums = sums[sums[:, 3] > 0]
    centre = sums[:, :3] / np.linalg.norm(sums[:, :3], axis=1, keepdims=True)
    return centre, sums[:, 3]
