"""How far peaks of the correlation stand out of the noise that counting electrons makes at their place."""

from __future__ import annotations

import numpy as np
import torch

from napari_4dstem_orient.detection.probe import TRENCH, Probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.detection.surroundings import Surroundings

TILE = 4.0
"""Side, in disk radii, of the tiles in which counts per electron are measured."""
DARKEST, STRAY, ROUNDS = 0.1, 3.0, 6
"""Share of tiles that are surely without a disk; then those are counted in that stray no farther than so many times."""
ALL_LIT = 20.0
"""Where tiles tell of so many times the counts that neighbouring pixels do, disks reach every tile."""
CHI_SQUARED = 0.455
"""Median of the square of a normal variable."""


class Noise:
    """The standard deviation of the blurred correlation at any place of a pattern.

    A correlation is a sum of counts, each times a weight of the template. Counts of electrons have the variance of
    their mean, so the sum of the same counts times the squared weights is the correlation's variance: no
    parameter, and right for every dose, near the beam and far from it.

    Parameters
    ----------
    probe : Probe
    smoothing : float
        Of the correlation, in px.
    gain : float
        Counts per electron.
    least : float
        Signal-to-noise ratio below which nobody wants to know it exactly.
    device : torch.device
    """

    def __init__(
        self, probe: Probe, smoothing: float, gain: float, least: float, device: torch.device
    ) -> None:
        self.least = least
        squares = gain * blurred(probe, smoothing) ** 2
        # The disk's own counts, few pixels, already tell of most peaks that they are noise.
        self.rounds = []
        for reach in (int(np.ceil(probe.radius)), _reach(probe)):
            around = Surroundings(probe.kernel.shape, reach, device)
            weights = torch.as_tensor(around.crop(squares).ravel(), dtype=torch.float32, device=device)
            self.rounds.append((around, weights))
        self.device = device

    def signal_to_noise(
        self, images: torch.Tensor, pattern: np.ndarray, row: np.ndarray, col: np.ndarray, height: np.ndarray
    ) -> np.ndarray:
        """Return the height of peaks over the noise at their place, shape (n,); where it is below the least, a bound.

        Parameters
        ----------
        images : Tensor, float32, shape (n, det_y, det_x)
            Patterns.
        pattern, row, col : ndarray, int64, shape (n,)
        height : ndarray, shape (n,)
            Of the blurred correlation.
        """
        ratio, left = np.zeros(len(height)), np.arange(len(height))
        for around, weights in self.rounds:
            places = [torch.as_tensor(part[left], device=self.device) for part in (pattern, row, col)]
            variance = np.zeros(len(left))
            for part in around.parts(len(left)):
                values, _ = around.read(images, *(place[part] for place in places))
                variance[part] = (values @ weights).cpu().numpy()
            ratio[left] = height[left] / np.sqrt(np.maximum(variance, np.finfo(np.float32).tiny))
            left = left[ratio[left] >= self.least]
        return ratio


def noise_for(probe: Probe, settings: DetectionSettings, device: torch.device) -> Noise | None:
    """Return the noise that the settings want peaks to stand out of; None if they do not."""
    if settings.min_signal_to_noise <= 0 or settings.correlation_power != 1:
        return None  # hybrid correlations are no sums of counts
    return Noise(probe, settings.smoothing, settings.gain, settings.min_signal_to_noise, device)


def blurred(probe: Probe, smoothing: float) -> np.ndarray:
    """Return the template as the blurred correlation sees it, shape (det_y, det_x), wrapped around (0, 0)."""
    from scipy import ndimage

    return ndimage.gaussian_filter(np.asarray(probe.kernel, np.float64), smoothing, mode="wrap")


def faintest(probe: Probe, smoothing: float, gain: float, signal_to_noise: float) -> float:
    """Return the intensity, in counts/px, of a disk on a dark ground that just reaches a signal-to-noise ratio.

    Nothing fainter reaches it, for light around a disk only adds noise.
    """
    disk = np.maximum(blurred(probe, smoothing), 0)
    return float(signal_to_noise**2 * gain * (disk**2).sum() / disk.sum())


def counts_per_electron(patterns: np.ndarray, probe: Probe, smoothing: float) -> float:
    """Measure how many counts an electron makes, from the noise of the patterns themselves.

    Where there is no disk, the correlation is noise. There the mean of its square, over what counts of single electrons
    would make, is the number of counts per electron (and what the camera adds).

    Parameters
    ----------
    patterns : ndarray, shape (n, det_y, det_x)
    probe : Probe
    smoothing : float
        px.

    Returns
    -------
    float
        1 if the patterns are empty.
    """
    from scipy import fft, ndimage

    kernel = blurred(probe, smoothing)
    tile = max(3, round(TILE * probe.radius))
    image = fft.rfft2(np.asarray(patterns, np.float64))
    seen, expected = (
        fft.irfft2(image * np.conj(fft.rfft2(part)), s=kernel.shape) for part in (kernel, kernel**2)
    )
    margin = min(_reach(probe), min(kernel.shape) // 4)
    inner = np.s_[:, margin : kernel.shape[0] - margin, margin : kernel.shape[1] - margin]
    square, variance = (
        ndimage.uniform_filter(values, (0, tile, tile))[:, ::tile, ::tile]
        for values in (seen[inner] ** 2, np.maximum(expected, 0)[inner])
    )
    lit = variance > 1e-9 * variance.max(initial=1e-30)
    if not lit.any():
        return 1.0
    # Tiles that a disk reaches stand out by far; where the detector is small they are most of them.
    ratio = square[lit] / variance[lit]
    found = np.quantile(ratio, DARKEST)
    for _ in range(ROUNDS):
        found = ratio[ratio <= STRAY * found].mean()
    told = _pixels_tell(patterns)
    return float(found if found < ALL_LIT * told else told)


def _pixels_tell(patterns: np.ndarray) -> float:
    """Return counts per electron from the differences of neighbouring pixels.

    Too small where a camera blurs, up to twice too large where electrons are few, but disks hardly matter to it.
    """
    one, other = np.asarray(patterns[:, :, :-1], np.float64), np.asarray(patterns[:, :, 1:], np.float64)
    both = one + other
    lit = both > 0
    return float(np.median((one - other)[lit] ** 2 / both[lit]) / CHI_SQUARED) if lit.any() else 1.0


def _reach(probe: Probe) -> int:
    return int(np.ceil(TRENCH * probe.radius)) + 1
