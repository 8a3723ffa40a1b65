"""Find the disks of many patterns at once with torch, the same disks that py4DSTEM finds one by one."""

from __future__ import annotations

import numpy as np
import torch

from napari_4dstem_orient.detection.correlation import Correlator
from napari_4dstem_orient.detection.disk_fit import DiskFit
from napari_4dstem_orient.detection.noise import noise_for
from napari_4dstem_orient.detection.peaks import Peaks, local_maxima, parabola
from napari_4dstem_orient.detection.probe import Probe
from napari_4dstem_orient.detection.ridges import FAINT, Ridges, Rings
from napari_4dstem_orient.detection.selection import (
    PeakStatistics,
    PeakStatus,
    select,
    status_of,
    strongest_first,
)
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.detection.upsampling import Upsampling

FITTED = 2.0
"""Signal-to-noise ratio from which on a disk's rim is fitted; fainter ones are many, and the fit hardly moves them."""
CACHE_BYTES = 2**21
"""Patterns that a CPU correlates together: few, for its cache, but not so few that starting operations takes longer."""


class BatchedDetection:
    """Disk detection in batches on one device; several threads may use it together.

    Parameters
    ----------
    probe : Probe
    settings : DetectionSettings
    device : torch.device
    """

    def __init__(self, probe: Probe, settings: DetectionSettings, device: torch.device) -> None:
        self.settings, self.device = settings, device
        self.correlator = Correlator(probe, settings, device)
        rows, cols = probe.kernel.shape
        self.noise = noise_for(probe, settings, device)
        self.ridges, self.rings = Ridges(probe.radius, device), Rings(probe.radius, device)
        self.upsampling = Upsampling((rows, cols), device) if settings.subpixel == "multicorr" else None
        self.fit = None
        if settings.subpixel == "fit":
            self.fit = DiskFit(probe, settings.gain, device, settings.dark_noise)

    def __call__(self, patterns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the disks of some patterns.

        Parameters
        ----------
        patterns : ndarray, float32, shape (n, det_y, det_x)

        Returns
        -------
        counts : ndarray, int64, shape (n,)
            Disks in each pattern.
        disks : ndarray, float32, shape (m, 5)
            (qx, qy, intensity, uncertainty of qx and qy, snr) in px, pattern by pattern, the strongest first; NaN
            where disks are not fitted or their noise is not known.
        """
        found, statistics, correlations = [], [], []
        step = self._together(patterns)
        images = torch.as_tensor(patterns).to(self.device, torch.float32)
        for start in range(0, len(patterns), step):
            transforms = torch.fft.rfft2(images[start : start + step])
            correlation = self.correlator.correlate(transforms)
            blurred = self.correlator.blur(correlation)
            peaks = self._maxima(blurred)
            statistics.append(self._statistics(transforms, blurred, peaks))
            found.append(peaks._replace(pattern=peaks.pattern + start))
            if self.upsampling is not None:
                correlations.append(correlation)
        peaks = Peaks(*map(np.concatenate, zip(*found, strict=True)))
        evidence = PeakStatistics(*map(np.concatenate, zip(*statistics, strict=True)))
        chosen = select(peaks, self.settings, evidence if self._demanding else None)
        peaks, snr = peaks.take(chosen), evidence.above_ring[chosen]
        row, col, height = parabola(peaks)
        uncertainty = np.full(len(row), np.nan)
        if self.upsampling is not None:
            row, col = self._upsampled(correlations, peaks.pattern, row, col)
            order = strongest_first(peaks.pattern, height)
            row, col, height, snr = row[order], col[order], height[order], snr[order]
        if self.fit is not None:
            # Where the rim of a faint disk lies nobody can tell: it stays where the correlation put it.
            clear = np.flatnonzero(~(snr < FITTED))
            uncertainty[:] = self.fit.unfitted
            row[clear], col[clear], uncertainty[clear] = self.fit.refine(
                images, peaks.pattern[clear], row[clear], col[clear]
            )
        counts = np.bincount(peaks.pattern, minlength=len(patterns))
        return counts, np.stack([row, col, height, uncertainty, snr], axis=1).astype(np.float32)

    def candidates(self, pattern: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find all local maxima of one pattern's correlation and say what becomes of each.

        Parameters
        ----------
        pattern : ndarray, float32, shape (det_y, det_x)

        Returns
        -------
        disks : ndarray, float32, shape (n, 4)
            (qx, qy, intensity, snr) in px, placed by a parabola; the intensity is the one that the floors look at.
        status : ndarray, uint8, shape (n,)
            ``PeakStatus``; the accepted ones are those that a call finds.
        """
        transform = torch.fft.rfft2(torch.as_tensor(pattern[None]).to(self.device, torch.float32))
        blurred = self.correlator.blur(self.correlator.correlate(transform))
        peaks = local_maxima(blurred, 1, 0.0, 0.0)
        edge, (rows, cols) = self.settings.edge, pattern.shape
        inside = (peaks.row >= edge) & (peaks.row < rows - edge)
        inside &= (peaks.col >= edge) & (peaks.col < cols - edge)
        status = np.full(len(inside), PeakStatus.AT_RIM, np.uint8)
        inner, snr = peaks.take(inside), self._snr(transform, peaks)
        evidence = self._statistics(transform, blurred, inner)
        status[inside] = status_of(inner, self.settings, evidence if self._demanding else None)
        snr[inside] = evidence.above_ring
        row, col, _ = parabola(peaks)
        return np.stack([row, col, peaks.height, snr], axis=1).astype(np.float32), status

    def _statistics(self, transforms: torch.Tensor, blurred: torch.Tensor, peaks: Peaks) -> PeakStatistics:
        """Return what speaks for peaks; of those that are noise, which are most, only that."""
        snr = self._snr(transforms, peaks)
        along, ring = np.zeros(len(snr)), np.zeros(len(snr))
        if not self._demanding:
            return PeakStatistics(snr, along, ring, snr)
        lit = np.flatnonzero(snr >= self.settings.min_signal_to_noise)
        left = peaks.take(lit)
        along[lit] = self.ridges.along(blurred, left)
        ring[lit] = self.rings.level(blurred, left, snr[lit] < FAINT)
        return PeakStatistics(snr, along, ring, snr * (1 - ring / peaks.height))

    @property
    def _demanding(self) -> bool:
        """Whether disks must stand out of the noise."""
        return self.noise is not None and self.settings.min_signal_to_noise > 0

    def _snr(self, transforms: torch.Tensor, peaks: Peaks) -> np.ndarray:
        if self.noise is None:
            return np.full(len(peaks.row), np.nan)
        return self.noise.signal_to_noise(transforms, peaks.pattern, peaks.row, peaks.col, peaks.height)

    def _maxima(self, blurred: torch.Tensor) -> Peaks:
        settings = self.settings
        lowest = settings.min_intensity
        if self.noise is not None:
            lowest = max(lowest, settings.min_signal_to_noise * self.noise.one_electron)
        return local_maxima(blurred, settings.edge, lowest, settings.min_relative_intensity)

    def _upsampled(
        self, correlations: list[torch.Tensor], pattern: np.ndarray, row: np.ndarray, col: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        assert self.upsampling is not None
        first = np.cumsum([0, *map(len, correlations)])
        parts = [
            self.upsampling.refine(correlation, pattern[part] - start, row[part], col[part])
            for correlation, start, part in zip(
                correlations, first, map(slice, *_bounds(pattern, first)), strict=False
            )
        ]
        rows, cols = zip(*parts, strict=True)
        return np.concatenate(rows), np.concatenate(cols)

    def _together(self, patterns: np.ndarray) -> int:
        if self.device.type != "cpu":
            return len(patterns)
        return max(1, CACHE_BYTES // (4 * patterns[0].size))


def _bounds(pattern: np.ndarray, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ends = np.searchsorted(pattern, first)
    return ends[:-1], ends[1:]
