"""py4DSTEM's own disk detection, one pattern after another, without its noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.optional import import_py4dstem

if TYPE_CHECKING:
    from napari_4dstem_orient.detection.probe import Probe
    from napari_4dstem_orient.detection.settings import DetectionSettings


class Py4DSTEMDetection:
    """Disk detection by py4DSTEM.

    Parameters
    ----------
    probe : Probe
    settings : DetectionSettings

    Raises
    ------
    UserError
        py4DSTEM is not installed.
    """

    def __init__(self, probe: Probe, settings: DetectionSettings) -> None:
        self.probe, self.settings = probe, settings
        self._find = import_py4dstem("py4DSTEM.braggvectors.diskdetection")._find_Bragg_disks_single

    def __call__(self, patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the disks of some patterns; the same as ``BatchedDetection``."""
        lists = [self._detect(pattern) for pattern in patterns]
        counts = np.array([len(rows) for rows in lists], np.int64)
        rows = np.concatenate([np.zeros((0, 3), np.float32), *lists])
        pattern = np.repeat(np.arange(len(counts)), counts)
        snr = self._snr(patterns, pattern, rows)
        kept = ~(snr < self.settings.min_signal_to_noise)
        untold = np.full(len(rows), np.nan)
        disks = np.concatenate([rows, np.stack([untold, snr], 1)], 1).astype(np.float32)
        return np.bincount(pattern[kept], minlength=len(counts)), disks[kept]

    def _snr(self, patterns: np.ndarray, pattern: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the signal-to-noise ratio of disks, of which py4DSTEM knows nothing; NaN where nobody does."""
        import torch

        from napari_4dstem_orient.detection.noise import noise_for

        noise = noise_for(self.probe, self.settings, torch.device("cpu"))
        if noise is None:
            return np.full(len(rows), np.nan)
        row, col = np.rint(rows[:, :2].T).astype(np.int64)
        images = torch.as_tensor(np.asarray(patterns, np.float32))
        return noise.signal_to_noise(torch.fft.rfft2(images), pattern, row, col, rows[:, 2])

    def _detect(self, pattern: np.ndarray) -> np.ndarray:
        settings = self.settings
        # An empty pattern makes py4DSTEM divide by zero; it then finds nothing, which is right.
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self._find(
                pattern,
                self.probe.fourier,
                _template_space="fourier",
                corrPower=settings.correlation_power,
                sigma_cc=settings.smoothing,
                subpixel="poly" if settings.subpixel == "fit" else settings.subpixel,
                minAbsoluteIntensity=settings.min_intensity,
                minRelativeIntensity=settings.min_relative_intensity,
                relativeToPeak=0,
                minPeakSpacing=settings.min_spacing,
                edgeBoundary=settings.edge,
                maxNumPeaks=settings.max_disks,
            ).data
        return np.stack([found["qx"], found["qy"], found["intensity"]], axis=1).astype(np.float32)
