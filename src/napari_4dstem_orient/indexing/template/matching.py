"""Template matching of many patterns at once, with the scores of py4DSTEM's ``match_single_pattern``.

A pattern's score against a zone axis at an in-plane angle is a correlation along the angle, summed over radial
shells. Along the angle it is a product of Fourier coefficients, so scores of all zones come from one matrix product
for each angular frequency. Turning all of them back into angles would take longest; a blurred look at every zone
(few frequencies, few angles) chooses the finalists, and only these are looked at exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_4dstem_orient.crystals.rotations import about_beam
from napari_4dstem_orient.indexing.template.library import EXCITED, Templates, nearest_errors

FINALISTS = 24
"""Zone axes whose scores are computed exactly for each pattern."""
MEMORY = {"cpu": 16e6, "cuda": 2e9, "mps": 5e8}
"""Bytes that a batch may take; on a CPU so few that it stays near the caches and a batch takes a tenth of a second."""
TIE = 1e-5
"""Scores that differ by less, relatively, are the same; the first counts, as in py4DSTEM."""


def match(
    templates: Templates, q: torch.Tensor, intensity: torch.Tensor, mask: torch.Tensor, matches: int
) -> torch.Tensor:
    """Find the best orientations of each pattern; each is looked for in what the one before leaves unexplained.

    The score, and that what is explained is taken away before the next match: C. Ophus et al., Microsc. Microanal.
    28 (2022) 390.

    Parameters
    ----------
    templates : Templates
    q : Tensor, shape (n, d, 2)
        Disks in Å⁻¹.
    intensity : Tensor, shape (n, d)
    mask : Tensor, bool, shape (n, d)
        Where there is a disk.
    matches : int

    Returns
    -------
    rotation : Tensor, shape (n, matches, 3, 3)
        Where nothing is left to match, the first zone axis.
    """
    found = []
    for _ in range(matches):
        best = _best(templates, q, intensity, mask)
        found.append(torch.where(best.score[:, None, None] > 0, best.rotation(templates), templates.zones[0]))
        if len(found) < matches:
            intensity, mask = _unexplained(
                templates, found[-1], q, intensity, mask & (best.score > 0)[:, None]
            )
    return torch.stack(found, 1)


def likeliest(
    templates: Templates, q: torch.Tensor, intensity: torch.Tensor, mask: torch.Tensor, count: int
) -> torch.Tensor:
    """Return the orientations of the zone axes, mirrored or not, that match each pattern best: (n, count, 3, 3).

    Parameters: see ``match``.
    """
    spectrum = _spectrum(templates, q, intensity, mask)
    finalists = _finalists(templates, spectrum, count)
    scores = _scores(templates, spectrum, finalists).flatten(1, 2)
    top, order = scores.amax(-1).topk(min(count, scores.shape[1]), dim=1)
    scores = scores.gather(1, order[..., None].expand(-1, -1, templates.steps))
    angle = _peak(scores, scores.argmax(-1)) * (2 * math.pi / templates.steps)
    return Best(top, finalists.gather(1, order // 2), angle, (order % 2).bool()).rotation(templates)


def batch_sizes(
    libraries: Sequence[Templates], counts: np.ndarray, matches: int, memory: float | None = None
) -> list[int]:
    """Say how many patterns to match at once, batch after batch.

    Parameters
    ----------
    libraries : sequence of Templates
    counts : ndarray of int, shape (n,)
        Disks of each pattern, most first.
    matches : int
    memory : float, optional
        Bytes that a batch may take; what ``MEMORY`` says for the device by default.
    """
    memory = memory or MEMORY[libraries[0].device.type]
    sizes: list[int] = []
    done = 0
    while done < len(counts):
        each = max(_bytes(templates, int(counts[done]), matches) for templates in libraries)
        sizes.append(min(max(int(memory // each), 1), len(counts) - done))
        done += sizes[-1]
    return sizes


def _bytes(templates: Templates, disks: int, matches: int) -> int:
    """Return about the bytes that matching one pattern with so many disks takes."""
    frequencies, zones, _, shells = templates.waves.shape
    harmonics = len(templates.profile)
    blurred = 9 * len(templates.blurred) * zones
    exact = min(FINALISTS, zones) * (2 * frequencies * (shells + 8) + 4 * templates.steps)
    spectrum = harmonics * (6 * disks + 8 * shells) + 3 * disks * shells
    reflections = len(templates.reflector.g)
    azimuths = 12 if templates.reflector.precession else 1
    unexplained = reflections * (3 * azimuths + 6 + disks) if matches > 1 else 0
    return 4 * max(blurred, exact, spectrum, unexplained)


@dataclass(frozen=True, eq=False)
class Best:
    """Score, zone axis, in-plane angle (radians) and whether the mirrored pattern matched, of any shape."""

    score: torch.Tensor
    zone: torch.Tensor
    angle: torch.Tensor
    mirrored: torch.Tensor

    def rotation(self, templates: Templates) -> torch.Tensor:
        """Return orientation matrices in py4DSTEM's convention, (..., 3, 3)."""
        turned = templates.zones[self.zone] @ about_beam(-self.angle - math.pi * self.mirrored)
        # A mirrored pattern is that of the crystal turned by half a turn about x.
        half_turn = torch.tensor([1.0, -1.0, -1.0], device=turned.device)
        return torch.where(self.mirrored[..., None, None], turned * half_turn, turned)


