"""What the verifier sees of a hypothesis: measured disks and predicted reflections, each with its partner."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from napari_4dstem_orient.core.devices import least_in_rows, sorted_rows
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.scoring import Measured, gaussian

MAX_PEAKS = 40
"""Measured disks that are looked at, surest first, and reflections, those that two-beam theory makes strongest."""
FEWER_PEAKS = 24
"""The same for the first look at all hypotheses."""

PAIRING = 0.025
"""Å⁻¹; a disk belongs to the reflection for which distance and weakness together cost least."""
KERNELS = (0.0004, 0.0015, 0.005, 0.012, 0.03)
"""Å⁻¹; distances are seen through Gaussians of these widths."""
FEATURES = 16 + len(KERNELS)
LISTED = 64
"""Disks and reflections of which cosines are made: many weak ones together say much."""
COSINES = (
    (0.008, 0.25, PAIRING, 0.0),
    (0.008, 0.5, PAIRING, 0.0),
    (0.02, 0.25, PAIRING, 0.0),
    (0.02, 0.5, PAIRING, 0.0),
    (0.04, 0.25, 0.05, 0.0),
    (0.06, 0.25, 0.05, 0.0),
    (0.04, 0.25, 0.05, 1.5),
    (0.03, 0.25, 0.035, 1.5),
)
"""Widths of the excitation error (Å⁻¹), powers of the intensities, widths of what counts as near (Å⁻¹), and the
signal-to-noise at which a disk counts half."""
EXTENT = 9 + len(COSINES)
THICK = 800.0
"""Å; reflections whose extinction distances are much longer never shine, however well they are excited."""
CONE = 6
"""Directions of a half precession cone over which a strength is averaged."""
NOWHERE = 1.0
"""Å⁻¹; distance, along both axes, of what has no partner."""
ABSENT = 1e6
"""Cost of a partner that is not there."""


@dataclass(frozen=True, eq=False)
class PoseHypothesis:
    """A hypothesis: an orientation, and how the measured positions are off under it.

    Attributes
    ----------
    rotation : Tensor, shape (n, h, 3, 3)
    scale : Tensor, shape (n, h)
        Relative error of the measured |q|.
    origin : Tensor, shape (n, h, 2)
        Where the direct beam really is, Å⁻¹.
    """

    rotation: torch.Tensor
    scale: torch.Tensor
    origin: torch.Tensor

    @classmethod
    def of(cls, rotation: torch.Tensor) -> PoseHypothesis:
        """Start from an orientation and faultless positions."""
        zero = torch.zeros_like(rotation[..., 0])
        return cls(rotation, zero[..., 0], zero[..., :2])

    def __getitem__(self, index: Any) -> PoseHypothesis:
        """Return some of the hypotheses."""
        return PoseHypothesis(self.rotation[index], self.scale[index], self.origin[index])

    def copy(self) -> PoseHypothesis:
        """Return hypotheses of one's own, to ``put`` others among."""
        return PoseHypothesis(self.rotation.clone(), self.scale.clone(), self.origin.clone())

    def put(self, index: Any, other: PoseHypothesis) -> None:
        """Write others in the places that ``index`` names."""
        self.rotation[index], self.scale[index], self.origin[index] = (
            other.rotation,
            other.scale,
            other.origin,
        )

    def where(self, which: torch.Tensor, other: PoseHypothesis) -> PoseHypothesis:
        """Return these hypotheses where ``which`` (bool, n, h) is true, elsewhere the other ones."""
        return PoseHypothesis(
            torch.where(which[..., None, None], self.rotation, other.rotation),
            torch.where(which, self.scale, other.scale),
            torch.where(which[..., None], self.origin, other.origin),
        )

    def joined(self, other: PoseHypothesis) -> PoseHypothesis:
        """Return these hypotheses of each pattern and then the other ones."""
        return PoseHypothesis(
            torch.cat([self.rotation, other.rotation], 1),
            torch.cat([self.scale, other.scale], 1),
            torch.cat([self.origin, other.origin], 1),
        )

    def turn_to(self, other: PoseHypothesis) -> torch.Tensor:
        """Return by how much each orientation is turned in another, where that is little: (n, h), radians."""
        return (other.rotation - self.rotation).flatten(-2).norm(dim=-1) / math.sqrt(2)

    def pick(self, index: torch.Tensor) -> PoseHypothesis:
        """Return the hypotheses that ``index`` (n, k) names."""
        return PoseHypothesis(
            torch.gather(self.rotation, 1, index[..., None, None].expand(-1, -1, 3, 3)),
            self.scale.gather(1, index),
            torch.gather(self.origin, 1, index[..., None].expand(-1, -1, 2)),
        )


