"""How far calibrated disks lie from the rings of a crystal: a check of the calibration as it is, which fits nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.calibration.pixel_size import (
    GOOD_EXPLAINED,
    GOOD_RESIDUAL,
    LEAST_WINDOW,
    NEAREST,
    STEP,
    WINDOW,
    explained_share,
    over_q,
    ring_windows,
)
from napari_4dstem_orient.calibration.quality import Quality
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.crystals.phase import Phase

POOR_RESIDUAL = 0.02
"""Relative deviation of the rings from which a calibration is poor."""

FARTHEST = 4.0
"""Px from a ring up to which its disks are looked for, or less where the next ring is near."""


@dataclass(frozen=True, eq=False)
class RingResiduals:
    """The rings of calibrated disks beside a crystal's.

    Attributes
    ----------
    measured, expected : ndarray, shape (n,)
        Radii in Å⁻¹ of the rings that stand apart and have disks.
    q, profile : ndarray, shape (m,)
        Disks over |q| (Å⁻¹), weighted by the root of their intensity.
    explained : float
        Share of the disks, beyond chance, that lie on rings.
    """

    measured: np.ndarray
    expected: np.ndarray
    q: np.ndarray
    profile: np.ndarray
    explained: float

    @property
    def relative(self) -> np.ndarray:
        """Measured over expected radius, less 1."""
        return self.measured / self.expected - 1

    @property
    def rms(self) -> tuple[float, float]:
        """Root mean square of the residuals: in Å⁻¹, and relative; NaN without rings."""
        if not len(self.measured):
            return float("nan"), float("nan")
        absolute = float(np.sqrt(np.mean((self.measured - self.expected) ** 2)))
        return absolute, float(np.sqrt(np.mean(self.relative**2)))

    @property
    def quality(self) -> Quality:
        """Judge the residuals; with too few rings, or most disks beside them, they say little."""
        found = Quality.of(self.rms[1], GOOD_RESIDUAL, POOR_RESIDUAL)
        doubtful = len(self.measured) < 2 or self.explained < GOOD_EXPLAINED
        return Quality.CHECK if doubtful and found is Quality.GOOD else found


def ring_residuals(disks: BraggDisks, phase: Phase, q_pixel: float) -> RingResiduals:
    """Compare calibrated disks with the rings of a crystal.

    Parameters
    ----------
    disks : BraggDisks
        Calibrated.
    phase : Phase
        A crystal known to be in the scan.
    q_pixel : float
        Å⁻¹ per detector pixel: how near to a ring a disk must be is told in pixels, as in ``fit_q_pixel``.

    Raises
    ------
    UserError
        If there are too few disks beside the direct beam.
    """
    disks = disks.sure()
    return residuals_at(disks.qx / q_pixel, disks.qy / q_pixel, disks.intensity, phase, q_pixel)


def residuals_at(
    x: np.ndarray, y: np.ndarray, intensity: np.ndarray, phase: Phase, q_pixel: float
) -> RingResiduals:
    """Compare places in px from the direct beam, round already, with the rings; otherwise as ``ring_residuals``."""
    radius, weight, farthest, profile = over_q(
        x,
        y,
        intensity,
        "There are too few calibrated disks beside the direct beam to compare with rings; detect more disks.",
    )
    measured, expected = _measure(radius, weight, phase, q_pixel, farthest)
    return RingResiduals(
        measured * q_pixel,
        expected * q_pixel,
        (np.arange(len(profile)) + 0.5) * STEP * q_pixel,
        profile,
        explained_share(radius, weight, phase, q_pixel, farthest),
    )


def _measure(
    radius: np.ndarray, weight: np.ndarray, phase: Phase, q_pixel: float, farthest: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the disks of each ring that stands apart lie, and the ring's own radius, px.

    The window follows the disks (mean shift, while it narrows): one fixed to the ring would cut off just those disks
    that lie wrong, and so would flatter the calibration.
    """
    radii, room = ring_windows(phase, q_pixel, farthest, FARTHEST)
    apart = (room >= LEAST_WINDOW) & (radii > NEAREST) & (radii < farthest)
    measured, expected = [], []
    for ring, reach in zip(radii[apart], room[apart], strict=True):
        center = ring
        for half in np.linspace(reach, min(reach, WINDOW), 8):
            near = np.abs(radius - center) < half
            if near.sum() < 3:
                break
            center = float(
                np.clip(np.average(radius[near], weights=weight[near]), ring - reach, ring + reach)
            )
        else:
            measured.append(center)
            expected.append(ring)
    return np.array(measured), np.array(expected)
