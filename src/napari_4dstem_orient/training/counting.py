"""What electron counting makes of perfect disks: their signal-to-noise, their scatter, and peaks of noise among them.

The numbers are those of multislice patterns with Poisson counts whose truth is known: docs/detection_statistics.md,
"Signal-to-noise, for the verifier's training".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

Range = tuple[float, float]

NOISE_PEAKS = 240
"""At most so many maxima of noise are drawn for a pattern."""
CELL = 10.0
"""Squared disk radii of area for each maximum of noise."""
TRIES = (3.0, 25.0)
"""A maximum of noise is the largest of so many counts: where electrons are few, and where they lie close."""
RATIO = (0.9, 0.12)
"""Signal-to-noise of n electrons in the dark over √n: the first for many, and for one so much more."""
PLACED = (0.43, 0.6, 0.35)
"""Scatter of disks on each axis in disk radii: factor and negative power of the signal-to-noise, and the largest."""
SPACING = 1.5
"""Disk radii; of two peaks closer than this the weaker is lost."""
LONGEST = 128
"""Only so many of a pattern's peaks are kept, the strongest."""
CLUMPS = 0.25
"""Candidates of noise that lie on a ring or near the beam, where there is one."""


@dataclass(frozen=True)
class CountingSettings:
    """How electrons are counted; ranges are drawn log-uniformly unless said otherwise.

    Attributes
    ----------
    dose : (float, float)
        Electrons in a pattern.
    radius : (float, float)
        Of a disk, in lengths of the shortest reflection.
    diffuse : (float, float)
        Share of the electrons that are scattered diffusely.
    halo : (float, float)
        Width of the halo they make, Å⁻¹.
    ringed : float
        Share of patterns with a ring, of half of the diffuse electrons.
    placed : (float, float)
        Scatter of sure disks, in disk radii.
    floor : (float, float)
        Least signal-to-noise.
    relative_floor : (float, float)
        Weakest disk kept relative to the strongest, in a third of the patterns.
    noise_error : float
        Standard deviation of the logarithm of the noise that a detection believes in.
    unknown : float
        Share of patterns whose lists do not tell the signal-to-noise.
    kinematic_share : float
        Of the beam: the strongest kinematic reflection.
    """

    dose: Range = (2e3, 5e6)
    radius: Range = (0.03, 0.25)
    diffuse: Range = (5e-4, 0.5)
    halo: Range = (0.12, 0.6)
    ringed: float = 0.15
    placed: Range = (0.003, 0.12)
    floor: Range = (0.7, 3.5)
    relative_floor: Range = (1e-4, 0.05)
    noise_error: float = 0.15
    unknown: float = 0.2
    kinematic_share: float = 0.2


class _Chance:
    """Random numbers for n patterns, on their device."""

    def __init__(self, patterns: int, generator: torch.Generator, device: torch.device) -> None:
        self.patterns, self.generator, self.device = patterns, generator, device

    def uniform(self, count: int = 1) -> torch.Tensor:
        return torch.rand(self.patterns, count, generator=self.generator).to(self.device)

    def normal(self, *shape: int) -> torch.Tensor:
        return torch.randn(self.patterns, *shape, generator=self.generator).to(self.device)

    def between(self, bounds: Range) -> torch.Tensor:
        return torch.exp(math.log(bounds[0]) + math.log(bounds[1] / bounds[0]) * self.uniform())

    def poisson(self, expected: torch.Tensor) -> torch.Tensor:
        return torch.poisson(expected.cpu(), generator=self.generator).to(self.device)


@dataclass(frozen=True, eq=False)
class _Ground:
    """Beam and diffuse scattering of n patterns, each (n, 1); see ``CountingSettings``."""

    dose: torch.Tensor
    radius: torch.Tensor
    lost: torch.Tensor
    halo: torch.Tensor
    ring: torch.Tensor
    wide: torch.Tensor
    ringed: torch.Tensor

    @classmethod
    def drawn(cls, settings: CountingSettings, nearest: float, reach: float, chance: _Chance) -> _Ground:
        dose, radius = chance.between(settings.dose), nearest * chance.between(settings.radius)
        lost, halo = chance.between(settings.diffuse), chance.between(settings.halo)
        ring, wide = 0.9 * reach * chance.uniform(), radius * (1 + 2 * chance.uniform())
        return cls(dose, radius, lost, halo, ring, wide, 0.5 * (chance.uniform() < settings.ringed))

    def under(self, length: torch.Tensor) -> torch.Tensor:
        """Return how many diffuse electrons fall on a disk's area at |q| (n, d)."""
        smooth = 1 / (2 * math.pi * self.halo**2) / (1 + (length / self.halo).square()) ** 1.5
        band = torch.exp(-0.5 * ((length - self.ring) / self.wide).square())
        band = band / (2 * math.pi * self.ring.clamp_min(0.2) * self.wide * math.sqrt(2 * math.pi))
        area = math.pi * self.radius**2
        return self.dose * self.lost * area * ((1 - self.ringed) * smooth + self.ringed * band)