def _best(templates: Templates, q: torch.Tensor, intensity: torch.Tensor, mask: torch.Tensor) -> Best:
    spectrum = _spectrum(templates, q, intensity, mask)
    return _exact(templates, spectrum, _finalists(templates, spectrum, FINALISTS))


def _finalists(templates: Templates, spectrum: torch.Tensor, count: int) -> torch.Tensor:
    """Return the zone axes that are worth an exact look, (n, k), in order, so that of equal scores the first wins."""
    zones, patterns = len(templates.zones), spectrum.shape[2]
    if zones > count:
        return _blurred(templates, spectrum).topk(count).indices.sort().values
    return torch.arange(zones, device=spectrum.device).expand(patterns, zones)


def _spectrum(
    templates: Templates, q: torch.Tensor, intensity: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Return Fourier coefficients of the polar images, shape (f, 2, n, s): real and imaginary parts."""
    across = (q.norm(dim=-1)[:, None] - templates.radius[:, None]).abs()
    weight = intensity.clamp_min(0)[:, None] ** templates.power
    weight = weight * torch.exp(-0.5 * (across / templates.kernel) ** 2)
    weight = torch.where((across < templates.kernel) & mask[:, None], weight, 0)
    waves = _waves(torch.atan2(q[..., 1], q[..., 0]), len(templates.profile))
    harmonics = torch.stack([(weight @ wave).permute(2, 0, 1) for wave in waves], 1)
    harmonics *= templates.profile[:, None, None]
    return _folded(harmonics, templates.steps)


def _waves(azimuth: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cos hφ and -sin hφ for h = 0 … count - 1: (n, d) -> twice (n, d, count)."""
    # From two short tables, h = 16 i + j: multiplying is much cheaper than sines.
    tens, ones = torch.arange(0, count, 16, device=azimuth.device), torch.arange(16, device=azimuth.device)
    coarse, fine = azimuth[..., None, None] * tens[:, None], azimuth[..., None, None] * ones
    cos_coarse, sin_coarse, cos_fine, sin_fine = coarse.cos(), coarse.sin(), fine.cos(), fine.sin()
    cosine = cos_coarse * cos_fine - sin_coarse * sin_fine
    minus_sine = -sin_coarse * cos_fine - cos_coarse * sin_fine
    return cosine.flatten(2)[..., :count], minus_sine.flatten(2)[..., :count]


def _folded(harmonics: torch.Tensor, steps: int) -> torch.Tensor:
    """Return what sampling at so many angles makes of Fourier coefficients (h, 2, n, s), shape (f, 2, n, s)."""
    frequencies = steps // 2 + 1
    folded = harmonics[:frequencies].clone()
    conjugate = torch.tensor([1.0, -1.0], device=harmonics.device)[:, None, None]
    for turn in range(steps, len(harmonics) + frequencies, steps):
        above = harmonics[turn : turn + frequencies]
        folded[: len(above)] += above
        lowest = max(turn + 1 - len(harmonics), 0)
        below = harmonics[turn - frequencies + 1 : turn - lowest + 1].flip(0)
        folded[lowest : lowest + len(below)] += below * conjugate
    return folded


def _blurred(templates: Templates, spectrum: torch.Tensor) -> torch.Tensor:
    """Return about the best score of each zone axis, shape (n, z)."""
    frequencies, _, twice_zones = templates.blurred.shape
    _, _, count, shells = spectrum.shape
    product = spectrum[:frequencies].reshape(frequencies, 2 * count, shells) @ templates.blurred
    part = product.view(frequencies, 2, count, 2, twice_zones // 2).permute(1, 3, 2, 0, 4)
    angles = 2 * (frequencies - 1)
    frequency = torch.arange(frequencies, dtype=torch.float32, device=product.device)
    share = torch.where(frequency > 0, 2.0, 1.0)
    # Half the angles: the other half, and the mirrored pattern, are the same terms with other signs.
    turn = torch.arange(angles // 2 + 1, device=product.device)[:, None] * frequency * (2 * math.pi / angles)
    cosines = (turn.cos() * share).expand(count, -1, -1)
    sines = (turn.sin() * share).expand(count, -1, -1)
    even, even_mirrored = cosines @ part[0, 0], cosines @ part[1, 1]
    odd, odd_mirrored = sines @ part[0, 1], sines @ part[1, 0]
    as_is = (even - even_mirrored).add_((odd + odd_mirrored).abs_())
    mirrored = even.add_(even_mirrored).add_(odd.sub_(odd_mirrored).abs_())
    return torch.maximum(as_is, mirrored, out=as_is).amax(1)


def _scores(templates: Templates, spectrum: torch.Tensor, finalists: torch.Tensor) -> torch.Tensor:
    """Return the scores of the finalists (n, k), as they are and mirrored, at all angles: (n, k, 2, steps)."""
    steps, (count, kept) = templates.steps, finalists.shape
    frequencies = len(templates.waves)
    # (f, n, 2k, s) @ (f, n, s, 2)
    waves = templates.waves.index_select(1, finalists.flatten()).view(frequencies, count, 2 * kept, -1)
    product = waves @ spectrum[:frequencies].permute(0, 2, 3, 1)
    part = product.view(frequencies, count, kept, 2, 2).permute(4, 3, 1, 2, 0)
    even, even_mirrored, odd, odd_mirrored = part[0, 0], part[1, 1], part[0, 1], part[1, 0]
    spectra = torch.stack(
        [
            torch.complex(even - even_mirrored, odd + odd_mirrored),
            torch.complex(even + even_mirrored, odd - odd_mirrored),
        ],
        2,
    )
    return torch.fft.irfft(spectra, n=steps).clamp_min(0)


def _exact(templates: Templates, spectrum: torch.Tensor, finalists: torch.Tensor) -> Best:
    """Return the best of the finalists (n, k)."""
    steps, score = templates.steps, _scores(templates, spectrum, finalists)
    top, angle = _first_of_best(score)
    top, mirrored = _first_of_best(top)
    top, place = _first_of_best(top)
    rows = torch.arange(len(place), device=place.device)
    mirrored = mirrored[rows, place]
    angle = angle[rows, place, mirrored]
    turn = _peak(score[rows, place, mirrored], angle) * (2 * math.pi / steps)
    return Best(top, finalists[rows, place], turn, mirrored.bool())


def _peak(score: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    """Return where along the last axis, in steps, a parabola through a maximum and those beside it is highest."""
    steps = score.shape[-1]
    around = (at[..., None] + torch.arange(-1, 2, device=at.device)) % steps
    before, here, after = score.gather(-1, around).unbind(-1)
    bend = 4 * here - 2 * before - 2 * after
    return at + torch.where(bend > 0, (after - before) / bend.clamp_min(1e-30), 0)


def _first_of_best(score: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the highest score along the last axis, and where it is reached first."""
    top = score.amax(-1)
    return top, (score >= top[..., None] * (1 - TIE)).to(torch.uint8).argmax(-1)


def _unexplained(
    templates: Templates,
    rotation: torch.Tensor,
    q: torch.Tensor,
    intensity: torch.Tensor,
    mask: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Take away disks that an orientation predicts; those near a predicted one lose some of their intensity."""
    reflector = templates.reflector
    g_lab = reflector.in_lab(rotation)
    near_sphere = nearest_errors(reflector, g_lab) < EXCITED * templates.width
    excited = near_sphere & (reflector.excite(g_lab, templates.width) > 1e-5)
    count = max(int(excited.sum(1).max()), 1)
    there, index = excited.to(torch.uint8).topk(count)
    predicted = g_lab[..., :2].gather(1, index[..., None].expand(-1, -1, 2))
    predicted = torch.where(there[..., None] > 0, predicted, 1e3)
    distance = torch.cdist(q, predicted, compute_mode="donot_use_mm_for_euclid_dist").amin(-1)
    near = templates.kernel / 2
    scale = ((distance - near) / (templates.kernel - near)).clamp(0, 1)
    return intensity * scale, mask & (distance >= near)
