"""The eleven Laue classes: what file formats call them, and how a crystal sits in their standard setting."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from orix.quaternion import Symmetry

    from napari_4dstem_orient.crystals.phase import Phase


class LaueClass(NamedTuple):
    """One of the eleven Laue classes.

    Attributes
    ----------
    symbol : str
        Hermann-Mauguin symbol.
    schoenflies : str
        Name of orix's symmetry.
    edax : str
        Symmetry code in ``.ang`` files.
    channel : int
        Laue group number in ``.ctf`` files.
    last : int
        Largest space group number that belongs to it.
    """

    symbol: str
    schoenflies: str
    edax: str
    channel: int
    last: int

    @property
    def orix(self) -> Symmetry:
        """The class as orix knows it: principal axis along z, a along x."""
        from orix.quaternion import symmetry

        return getattr(symmetry, self.schoenflies)


LAUE_CLASSES = (
    LaueClass("-1", "Ci", "1", 1, 2),
    LaueClass("2/m", "C2h", "20", 2, 15),
    LaueClass("mmm", "D2h", "22", 3, 74),
    LaueClass("4/m", "C4h", "4", 4, 88),
    LaueClass("4/mmm", "D4h", "42", 5, 142),
    LaueClass("-3", "S6", "3", 6, 148),
    LaueClass("-3m", "D3d", "32", 7, 167),
    LaueClass("6/m", "C6h", "6", 8, 176),
    LaueClass("6/mmm", "D6h", "62", 9, 194),
    LaueClass("m-3", "Th", "23", 10, 206),
    LaueClass("m-3m", "Oh", "43", 11, 230),
)


def laue_class(phase: Phase) -> LaueClass:
    """Return the Laue class of a crystal."""
    return next(laue for laue in LAUE_CLASSES if phase.space_group <= laue.last)


def is_hexagonal(phase: Phase) -> bool:
    """Tell whether the cell has hexagonal axes, so that four-index directions make sense."""
    a, b, _, *angles = phase.cell
    return bool(np.isclose(a, b, rtol=1e-3) and np.allclose(angles, (90, 90, 120), atol=0.1))


@lru_cache(maxsize=64)
def to_standard(phase: Phase) -> np.ndarray:
    """Return the rotation from the phase's Cartesian coordinates to those of orix's Laue class, shape (3, 3).

    The identity for nearly all crystals. Not so for monoclinic ones with b unique (orix wants the twofold
    axis along z), for -31m (twofold axes at right angles to a) and for rhombohedral or primitive axes.
    """
    standard = laue_class(phase).orix.proper_subgroup.to_matrix()
    settings = (np.eye(3), phase._spglib.std_rotation_matrix)
    for turn in (extra @ setting for extra in (np.eye(3), B_TO_Z, _ABOUT_Z) for setting in settings):
        if same_operations(turn @ phase.symmetry @ turn.T, standard):
            return turn
    raise ValueError(f"{phase.name}: its operations do not form the Laue class {laue_class(phase).symbol}")


B_TO_Z = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""``to_standard`` of monoclinic crystals with b unique."""
_ABOUT_Z = np.array([[np.sqrt(3), -1, 0], [1, np.sqrt(3), 0], [0, 0, 2]]) / 2


def same_operations(one: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether two sets of matrices, shape (n, 3, 3), hold the same, in any order."""
    distance = np.abs(one[:, None] - other).max(axis=(2, 3))
    return len(one) == len(other) and bool((distance.min(axis=1) < 0.01).all())
