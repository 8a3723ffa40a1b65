"""How far peaks of the correlation stand out of the noise at their place: of counted electrons, and of the camera."""

from __future__ import annotations

import numpy as np
import torch

from napari_4dstem_orient.detection.noise_level import measure_noise
from napari_4dstem_orient.detection.probe import TRENCH, Probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.detection.surroundings import Surroundings


class Noise:
    """The standard deviation of the blurred correlation at any place of a pattern.

    A correlation is a sum of counts, each times a weight of the template. Counts of electrons have the variance of
    their mean, so the sum of the same counts times the squared weights is the correlation's variance: right for every
    dose, near the beam and far from it. What the camera adds by itself is the same everywhere.

    Parameters
    ----------
    probe : Probe
    smoothing : float
        Of the correlation, in px.
    gain : float
        Counts per electron, as the template sees them (``noise_level``).
    least : float
        Signal-to-noise ratio below which nobody wants to know it exactly.
    device : torch.device
    dark : float
        The camera's own variance in a pixel, counts².
    """

    def __init__(
        self,
        probe: Probe,
        smoothing: float,
        gain: float,
        least: float,
        device: torch.device,
        dark: float = 0.0,
    ) -> None:
        self.least = least
        squares = probe.blurred(smoothing) ** 2
        self.gain, self.dark = gain, dark
        # The disk's own counts, few pixels, already tell of most peaks that they are noise.
        self.rounds = []
        for reach in (int(np.ceil(probe.radius)), _reach(probe)):
            around = Surroundings(probe.kernel.shape, reach, device)
            part = around.crop(squares).ravel()
            weights = torch.as_tensor(part, dtype=torch.float32, device=device)
            self.rounds.append((around, weights, float(part.sum())))
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
        for around, weights, total in self.rounds:
            places = [torch.as_tensor(part[left], device=self.device) for part in (pattern, row, col)]
            variance = np.zeros(len(left))
            for part in around.parts(len(left)):
                values, _ = around.read(images, *(place[part] for place in places))
                variance[part] = (values @ weights).cpu().numpy()
            variance = self.gain * variance + self.dark * total
            # Chance makes some places of a camera with noise of its own, or an offset, darker than they are.
            variance = np.maximum(variance, max(0.1 * abs(self.dark) * total, 1e-37))
            ratio[left] = height[left] / np.sqrt(variance)
            left = left[ratio[left] >= self.least]
        return ratio


def noise_for(probe: Probe, settings: DetectionSettings, device: torch.device) -> Noise | None:
    """Return the noise that the settings want peaks to stand out of; None if they do not."""
    if settings.min_signal_to_noise <= 0 or settings.correlation_power != 1:
        return None  # hybrid correlations are no sums of counts
    return Noise(
        probe, settings.smoothing, settings.gain, settings.min_signal_to_noise, device, settings.dark_noise
    )


def faintest(probe: Probe, smoothing: float, gain: float, signal_to_noise: float, dark: float = 0.0) -> float:
    """Return the intensity, in counts/px, of a disk on a dark ground that just reaches a signal-to-noise ratio.

    Nothing fainter reaches it, for light around a disk only adds noise.
    """
    template = probe.blurred(smoothing)
    disk = np.maximum(template, 0)
    # intensity² = ratio² (gain · intensity · share + dark variance)
    half = 0.5 * signal_to_noise**2 * gain * (disk**2).sum() / disk.sum()
    return float(half + np.sqrt(half**2 + signal_to_noise**2 * max(dark, 0.0) * (template**2).sum()))


def counts_per_electron(patterns: np.ndarray, probe: Probe, smoothing: float) -> float:
    """Return how many counts an electron makes, as ``noise_level.measure_noise`` finds it."""
    return measure_noise(patterns, probe, smoothing).gain


def _reach(probe: Probe) -> int:
    return int(np.ceil(TRENCH * probe.radius)) + 1
