"""Training patterns: simulated Bragg disks with everything that specimens and detection do to them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from napari_4dstem_orient.crystals.bloch import BlochWaves
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.crystals.rotations import about_beam, random_rotations
from napari_4dstem_orient.indexing.transformer.tokens import in_frame, strongest
from napari_4dstem_orient.training.counting import Counter, CountingSettings
from napari_4dstem_orient.training.plan import THICKNESS

Range = tuple[float, float]

THICKNESSES = 4
"""Patterns made from one eigenvalue problem: the same zone, other thicknesses, in-plane turns and disturbances."""

BEAMS_PER_VOLUME = 4.0
"""Beams in a Bloch-wave calculation for each Å³ of primitive cell, within ``BEAMS``."""
BEAMS = (36, 72)
COUNTED_BEAMS = 1.5
"""So many times as many where electrons are counted: many of them see faint disks."""

CONE_AZIMUTHS = 6
"""Directions on a precession cone."""

SATURATED, STOPPED = 0.08, 0.05
"""Shares of patterns with a saturated detector, and with a beam stop."""


@dataclass(frozen=True)
class SynthesisSettings:
    """What varies from one training pattern to the next; ranges are drawn log-uniformly unless said otherwise.

    Attributes
    ----------
    thickness : (float, float)
        Å.
    kinematic_share : float
        Share of kinematic patterns; the others are dynamical (Bloch waves).
    excitation_width : (float, float)
        Gaussian width of the excitation error in kinematic patterns, Å⁻¹.
    excitation_cut : float
        Beams with a larger excitation error (Å⁻¹) take no part in a dynamical pattern.
    averaged_share : float
        Share of dynamical patterns that are the mean of several thicknesses: a wedge, or a bent film.
    clean_share : float
        Share of patterns that none of the following disturbs, but the threshold.
    intensity_noise : float
        Largest standard deviation of log intensities.
    scatter : (float, float)
        Standard deviation of disk positions across q, Å⁻¹.
    uneven : float
        Largest ratio of the scatter along q to that across: a thick crystal lights a disk unevenly.
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
    false_intensity : (float, float)
        Their intensity, relative to the strongest disk.
    second_crystal : float
        Share of patterns overlaid with another crystal's weaker one.
    edge : (float, float)
        Where the detector ends, as a share of k_max (uniform).
    counting : CountingSettings, optional
        Electrons are counted: this decides scatter, noise and what is found, in place of ``scatter`` and ``threshold``.
    """

    thickness: Range = THICKNESS
    kinematic_share: float = 0.15
    excitation_width: Range = (0.006, 0.03)
    excitation_cut: float = 1.0
    averaged_share: float = 0.25
    clean_share: float = 0.25
    intensity_noise: float = 0.4
    scatter: Range = (0.001, 0.012)
    uneven: float = 3.0
    scale_error: float = 0.02
    origin_error: float = 0.004
    threshold: Range = (0.0003, 0.15)
    missing: float = 0.2
    false_peaks: int = 6
    false_intensity: Range = (0.0005, 0.5)
    second_crystal: float = 0.06
    edge: Range = (0.75, 1.0)
    counting: CountingSettings | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def published_synthesis(thickness: Range) -> SynthesisSettings:
    """Return the published training distribution for a range of thickness: Bloch waves, and nothing disturbed."""
    return SynthesisSettings(
        thickness=thickness,
        kinematic_share=0.0,
        averaged_share=0.0,
        clean_share=1.0,
        excitation_cut=0.04,
        threshold=(0.004, 0.004),
        second_crystal=0.0,
        edge=(1.0, 1.0),
    )


@dataclass(frozen=True, eq=False)
class Batch:
    """Training patterns in the canonical frame, or in the lab frame for a network that wants them there.

    Attributes
    ----------
    disks : Tensor, shape (n, tokens, 3)
    mask : Tensor, bool, shape (n, tokens)
    rotation : Tensor, shape (n, 3, 3)
        The true orientation, in the same frame.
    snr : Tensor, shape (n, tokens), or None
        Signal-to-noise ratio where electrons are counted, 0 where it is not known.
    """

    disks: torch.Tensor
    mask: torch.Tensor
    rotation: torch.Tensor
    snr: torch.Tensor | None = None


class PatternSource:
    """Draws training patterns of one crystal under one beam.

    Parameters
    ----------
    phase : Phase
    voltage : float
        kV.
    k_max : float
        Largest |q| that a detector may show, Å⁻¹.
    settings : SynthesisSettings
    precession : float
        Half-angle in degrees.
    device : torch.device or str
        Where patterns are made and lie.
    """

    def __init__(
        self,
        phase: Phase,
        voltage: float,
        k_max: float,
        settings: SynthesisSettings,
        precession: float = 0.0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.phase = phase
        self.voltage = voltage
        self.k_max = k_max
        self.settings = settings
        self.reflector = Reflector.of(phase, voltage, k_max, precession, device)
        self.waves = BlochWaves.of(phase, voltage, k_max, device=device)
        volume = 4 / 3 * math.pi * k_max**3 / len(self.reflector.g)
        self.counter = (
            Counter(settings.counting, self.reflector.nearest, k_max) if settings.counting else None
        )
        self.beams = int(min(max(BEAMS_PER_VOLUME / volume, BEAMS[0]), BEAMS[1]))
        if self.counter is not None:
            self.beams = int(COUNTED_BEAMS * self.beams)

    def draw(
        self,
        count: int,
        tokens: int,
        generator: torch.Generator,
        canonical: bool = True,
        empty: bool = False,
    ) -> Batch:
        """Draw ``count`` patterns of random orientation, at most ``tokens`` disks each; frame: see ``in_frame``.

        Of ``empty`` patterns the crystal is gone, and what is left are false peaks and noise.
        """
        zones = random_rotations(-(-count // THICKNESSES), generator, self.reflector.g.device)
        q, intensity = self._diffract(zones, THICKNESSES, generator)
        if empty:
            intensity = torch.zeros_like(intensity)
        turn = about_beam(2 * math.pi * self._uniform((len(q),), generator))
        q = q @ turn[:, :2, :2]  # R turned by `turn` sees g_lab turned back
        rotation = zones.repeat_interleave(THICKNESSES, 0) @ turn
        disks, mask = self._disturb(q[:count], intensity[:count], generator, tokens)
        turned, back = in_frame(disks[..., :3], canonical)
        snr = disks[..., 3] * mask if self.settings.counting else None
        # R_lab = R_frame @ back, hence the transpose
        return Batch(turned * mask[..., None], mask, rotation[:count] @ back.transpose(1, 2), snr)

    def detect(
        self, rotation: torch.Tensor, generator: torch.Generator, tokens: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Simulate what a detection would find for given orientations: disks (n, tokens, 3) and their mask.

        Where electrons are counted, disks are (n, tokens, 4): their signal-to-noise comes last.
        """
        return self._disturb(*self._diffract(rotation, 1, generator), generator, tokens)

    def _diffract(
        self, rotation: torch.Tensor, times: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return positions and intensities of ``times`` perfect patterns of each orientation, one after the other."""
        thickness = self._between(self.settings.thickness, (len(rotation), times), generator)
        q, intensity = self.waves.diffract(
            rotation,
            thickness,
            beams=self.beams,
            excitation_cut=self.settings.excitation_cut,
            precession=self.reflector.precession,
            azimuths=CONE_AZIMUTHS,
        )
        each = (len(rotation), times, 1)
        averaged = self._uniform(each, generator) < self.settings.averaged_share
        intensity = torch.where(averaged, intensity.mean(1, keepdim=True), intensity)
        kinematic = self._uniform(each, generator) < self.settings.kinematic_share
        width = self._between(self.settings.excitation_width, each, generator)
        g_lab = self.reflector.in_lab(rotation)
        plain = self.reflector.excite(g_lab[:, None], width)
        top, index = plain.topk(min(self.beams - 1, plain.shape[-1]), dim=-1)
        g_xy = torch.gather(
            g_lab[:, None, :, :2].expand(-1, times, -1, -1), 2, index[..., None].expand(-1, -1, -1, 2)
        )
        q = torch.where(kinematic[..., None], g_xy, q[:, None])
        if self.settings.counting:
            top = self.settings.counting.kinematic_share * top
        return q.flatten(0, 1), torch.where(kinematic, top, intensity).flatten(0, 1)

    def _disturb(
        self, q: torch.Tensor, intensity: torch.Tensor, generator: torch.Generator, tokens: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Do to perfect patterns what specimens and detection do: disks (n, tokens, 3 or 4) and their mask."""
        strongest_share = intensity.amax(1, keepdim=True).clamp_min(1e-9)
        intensity = intensity / strongest_share
        disturbed = self._uniform((len(q), 1), generator) >= self.settings.clean_share
        if self.settings.second_crystal:
            # Another pattern of the batch stands for the other crystal.
            order = torch.randperm(len(q), generator=generator).to(q.device)
            overlaid = disturbed & (self._uniform((len(q), 1), generator) < self.settings.second_crystal)
            share = overlaid * self._between((0.05, 0.5), (len(q), 1), generator)
            turn = about_beam(2 * math.pi * self._uniform((len(q),), generator))[:, :2, :2]
            q = torch.cat([q, q[order] @ turn], 1)
            intensity = torch.cat([intensity, share * intensity[order]], 1)
        intensity = self._disturb_intensity(q, intensity, disturbed, generator)
        q, intensity = self._add_false_peaks(
            self._disturb_position(q, disturbed, generator), intensity, disturbed, generator
        )
        counter, columns = self.counter, [intensity[..., None]]
        if counter is None:
            seen = intensity > self._between(self.settings.threshold, (len(q), 1), generator)
        else:
            q, intensity, snr, seen = counter.count(q, strongest_share * intensity, generator)
            columns = [intensity[..., None], snr[..., None]]
        nearest, farthest = self.settings.edge
        edge = self.k_max * (nearest + (farthest - nearest) * self._uniform((len(q), 1), generator))
        seen = seen & (q.norm(dim=-1) < edge)
        # A pattern keeps its strongest disk whatever happens: a network needs something to look at.
        seen.scatter_(1, intensity.argmax(1, keepdim=True), True)
        return strongest(torch.cat([q, *columns], -1), seen, tokens)

    def _disturb_intensity(
        self, q: torch.Tensor, intensity: torch.Tensor, disturbed: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        each = (len(intensity), 1)
        amount = disturbed * self.settings.intensity_noise * self._uniform(each, generator)
        noisy = intensity * torch.exp(amount * self._normal(intensity.shape, generator))
        saturated = disturbed & (self._uniform(each, generator) < SATURATED)
        ceiling = torch.where(saturated, self._between((0.1, 1.0), each, generator), 1e9)
        noisy = torch.minimum(noisy, ceiling)
        lost = disturbed * self.settings.missing * self._uniform(each, generator)
        kept = self._uniform(intensity.shape, generator) >= lost
        kept &= ~self._behind_the_stop(q, disturbed, generator)
        noisy = noisy * kept
        return noisy / noisy.amax(1, keepdim=True).clamp_min(1e-9)

    def _behind_the_stop(
        self, q: torch.Tensor, disturbed: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        """Return which disks a bar from the rim to the middle of the detector hides in a few patterns."""
        stopped = disturbed & (self._uniform((len(q), 1), generator) < STOPPED)
        angle = 2 * math.pi * self._uniform((len(q), 1), generator)
        along = q[..., 0] * angle.cos() + q[..., 1] * angle.sin()
        across = q[..., 1] * angle.cos() - q[..., 0] * angle.sin()
        return stopped & (along > 0) & (across.abs() < 0.08 * self.k_max)

    def _disturb_position(
        self, q: torch.Tensor, disturbed: torch.Tensor, generator: torch.Generator
    ) -> torch.Tensor:
        each = (len(q), 1, 1)
        scatter = disturbed[..., None] * self._between(self.settings.scatter, each, generator)
        if self.counter is not None:
            scatter = torch.zeros_like(scatter)
        uneven = 1 + (self.settings.uneven - 1) * self._uniform(each, generator)
        outward = torch.nn.functional.normalize(q, dim=-1)
        offset = scatter * self._normal(q.shape, generator)
        q = q + offset + (uneven - 1) * (offset * outward).sum(-1, keepdim=True) * outward
        off = disturbed * self.settings.scale_error
        scale = 1 + (off * (2 * self._uniform((len(q), 1), generator) - 1))[..., None]
        strain = 0.5 * off * (2 * self._uniform((len(q), 2), generator) - 1)
        stretch = torch.stack([strain, torch.stack([strain[:, 1], -strain[:, 0]], 1)], 1)
        origin = disturbed[..., None] * self.settings.origin_error * self._normal((len(q), 1, 2), generator)
        return q * scale + q @ stretch + origin

    def _add_false_peaks(
        self, q: torch.Tensor, intensity: torch.Tensor, disturbed: torch.Tensor, generator: torch.Generator
    ) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (len(q), self.settings.false_peaks)
        radius = self.k_max * self._uniform(shape, generator).sqrt()
        angle = 2 * math.pi * self._uniform(shape, generator)
        false_q = torch.stack([radius * angle.cos(), radius * angle.sin()], -1)
        how_many = (self.settings.false_peaks + 1) * self._uniform((len(q), 1), generator).square()
        present = disturbed & (torch.arange(self.settings.false_peaks, device=q.device) < how_many.floor())
        false_intensity = present * self._between(self.settings.false_intensity, shape, generator)
        return torch.cat([q, false_q], 1), torch.cat([intensity, false_intensity], 1)

    def _uniform(self, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        return torch.rand(shape, generator=generator).to(self.reflector.g.device)

    def _normal(self, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(self.reflector.g.device)

    def _between(self, bounds: Range, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
        low, high = math.log(bounds[0]), math.log(bounds[1])
        return torch.exp(low + (high - low) * self._uniform(shape, generator))
