"""Template matching of many patterns at once, with the scores of py4DSTEM's ``match_single_pattern``.

A pattern's score against a zone axis at an in-plane angle is a correlation along the angle, summed over radial
shells. Along the angle it is a product of Fourier coefficients, so scores of all zones come from one matrix product
for each angular frequency. Turning all of them back into angles would take longest; a blurred look at every zone
(few frequencies, few angles) chooses the finalists, and only these are looked at exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from napari_4dstem_orient.indexing.rotations import about_beam
from napari_4dstem_orient.indexing.templates import Templates

FINALISTS = 24
"""Zone axes whose scores are computed exactly for each pattern."""
SHARPNESS = 1.7
"""Frequencies up to this many over a disk's angular width take part in the blurred look."""
TIE = 1e-5
"""Scores that differ by less, relatively, are the same; the first counts, as in py4DSTEM."""


def match(
    templates: Templates, q: torch.Tensor, intensity: torch.Tensor, mask: torch.Tensor, matches: int
) -> torch.Tensor:
    """Find the best orientations of each pattern; each is looked for in what the one before leaves unexplained.

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
            intensity, mask = _unexplained(templates, found[-1], q, intensity, mask & (best.score > 0)[:, None])
    return torch.stack(found, 1)


@dataclass(frozen=True, eq=False)
class Best:
    """Best score, zone axis, in-plane angle (radians) and whether the mirrored pattern matched, shape (n,)."""

    score: torch.Tensor
    zone: torch.Tensor
    angle: torch.Tensor
    mirrored: torch.Tensor

    def rotation(self, templates: Templates) -> torch.Tensor:
        """Return orientation matrices in py4DSTEM's convention, shape (n, 3, 3)."""
        turned = templates.zones[self.zone] @ about_beam(-self.angle - math.pi * self.mirrored)
        # A mirrored pattern is that of the crystal turned by half a turn about x.
        half_turn = torch.tensor([1.0, -1.0, -1.0], device=turned.device)
        return torch.where(self.mirrored[:, None, None], turned * half_turn, turned)


def _best(
    templates: Templates, q: torch.Tensor, intensity: torch.Tensor, mask: torch.Tensor
) -> Best:
    products = _products(templates, _spectrum(templates, q, intensity, mask))
    zones = products.shape[-1]
    if zones > FINALISTS:
        # In order, so that of equal scores the first zone wins.
        finalists = _blurred(templates, products).topk(FINALISTS).indices.sort().values
    else:
        finalists = torch.arange(zones, device=q.device).expand(len(q), zones)
    return _exact(templates.steps, products, finalists)


