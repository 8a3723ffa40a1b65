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
    standard = laue_class(phase).orix.laue.proper_subgroup.to_matrix()
    ours = phase.symmetry
    if _same_group(ours, standard):
        return np.eye(3)
    target = _frame(*_two_axes(standard))
    principal, second = _two_axes(ours)
    for sign in (1, -1):
        turn = target.T @ _frame(principal, sign * second)
        if _same_group(turn @ ours @ turn.T, standard):
            return turn
    raise ValueError(
        f"{phase.name}: its symmetry operations do not form the Laue class {laue_class(phase).symbol}"
    )


def _same_group(one: np.ndarray, other: np.ndarray) -> bool:
    distance = np.abs(one[:, None] - other).max(axis=(2, 3))
    return len(one) == len(other) and bool((distance.min(axis=1) < 0.01).all())


def _two_axes(rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a principal axis and the highest one at right angles to it (x or y where there is none)."""
    cosine = (np.trace(rotations, axis1=1, axis2=2) - 1) / 2
    turns = rotations[cosine < 0.9]
    order = np.rint(2 * np.pi / np.arccos(np.clip(cosine[cosine < 0.9], -1, 1)))
    # The projector onto a rotation's axis has the axis in each of its columns; the longest is the safest.
    projector = np.stack(
        [
            np.mean([np.linalg.matrix_power(turn, k) for k in range(int(n))], axis=0)
            for turn, n in zip(turns, order, strict=True)
        ]
    )
    column = np.linalg.norm(projector, axis=1).argmax(axis=1)
    axes = np.take_along_axis(projector, column[:, None, None], axis=2)[..., 0]
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    principal = axes[order.argmax()]
    crossing = np.abs(axes @ principal) < 0.1
    if crossing.any():
        return principal, axes[crossing][order[crossing].argmax()]
    return principal, np.eye(3)[0] if abs(principal[0]) < 0.9 else np.eye(3)[1]


def _frame(principal: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return rows x, y, z with z along the principal axis and x as near to the second as possible."""
    x = second - (second @ principal) * principal
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(principal, x), principal])
