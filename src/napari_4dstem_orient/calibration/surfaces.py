"""Smooth surfaces over the scan, as the direct beam follows the beam's tilt."""

from __future__ import annotations

import numpy as np

from napari_4dstem_orient.core.errors import UserError

TERMS = {"constant": 1, "plane": 3, "parabola": 6}
"""Smooth surfaces over the scan, and how many terms they have along each axis of the detector."""

WORTH = 4.0
"""F value from which the further terms of a surface are taken."""


def _design(scan_shape: tuple[int, int], surface: str) -> np.ndarray:
    """Return the surface's terms at every scan position, shape (n, terms)."""
    row, col = (np.linspace(-1, 1, size) if size > 1 else np.zeros(1) for size in scan_shape)
    row, col = (part.ravel() for part in np.meshgrid(row, col, indexing="ij"))
    terms = [np.ones_like(row), row, col, row**2, row * col, col**2]
    return np.stack(terms[: TERMS[surface]], axis=1)


def fit_surface(scan_shape: tuple[int, int], surface: str, measured: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit a surface by iteratively reweighted least squares.

    Weights are 1 / (1 + x²)², with which far ones count for nothing (S. Geman and D. E. McClure, Bull. Int. Stat.
    Inst. 52 (1987) 5).

    Parameters
    ----------
    scan_shape : (int, int)
    surface : str
        One of ``TERMS``.
    measured : ndarray, shape (n, 2)
        Beams of all positions, px; NaN where there is none.

    Returns
    -------
    surface : ndarray, shape (n, 2)
        At every position.
    spread : float
        Of the beams about it, px.

    Raises
    ------
    UserError
        If no beam was measured.
    """
    found = np.isfinite(measured[:, 0])
    if not found.any():
        raise UserError(
            "No pattern has a disk near the middle of all patterns, so there is no direct beam to centre on; "
            "check the detection, or give the origin."
        )
    design = _design(scan_shape, surface)
    terms, target = design[found], measured[found]
    weight = np.ones(len(terms))
    for _ in range(15):
        weighted = (terms * weight[:, None]).T
        coefficients, *_ = np.linalg.lstsq(weighted @ terms, weighted @ target, rcond=None)
        distance = np.hypot(*(target - terms @ coefficients).T)
        # The nearest quarter is direct beams even where most candidates are not; 0.76 of Rayleigh's width.
        spread = max(float(np.quantile(distance, 0.25)) / 0.76, 0.05)
        weight = 1 / (1 + (distance / (2 * spread)) ** 2) ** 2
    return design @ coefficients, spread


def smoothest(scan_shape: tuple[int, int], measured: np.ndarray) -> str:
    """Return the surface whose further terms are still worth it: an F test, deaf to outliers."""
    found = int(np.isfinite(measured[:, 0]).sum())
    chosen, left = "constant", np.inf
    for name, terms in TERMS.items():
        if name != "constant" and found < 4 * terms:
            break
        surface, spread = fit_surface(scan_shape, name, measured)
        square = np.nansum(np.minimum(((measured - surface) ** 2).sum(axis=1), (4 * spread) ** 2))
        gained = (left - square) / (terms - TERMS[chosen]) if name != chosen else np.inf
        if gained > WORTH * square / (found - terms if found > terms else 1):
            chosen, left = name, square
    return chosen
