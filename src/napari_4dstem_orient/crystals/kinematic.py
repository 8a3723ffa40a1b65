"""Kinematic diffraction patterns of many orientations at once, in torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.units import electron_wavelength

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase

PRECESSION_STEPS = 12
"""Azimuths on half the precession cone; the other half gives the same excitation errors."""


def lorentz_factor(voltage: float) -> float:
    """Return how many times heavier than at rest electrons of ``voltage`` (kV) are.

    γ = 1 + eV / mc², of special relativity.
    """
    from scipy.constants import c, e, m_e

    return 1 + e * voltage * 1e3 / (m_e * c**2)


def _mean(parts: list[torch.Tensor]) -> torch.Tensor:
    total = parts[0].clone()
    for part in parts[1:]:
        total += part
    return total / len(parts)


@dataclass(frozen=True, eq=False)
class Reflector:
    """A phase's reflections on a device, ready to diffract electrons of one wavelength.

    Attributes
    ----------
    g : Tensor, float32, shape (m, 3)
        Reciprocal lattice vectors, crystal Cartesian, Å⁻¹.
    intensity : Tensor, float32, shape (m,)
        Squared structure factors relative to the strongest.
    extinction : Tensor, float32, shape (m,)
        Two-beam extinction distances, Å.
    wavelength : float
        Å.
    precession : float
        Precession half-angle in degrees; 0 for a still beam.
    """

    g: torch.Tensor
    intensity: torch.Tensor
    extinction: torch.Tensor
    wavelength: float
    precession: float = 0.0

    @classmethod
    def of(
        cls,
        phase: Phase,
        voltage: float,
        k_max: float,
        precession: float = 0.0,
        device: torch.device | str = "cpu",
    ) -> Reflector:
        """Collect a phase's reflections up to ``k_max`` (Å⁻¹) for electrons of ``voltage`` (kV).

        Extinction distances are ξ = 1 / (λ |U_g|), with U_g = γ F / (π V) (D. B. Williams and C. B. Carter,
        Transmission Electron Microscopy, 2009, chapters 13 and 14).

        Raises
        ------
        UserError
            There is none: the detector ends before the first.
        """
        reflections = phase.reflections(k_max)
        if not len(reflections.g):
            raise UserError(
                f"The patterns reach {k_max:.3g} Å⁻¹, but the first reflection of {phase.name} lies at "
                f"{phase.nearest:.3g} Å⁻¹; check the pixel size, the direct beam and the crystal."
            )
        g = torch.as_tensor(reflections.g, dtype=torch.float32, device=device)
        intensity = torch.as_tensor(reflections.intensity, dtype=torch.float32, device=device)
        wavelength = electron_wavelength(voltage)
        # ξ = 1 / (λ |U_g|), U_g = γ F / (π V); py4DSTEM's structure factors hold F / V
        extinction = math.pi / (lorentz_factor(voltage) * wavelength * intensity.sqrt())
        return cls(g, intensity / intensity.max(), extinction, wavelength, precession)

    def to(self, device: torch.device | str) -> Reflector:
        """Return the same reflections on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("g", "intensity", "extinction")}
        return replace(self, **moved)

    def strongest(self, count: int) -> Reflector:
        """Return the ``count`` reflections that scatter most strongly, with those that scatter as strongly as the last.

        Without ``count`` of them, all.
        """
        if len(self.g) <= count:
            return self
        return self._some(self.intensity >= 0.999 * self.intensity.sort(descending=True).values[count - 1])

    def within(self, reach: float) -> Reflector:
        """Return the reflections up to ``reach`` in Å⁻¹."""
        return self._some(self.g.norm(dim=1) <= reach)

    def _some(self, kept: torch.Tensor) -> Reflector:
        return replace(self, g=self.g[kept], intensity=self.intensity[kept], extinction=self.extinction[kept])

    @property
    def nearest(self) -> float:
        """Length of the shortest reciprocal lattice vector, Å⁻¹."""
        return float(self.g.norm(dim=1).min())

    @property
    def farthest(self) -> float:
        """Length of the longest, Å⁻¹."""
        return float(self.g.norm(dim=1).max())

    def in_lab(self, rotation: torch.Tensor) -> torch.Tensor:
        """Turn the reflections into the lab frame, g_lab = Rᵀ g: (..., 3, 3) -> (..., m, 3)."""
        return self.g @ rotation

    def excite(self, g_lab: torch.Tensor, width: torch.Tensor | float) -> torch.Tensor:
        """Return kinematic intensities for an excitation error's Gaussian width in Å⁻¹: (..., m, 3) -> (..., m).

        The envelope is exp(-s²/2σ²), averaged over the precession cone where there is one
        (py4DSTEM, ``Crystal.generate_diffraction_pattern``). ``width`` broadcasts against (..., m).

        Its source is C. Ophus et al., Microsc. Microanal. 28 (2022) 390.
        """
        return self._excite(self.excitation_errors(g_lab), width)

    def _excite(self, errors: list[torch.Tensor], width: torch.Tensor | float) -> torch.Tensor:
        return self.intensity * _mean([torch.exp(-0.5 * (s / width).square()) for s in errors])

    def brightest(
        self, rotation: torch.Tensor, width: float, reach: float, count: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the ``count`` brightest reflections, as of ``excite``, of orientations (..., 3, 3).

        Returns
        -------
        position : Tensor, shape (..., count, 2)
            Lab x, y in Å⁻¹.
        intensity : Tensor, shape (..., count)
            Of those beyond ``reach`` (Å⁻¹) it is 0.
        """
        squared = self.g.square().sum(-1)
        g_z = rotation[..., 2] @ self.g.T
        seen = squared - g_z.square() <= reach**2
        intensity = self._excite(self._errors(g_z, squared), width) * seen
        top, index = intensity.topk(min(count, len(self.g)), dim=-1)
        return (self.g[index] @ rotation)[..., :2], top

    def two_beam(self, g_lab: torch.Tensor, thickness: torch.Tensor | float) -> torch.Tensor:
        """Return two-beam dynamical intensities for a thickness in Å: (..., m, 3) -> (..., m).

        sin²(π t √(s² + 1/ξ²)) / (1 + s² ξ²), every reflection alone with the direct beam (no absorption).
        ``thickness`` broadcasts against (..., m).

        The solution of A. Howie and M. J. Whelan, Proc. R. Soc. Lond. A 263 (1961) 217.
        """
        coupling = 1 / self.extinction
        beats = []
        for s in self.excitation_errors(g_lab):
            effective = s.square() + coupling.square()
            beats.append(
                coupling.square() / effective * torch.sin(math.pi * thickness * effective.sqrt()).square()
            )
        return _mean(beats)

    def excitation_errors(self, g_lab: torch.Tensor) -> list[torch.Tensor]:
        """Return excitation errors in Å⁻¹, (..., m, 3) -> (..., m): one, or one for each precession azimuth.

        Under precession the beam goes round a cone (R. Vincent and P. A. Midgley, Ultramicroscopy 53 (1994)
        271).
        """
        return self._errors(g_lab[..., 2], g_lab.square().sum(-1))

    def _errors(self, g_z: torch.Tensor, squared: torch.Tensor) -> list[torch.Tensor]:
        if self.precession:
            return _precessed_errors(g_z, squared, self.wavelength, self.precession)
        return [_error(g_z, squared, self.wavelength)]


def excitation_error(g_lab: torch.Tensor, wavelength: float) -> torch.Tensor:
    """Return the excitation error in Å⁻¹ of lab-frame reflections (..., 3), the beam travelling along -z.

    s = (2 g_z - λ g²) / (2 - 2 λ g_z): zero where g_z = +λ g²/2 (py4DSTEM, ``Crystal.excitation_errors``).

    The exact form, s = -g · (2k + g) / (2 |k + g| cos α) (M. De Graef, Introduction to Conventional Transmission
    Electron Microscopy, 2003).
    """
    return _error(g_lab[..., 2], g_lab.square().sum(-1), wavelength)


def _error(g_z: torch.Tensor, squared: torch.Tensor, wavelength: float) -> torch.Tensor:
    return (2 * g_z - wavelength * squared) / (2 - 2 * wavelength * g_z)


def _precessed_errors(
    g_z: torch.Tensor, squared: torch.Tensor, wavelength: float, angle: float
) -> list[torch.Tensor]:
    """Return excitation errors (Å⁻¹) at equally spaced azimuths of a beam tilted by ``angle`` (degrees).

    The azimuth is counted from each reflection's own direction, so half a turn holds every value.
    """
    tilt = math.radians(angle)
    g_xy = (squared - g_z.square()).clamp_min(0).sqrt()
    along = math.cos(tilt) / wavelength - g_z
    errors = []
    for step in range(PRECESSION_STEPS):
        azimuth = math.pi * (step + 0.5) / PRECESSION_STEPS
        k_dot_g = -(math.sin(tilt) * math.cos(azimuth) * g_xy + math.cos(tilt) * g_z) / wavelength
        gap = squared + 2 * k_dot_g
        # sqrt(a² - b) - a, written so that float32 does not cancel
        errors.append(-gap / (torch.sqrt(along.square() - gap) + along))
    return errors
