"""The misorientation of two crystals with its axis, and the special boundaries of cubic crystals by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.crystals.directions import Direction, nearest_direction, standard_direction
from napari_4dstem_orient.crystals.laue import laue_class, to_standard

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase

SPECIAL: dict[str, tuple[int, int, int, int]] = {
    "Σ3": (3, 1, 1, 1),
    "Σ5": (3, 1, 0, 0),
    "Σ7": (5, 1, 1, 1),
    "Σ9": (4, 1, 1, 0),
    "Σ11": (3, 1, 1, 0),
    "Σ13a": (5, 1, 0, 0),
    "Σ13b": (7, 1, 1, 1),
    "Σ15": (5, 2, 1, 0),
    "Σ17a": (4, 1, 0, 0),
    "Σ17b": (5, 2, 2, 1),
    "Σ19a": (6, 1, 1, 0),
    "Σ19b": (4, 1, 1, 1),
    "Σ21a": (9, 1, 1, 1),
    "Σ21b": (6, 2, 1, 1),
    "Σ23": (9, 3, 1, 1),
    "Σ25a": (7, 1, 0, 0),
    "Σ25b": (9, 3, 3, 1),
    "Σ27a": (5, 1, 1, 0),
    "Σ27b": (7, 2, 1, 0),
    "Σ29a": (5, 2, 0, 0),
    "Σ29b": (7, 2, 2, 1),
}
"""Coincidence site lattices of cubic crystals up to Σ29, each as a quaternion of whole numbers (m, u, v, w): a turn
about [u v w] by 2 arctan(√(u² + v² + w²) / m). Σ is the odd part of m² + u² + v² + w² (H. Grimmer, W. Bollmann and
D. H. Warrington, Acta Cryst. A30 (1974) 197)."""

_NO_AXIS = 0.01
"""Degrees below which a turn has no axis worth telling."""


@dataclass(frozen=True)
class Misorientation:
    """How two crystals of one phase are turned against each other.

    Attributes
    ----------
    angle : float
        Degrees: the smallest over all symmetrically equivalent descriptions.
    axis : Direction or None
        The lattice direction nearest to the axis, common to both crystals, in the standard triangle; None where
        they are not turned.
    special : str
        Name of the special boundary, such as ``"Σ3"``; empty where it is none.
    off : float
        Degrees from that special boundary; NaN where it is none.
    """

    angle: float
    axis: Direction | None
    special: str = ""
    off: float = np.nan

    @property
    def text(self) -> str:
        """For example ``60.0° about ⟨1 1 1⟩: Σ3, 0.4° off (up to 8.7° allowed)``."""
        words = f"{self.angle:.1f}°"
        if self.axis is not None:
            words += f" about ⟨{self.axis.text[1:-1]}⟩"
            words += f" ({self.axis.error:.1f}° off it)" if self.axis.error >= 0.5 else ""
        if self.special:
            allowed = tolerance(_sigma(self.special))
            words += f": {self.special}, {self.off:.1f}° off (up to {allowed:.1f}° allowed)"
        return words


def misorientation_between(first: np.ndarray, second: np.ndarray, phase: Phase) -> Misorientation:
    """Return how two crystals are turned against each other: angle, axis and, in cubic crystals, name.

    Parameters
    ----------
    first, second : ndarray, shape (3, 3)
        Orientation matrices (columns are the lab axes in crystal Cartesian coordinates).
    phase : Phase
        The crystal both belong to.
    """
    from scipy.spatial.transform import Rotation

    # R₁ R₂ᵀ takes crystal coordinates of the second into those of the first; symmetry acts on either side.
    between = np.asarray(first, float) @ np.asarray(second, float).T
    variants = (phase.symmetry[:, None] @ between @ phase.symmetry[None]).reshape(-1, 3, 3)
    vectors = Rotation.from_matrix(variants).as_rotvec()
    vector = vectors[np.linalg.norm(vectors, axis=1).argmin()]
    angle = float(np.rad2deg(np.linalg.norm(vector)))
    axis = nearest_direction(standard_direction(vector, phase), phase) if angle > _NO_AXIS else None
    if not is_cubic(phase):
        return Misorientation(angle, axis)
    off = {name: float(from_special(first, second, phase, name)[0]) for name in SPECIAL}
    # Tolerances overlap: the boundary that is nearest in units of its own tolerance gives the name.
    best = min(off, key=lambda name: off[name] / tolerance(_sigma(name)))
    if off[best] > tolerance(_sigma(best)):
        return Misorientation(angle, axis)
    return Misorientation(angle, axis, best, off[best])


def from_special(first: np.ndarray, second: np.ndarray, phase: Phase, name: str) -> np.ndarray:
    """Return how far pairs of orientations are from a special boundary of a cubic crystal.

    Parameters
    ----------
    first, second : ndarray, shape (n, 3, 3) or (3, 3)
        Orientation matrices.
    phase : Phase
        Cubic.
    name : str
        One of ``SPECIAL``.

    Returns
    -------
    ndarray, float64, shape (n,)
        Degrees between the misorientation and the nearest of the boundary's equivalent descriptions.
    """
    turn = to_standard(phase)
    one, other = (turn @ np.asarray(each, float).reshape(-1, 3, 3) for each in (first, second))
    between = (one @ other.swapaxes(1, 2)).reshape(-1, 9)
    variants = _variants(name)
    largest = np.full(len(between), -1.0)
    for part in parts(len(variants), 48):  # a few at a time: there may be hundreds
        np.maximum(largest, (between @ variants[part].T).max(axis=1), out=largest)
    return np.rad2deg(np.arccos(np.clip((largest - 1) / 2, -1, 1)))


def tolerance(sigma: int) -> float:
    """Return by how many degrees a boundary may miss Σ and still be called it.

    15° / √Σ (D. G. Brandon, Acta Metall. 14 (1966) 1479).
    """
    return 15.0 / float(np.sqrt(sigma))


def is_cubic(phase: Phase) -> bool:
    """Tell whether the crystal's lattice is cubic, so that boundaries have these names."""
    return laue_class(phase).symbol in ("m-3", "m-3m")


def special_matrix(name: str) -> np.ndarray:
    """Return the rotation matrix of a special boundary, shape (3, 3)."""
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(np.roll(np.array(SPECIAL[name], float), -1)).as_matrix()


def _sigma(name: str) -> int:
    return int(name.lstrip("Σ").rstrip("ab"))


@lru_cache(maxsize=32)
def _variants(name: str) -> np.ndarray:
    """Return all equivalent rotations of a special boundary, those of the cubic lattice, shape (n, 9)."""
    from orix.quaternion.symmetry import O

    lattice = O.to_matrix()
    variants = (lattice[:, None] @ special_matrix(name) @ lattice[None]).reshape(-1, 9)
    _, first = np.unique(variants.round(6) + 0.0, axis=0, return_index=True)
    return variants[first]
