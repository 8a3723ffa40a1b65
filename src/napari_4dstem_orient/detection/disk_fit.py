"""Place disks by a fit that lets them be lit unevenly, and tell how well each is placed.

A disk of a thick crystal shows a piece of the rocking curve, and the correlation's maximum follows the light. Where
the disk's rim lies does not depend on that. So each disk is fitted as the template's disk times a plane (bright on
one side, dim on the other), on an even ground. Moving a disk and tilting its light are alike, but not the same: the
rim tells them apart, as far as counts allow. What they cannot tell is left to what is usual (``USUAL_SHIFT``,
``USUAL_TILT``): a faint disk stays where the correlation put it.
"""

from __future__ import annotations

import numpy as np
import torch

from napari_4dstem_orient.detection.probe import Probe
from napari_4dstem_orient.detection.surroundings import Surroundings

USUAL_SHIFT = 0.32
"""Disk radii by which the correlation's maximum misses a disk along each axis: what multislice patterns show, and
noise."""

USUAL_TILT = 2.0
"""How much brighter than its middle a disk may be at its rim, as a share of its brightness (rms)."""

MODEL_ERROR = 0.2
"""What no plane describes, as a share of a disk's brightness in each pixel: it outweighs counting in strong disks,
and sets how well any disk can be placed."""

PICKED = 4.0
"""Variance of counts, over that of as many electrons. The correlation has its maximum where noise helped it, and the
fit begins there, with the same counts: without this, faint disks are worse placed than the fit believes."""

DARK = 0.02
"""Electrons expected in a pixel at least: one alone in the dark is no proof of a rim."""

FARTHEST = 0.7
"""Disk radii from the correlation's maximum at most."""

STEPS = 2
SUBPIXEL = 8
"""Places of a drawn disk within a pixel, along each axis; the fit itself covers the rest."""