class Counter:
    """Counts the electrons of perfect patterns.

    Parameters
    ----------
    settings : CountingSettings
    nearest : float
        Length of the shortest reflection, Å⁻¹.
    reach : float
        Where the detector ends, Å⁻¹.
    """

    def __init__(self, settings: CountingSettings, nearest: float, reach: float) -> None:
        self.settings, self.nearest, self.reach = settings, nearest, reach

    def count(
        self, q: torch.Tensor, share: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Count electrons in disks, add noise, and keep what a detection would.

        Parameters
        ----------
        q : Tensor, shape (n, b, 2)
            Å⁻¹.
        share : Tensor, shape (n, b)
            Of the beam's electrons.
        generator : torch.Generator

        Returns
        -------
        q : Tensor, shape (n, LONGEST, 2)
        counts : Tensor, shape (n, LONGEST)
            Above the ground, the strongest first.
        snr : Tensor, shape (n, LONGEST)
            0 where it is not known.
        found : Tensor, bool, shape (n, LONGEST)
        """
        use, chance = self.settings, _Chance(len(q), generator, q.device)
        ground = _Ground.drawn(use, self.nearest, self.reach, chance)
        under = ground.under(q.norm(dim=-1))
        total = chance.poisson(ground.dose * (1 - ground.lost) * share + under)
        noise_q, noise_under, noise_total = self._noise(ground, chance)
        q, under = torch.cat([q, noise_q], 1), torch.cat([under, noise_under], 1)
        total = torch.cat([total, noise_total], 1)
        counts = (total - under).clamp_min(0)
        snr = self._signal_to_noise(counts, total, chance)
        q = self._placed(q, snr, ground.radius, chance)
        found = (snr > chance.between(use.floor)) & (counts > 0)
        counts, index = (counts * found).topk(LONGEST, dim=1)
        snr, found = snr.gather(1, index), found.gather(1, index)
        q = q.gather(1, index[..., None].expand(-1, -1, 2))
        relative = torch.where(chance.uniform() < 1 / 3, chance.between(use.relative_floor), 0.0)
        found = found & (counts > relative * counts[:, :1])
        # Of two peaks too close the weaker is lost.
        found &= ~torch.tril(torch.cdist(q, q) < SPACING * ground.radius[..., None], -1).any(-1)
        known = chance.uniform() >= use.unknown
        return q, counts, snr * known, found

    def _noise(self, ground: _Ground, chance: _Chance) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return maxima of noise: where, ground (n, NOISE_PEAKS), and electrons, 0 where there is none."""
        length = self.reach * chance.uniform(NOISE_PEAKS).sqrt()
        clumped = chance.uniform(NOISE_PEAKS) < CLUMPS
        near_beam = self.reach * chance.uniform(NOISE_PEAKS)
        on_ring = (ground.ring + ground.wide * chance.normal(NOISE_PEAKS)).abs()
        length = torch.where(clumped, torch.where(ground.ringed > 0, on_ring, near_beam), length)
        angle = 2 * math.pi * chance.uniform(NOISE_PEAKS)
        under = ground.under(length)
        few, many = TRIES
        tries = few + (many - few) * under / (1 + under)
        # The largest of so many Poisson counts, by their quantile (Cornish and Fisher).
        z = torch.special.ndtri(chance.uniform(NOISE_PEAKS).clamp(1e-6, 1 - 1e-6) ** (1 / tries))
        total = (under + z * under.sqrt() + (z.square() - 1) / 6).round().clamp_min(0)
        cells = math.pi * self.reach**2 / (CELL * ground.radius**2)
        total = total * (torch.arange(NOISE_PEAKS, device=total.device) < cells)
        return torch.stack([length * angle.cos(), length * angle.sin()], -1), under, total

    def _signal_to_noise(self, counts: torch.Tensor, total: torch.Tensor, chance: _Chance) -> torch.Tensor:
        # Electrons off the middle of a template count less.
        seen = 1 - 0.1 * chance.uniform(total.shape[1]) * (total > 1.5)
        many, one_more = RATIO
        ratio = seen * counts / total.clamp_min(1).sqrt() * (many + one_more / total.clamp_min(1))
        return ratio * torch.exp(self.settings.noise_error * chance.normal(1))

    def _placed(
        self, q: torch.Tensor, snr: torch.Tensor, radius: torch.Tensor, chance: _Chance
    ) -> torch.Tensor:
        """Return positions as detected."""
        factor, power, most = PLACED
        least = chance.between(self.settings.placed)
        spread = (factor * snr.clamp_min(0.3) ** -power).square() + least.square()
        return q + (radius * spread.sqrt().clamp_max(most))[..., None] * chance.normal(*q.shape[1:])
