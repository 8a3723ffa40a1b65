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

    For disks: B. H. Savitzky et al., Microsc. Microanal. 27 (2021) 712; what powers between 0 (phase) and 1 (cross)
    do: T. C. Pekin et al., Ultramicroscopy 176 (2017) 170.

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

    def correlate(self, transforms: torch.Tensor) -> torch.Tensor:
        """Return the correlation of each pattern with the template.

        Parameters
        ----------
        transforms : Tensor, complex64, shape (n, det_y, det_x // 2 + 1)
            Of the patterns, by ``torch.fft.rfft2``.

        Returns
        -------
        Tensor, float32, shape (n, det_y, det_x)
            Negative where a pattern is darker in the disk than around it.
        """
        product = transforms * self.template
        if self.power != 1:
            # |m|^p exp(i arg m), without the angle
            product *= product.abs().clamp_min_(1e-30).pow_(self.power - 1)
        return torch.fft.irfft2(product, s=self.shape)

    def blur(self, correlation: torch.Tensor) -> torch.Tensor:
        """Return the positive part of a correlation, blurred; the image goes on mirrored beyond its rim."""
        if len(self.taps) == 1:
            return correlation.clamp(min=0)
        wide = _mirrored(correlation, len(self.taps) - 1).clamp_(min=0)
        return _convolved(_convolved(wide, 1, self.taps), 2, self.taps)


def gaussian_taps(sigma: float) -> list[float]:
    """Return a Gaussian at 0, 1, 2 … pixels, so that it and its mirror image sum to 1; [1] without blur."""
    reach = int(BLUR_REACH * sigma + 0.5) if sigma > 0 else 0
    if not reach:
        return [1.0]
    values = np.exp(-0.5 * (np.arange(reach + 1) / sigma) ** 2)
    return list(values / (2 * values.sum() - values[0]))


def _mirrored(images: torch.Tensor, reach: int) -> torch.Tensor:
    """Return images with more rows and columns on each side, mirrored at the rim."""
    for axis in (1, 2):
        size = images.shape[axis]
        if reach <= size:
            before = images.narrow(axis, 0, reach).flip(axis)
            after = images.narrow(axis, size - reach, reach).flip(axis)
            images = torch.cat([before, images, after], axis)
        else:
            place = torch.arange(-reach, size + reach, device=images.device) % (2 * size)
            images = images.index_select(axis, torch.minimum(place, 2 * size - 1 - place))
    return images


def _convolved(images: torch.Tensor, axis: int, taps: list[float]) -> torch.Tensor:
    """Return a symmetric convolution along one axis, without the outermost pixels that lack neighbours."""
    reach = len(taps) - 1
    size = images.shape[axis] - 2 * reach
    result = images.narrow(axis, reach, size) * taps[0]
    for step, weight in enumerate(taps[1:], 1):
        result.add_(images.narrow(axis, reach - step, size), alpha=weight)
        result.add_(images.narrow(axis, reach + step, size), alpha=weight)
    return result
