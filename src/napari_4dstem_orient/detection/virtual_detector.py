"""A virtual detector: a disc, a ring, or discs at several places, over which every pattern is integrated."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.core.units import electron_wavelength

BRIGHT_FIELD = 1.3
"""Radius of the bright-field detector, in radii of the direct beam."""

DARK_FIELD = 2.0
"""Inner radius of the annular dark-field detector, in radii of the direct beam."""

LEAST_RADIUS = 0.5
"""Pixels: a disc of this radius about a pixel's centre holds that pixel."""


@dataclass(frozen=True)
class VirtualDetector:
    """A disc, or a ring where ``inner`` is not 0, in detector pixels.

    Attributes
    ----------
    center : (float, float)
        Along the detector's first and second axis.
    outer : float
        Pixels whose centre lies no further than this from the detector's centre count.
    inner : float
        Pixels nearer than this do not.
    """

    center: tuple[float, float]
    outer: float
    inner: float = 0.0

    def distance(self, row: float, col: float) -> float:
        """Return how far a place on the detector is from the centre, in px."""
        return float(np.hypot(row - self.center[0], col - self.center[1]))

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        """Return which pixels count, bool, shape (det_y, det_x)."""
        y, x = np.ogrid[: shape[0], : shape[1]]
        distance = np.hypot(y - self.center[0], x - self.center[1])
        return (distance <= self.outer) & (distance >= self.inner)

    def moved_to(self, row: float, col: float) -> VirtualDetector:
        """Return it with another centre."""
        return replace(self, center=(float(row), float(col)))

    def with_outer(self, outer: float) -> VirtualDetector:
        """Return it with another outer radius; a ring stays a ring."""
        return replace(self, outer=max(float(outer), self.inner + LEAST_RADIUS))

    def with_inner(self, inner: float) -> VirtualDetector:
        """Return it with another inner radius, 0 for a disc; never beyond the outer one."""
        return replace(self, inner=float(np.clip(inner, 0.0, self.outer - LEAST_RADIUS)))


@dataclass(frozen=True)
class SpotsDetector:
    """Discs at several reflections, in detector pixels.

    Attributes
    ----------
    title : str
        What its image shows.
    centers : tuple of (float, float)
        Along the detector's first and second axis.
    outer : float
        Radius of each disc.
    """

    title: str
    centers: tuple[tuple[float, float], ...]
    outer: float

    def mask(self, shape: tuple[int, int]) -> np.ndarray:
        """Return which pixels count, once where discs overlap, bool, shape (det_y, det_x)."""
        found = np.zeros(shape, bool)
        for center in self.centers:
            found |= VirtualDetector(center, self.outer).mask(shape)
        return found

    def with_outer(self, outer: float) -> SpotsDetector:
        """Return it with discs of another radius."""
        return replace(self, outer=max(float(outer), LEAST_RADIUS))


AnyDetector = VirtualDetector | SpotsDetector
"""Any of them."""


def units_per_pixel(calibration: Calibration) -> dict[str, float]:
    """Return in which units lengths on the detector are known, and how long a pixel is in each.

    The scattering angle is λ|q|: 0.3 % off at 100 mrad.
    """
    units = {"px": 1.0}
    if calibration.q_pixel:
        units["Å⁻¹"] = calibration.q_pixel
        if calibration.voltage:
            units["mrad"] = 1e3 * electron_wavelength(calibration.voltage) * calibration.q_pixel
    return units


def describe_detector(
    detector: AnyDetector, beam: tuple[float, float], unit: str, per_pixel: float, beam_radius: float
) -> str:
    """Name what a detector shows: "Bright field", "ADF 0.4–0.8 Å⁻¹", "Dark field at (0.31, −0.2) Å⁻¹".

    Discs at several places have a title.

    Parameters
    ----------
    detector : AnyDetector
    beam : (float, float)
        The direct beam in px.
    unit, per_pixel : str, float
        One of ``units_per_pixel``.
    beam_radius : float
        Of the direct beam, in px: a detector centred within it is centred on the beam.
    """
    if isinstance(detector, SpotsDetector):
        return detector.title
    around_beam = detector.distance(*beam) <= max(0.5 * beam_radius, 1.0)

    def length(pixels: float) -> str:
        return f"{pixels * per_pixel:.2g}".replace("-", "−") if unit != "px" else f"{pixels:.0f}"

    if detector.inner > 0:
        kind = "ADF" if around_beam and detector.inner > beam_radius else "Ring"
        return f"{kind} {length(detector.inner)}–{length(detector.outer)} {unit}"
    if around_beam:
        return f"Bright field 0–{length(detector.outer)} {unit}"
    offset = [
        length(here - there).replace("-", "−") for here, there in zip(detector.center, beam, strict=True)
    ]
    return f"Dark field at ({offset[0]}, {offset[1]}) {unit}"