class DiskFit:
    """Weighted least squares for the place of disks, many at a time.

    Parameters
    ----------
    probe : Probe
    gain : float
        Counts per electron.
    device : torch.device
    dark : float
        The camera's own variance in a pixel, counts².
    """

    def __init__(self, probe: Probe, gain: float, device: torch.device, dark: float = 0.0) -> None:
        self.radius, self.noise, self.device = probe.radius, PICKED * gain, device
        self.dark = dark / gain
        self.around = Surroundings(probe.kernel.shape, int(np.ceil(probe.radius)), device)
        drawn = torch.as_tensor(_drawn(probe, self.around), dtype=torch.float32)
        self.drawn = drawn.reshape(SUBPIXEL**2, 6, -1).transpose(1, 2).contiguous().to(device)
        self.disk = self.drawn[:, :, 1].contiguous()
        self.squares = (self.drawn[..., None] * self.drawn[:, :, None]).flatten(2)
        shift, tilt = (USUAL_SHIFT * self.radius) ** -2, USUAL_TILT**-2
        self.usual = torch.tensor([0, 0, shift, shift, tilt, tilt], device=device)
        self.unfitted = USUAL_SHIFT * self.radius
        """Standard deviation of a place along either axis, in px, where no fit was made."""

    def refine(
        self, images: torch.Tensor, pattern: np.ndarray, row: np.ndarray, col: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Move disks from the correlation's maximum to where they fit.

        Parameters
        ----------
        images : Tensor, float32, shape (n, det_y, det_x)
            Patterns.
        pattern : ndarray of int, shape (m,)
        row, col : ndarray, shape (m,)
            Places in px.

        Returns
        -------
        row, col : ndarray, float64, shape (m,)
        uncertainty : ndarray, float64, shape (m,)
            Standard deviation of the place along either axis, in px.
        """
        start = torch.as_tensor(np.stack([row, col], 1), dtype=torch.float32, device=self.device)
        which = torch.as_tensor(pattern, device=self.device)
        parts = [self._fit(images, which[part], start[part]) for part in self.around.parts(len(start))]
        place, spread = map(torch.cat, zip(*parts, strict=True)) if parts else (start, start[:, 0])
        moved = place.cpu().numpy().astype(np.float64)
        return moved[:, 0], moved[:, 1], spread.cpu().numpy().astype(np.float64)

    def _fit(
        self, images: torch.Tensor, pattern: torch.Tensor, start: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        place = start
        for step in range(STEPS):
            pixel = place.round().long()
            slot = ((place - pixel + 0.5) * SUBPIXEL).long().clamp(0, SUBPIXEL - 1)
            drawn_at = pixel + (slot + 0.5) / SUBPIXEL - 0.5
            slot = slot[:, 0] * SUBPIXEL + slot[:, 1]
            light, inside = self.around.read(images, pattern, pixel[:, 0], pixel[:, 1])
            disk = self.disk[slot]
            brightness, ground = self._brightness(light, inside, disk)
            # In units of the disk's brightness, so that single precision will do.
            electrons = ground[:, None] + brightness[:, None] * disk + self.dark
            variance = self.noise * (electrons.clamp(min=0) + DARK * self.noise)
            weight = inside / (variance / brightness[:, None] ** 2 + MODEL_ERROR**2)
            matrix, right = self._normal(slot, weight, light / brightness[:, None])
            matrix.diagonal(dim1=1, dim2=2).add_(self.usual + 1e-6)
            right[:, 2:4] += (start - drawn_at) * self.usual[2:4]
            sides = [right[:, :, None]]
            if step == STEPS - 1:  # the inverse's columns of the two shifts: their variance
                sides.append(torch.eye(6, device=self.device)[:, 2:4].expand(len(matrix), 6, 2))
            answer = _solved(torch.cat([matrix, *sides], 2))
            shift = (answer[:, 2:4, 0] / answer[:, 1:2, 0].clamp(min=0.3)).clamp(-1, 1)
            way = drawn_at + shift - start
            place = start + way * (
                FARTHEST * self.radius / way.norm(dim=1, keepdim=True).clamp(min=1e-6)
            ).clamp(max=1)
        spread = ((answer[:, 2, 1] + answer[:, 3, 2]) / 2).clamp(min=0).sqrt()
        return place, spread

    def _normal(
        self, slot: torch.Tensor, weight: torch.Tensor, light: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the normal equations (m, 6, 6) and (m, 6) of weighted fits, those drawn at one place together."""
        order = slot.argsort()
        parts = slot.bincount(minlength=SUBPIXEL**2).tolist()
        weight, weighted = weight[order].split(parts), (weight * light)[order].split(parts)
        matrix, right = light.new_empty(len(slot), 36), light.new_empty(len(slot), 6)
        matrix[order] = torch.cat(list(map(torch.mm, weight, self.squares)))
        right[order] = torch.cat(list(map(torch.mm, weighted, self.drawn)))
        return matrix.unflatten(1, (6, 6)), right

    def _brightness(
        self, light: torch.Tensor, inside: torch.Tensor, disk: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return counts/px of each evenly lit disk and of its ground, by plain least squares."""
        count = inside.sum(1).clamp(min=1)
        mean = (disk * inside).sum(1) / count
        contrast = (disk - mean[:, None]) * inside
        brightness = (contrast * light).sum(1) / contrast.square().sum(1).clamp(min=1e-6)
        brightness = brightness.clamp(min=0.03 * self.noise)
        return brightness, (light.sum(1) / count - brightness * mean).clamp(min=0)


def _drawn(probe: Probe, around: Surroundings) -> np.ndarray:
    """Return what a fit is made of, shape (SUBPIXEL, SUBPIXEL, 6, side, side).

    For each place within a pixel: the even ground, the disk, the disk's change as it moves down and to the right,
    and the disk's light tilted down and to the right.
    """
    from scipy import fft

    wide = Surroundings(
        probe.kernel.shape, 2 * around.reach + 4, around.device
    )  # no need of the whole detector
    disk = np.maximum(wide.crop(np.asarray(probe.kernel, np.float64)), 0)
    image = fft.fft2(fft.ifftshift(disk / disk.max()))
    down, right = (2j * np.pi * fft.fftfreq(size) for size in disk.shape)
    down = down[:, None]
    shifts = (np.arange(SUBPIXEL) + 0.5) / SUBPIXEL - 0.5
    steps = np.arange(-around.reach, around.reach + 1)
    result = np.ones((SUBPIXEL, SUBPIXEL, 6, around.side, around.side))
    for i, y in enumerate(shifts):
        for j, x in enumerate(shifts):
            moved = image * np.exp(-down * y - right * x)
            disk, lower, righter = (
                around.crop(fft.ifft2(part).real) for part in (moved, -down * moved, -right * moved)
            )
            tilts = disk * (steps - y)[:, None] / probe.radius, disk * (steps - x) / probe.radius
            result[i, j, 1:] = disk, lower, righter, *tilts
    result[:, :, 1] = np.maximum(result[:, :, 1], 0)
    return result


def _solved(system: torch.Tensor) -> torch.Tensor:
    """Solve many small systems at once, by elimination; LAPACK would take them one by one.

    Parameters
    ----------
    system : Tensor, shape (m, n, n + k)
        Positive definite matrices, each beside its right-hand sides.

    Returns
    -------
    Tensor, shape (m, n, k)
    """
    size = system.shape[1]
    for pivot in range(size):
        line = system[:, pivot] / system[:, pivot, pivot, None]
        system = system - system[:, :, pivot, None] * line[:, None]
        system[:, pivot] = line
    return system[:, :, size:]
