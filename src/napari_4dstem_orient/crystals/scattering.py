"""How strongly atoms and crystals scatter electrons: atomic scattering factors, and structure factors from them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.resource_files import resource

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase

Scattering = Callable[[int, np.ndarray], np.ndarray]
"""A scattering factor in Å of an atomic number and of |g| in Å⁻¹."""


def lobato(number: int, g: np.ndarray) -> np.ndarray:
    """Return an element's scattering factor in Å (I. Lobato and D. Van Dyck, Acta Cryst. A 70 (2014) 636).

    Parameters
    ----------
    number : int
        Atomic number.
    g : ndarray
        Å⁻¹.
    """
    a, b = _terms("lobato", number)
    below = 1 + b * g[..., None] ** 2
    return np.asarray((a * (1 + below) / below**2).sum(-1))


def weickenmeier_kohl(number: int, g: np.ndarray) -> np.ndarray:
    """Return an element's scattering factor in Å (A. Weickenmeier and H. Kohl, Acta Cryst. A 47 (1991) 590).

    Parameters
    ----------
    number : int
        Atomic number.
    g : ndarray
        Å⁻¹.
    """
    a, b = _terms("weickenmeier_kohl", number)
    s2 = (g[..., None] / 2) ** 2
    x = b * s2
    # (1 - exp(-x)) / x below 1 by two terms of its series, as py4DSTEM has it: up to 5 % less at the first reflections,
    # but the shipped networks learnt from such patterns.
    share = np.where(x < 1, 1 - x / 2, -np.expm1(-x) / np.maximum(x, 1))
    return np.asarray((a * b * share).sum(-1))


def structure_factors(
    phase: Phase, k_max: float, scattering: Scattering = lobato
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the structure factors of all lattice points up to ``k_max`` in Å⁻¹, the direct beam and absences too.

    F = Σ f exp(2πi h · x) over the atoms (International Tables for Crystallography B, chapter 1.2), each f times
    its share of the site.

    Parameters
    ----------
    phase : Phase
    k_max : float
        Å⁻¹.
    scattering : callable
        The atoms' scattering factor in Å.

    Returns
    -------
    hkl : ndarray, int64, shape (n, 3)
    g : ndarray, float64, shape (n, 3)
        Crystal Cartesian, Å⁻¹.
    factor : ndarray, complex128, shape (n,)
        Structure factors over the cell's volume, Å⁻².

    Raises
    ------
    UserError
        They are too many.
    """
    phase.check_reflections(k_max)
    # |h| = |g · a| is never more than |g| times a.
    most = np.floor(k_max * np.linalg.norm(phase.lattice, axis=1) + 1e-6).astype(int)
    hkl = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij"), -1).reshape(-1, 3)
    g = hkl @ np.linalg.inv(phase.lattice).T
    length = np.linalg.norm(g, axis=1)
    inside = length <= k_max
    hkl, g, length = hkl[inside], g[inside], length[inside]
    of_element = {int(number): scattering(int(number), length) for number in np.unique(phase.numbers)}
    factor = np.zeros(len(hkl), np.complex128)
    for position, number, share in zip(phase.positions, phase.numbers, phase.occupancy, strict=True):
        factor += share * of_element[int(number)] * np.exp(2j * np.pi * (hkl @ position))
    return hkl, g, factor / abs(np.linalg.det(phase.lattice))


@cache
def _table(name: str) -> np.ndarray:
    """Return the terms of all elements, shape (elements, terms, 2)."""
    table = np.loadtxt(resource("scattering", f"{name}.txt"))
    return table.reshape(len(table), -1, 2)


def _terms(name: str, number: int) -> np.ndarray:
    """Return the two coefficients of each term of an element, shape (2, terms)."""
    return np.asarray(_table(name)[number - 1].T)