@dataclass(frozen=True, eq=False)
class View:
    """Pairs of measured disks and predicted reflections; first each disk's, then each reflection's.

    Attributes
    ----------
    features : Tensor, shape (n, h, t, FEATURES)
    present : Tensor, bool, shape (n, h, t)
    disks : int
        How many of the t pairs are disks'.
    g : Tensor, shape (n, h, t, 3)
        The reflection of each pair in the lab frame, Å⁻¹.
    apart : Tensor, shape (n, h, t, 2)
        Disk minus reflection, Å⁻¹.
    extent : Tensor, shape (n, h, EXTENT)
        How many pairs of each kind there are, and cosines of measured and kinematic intensities.
    """

    features: torch.Tensor
    present: torch.Tensor
    disks: int
    g: torch.Tensor
    apart: torch.Tensor
    extent: torch.Tensor


@torch.no_grad()
def view_of(
    measured: Measured, pose: PoseHypothesis, reflector: Reflector, max_peaks: int = MAX_PEAKS
) -> View:
    """Pair the disks of n patterns with the reflections of their hypotheses, up to ``max_peaks`` of each."""
    listed = min(measured.q.shape[1], max(LISTED, max_peaks))
    mask = measured.mask[:, :listed]
    light = measured.intensity[:, :listed].clamp_min(1e-5).log()
    sure = _sureness(measured)
    q = (measured.q[:, None, :listed] - pose.origin[:, :, None]) / (1 + pose.scale[..., None, None])
    expected = _expect(pose.rotation, reflector, measured.reach, max(LISTED, max_peaks))
    of_disk, of_reflection = _partners(q, light, mask, expected)

    hypotheses, disks = q.shape[1], min(listed, max_peaks)
    lit = mask[:, None, :, None].expand(-1, hypotheses, -1, -1)
    seen = torch.cat([(light / 3)[..., None], sure[:, :listed]], -1)[:, None].expand(-1, hypotheses, -1, -1)
    disk_rows = torch.cat([q, lit, seen], -1)
    shining = (expected.strength > 0)[..., None]
    reflection_rows = torch.cat([expected.g, shining, _seen_of_reflections(expected)], -1)
    left = torch.cat([disk_rows[:, :, :disks], _rows_of(disk_rows, of_reflection[..., :max_peaks])], 2)
    right = torch.cat([_rows_of(reflection_rows, of_disk[..., :disks]), reflection_rows[:, :, :max_peaks]], 2)
    present = torch.cat([lit[:, :, :disks], shining[:, :, :max_peaks]], 2)[..., 0]

    paired = present & (left[..., 2] > 0)
    g = right[..., :3]
    apart = torch.where(paired[..., None], left[..., :2] - g[..., :2], NOWHERE)
    far = apart.square().sum(-1, keepdim=True)
    length = right[..., 4:5].clamp_min(1e-3)
    along = (apart * g[..., :2]).sum(-1, keepdim=True) / length
    across = (apart[..., 1:] * g[..., :1] - apart[..., :1] * g[..., 1:2]) / length
    kernels = gaussian(far, far.new_tensor(KERNELS))
    offsets = torch.cat([along, across], -1)
    which = torch.zeros_like(far)
    which[:, :, disks:] = 1.0
    features = torch.cat(
        [which, right[..., 4:5], left[..., 3:], right[..., 5:], kernels]
        + [torch.tanh(offsets / unit) for unit in (0.01, 0.04)],
        -1,
    )
    off = q - _rows_of(expected.g[..., :2], of_disk)
    found = light.exp() * mask
    ratio = None if measured.snr is None else measured.snr[:, :listed]
    extent = _extent(pose, mask, found, ratio, expected, of_disk, off.square().sum(-1))
    whole = _of_pattern(measured.mask, sure)[:, None].expand(-1, hypotheses, -1)
    return View(features, present, disks, g, apart, torch.cat([extent, whole], -1))


