"""A template library as torch matches it: taken once from py4DSTEM's orientation plan, put on a device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from napari_4dstem_orient.crystals.kinematic import Reflector

FAINT = 1e-5
"""Harmonics of a disk's profile weaker than this, relative to the strongest, are left out."""


@dataclass(frozen=True, eq=False)
class Templates:
    """Templates of one phase: z zone axes, s radial shells, n in-plane angles, f angular frequencies.

    Attributes
    ----------
    zones : Tensor, shape (z, 3, 3)
        Orientation matrices without in-plane rotation.
    radius : Tensor, shape (s,)
        Of the shells, Å⁻¹, ascending.
    steps : int
        In-plane angles, n.
    waves : Tensor, shape (f, s, 2z)
        Conjugate Fourier coefficients of the templates along the angle: real parts, then imaginary parts.
    profile : Tensor, shape (2m + 1, s, f)
        Fourier coefficients of a disk's angular profile in each shell: at frequencies f + mn for m = -m … m,
        which sampling at n angles folds onto f.
    first_shell : tuple of int
        For each frequency, the innermost shell in which disks are narrow enough to have it.
    kernel, power, width : float
        Correlation kernel (Å⁻¹), intensity power, excitation error width (Å⁻¹).
    reflector : Reflector
        Of py4DSTEM's reflections, with its structure factors as intensities.
    """

    zones: torch.Tensor
    radius: torch.Tensor
    steps: int
    waves: torch.Tensor
    profile: torch.Tensor
    first_shell: tuple[int, ...]
    kernel: float
    power: float
    width: float
    reflector: Reflector

    @classmethod
    def of(cls, crystal: Any, device: torch.device) -> Templates:
        """Take the library of a py4DSTEM crystal whose ``orientation_plan`` was made without refinement."""
        kernel, steps = float(crystal.orientation_kernel_size), int(crystal.orientation_in_plane_steps)
        radius = torch.as_tensor(crystal.orientation_shell_radii, dtype=torch.float64)
        profile = _profile(radius, steps, kernel)
        strength = profile.abs().sum(0)
        seen = strength > FAINT * strength.max()
        frequencies = int(seen.any(0).nonzero().max()) + 1
        first_shell = seen[:, :frequencies].int().argmax(0).tolist()
        waves = torch.as_tensor(crystal.orientation_ref[..., :frequencies]).permute(2, 1, 0)
        return cls(
            torch.as_tensor(crystal.orientation_rotation_matrices, dtype=torch.float32).to(device),
            radius.float().to(device),
            steps,
            torch.cat([waves.real, waves.imag], 2).float().contiguous().to(device),
            profile[:, :, :frequencies].float().to(device),
            tuple(first_shell),
            kernel,
            float(crystal.orientation_power_intensity_experiment),
            float(crystal.orientation_sigma_excitation_error),
            _reflector(crystal).to(device),
        )

    @property
    def device(self) -> torch.device:
        """Where the templates are."""
        return self.waves.device


def _profile(radius: torch.Tensor, steps: int, kernel: float) -> torch.Tensor:
    """Return Fourier coefficients of exp(-(φr)²/2κ²), |φ| ≤ π, with what sampling folds onto each frequency."""
    narrowest = kernel / float(radius.max())
    folds = math.ceil(math.sqrt(-2 * math.log(FAINT)) / narrowest / steps - 0.5)
    finer = 2 * folds + 4
    turn = torch.arange(steps * finer, dtype=torch.float64) * (2 * math.pi / (steps * finer))
    turn = torch.where(turn > math.pi, turn - 2 * math.pi, turn)
    harmonics = torch.fft.rfft(torch.exp(-((turn * radius[:, None] / kernel) ** 2) / 2)).real / finer
    frequency = torch.arange(steps // 2 + 1)
    folded = frequency + steps * torch.arange(-folds, folds + 1)[:, None]
    return harmonics[:, folded.abs()].movedim(1, 0)


def _reflector(crystal: Any) -> Reflector:
    g = torch.as_tensor(crystal.g_vec_all.T, dtype=torch.float32).contiguous()
    intensity = torch.as_tensor(crystal.struct_factors_int, dtype=torch.float32)
    return Reflector(
        g,
        intensity,
        torch.ones_like(intensity),
        float(crystal.wavelength),
        float(crystal.orientation_precession_angle_degrees or 0.0),
    )
