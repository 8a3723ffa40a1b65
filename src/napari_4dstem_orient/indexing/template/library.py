"""A template library as torch matches it: py4DSTEM's orientation plan, or made of reflections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from napari_4dstem_orient.crystals.kinematic import Reflector

FAINT = 1e-4
"""What is fainter than this, relatively, is left out: frequencies of a disk's profile, reflections of a template."""
SHELL = 0.01
"""Å⁻¹ between radial shells; those of py4DSTEM's plan lie as far apart."""
SHARPNESS = 1.2
"""The blurred templates have frequencies up to this many over the narrowest disk's angular width."""


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
    waves : Tensor, shape (f, z, 2, s)
        Conjugate Fourier coefficients of the templates along the angle, real and imaginary parts.
    blurred : Tensor, shape (b, s, 2z)
        The lowest b frequencies of the same, real parts, then imaginary parts.
    profile : Tensor, shape (h, s)
        Fourier coefficients of a disk's angular profile in each shell. What is beyond f, sampling at n angles folds
        onto lower frequencies.
    kernel, power, width : float
        Correlation kernel (Å⁻¹), intensity power, excitation error width (Å⁻¹).
    reflector : Reflector
        Of py4DSTEM's reflections, with its structure factors as intensities.
    """

    zones: torch.Tensor
    radius: torch.Tensor
    steps: int
    waves: torch.Tensor
    blurred: torch.Tensor
    profile: torch.Tensor
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
        frequencies = min(len(profile), steps // 2 + 1)
        coarse = _coarse(float(radius.max()), kernel, frequencies)
        plan = torch.as_tensor(crystal.orientation_ref[..., :frequencies])
        waves = torch.view_as_real(plan).float().permute(2, 0, 3, 1).contiguous()
        return cls(
            torch.as_tensor(crystal.orientation_rotation_matrices, dtype=torch.float32).to(device),
            radius.float().to(device),
            steps,
            waves.to(device),
            waves[:coarse].permute(0, 3, 2, 1).flatten(2).contiguous().to(device),
            profile.float().to(device),
            kernel,
            float(crystal.orientation_power_intensity_experiment),
            float(crystal.orientation_sigma_excitation_error),
            _reflector(crystal).to(device),
        )

    @classmethod
    def made(
        cls,
        reflector: Reflector,
        zones: torch.Tensor,
        in_plane_step: float,
        kernel: float,
        power: float,
        width: float,
    ) -> Templates:
        """Make a library of kinematic patterns, each normalised.

        Parameters
        ----------
        reflector : Reflector
        zones : Tensor, shape (z, 3, 3)
            Orientation matrices, one for each zone axis.
        in_plane_step : float
            Degrees.
        kernel, width : float
            Å⁻¹.
        power : float
        """
        length = reflector.g.norm(dim=1)
        radius, shell = torch.unique((length / SHELL).round(), return_inverse=True)
        g_lab = reflector.in_lab(zones)
        weight = reflector.excite(g_lab, width) ** power
        weight = weight / weight.norm(dim=1, keepdim=True).clamp_min(1e-12)
        steps = round(360 / in_plane_step)
        profile = _profile(SHELL * radius.double().cpu(), steps, kernel).float().to(zones.device)
        frequencies = min(len(profile), steps // 2 + 1)
        zone, reflection = (weight > FAINT).nonzero(as_tuple=True)  # of a large cell most are not excited
        lit, place = weight[zone, reflection], zone * len(radius) + shell[reflection]
        azimuth = torch.atan2(g_lab[zone, reflection, 1], g_lab[zone, reflection, 0])
        waves = zones.new_zeros(frequencies, 2, len(zones) * len(radius))
        for frequency in range(frequencies):
            turned = frequency * azimuth
            waves[frequency, 0].index_add_(0, place, lit * turned.cos())
            waves[frequency, 1].index_add_(0, place, lit * turned.sin())
        waves = waves.unflatten(2, (len(zones), len(radius))).transpose(1, 2).contiguous()
        coarse = _coarse(SHELL * float(radius.max()), kernel, frequencies)
        return cls(
            zones,
            SHELL * radius.float(),
            steps,
            waves,
            waves[:coarse].permute(0, 3, 2, 1).flatten(2).contiguous(),
            profile,
            kernel,
            power,
            width,
            reflector,
        )

    @classmethod
    def join(cls, parts: Sequence[Templates]) -> Templates:
        """Put templates of one crystal for different zone axes together."""
        blurred = torch.cat([part.blurred.unflatten(2, (2, -1)) for part in parts], 3).flatten(2)
        return replace(
            parts[0],
            zones=torch.cat([part.zones for part in parts]),
            waves=torch.cat([part.waves for part in parts], 1),
            blurred=blurred,
        )

    @property
    def device(self) -> torch.device:
        """Where the templates are."""
        return self.waves.device


def _coarse(largest: float, kernel: float, frequencies: int) -> int:
    """Return how many frequencies the blurred templates have."""
    return min(math.ceil(SHARPNESS * largest / kernel) + 1, frequencies)


def _profile(radius: torch.Tensor, steps: int, kernel: float) -> torch.Tensor:
    """Return Fourier coefficients of exp(-(φr)²/2κ²), |φ| ≤ π, up to the last that is not too faint, shape (h, s)."""
    narrowest = kernel / float(radius.max())
    highest = math.ceil(math.sqrt(-2 * math.log(FAINT)) / narrowest)
    finer = 2 * math.ceil(highest / steps) + 2
    turn = torch.arange(steps * finer, dtype=torch.float64) * (2 * math.pi / (steps * finer))
    turn = torch.where(turn > math.pi, turn - 2 * math.pi, turn)
    spot = torch.exp(-((turn[:, None] * radius / kernel) ** 2) / 2)
    return torch.fft.rfft(spot, dim=0).real[: highest + 1] / finer


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
