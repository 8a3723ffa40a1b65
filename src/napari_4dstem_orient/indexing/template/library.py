"""A template library: kinematic patterns of all zone axes of a crystal, as torch matches them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.reading import room
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.reflections import spacing
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.indexing.template.zone_axes import zone_rotations

FAINT = 1e-4
"""What is fainter than this, relatively, is left out: frequencies of a disk's profile, reflections of a template."""
SHELL = 0.01
"""Å⁻¹ between radial shells, as in py4DSTEM."""
NARROWEST = 0.012
"""Å⁻¹; the width of excitation errors that even a thick crystal's reflections have."""
CLOSE = 8
"""Of the distances between reflections; farther ones are in no template."""
EXCITED = 4
"""Widths of the excitation error up to which a reflection is in a template."""
AT_ONCE = 2_000_000
"""Reflections of zone axes whose templates are made together: tens of megabytes."""
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
        Of the same reflections.
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
    def covering(cls, phase: Phase, reflector: Reflector, settings: TemplateSettings) -> Templates:
        """Make a library of all zone axes of a crystal.

        Where reflections lie close together, kernel and width of the excitation error are less than is set, and only
        the nearer ones are taken: far out, half a step turns a reflection into the next one's place.

        Raises
        ------
        UserError
            It would not fit in memory.
        """
        apart = spacing(reflector)
        near = reflector.within(CLOSE * apart)
        kernel = min(apart / 5, settings.kernel)
        width = min(max(apart / 10, NARROWEST), settings.excitation_width)
        zones = torch.as_tensor(zone_rotations(phase, settings.zone_axis_step), dtype=torch.float32)
        _check_room(phase, near, len(zones), kernel, settings)
        some = zones.to(near.g.device).split(max(AT_ONCE // len(near.g), 1))
        power = settings.power(reflector.precession)
        return cls.join([cls.made(near, part, settings.in_plane_step, kernel, power, width) for part in some])

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

        What a template holds: C. Ophus et al., Microsc. Microanal. 28 (2022) 390.

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
        excited = nearest_errors(reflector, g_lab) < EXCITED * width
        weight = torch.where(excited, reflector.excite(g_lab, width) ** power, 0)
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


def nearest_errors(reflector: Reflector, g_lab: torch.Tensor) -> torch.Tensor:
    """Return the least excitation errors, without sign, that the precession cone gives: (..., m, 3) -> (..., m)."""
    return torch.stack([error.abs() for error in reflector.excitation_errors(g_lab)]).amin(0)


def _check_room(
    phase: Phase, reflector: Reflector, zones: int, kernel: float, settings: TemplateSettings
) -> None:
    """Refuse, before it is made, a library that is not going to fit in memory."""
    shells = len(torch.unique((reflector.g.norm(dim=1) / SHELL).round()))
    angles = round(360 / settings.in_plane_step) // 2 + 1
    frequencies = min(_highest(reflector.farthest, kernel) + 1, angles)
    # Real and imaginary parts in single precision, once more while parts are joined.
    size = 2 * 8 * zones * shells * (frequencies + _coarse(reflector.farthest, kernel, frequencies))
    refuse_larger(size, zones, phase, settings)


def refuse_larger(size: float, zones: int, phase: Phase, settings: TemplateSettings) -> None:
    """Raise UserError where a library of so many bytes is not going to fit in memory."""
    if size > room():
        raise UserError(
            f"Templates of {phase.name} for {zones:,} zone axes would take {size / 2**30:.2g} GiB of memory and "
            f"{room() / 2**30:.2g} GiB can be had; make the zone axis step larger than {settings.zone_axis_step:g}° or "
            f"the in-plane step larger than {settings.in_plane_step:g}°."
        )


def _highest(largest: float, kernel: float) -> int:
    """Return the highest frequency of a disk's profile in the largest shell that is not too faint."""
    return math.ceil(math.sqrt(-2 * math.log(FAINT)) * largest / kernel)


def _coarse(largest: float, kernel: float, frequencies: int) -> int:
    """Return how many frequencies the blurred templates have."""
    return min(math.ceil(SHARPNESS * largest / kernel) + 1, frequencies)


def _profile(radius: torch.Tensor, steps: int, kernel: float) -> torch.Tensor:
    """Return Fourier coefficients of exp(-(φr)²/2κ²), |φ| ≤ π, up to the last that is not too faint, shape (h, s)."""
    highest = _highest(float(radius.max()), kernel)
    finer = 2 * math.ceil(highest / steps) + 2
    turn = torch.arange(steps * finer, dtype=torch.float64) * (2 * math.pi / (steps * finer))
    turn = torch.where(turn > math.pi, turn - 2 * math.pi, turn)
    spot = torch.exp(-((turn[:, None] * radius / kernel) ** 2) / 2)
    return torch.fft.rfft(spot, dim=0).real[: highest + 1] / finer
