"""How uneven the ground between disks is to the template, beyond its noise: diffuse light makes peaks of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.detection.probe import TRENCH, Probe

if TYPE_CHECKING:
    from napari_4dstem_orient.detection.noise_level import NoiseLevel

TILE = 4.0
"""Side, in disk radii, of the tiles that are looked at."""
DARKEST, STRAY, ROUNDS = 0.1, 3.0, 6
"""Share of tiles that are surely without a disk; then those are counted in that stray no farther than so many times."""
MOST = 1.5
"""Where tiles show more, disks reach every one of them."""


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


def ground(patterns: np.ndarray, probe: Probe, smoothing: float, noise: NoiseLevel | None = None) -> float:
    """Return the correlation's mean square where there are no disks, over what noise makes there.

    Parameters
    ----------
    patterns : ndarray, shape (n, det_y, det_x)
    probe : Probe
    smoothing : float
        Of the correlation, in px.
    noise : NoiseLevel, optional
        By default that of electrons of one count each.
    """
    from scipy import fft, ndimage

    kernel = probe.blurred(smoothing)
    tile = max(3, round(TILE * probe.radius))
    image = fft.rfft2(np.asarray(patterns, np.float64))
    seen, counts = (
        fft.irfft2(image * np.conj(fft.rfft2(part)), s=kernel.shape) for part in (kernel, kernel**2)
    )
    gain, dark = (noise.gain, noise.dark) if noise is not None else (1.0, 0.0)
    expected = gain * counts + dark * (kernel**2).sum()
    margin = min(int(np.ceil(TRENCH * probe.radius)) + 1, min(kernel.shape) // 4)
    inner = np.s_[:, margin : kernel.shape[0] - margin, margin : kernel.shape[1] - margin]
    square, variance = (
        ndimage.uniform_filter(values[inner], (0, tile, tile))[:, ::tile, ::tile]
        for values in (seen**2, expected)
    )
    lit = variance > 1e-9 * variance.max(initial=1e-30)
    if not lit.any():
        return 1.0
    ratio = (
        np.maximum(square[lit], 0) / variance[lit]
    )  # where nothing is, rounding may leave less than nothing
    found = float(np.quantile(ratio, DARKEST))
    for _ in range(ROUNDS):
        found = float(ratio[ratio <= STRAY * found].mean())
    return found
