"""What spglib, the referee on symmetry, knows and finds; None where it finds nothing.

spglib 2.7 and later warn at every call unless a variable of the whole process is changed, which is not ours
to change: those warnings end here.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

SETTINGS = range(1, 531)
"""spglib's numbers of all settings of all space groups."""


@cache
def setting(hall: int) -> Any:
    """Return spglib's ``SpaceGroupType`` of a setting: number, symbols, choice of origin or axes."""
    import spglib

    return _ask(spglib.get_spacegroup_type, hall)


def setting_operations(hall: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a setting's rotations (n, 3, 3) and translations (n, 3) on fractional coordinates."""
    import spglib

    found = _ask(spglib.get_symmetry_from_database, hall)
    return found["rotations"], found["translations"]


def type_of_operations(rotations: np.ndarray, translations: np.ndarray, lattice: np.ndarray) -> Any:
    """Return the ``SpaceGroupType`` that some operations belong to."""
    import spglib

    return _ask(spglib.get_spacegroup_type_from_symmetry, rotations, translations, lattice, 1e-3)


def symmetry_of_atoms(lattice: np.ndarray, positions: np.ndarray, kinds: np.ndarray) -> Any:
    """Return spglib's ``SpglibDataset`` of atoms (tolerance 0.001 Å)."""
    import spglib

    return _ask(spglib.get_symmetry_dataset, (lattice, positions, kinds), 1e-3)


def _ask(function: Callable[..., Any], *arguments: Any) -> Any:
    import spglib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return function(*arguments)
        except spglib.SpglibError:
            return None
