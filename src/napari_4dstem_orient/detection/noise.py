"""How far peaks of the correlation stand out of the noise at their place: of counted electrons, and of the camera."""

from __future__ import annotations

import numpy as np
import torch

from napari_4dstem_orient.detection.probe import Probe
from napari_4dstem_orient.detection.settings import DetectionSettings


class Noise:
    """The standard deviation of the blurred correlation at any place of a pattern.

    A correlation is a sum of counts, each times a weight of the template. Counts of electrons have the variance of
    their mean, so the sum of the same counts times the squared weights is the correlation's variance: right for every
    dose, near the beam and far from it. What the camera adds by itself is the same everywhere.

    So is the noise of any matched filter told (G. L. Turin, IRE Trans. Inf. Theory 6 (1960) 311).

    Parameters
    ----------
    probe : Probe
    smoothing : float
        Of the correlation, in px.
    gain : float
        Counts per electron, as the template sees them (``noise_level``).
    device : torch.device
    dark : float
        The camera's own variance in a pixel, counts².
    unrest : float
        How many times more uneven than its noise the ground is.
    """

    def __init__(
        self,
        probe: Probe,
        smoothing: float,
        gain: float,
        device: torch.device,
        dark: float = 0.0,
        unrest: float = 1.0,
    ) -> None:
        self.unrest, self.shape = unrest, probe.kernel.shape
        squares = probe.blurred(smoothing)
        squares *= squares
        weights = np.fft.rfft2(squares)
        np.conj(weights, out=weights)
        weights *= gain
        self.weights = torch.as_tensor(weights, dtype=torch.complex64, device=device)
        self.dark = dark * float(squares.sum())
        # Chance makes some places of a camera with noise of its own, or an offset, darker than they are. And where
        # nothing is, not even one electron, rounding makes peaks.
        self.smallest = max(0.1 * self.dark, gain**2 * float(squares.max()))

    @property
    def one_electron(self) -> float:
        """Return the height below which no peak has a signal-to-noise ratio of 1."""
        return self.unrest * float(np.sqrt(self.smallest))

    def signal_to_noise(
        self,
        transforms: torch.Tensor,
        pattern: np.ndarray,
        row: np.ndarray,
        col: np.ndarray,
        height: np.ndarray,
    ) -> np.ndarray:
        """Return the height of peaks over the noise at their place, shape (n,).

        Parameters
        ----------
        transforms : Tensor, complex64, shape (m, det_y, det_x // 2 + 1)
            Of the patterns, by ``torch.fft.rfft2``.
        pattern, row, col : ndarray, int64, shape (n,)
        height : ndarray, shape (n,)
            Of the blurred correlation.
        """
        rows, cols = self.shape
        counted = torch.fft.irfft2(transforms * self.weights, s=self.shape).reshape(-1)
        at = torch.as_tensor((pattern * rows + row) * cols + col, device=counted.device)
        variance = counted.index_select(0, at).cpu().numpy().astype(np.float64) + self.dark
        return np.asarray(height / (self.unrest * np.sqrt(np.maximum(variance, self.smallest))))


def noise_for(probe: Probe, settings: DetectionSettings, device: torch.device) -> Noise | None:
    """Return the noise that peaks stand out of; None where nobody knows it."""
    if settings.correlation_power != 1:
        return None  # hybrid correlations are no sums of counts
    return Noise(probe, settings.smoothing, settings.gain, device, settings.dark_noise, settings.unrest)


def faintest(probe: Probe, smoothing: float, gain: float, signal_to_noise: float, dark: float = 0.0) -> float:
    """Return the intensity, in counts/px, of a disk on a dark ground that just reaches a signal-to-noise ratio.

    Nothing fainter reaches it, for light around a disk only adds noise.
    """
    template = probe.blurred(smoothing)
    disk = np.maximum(template, 0)
    # intensity² = ratio² (gain · intensity · share + dark variance)
    half = 0.5 * signal_to_noise**2 * gain * (disk**2).sum() / disk.sum()
    return float(half + np.sqrt(half**2 + signal_to_noise**2 * max(dark, 0.0) * (template**2).sum()))