def _spectrum(
    templates: Templates, q: torch.Tensor, intensity: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Return Fourier coefficients of the polar images, shape (f, 2n, s): real parts, then imaginary parts."""
    across = (q.norm(dim=-1)[:, None] - templates.radius[:, None]).abs()
    weight = intensity.clamp_min(0)[:, None] ** templates.power * torch.exp(
        -0.5 * (across / templates.kernel) ** 2
    )
    weight = torch.where((across < templates.kernel) & mask[:, None], weight, 0)
    azimuth = torch.atan2(q[..., 1], q[..., 0])[..., None]
    folds, _, frequencies = templates.profile.shape
    spectrum = 0
    for fold, profile in zip(range(-(folds // 2), folds // 2 + 1), templates.profile, strict=True):
        frequency = torch.arange(frequencies, device=q.device) + fold * templates.steps
        phase = azimuth * frequency
        waves = torch.cat([phase.cos(), -phase.sin()], -1)
        spectrum = spectrum + (weight @ waves) * profile.repeat(1, 2)
    return spectrum.unflatten(-1, (2, frequencies)).permute(3, 2, 0, 1).flatten(1, 2).contiguous()


def _products(templates: Templates, spectrum: torch.Tensor) -> torch.Tensor:
    """Multiply spectra and templates, summed over shells: shape (f, 2, n, 2, z), real and imaginary part of each."""
    frequencies, twice, _ = spectrum.shape
    product = spectrum.new_empty(frequencies, twice, templates.waves.shape[-1])
    for frequency, first in enumerate(templates.first_shell):
        torch.mm(
            spectrum[frequency, :, first:], templates.waves[frequency, first:], out=product[frequency]
        )
    return product.view(frequencies, 2, twice // 2, 2, -1)


def _blurred(templates: Templates, products: torch.Tensor) -> torch.Tensor:
    """Return about the best score of each zone axis, shape (n, z)."""
    width = templates.kernel / float(templates.radius[-1])
    highest = min(math.ceil(SHARPNESS / width), len(products) - 1)
    angles = min(2 * highest, templates.steps)
    frequency = torch.arange(highest + 1, dtype=torch.float32, device=products.device)
    # Half the angles: the other half, and the mirrored pattern, are the same terms with other signs.
    turn = torch.arange(angles // 2 + 1, device=products.device)[:, None] * frequency * (2 * math.pi / angles)
    share = torch.where(frequency > 0, 2.0, 1.0)
    count = products.shape[2]
    cosines = (turn.cos() * share).expand(count, -1, -1)
    sines = (turn.sin() * share).expand(count, -1, -1)
    part = products[: highest + 1].permute(1, 3, 2, 0, 4)
    even, even_mirrored = cosines @ part[0, 0], cosines @ part[1, 1]
    odd, odd_mirrored = sines @ part[0, 1], sines @ part[1, 0]
    as_is = even - even_mirrored + (odd + odd_mirrored).abs()
    mirrored = even + even_mirrored + (odd - odd_mirrored).abs()
    return torch.maximum(as_is, mirrored).amax(1)


def _exact(steps: int, products: torch.Tensor, finalists: torch.Tensor) -> Best:
    """Return the best of the finalists (n, k)."""
    index = finalists[None, None, :, None].expand(len(products), 2, -1, 2, -1)
    part = products.gather(4, index).permute(1, 3, 2, 4, 0)
    even, even_mirrored, odd, odd_mirrored = part[0, 0], part[1, 1], part[0, 1], part[1, 0]
    spectra = torch.stack(
        [
            torch.complex(even - even_mirrored, odd + odd_mirrored),
            torch.complex(even + even_mirrored, odd - odd_mirrored),
        ],
        2,
    )
    score = torch.fft.irfft(spectra, n=steps).clamp_min(0)
    top, angle = _first_of_best(score)
    top, mirrored = _first_of_best(top)
    top, place = _first_of_best(top)
    rows = torch.arange(len(place), device=place.device)
    mirrored = mirrored[rows, place]
    angle = angle[rows, place, mirrored]
    around = (angle[:, None] + torch.arange(-1, 2, device=angle.device)) % steps
    before, at, after = score[rows, place, mirrored].gather(1, around).unbind(1)
    bend = 4 * at - 2 * before - 2 * after
    offset = torch.where(bend > 0, (after - before) / bend.clamp_min(1e-30), 0)
    return Best(top, finalists[rows, place], (angle + offset) * (2 * math.pi / steps), mirrored.bool())


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
    off = torch.stack([error.abs() for error in reflector.excitation_errors(g_lab)]).amin(0)
    excited = (off <= 3 * templates.width) & (reflector.excite(g_lab, templates.width) > 1e-5)
    count = max(int(excited.sum(1).max()), 1)
    there, index = excited.to(torch.uint8).topk(count)
    predicted = g_lab[..., :2].gather(1, index[..., None].expand(-1, -1, 2))
    predicted = torch.where(there[..., None] > 0, predicted, 1e3)
    distance = torch.cdist(q, predicted, compute_mode="donot_use_mm_for_euclid_dist").amin(-1)
    near = templates.kernel / 2
    scale = ((distance - near) / (templates.kernel - near)).clamp(0, 1)
    return intensity * scale, mask & (distance >= near)
