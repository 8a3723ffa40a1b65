"""Dynamical diffraction by Bloch waves, for many orientations and thicknesses at once, in torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_4dstem_orient.core.units import electron_wavelength
from napari_4dstem_orient.crystals.kinematic import excitation_error, lorentz_factor
from napari_4dstem_orient.crystals.scattering import structure_factors, weickenmeier_kohl

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase

THERMAL_DISPLACEMENT = 0.085
"""Å, root mean square along one axis: B = 8π²u² = 0.57 Å², copper's at room temperature."""


@dataclass(frozen=True, eq=False)
class BlochWaves:
    """A phase's Fourier potentials on a device, ready to scatter electrons of one wavelength many times.

    The theory: H. Bethe, Ann. Phys. 392 (1928) 55; C. J. Humphreys, Rep. Prog. Phys. 42 (1979) 1825.

    Attributes
    ----------
    hkl : Tensor, int64, shape (m, 3)
        Miller indices of the beams there may be; the direct beam first.
    g : Tensor, float32, shape (m, 3)
        Their reciprocal lattice vectors, crystal Cartesian, Å⁻¹.
    potential : Tensor, float32 or complex64, shape (a, b, c)
        U_g in Å⁻² for the differences of any two beams, at the place of h, k, l counted from the middle; real
        for a crystal with a centre of inversion.
    wavelength : float
        Å.
    """

    hkl: torch.Tensor
    g: torch.Tensor
    potential: torch.Tensor
    wavelength: float

    @classmethod
    def of(
        cls,
        phase: Phase,
        voltage: float,
        k_max: float,
        device: torch.device | str = "cpu",
    ) -> BlochWaves:
        """Collect a phase's potentials (Weickenmeier & Kohl, Acta Cryst. A 47 (1991) 590).

        Parameters
        ----------
        phase : Phase
        voltage : float
            kV.
        k_max : float
            Å⁻¹; longest beam.
        device : torch.device or str
        """
        reflections = phase.reflections(k_max)
        hkl = np.concatenate([np.zeros((1, 3), np.int64), reflections.hkl])
        g = np.concatenate([np.zeros((1, 3)), reflections.g])
        potential = _potentials(phase, voltage, 2 * k_max, 2 * np.abs(hkl).max(0))
        real = bool(np.abs(potential.imag).max() < 1e-6 * np.abs(potential).max())
        kept = potential.real.astype(np.float32) if real else potential.astype(np.complex64)
        return cls(
            torch.as_tensor(hkl, device=device),
            torch.as_tensor(g, dtype=torch.float32, device=device),
            torch.as_tensor(kept, device=device),
            electron_wavelength(voltage),
        )

    def diffract(
        self,
        rotation: torch.Tensor,
        thickness: torch.Tensor,
        *,
        beams: int = 48,
        excitation_cut: float = math.inf,
        precession: float = 0.0,
        azimuths: int = 8,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return where the diffracted beams go and how strong they are; the direct beam is left out.

        Parameters
        ----------
        rotation : Tensor, shape (n, 3, 3)
            g_lab = Rᵀ g_crystal.
        thickness : Tensor, shape (n, t)
            Å; t thicknesses cost hardly more than one.
        beams : int
            Beams that scatter among each other, the direct one included: those most strongly excited.
        excitation_cut : float
            Beams whose excitation error is larger than this (Å⁻¹) take no part.
        precession : float
            Half-angle in degrees of a cone over which intensities are averaged.
        azimuths : int
            Directions on that cone.

        Returns
        -------
        q : Tensor, shape (n, beams - 1, 2)
            Lab x, y of the reflections, Å⁻¹.
        intensity : Tensor, shape (n, t, beams - 1)
            Share of the incident electrons.
        """
        g_lab = self.g @ rotation
        errors = self._errors(g_lab, precession, azimuths)
        index = self._most_excited(torch.stack([error.abs() for error in errors]).amin(0), beams)
        total = torch.stack(
            [self._intensities(index, error.gather(1, index), thickness, excitation_cut) for error in errors]
        )
        q = torch.gather(g_lab[..., :2], 1, index[..., None].expand(-1, -1, 2))
        return q[:, 1:], total.mean(0)[..., 1:]

    def excited(
        self, rotation: torch.Tensor, beams: int = 48, precession: float = 0.0, azimuths: int = 8
    ) -> torch.Tensor:
        """Return which beams ``diffract`` lets scatter, indices into ``hkl``, the direct beam first: (n, beams)."""
        errors = self._errors(self.g @ rotation, precession, azimuths)
        return self._most_excited(torch.stack([error.abs() for error in errors]).amin(0), beams)

    def _errors(self, g_lab: torch.Tensor, precession: float, azimuths: int) -> list[torch.Tensor]:
        if precession:
            return _cone_errors(g_lab, self.wavelength, precession, azimuths)
        return [excitation_error(g_lab, self.wavelength)]

    def _most_excited(self, error: torch.Tensor, beams: int) -> torch.Tensor:
        """Return the indices of the beams that two-beam theory makes strongest, the direct beam first."""
        coupling = (self.potential[self._place(self.hkl)].abs() * self.wavelength).square()
        strength = coupling / (coupling + error.square())
        strength[:, 0] = 2.0
        return strength.topk(min(beams, strength.shape[1]), dim=1).indices

    def _place(self, hkl: torch.Tensor) -> tuple[torch.Tensor, ...]:
        middle = hkl.new_tensor([size // 2 for size in self.potential.shape])
        return (hkl + middle).unbind(-1)

    def _intensities(
        self, index: torch.Tensor, error: torch.Tensor, thickness: torch.Tensor, cut: float
    ) -> torch.Tensor:
        """Solve the eigenvalue problem of each pattern (De Graef 2003, eqs 5.51 to 5.60): (n, t, b)."""
        between = self.hkl[index]
        between = between[:, None, :, :] - between[:, :, None, :]
        takes_part = error.abs() <= cut
        both = takes_part[:, :, None] & takes_part[:, None, :]
        matrix = self.potential[self._place(between)] * both
        diagonal = torch.where(takes_part, 2 * error / self.wavelength, torch.full_like(error, 1e3))
        matrix.diagonal(dim1=1, dim2=2).copy_(diagonal)
        values, vectors = torch.linalg.eigh(matrix)
        phase = math.pi * self.wavelength * thickness[..., None] * values[:, None]
        excited = vectors[:, 0].conj()[:, None]  # (n, 1, b): the direct beam's share of each Bloch wave
        real = torch.einsum("nij,ntj->nti", vectors, excited * phase.cos())
        imaginary = torch.einsum("nij,ntj->nti", vectors, excited * phase.sin())
        if vectors.is_complex():
            return (real + 1j * imaginary).abs().square()
        return real.square() + imaginary.square()


def _cone_errors(g_lab: torch.Tensor, wavelength: float, angle: float, azimuths: int) -> list[torch.Tensor]:
    """Return excitation errors (Å⁻¹) for beams tilted by ``angle`` (degrees), equally spaced about -z."""
    tilt = math.radians(angle)
    errors = []
    for step in range(azimuths):
        azimuth = 2 * math.pi * (step + 0.5) / azimuths
        towards = (math.sin(tilt) * math.cos(azimuth), math.sin(tilt) * math.sin(azimuth), math.cos(tilt))
        along = g_lab @ g_lab.new_tensor(towards)
        errors.append((2 * along - wavelength * g_lab.square().sum(-1)) / (2 - 2 * wavelength * along))
    return errors


def _potentials(phase: Phase, voltage: float, k_max: float, largest: np.ndarray) -> np.ndarray:
    """Return the complex U_g, without absorption, of all reflections up to ``k_max`` in a box of Miller indices."""
    hkl, g, factor = structure_factors(phase, k_max, weickenmeier_kohl)
    vibrating = np.exp(-0.5 * (2 * np.pi * THERMAL_DISPLACEMENT) ** 2 * np.square(g).sum(axis=1))
    centred = np.exp(-2j * np.pi * (hkl @ phase.inversion_centre))
    inside = (np.abs(hkl) <= largest).all(axis=1)
    table = np.zeros(2 * largest + 1, np.complex128)
    table[tuple((hkl[inside] + largest).T)] = (factor * vibrating * centred)[inside]
    table *= lorentz_factor(voltage) / np.pi
    return (table + table[::-1, ::-1, ::-1].conj()) / 2  # Hermitian, but for rounding