def _sureness(measured: Measured) -> torch.Tensor:
    """Return what the network is told of each disk's signal-to-noise, and whether it is known: (n, d, 2)."""
    if measured.snr is None:
        return torch.zeros_like(measured.q)
    known = measured.snr > 0
    ratio = torch.where(known, measured.snr, 1.0).clamp(0.2, 1e3)
    return torch.stack([ratio.log() / 2, known.to(ratio)], -1)


def _of_pattern(mask: torch.Tensor, sure: torch.Tensor) -> torch.Tensor:
    """Return what the network is told of the list as a whole, whatever the hypothesis: (n, 4)."""
    ratio, known = sure.unbind(-1)
    count = mask.sum(1)
    return torch.stack(
        [
            count / 40.0,
            (known * mask).amax(1),
            torch.where(mask, ratio, -1.0).amax(1),
            (ratio * mask).sum(1) / count.clamp_min(1),
        ],
        1,
    )


@dataclass(frozen=True, eq=False)
class _Expected:
    """The strongest reflections of hypotheses: g (n, h, k, 3) in the lab frame, the others (n, h, k).

    Strength is the envelope of two-beam theory, 1 / (1 + s² ξ²), averaged over the precession cone; sweep is by
    how much precession changes the excitation error. The strength of what lies beyond the reach is 0.

    (A. Howie and M. J. Whelan, Proc. R. Soc. Lond. A 263 (1961) 217.)
    """

    g: torch.Tensor
    error: torch.Tensor
    coupling: torch.Tensor
    strength: torch.Tensor
    sweep: torch.Tensor
    squared: torch.Tensor


def _expect(rotation: torch.Tensor, reflector: Reflector, reach: float, max_peaks: int) -> _Expected:
    wavelength, count = reflector.wavelength, min(max_peaks, len(reflector.g))
    squared = reflector.g.square().sum(-1)
    g_z = rotation[..., 2] @ reflector.g.T
    if reflector.precession:
        strength = _strength(g_z, squared, 1 / reflector.extinction, reflector, reach)[0]
        index = strength.topk(count, dim=-1).indices
    else:
        # The same order as that of the strengths, from fewer operations on all reflections.
        half = wavelength * squared / 2
        beyond = ABSENT * (squared - half.square() > reach**2)
        weak = (reflector.extinction / (math.pi * THICK)).square_().clamp_min_(1)
        unlikely = (
            g_z.sub(half).div_(1 - wavelength * g_z).mul_(reflector.extinction).square_().add_(1).mul_(weak)
        )
        index = unlikely.add_(beyond).topk(count, dim=-1, largest=False).indices
    coupling = 1 / reflector.extinction[index]
    strength, error, sweep = _strength(g_z.gather(-1, index), squared[index], coupling, reflector, reach)
    return _Expected(
        reflector.g[index] @ rotation, error, coupling, strength, sweep, reflector.intensity[index]
    )


