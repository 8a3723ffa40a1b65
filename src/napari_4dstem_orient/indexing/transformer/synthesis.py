"""Training patterns: simulated Bragg disks with everything that specimens and detection do to them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.rotations import random_rotations
from napari_4dstem_orient.indexing.transformer.tokens import canonical_frame, strongest

Range = tuple[float, float]

FALSE_PEAK_INTENSITY: Range = (0.0005, 0.2)
"""Relative to the strongest disk."""


@dataclass(frozen=True)
class SynthesisSettings:
    """What varies from one training pattern to the next; ranges are drawn log-uniformly unless said otherwise.

    Attributes
    ----------
    excitation_width : (float, float)
        Gaussian width of the excitation error in kinematic patterns, Å⁻¹.
    thickness : (float, float)
        Thickness of two-beam dynamical patterns, Å.
    dynamical_share : float
        Share of two-beam dynamical patterns.
    intensity_noise : float
        Largest standard deviation of log intensities.
    scatter : (float, float)
        Standard deviation of disk positions on each axis, Å⁻¹.
    scale_error : float
        Largest error of the reciprocal pixel size (uniform), and of ellipticity at half of it.
    origin_error : float
        Standard deviation of the direct beam's position, Å⁻¹.
    threshold : (float, float)
        Weakest disk kept, relative to the strongest.
    missing : float
        Largest share of disks dropped at random.
    false_peaks : int
        Largest number of peaks that are not reflections.
    second_crystal : float
        Share of patterns overlaid with another crystal's weaker one.
    """

    excitation_width: Range = (0.006, 0.03)
    thickness: Range = (40.0, 1500.0)
    dynamical_share: float = 0.5
    intensity_noise: float = 0.6
    scatter: Range = (0.001, 0.012)
    scale_error: float = 0.02
    origin_error: float = 0.004
    threshold: Range = (0.0005, 0.03)
    missing: float = 0.2
    false_peaks: int = 5
    second_crystal: float = 0.06

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Batch:
    """Training patterns in the canonical frame.

    Attributes
    ----------
    disks : Tensor, shape (n, tokens, 3)
    mask : Tensor, bool, shape (n, tokens)
    rotation : Tensor, shape (n, 3, 3)
        The true orientation, in the canonical frame.
    """

    disks: torch.Tensor
    mask: torch.Tensor
    rotation: torch.Tensor


class PatternSource:
    """Draws training patterns of one phase.

    Parameters
    ----------
    reflector : Reflector
        The phase's reflections; patterns lie on its device.
    k_max : float
        Largest |q| that a detector may show, Å⁻¹; each pattern is cut somewhere in the outer quarter.
    settings : SynthesisSettings
    """

    def __init__(self, reflector: Reflector, k_max: float, settings: SynthesisSettings) -> None:
        self.reflector = reflector
        self.k_max = k_max
        self.settings = settings

    def draw(self, count: int, tokens: int, generator: torch.Generator) -> Batch:
        """Draw ``count`` patterns of random orientation in the canonical frame, at most ``tokens`` disks each."""
        rotation = random_rotations(count, generator, self.reflector.g.device)
        disks, mask = self.detect(rotation, generator, tokens)
        turned, back = canonical_frame(disks)
        # R_lab = R_canonical @ back, hence the transpose
        return Batch(turned * mask[..., None], mask, rotation @ back.transpose(1, 2))

    def detect(
        self, rotation: torch.Tensor, generator: torch.Generator, tokens: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Simulate what a detection would find for given orientations: disks (n, tokens, 3) and their mask."""
        q, intensity = self._diffract(rotation, generator)
        overlaid = self._uniform((len(rotation), 1), generator) < self.settings.second_crystal
        if bool(overlaid.any()):
            other = random_rotations(len(rotation), generator, q.device)
            q_other, weak = self._diffract(other, generator)
            share = overlaid * self._between((0.05, 0.5), (len(rotation), 1), generator)
            q, intensity = torch.cat([q, q_other], 1), torch.cat([intensity, share * weak], 1)
        intensity = self._disturb_intensity(intensity, generator)
        q, intensity = self._add_false_peaks(self._disturb_position(q, generator), intensity, generator)
        threshold = self._between(self.settings.threshold, (len(q), 1), generator)
        edge = self.k_max * (0.75 + 0.25 * self._uniform((len(q), 1), generator))
        seen = (intensity > threshold) & (q.norm(dim=-1) < edge)
        # A pattern keeps its strongest disk whatever happens: a network needs something to look at.
        seen |= intensity == intensity.amax(1, keepdim=True)
        return strongest(torch.cat([q, intensity[..., None]], -1), seen, tokens)

    def _diffract(
        self, rotation: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        g_lab = self.reflector.in_lab(rotation)
        each = (len(rotation), 1)
        width = self._between(self.settings.excitation_width, each, generator)
        kinematic = self.reflector.excite(g_lab, width)
        thickness = self._between(self.settings.thickness, each, generator)
        dynamical = self.reflector.two_beam(g_lab, thickness)
        choose = self._uniform(each, generator) < self.settings.dynamical_share
        intensity = torch.where(choose, dynamical, kinematic)
        top, index = intensity.topk(min(64, intensity.shape[1]), dim=1)
        q = torch.gather(g_lab[..., :2], 1, index[..., None].expand(-1, -1, 2))
        return q, top / top[:, :1].clamp_min(1e-9)

    def _disturb_intensity(self, intensity: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        amount = self.settings.intensity_noise * self._uniform((len(intensity), 1), generator)
        intensity = intensity * torch.exp(amount * self._normal(intensity.shape, generator))
        lost = self.settings.missing * self._uniform((len(intensity), 1), generator)
        intensity = intensity * (self._uniform(intensity.shape, generator) > lost)
        return intensity / intensity.amax(1, keepdim=True).clamp_min(1e-9)

    def _disturb_position(self, q: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        each = (len(q), 1, 1)
        q = q + self._between(self.settings.scatter, each, generator) * self._normal(q.shape, generator)
        scale = 1 + self.settings.scale_error * (2 * self._uniform(each, generator) - 1)
        strain = 0.5 * self.settings.scale_error * (2 * self._uniform((len(q), 2), generator) - 1)
        stretch = torch.stack([strain, torch.stack([strain[:, 1], -strain[:, 0]], 1)], 1)
        origin = self.settings.origin_error * self._normal((len(q), 1, 2), generator)
        return q * scale + q @ stretch + origin

    def _add_false_peaks(
        self, q: torch.Tensor, intensity: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (len(q), self.settings.false_peaks)
        radius = self.k_max * self._uniform(shape, generator).sqrt()
        angle = 2 * math.pi * self._uniform(shape, generator)
        false_q = torch.stack([radius * angle.cos(), radius * angle.sin()], -1)
        how_many = (self.settings.false_peaks + 1) * self._uniform((len(q), 1), generator).square()
        present = torch.arange(self.settings.false_peaks, device=q.device) < how_many.floor()
        false_intensity = present * self._between(FALSE_PEAK_INTENSITY, shape, generator)
        return torch.cat([q, false_q], 1), torch.cat([intensity, false_intensity], 1)

    def _uniform(self, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        return torch.rand(shape, generator=generator).to(self.reflector.g.device)

    def _normal(self, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(self.reflector.g.device)

    def _between(self, bounds: Range, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        low, high = math.log(bounds[0]), math.log(bounds[1])
        return torch.exp(low + (high - low) * self._uniform(shape, generator))
