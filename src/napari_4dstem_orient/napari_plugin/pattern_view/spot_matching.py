"""What is marked in a diffraction pattern: disks, the reflections an answer predicts, and how they belong together.

Knows no Qt. Positions are detector pixels (row, column) from the direct beam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.crystals.directions import overbarred
from napari_4dstem_orient.crystals.laue import is_hexagonal
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.napari_plugin.state.snapshot import Detector

BAR = "\u0305"
"""Combines with the digit before it: its overbar."""


@dataclass(frozen=True, eq=False)
class Marks:
    """Measured disks beside the reflections that one answer predicts.

    Attributes
    ----------
    disks : ndarray, shape (n, 2)
        Measured disks, the direct beam left out.
    reflection : ndarray of int, shape (n,)
        The reflection that each disk lies on; -1 where the answer does not explain it.
    spots : ndarray, shape (m, 2)
        Predicted reflections that a detection of so many disks would have seen; strongest first.
    intensity : ndarray, shape (m,)
        Relative to the strongest.
    hkl : ndarray of int, shape (m, 3)
    missing : ndarray of bool, shape (m,)
        Reflections that have no disk.
    """

    disks: np.ndarray
    reflection: np.ndarray
    spots: np.ndarray
    intensity: np.ndarray
    hkl: np.ndarray
    missing: np.ndarray

    @property
    def explained(self) -> np.ndarray:
        """Which disks the answer explains, bool, shape (n,)."""
        return self.reflection >= 0

    @property
    def text(self) -> str:
        """How many disks are explained: what is drawn, in words."""
        return f"explains {self.explained.sum()} of {len(self.disks)} disks"

    @property
    def residuals(self) -> np.ndarray:
        """From the predicted reflection to the measured disk, pixels, for each explained disk, shape (e, 2)."""
        return self.disks[self.explained] - self.spots[self.reflection[self.explained]]

    @property
    def sizes(self) -> np.ndarray:
        """How large each reflection is drawn, 0 to 1: areas go as the root of the intensity, shape (m,)."""
        return np.asarray(np.clip(self.intensity, 0, 1) ** 0.25)

    def at(self, where: np.ndarray, within: float) -> int | None:
        """Return the reflection nearest to a place, shape (2,); None where none is ``within`` so many pixels."""
        if not len(self.spots):
            return None
        apart = np.hypot(*(self.spots - where).T)
        nearest = int(apart.argmin())
        return nearest if apart[nearest] <= within else None

    def labelled(self, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return place and indices of the strongest reflections that were measured; a label sits on its disk."""
        found = np.flatnonzero(self.explained)
        order = found[np.argsort(self.reflection[found], kind="stable")]
        _, first = np.unique(self.reflection[order], return_index=True)
        return [(self.disks[disk], self.hkl[self.reflection[disk]]) for disk in order[first][:count]]


def marks(
    disks: np.ndarray, spots: np.ndarray, detector: Detector, origin: np.ndarray, radius: float, reach: float
) -> Marks:
    """Match measured disks with the reflections of an answer, by the rule of its score.

    Parameters
    ----------
    disks : ndarray, shape (n, 2)
        Pixels from the direct beam, which may be among them.
    spots : ndarray, shape (m, 6)
        See ``predicted_pattern``; empty where there is no answer.
    detector : Detector
    origin : ndarray, shape (2,)
        Pixel of the direct beam.
    radius : float
        Of the disks, in pixels: what is nearer to the direct beam belongs to it.
    reach : float
        Å⁻¹ up to which disks were looked for: what is predicted beyond is not missing.
    """
    disks = disks[np.hypot(*disks.T) > radius]
    where, which = np.zeros((0, 2)), np.zeros(0, int)
    reflection = np.full(len(disks), -1)
    if len(spots):
        from scipy.spatial import cKDTree

        from napari_4dstem_orient.indexing.scoring import MATCHED, PREDICTED

        where = detector.pixels(spots[:, :2])
        on_detector = (where + origin >= 0) & (where + origin <= np.array(detector.shape) - 1)
        looked_for = on_detector.all(axis=1) & (np.hypot(*spots[:, :2].T) <= reach)
        # A detection that found n disks would not have seen reflections much beyond the n brightest.
        which = np.flatnonzero(looked_for)[: min(PREDICTED, int(1.25 * len(disks) + 2))]
        if len(which) and len(disks):
            within = MATCHED / detector.q_pixel
            apart, nearest = cKDTree(where[which]).query(disks)
            reflection = np.where(apart < within, nearest, -1)
    missing = np.ones(len(which), bool)
    missing[reflection[reflection >= 0]] = False
    chosen = spots[which] if len(which) else np.zeros((0, 6))
    return Marks(disks, reflection, where[which], chosen[:, 2], np.rint(chosen[:, 3:]).astype(int), missing)


def in_variant(hkl: np.ndarray, rotation: np.ndarray, variant: np.ndarray, phase: Phase) -> np.ndarray:
    """Name reflections as an equivalent orientation does, so that they fit the zone axis that is named beside them.

    Parameters
    ----------
    hkl : ndarray of int, shape (n, 3)
        Reflections of the crystal turned by ``rotation``.
    rotation, variant : ndarray, shape (3, 3)
        Equivalent orientation matrices, as in ``OrientationMap``.
    phase : Phase

    Returns
    -------
    ndarray of int, shape (n, 3)
    """
    g_lab = hkl @ np.linalg.inv(phase.lattice).T @ rotation
    return np.asarray(np.rint(g_lab @ variant.T @ phase.lattice.T), int)  # g · a, g · b, g · c


def plane_indices(hkl: np.ndarray, phase: Phase) -> tuple[int, ...]:
    """Return (h k l), or the four indices (h k i l) of a hexagonal cell, as directions are named there."""
    h, k, last = (int(index) for index in hkl)
    return (h, k, -(h + k), last) if is_hexagonal(phase) else (h, k, last)


def plane_text(hkl: np.ndarray, phase: Phase) -> str:
    """Name a reflection with overbars, for the screen."""
    digits = [
        "".join(digit + BAR for digit in str(-index)) if index < 0 else str(index)
        for index in plane_indices(hkl, phase)
    ]
    return (" " if max(map(len, digits)) > 2 else "").join(digits)


def plane_mathtext(hkl: Sequence[int] | np.ndarray) -> str:
    """Name a reflection for matplotlib, with overbars."""
    return f"${overbarred([int(index) for index in hkl])}$"
