"""What spglib, the reference on symmetry, knows and finds; None where it finds nothing.

spglib 2.7 and later warn at every call unless a variable of the whole process is changed, which is not ours
to change: those warnings end here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

TOLERANCE = 1e-3
"""Å; atoms this near to a symmetric place are there."""


def type_of_operations(
    rotations: np.ndarray, translations: np.ndarray, lattice: np.ndarray | None = None
) -> Any:
    """Return the ``SpaceGroupType`` that some operations belong to."""
    import spglib

    return _ask(spglib.get_spacegroup_type_from_symmetry, rotations, translations, lattice, 1e-3)


def symmetry_of_atoms(
    lattice: np.ndarray, positions: np.ndarray, kinds: np.ndarray, tolerance: float = TOLERANCE
) -> Any:
    """Return spglib's ``SpglibDataset`` of atoms."""
    import spglib

    return _ask(spglib.get_symmetry_dataset, (lattice, positions, kinds), tolerance)


def _ask(function: Callable[..., Any], *arguments: Any) -> Any:
    import spglib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return function(*arguments)
        except spglib.SpglibError:
            return None
