"""Which disks of a pattern the crystals found so far explain, and which are left for another one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from napari_4dstem_orient.core.bragg_disks import SURE, BraggDisks
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.reflections import NEAR, near_enough, reflector_of
from napari_4dstem_orient.indexing.scoring import CLOSEST

WIDTH = 0.05
"""Å⁻¹; how far from the Ewald sphere a reflection may still make a disk (Gaussian width). Wide: a weak disk of the
first crystal must not be taken for a second one's."""
LISTED = 256
"""Reflections of an orientation that may make disks, brightest first."""
FAINTEST = 1e-6
"""Relative intensity of a reflection that makes no disk."""
AT_ONCE = 256
"""Patterns at a time; bounds the memory."""


class Explainer:
    """Says which disks of a scan's positions an orientation explains.

    Parameters
    ----------
    disks : BraggDisks
        Calibrated.
    phases : sequence of Phase
    voltage : float
        kV.
    precession : float
        Half-angle in degrees.
    k_max : float
        Å⁻¹ up to which reflections are looked at.

    Attributes
    ----------
    reflections, clear : ndarray, bool, shape (disks,)
        Which disks may be a crystal's reflections, and which of these are sure.
    """

    def __init__(
        self,
        disks: BraggDisks,
        phases: Sequence[Phase],
        voltage: float,
        precession: float = 0.0,
        k_max: float = 2.0,
    ) -> None:
        self.disks = disks
        self._reflectors = [reflector_of(phase, voltage, k_max, precession) for phase in phases]
        self._near = [near_enough(reflector) for reflector in self._reflectors]
        length = np.hypot(disks.qx, disks.qy)
        nearest = min(reflector.nearest for reflector in self._reflectors)
        inside = (length > CLOSEST * nearest) & (length <= (np.inf if disks.reach is None else disks.reach))
        self.reflections = inside
        self.clear = inside if disks.snr is None else inside & (disks.snr >= SURE)

    def by(self, rotation: np.ndarray, phase_id: np.ndarray) -> np.ndarray:
        """Return which disks one crystal at each position explains.

        Parameters
        ----------
        rotation : ndarray, shape (positions, 3, 3)
        phase_id : ndarray of int, shape (positions,)
            -1 where there is no crystal.

        Returns
        -------
        ndarray, bool, shape (disks,)
        """
        found = np.zeros(len(self.disks), bool)
        for number, reflector in enumerate(self._reflectors):
            rows = np.flatnonzero(phase_id == number)
            for some in np.split(rows, range(AT_ONCE, len(rows), AT_ONCE)):
                index, inside = self._places(some)
                found[index[inside]] = self._within(index, inside, rotation[some], number, reflector)
        return found

    def _within(
        self, index: np.ndarray, inside: np.ndarray, rotation: np.ndarray, number: int, reflector: Reflector
    ) -> np.ndarray:
        q = torch.from_numpy(np.stack([self.disks.qx[index], self.disks.qy[index]], -1))
        turned = torch.from_numpy(rotation.astype(np.float32))
        reach = float(reflector.farthest if self.disks.reach is None else self.disks.reach)
        position, intensity = reflector.brightest(turned, WIDTH, reach + NEAR, LISTED)
        position = torch.where(intensity[..., None] > FAINTEST, position, 1e3)
        apart = torch.cdist(q, position, compute_mode="donot_use_mm_for_euclid_dist").amin(-1).numpy()
        return np.asarray(apart[inside] < self._near[number])

    def _places(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return indices of the disks of some positions (n, d), and which of these are any."""
        start, stop = self.disks.offsets[positions], self.disks.offsets[positions + 1]
        place = np.arange(max(int((stop - start).max(initial=0)), 1))
        inside = place < (stop - start)[:, None]
        return np.where(inside, start[:, None] + place, 0), inside

    def count(self, which: np.ndarray) -> np.ndarray:
        """Return how many of some disks (bool, one for each) each position has, shape (positions,)."""
        return np.bincount(self.disks.owner[which], minlength=self.disks.counts.size)

    def light(self, which: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Return the summed intensity of some disks at each position, each times ``weight``."""
        intensity = (self.disks.intensity * weight)[which]
        return np.bincount(self.disks.owner[which], intensity, minlength=self.disks.counts.size)
