"""Correlate batches of patterns with the probe template, and blur the correlation."""

from __future__ import annotations

import numpy as np
import torch

from napari_4dstem_orient.detection.probe import Probe
from napari_4dstem_orient.detection.settings import DetectionSettings

BLUR_REACH = 4.0
"""Standard deviations at which the Gaussian is cut, as in scipy."""


class Correlator:
    """Cross-, hybrid or phase correlation with a probe, by real Fourier transforms in single precision.

    Parameters
    ----------
    probe : Probe
    settings : DetectionSettings
        Its ``correlation_power`` and ``smoothing`` are used.
    device : torch.device
    """

    def __init__(self, probe: Probe, settings: DetectionSettings, device: torch.device) -> None:
        self.shape = probe.kernel.shape
        half = probe.fourier[:, : self.shape[1] // 2 + 1]
        self.template = torch.as_tensor(half, dtype=torch.complex64, device=device)
        self.power = settings.correlation_power
        self.taps = gaussian_taps(settings.smoothing)

    def correlate(self, patterns: torch.Tensor) -> torch.Tensor:
        """Return the correlation of each pattern with the template.

        Parameters
        ----------
        patterns : Tensor, float32, shape (n, det_y, det_x)

        Returns
        -------
        Tensor, float32, shape (n, det_y, det_x)
            Negative where a pattern is darker in the disk than around it.
        """
        product = torch.fft.rfft2(patterns).mul_(self.template)
        if self.power != 1:
            # |m|^p exp(i arg m), without the angle
            product *= product.abs().clamp_min_(1e-30).pow_(self.power - 1)
        return torch.fft.irfft2(product, s=self.shape)

    def blur(self, correlation: torch.Tensor) -> torch.Tensor:
        """Return the positive part of a correlation, blurred; the image goes on mirrored beyond its rim."""
        image = correlation.clamp(min=0)
        for axis in (1, 2) if len(self.taps) > 1 else ():
            image = _blurred(image, axis, self.taps)
        return image


def gaussian_taps(sigma: float) -> list[float]:
    """Return a Gaussian at 0, 1, 2 … pixels, so that it and its mirror image sum to 1; [1] without blur."""
    reach = int(BLUR_REACH * sigma + 0.5) if sigma > 0 else 0
    if not reach:
        return [1.0]
    values = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    return list(values / (2 * values.sum() - values[0]))


def _blurred(image: torch.Tensor, axis: int, taps: list[float]) -> torch.Tensor:
    reach, size = len(taps) - 1, image.shape[axis]
    if reach <= size:
        before = image.narrow(axis, 0, reach).flip(axis)
        after = image.narrow(axis, size - reach, reach).flip(axis)
        wide = torch.cat([before, image, after], axis)
    else:
        mirrored = torch.arange(-reach, size + reach, device=image.device) % (2 * size)
        wide = image.index_select(axis, torch.minimum(mirrored, 2 * size - 1 - mirrored))
    result = wide.narrow(axis, reach, size) * taps[0]
    for step, weight in enumerate(taps[1:], 1):
        result.add_(wide.narrow(axis, reach - step, size), alpha=weight)
        result.add_(wide.narrow(axis, reach + step, size), alpha=weight)
    return result
