"""Strain in the plane of the scan, as a map holds it; ``analysis.strain`` measures it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

COMPONENTS = ("xx", "yy", "xy", "rotation")


@dataclass(frozen=True, eq=False)
class Strain:
    """Strain in the plane of the scan: the left stretch less one, V - 1, of the deformation V R against a reference.

    Attributes
    ----------
    values : ndarray, float32, shape (scan_y, scan_x, 4)
        See ``COMPONENTS``: εxx, εyy, εxy (tensor, not engineering, shear) and the rotation in radians, from x
        towards y. NaN where too few disks speak.
    deviation : ndarray, float32, shape (scan_y, scan_x, 4)
        Standard deviation of each.
    disks : ndarray, int32, shape (scan_y, scan_x)
        Disks that speak at each position.
    reference, axes : str
        What the strain is against, and what x and y are, in words.
    """

    values: np.ndarray
    deviation: np.ndarray
    disks: np.ndarray
    reference: str
    axes: str

    def of(self, component: str) -> np.ndarray:
        """Return one component, shape (scan_y, scan_x)."""
        return np.asarray(self.values[..., COMPONENTS.index(component)])

    def where(self, kept: np.ndarray) -> Strain:
        """Return the strain where ``kept`` (bool, scan_y × scan_x) is true; elsewhere there is no number."""
        values, deviation = (
            np.where(kept[..., None], each, np.nan) for each in (self.values, self.deviation)
        )
        return replace(self, values=values, deviation=deviation, disks=np.where(kept, self.disks, 0))

    @property
    def known(self) -> np.ndarray:
        """Where there is a strain, bool, shape (scan_y, scan_x)."""
        return ~np.isnan(self.values[..., 0])

    @property
    def summary(self) -> str:
        """Where there is a strain, against what, and how uncertain it is, in one sentence."""
        known = self.known
        sure = (
            f", median standard deviation {np.nanmedian(self.deviation[..., :3]):.2%}" if known.any() else ""
        )
        return f"Strain at {known.sum():,} of {known.size:,} positions{sure}, against {self.reference}."

    @property
    def text(self) -> str:
        """What a reader of the numbers is told, as one line without a full stop."""
        return (
            f"Strain in the plane of the scan against {self.reference}: {self.axes}; xy is half the engineering shear, "
            "rotation is from x towards y, a deviation is a standard deviation"
        )
