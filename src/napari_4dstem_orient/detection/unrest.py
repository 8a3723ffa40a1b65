"""How uneven the ground between disks is to the template, beyond its noise: diffuse light makes peaks of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.detection.probe import TRENCH, Probe

if TYPE_CHECKING:
    from napari_4dstem_orient.detection.noise_level import NoiseLevel

TILE = 4.0
"""Side, in disk radii, of the tiles that are looked at."""
DARKEST, STRAY, ROUNDS = 0.1, 2.2, 6
"""Share of tiles that are surely without a disk; then those are counted in that stray no farther than so many times."""
MOST = 1.5
"""Where tiles show more, disks reach every one of them."""
PIXELS = 2**22
"""Pixels of patterns that are correlated together: bounds memory."""


def unrest(patterns: np.ndarray, probe: Probe, smoothing: float, noise: NoiseLevel) -> float:
    """Return how many times stronger than its noise the correlation is where there are no disks, 1 to ``MOST``.

    It is 1 where the ground is smooth. Halos, rings, the tails of disks and whatever else is about as large as a disk
    raise it, the more the less noise there is.

    Parameters
    ----------
    patterns : ndarray, shape (n, det_y, det_x)
    probe : Probe
    smoothing : float
        Of the correlation, in px.
    noise : NoiseLevel
        Of the patterns.
    """
    return float(np.clip(np.sqrt(ground(patterns, probe, smoothing, noise)), 1, MOST))


def ground(patterns: np.ndarray, probe: Probe, smoothing: float, noise: NoiseLevel) -> float:
    """Return the mean square of the correlation, where there are no disks, over what ``unrest``'s noise makes there."""
    kernel = probe.blurred(smoothing)
    tile = max(3, round(TILE * probe.radius))
    together = parts(len(patterns), max(1, PIXELS // patterns[0].size))
    square, variance = (
        np.concatenate(each)
        for each in zip(
            *(_tiles(patterns[part], kernel, noise, inside(probe), tile) for part in together), strict=True
        )
    )
    lit = variance > 1e-9 * variance.max(initial=1e-30)
    if not lit.any():
        return 1.0
    ratio = np.maximum(square[lit], 0) / variance[lit]  # rounding may leave less than nothing
    found = float(np.quantile(ratio, DARKEST))
    for _ in range(ROUNDS):
        found = float(ratio[ratio <= STRAY * found].mean())
    return found


def _tiles(
    images: np.ndarray, kernel: np.ndarray, noise: NoiseLevel, part: tuple[slice, slice], tile: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean square of the correlation of patterns in their tiles, and what noise makes of it."""
    from scipy import ndimage

    def in_tiles(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values[:, *part], (0, tile, tile))[:, ::tile, ::tile].copy()

    squares = kernel**2
    seen = correlate(images, kernel)
    square = in_tiles(np.square(seen, out=seen))
    del seen
    expected = correlate(images, squares)
    expected *= noise.gain
    expected += noise.dark * squares.sum()
    return square, in_tiles(expected)


def correlate(images: np.ndarray, template: np.ndarray) -> np.ndarray:
    """Correlate images, shape (..., det_y, det_x), with a template that is wrapped as ``Probe.kernel``; float64."""
    from scipy import fft

    image, seen = fft.rfft2(np.asarray(images, np.float64)), fft.rfft2(template)
    image *= np.conj(seen, out=seen)  # in place: of the largest patterns each is an eighth of a gibibyte
    return np.asarray(fft.irfft2(image, s=template.shape, overwrite_x=True))


def inside(probe: Probe, step: int = 1) -> tuple[slice, slice]:
    """Return the rows and columns, ``step`` apart, of which the whole template lies on the detector."""
    margin = min(int(np.ceil(TRENCH * probe.radius)) + 1, min(probe.kernel.shape) // 4)
    high, wide = (slice(margin, side - margin, step) for side in probe.kernel.shape)
    return high, wide