def _strength(
    g_z: torch.Tensor, squared: torch.Tensor, coupling: torch.Tensor, reflector: Reflector, reach: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return strength, excitation error and sweep (see ``_Expected``)."""
    error = (2 * g_z - reflector.wavelength * squared) / (2 - 2 * reflector.wavelength * g_z)
    flat = (squared - g_z.square()).clamp_min(0)
    sweep = math.sin(math.radians(reflector.precession)) * flat.sqrt()
    if reflector.precession:
        strength = torch.zeros_like(error)
        for step in range(CONE):
            there = error + sweep * math.cos(math.pi * (step + 0.5) / CONE)
            strength += 1 / (1 + (there / coupling).square()) / CONE
    else:
        strength = 1 / (1 + (error / coupling).square())
    return strength * (flat <= reach**2), error, sweep


def _partners(
    q: torch.Tensor, light: torch.Tensor, mask: torch.Tensor, expected: _Expected
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the reflection of each disk (n, h, d) and the disk of each reflection (n, h, k)."""
    flat = expected.g[..., :2]
    dark = torch.where(mask, -0.5 * light, ABSENT)[:, None]
    faint = -0.5 * expected.strength.clamp_min(1e-9).log()
    return _cheapest(q, flat, faint), _cheapest(flat, q, dark)


def _cheapest(here: torch.Tensor, there: torch.Tensor, extra: torch.Tensor) -> torch.Tensor:
    """Return which place there (n, h, k, 2) is nearest to each place here (n, h, d, 2), extra costs (n, h, k) added."""
    # Of the distance's square, here² - 2 here there + there², what is the same for all there decides nothing.
    unit = 2 * PAIRING**2
    there = torch.cat([(-2 / unit) * there, (there.square().sum(-1) / unit + extra)[..., None]], -1)
    return least_in_rows(torch.nn.functional.pad(here, (0, 1), value=1.0) @ there.transpose(-1, -2))


def _seen_of_reflections(expected: _Expected) -> torch.Tensor:
    """Return what the network is told of each reflection alone: (n, h, k, 8)."""
    s = expected.error
    return torch.stack(
        [
            expected.g[..., :2].norm(dim=-1),
            torch.tanh(s / 0.008),
            torch.tanh(s / 0.03),
            s.abs().clamp_min(1e-4).log() / 2 + 2,
            expected.coupling.clamp_min(1e-6).log() / 2 + 3,
            expected.strength.clamp_min(1e-6).log() / 3,
            gaussian(2 * s.square(), 0.008),
            expected.sweep / 0.02,
        ],
        -1,
    )


def _rows_of(rows: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Return the rows (n, h, m, f) that ``index`` (n, h, k) names: (n, h, k, f)."""
    patterns, hypotheses, count, width = rows.shape
    first = count * torch.arange(patterns * hypotheses, device=rows.device).view(patterns, hypotheses, 1)
    flat = rows.reshape(-1, width).index_select(0, (index + first).flatten())
    return flat.view(patterns, hypotheses, -1, width)


def _extent(
    pose: PoseHypothesis,
    mask: torch.Tensor,
    found: torch.Tensor,
    ratio: torch.Tensor | None,
    expected: _Expected,
    of_disk: torch.Tensor,
    far: torch.Tensor,
) -> torch.Tensor:
    """Return what the network is told of the hypothesis as a whole: (n, h, 5 + len(COSINES))."""
    off, count = pose.origin.norm(dim=-1) / 0.005, mask.sum(1)
    extent = [
        (count.clamp_max(MAX_PEAKS) / 20.0)[:, None].expand_as(off),
        expected.strength[..., :MAX_PEAKS].sum(-1) / 10.0,
        torch.tanh(off),
        torch.tanh(off / 4),
        torch.tanh(pose.scale.abs() / 0.01),
    ]
    error, shining = expected.error.square(), expected.strength > 0
    # A detection that found n disks would not have seen reflections much beyond the n brightest.
    most = error.shape[-1] - 1
    last = most - (1.25 * count + 2).long().clamp_max(most)[:, None, None].expand(-1, off.shape[1], 1)
    close = {near: gaussian(far, near) for near in {near for *_, near, _ in COSINES}}
    visible = {}
    for width in {width for width, *_ in COSINES}:
        wanted = expected.squared * gaussian(error, width) * shining
        visible[width] = (wanted * (wanted >= sorted_rows(wanted).gather(2, last))).clamp_min(1e-12)
    for width, power, near, half in COSINES:
        wanted, weight = visible[width] ** power, found**power * _counting(ratio, half)
        matched = (wanted.gather(2, of_disk) * weight[:, None] * close[near]).sum(-1)
        extent.append(matched / (wanted.norm(dim=-1) * weight.norm(dim=-1)[:, None]).clamp_min(1e-9))
    return torch.stack(extent, -1)


def _counting(ratio: torch.Tensor | None, half: float) -> torch.Tensor | float:
    """Return how much disks of a signal-to-noise ratio count, where one of ``half`` counts half: (n, d), or 1."""
    if ratio is None or not half:
        return 1.0
    return torch.where(ratio > 0, ratio.square() / (ratio.square() + half**2), 1.0)
