"""A copy of a scan small enough for memory, from which virtual images follow a dragged detector at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.core.memory import MEMORY
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.coarse_first import coarse_first

COARSEST = 16
"""Fewer pixels than this along an axis of the detector would show nothing."""

PIXELS_TOGETHER = 64
"""Pixels of the detector that are added up at once: bounds the memory."""


@dataclass(frozen=True, eq=False)
class ReducedScan:
    """All patterns of a scan in memory, their pixels binned if they had to be.

    Attributes
    ----------
    scan_shape, detector_shape : (int, int)
        Of the scan itself.
    binning : int
        Detector pixels along each axis that make one pixel of the copy.
    counts : ndarray, shape (pixels, scan positions)
        Pixel by pixel, so that a virtual image reads only the pixels of its detector.
    mean, maximum : ndarray, float32, shape (det_y, det_x)
        Of all patterns, not binned.
    """

    scan_shape: tuple[int, int]
    detector_shape: tuple[int, int]
    binning: int
    counts: np.ndarray
    mean: np.ndarray
    maximum: np.ndarray

    def weights(self, mask: np.ndarray) -> np.ndarray:
        """Return which share of each pixel of the copy lies on a detector (bool, (det_y, det_x)), flat."""
        return _binned(mask[None].astype(np.float64), self.binning).ravel() / self._sizes.ravel()

    @property
    def _sizes(self) -> np.ndarray:
        """Detector pixels in each pixel of the copy; the last ones hold fewer."""
        return _binned(np.ones((1, *self.detector_shape)), self.binning)[0]

    def mean_of(self, chosen: np.ndarray) -> np.ndarray:
        """Return the mean pattern, float32 (det_y, det_x), of chosen positions (bool, (scan_y, scan_x))."""
        where = np.flatnonzero(chosen)
        mean = np.concatenate(
            [self.counts[part][:, where].mean(axis=1, dtype=np.float64) for part in _parts(len(self.counts))]
        )
        sizes = self._sizes
        fine = np.kron(mean.reshape(sizes.shape) / sizes, np.ones((self.binning,) * 2))
        return fine[: self.detector_shape[0], : self.detector_shape[1]].astype(np.float32)


def binning_for(scan: Scan, budget: int = MEMORY * 2**20) -> int | None:
    """Return how strongly patterns must be binned to fit into a budget in bytes; None if too coarse to be of use."""
    positions = scan.scan_shape[0] * scan.scan_shape[1]
    for binning in range(1, max(1, min(scan.detector_shape) // COARSEST) + 1):
        pixels = np.prod([-(-size // binning) for size in scan.detector_shape], dtype=np.int64)
        if pixels * positions * _dtype(scan, binning).itemsize <= budget:
            return binning
    return None


def reduce_scan(scan: Scan, binning: int, progress: Progress = silent) -> ReducedScan:
    """Read a scan once into a copy.

    Parameters
    ----------
    scan : Scan
    binning : int
        From ``binning_for``; the last pixels of an axis may be fewer.
    progress : Progress
        Called with (positions done, positions in all); may raise ``Cancelled``.

    Raises
    ------
    UserError
        If a pattern holds NaN, infinite or negative values.
    """
    total = scan.scan_shape[0] * scan.scan_shape[1]
    rows, cols = (-(-size // binning) for size in scan.detector_shape)
    counts = np.empty((rows * cols, total), _dtype(scan, binning))
    summed = np.zeros(scan.detector_shape)
    maximum = np.full(scan.detector_shape, -np.inf, np.float32)
    done = 0
    progress(0, total)
    for positions, block in coarse_first(scan):
        summed += block.sum(axis=0, dtype=np.float64)
        np.maximum(maximum, block.max(axis=0), out=maximum)
        small = block if binning == 1 else _binned(block, binning)
        counts[:, positions] = small.reshape(len(block), -1).T
        done += len(positions)
        progress(done, total)
    mean = (summed / total).astype(np.float32)
    return ReducedScan(scan.scan_shape, scan.detector_shape, binning, counts, mean, maximum)


class LiveImage:
    """The virtual image of a detector that moves: only pixels that come and go are added and taken away.

    Parameters
    ----------
    reduced : ReducedScan
    """

    def __init__(self, reduced: ReducedScan) -> None:
        self.reduced = reduced
        self._weights = np.zeros(len(reduced.counts))
        self._image = np.zeros(reduced.counts.shape[1])
        self._total: np.ndarray | None = None

    def __call__(self, mask: np.ndarray) -> np.ndarray:
        """Return the image, float32 (scan_y, scan_x), for another mask (bool, (det_y, det_x)).

        Sums are in double precision: counts come and go without a trace.
        """
        wanted = self.reduced.weights(mask)
        nothing, everything = np.zeros_like(wanted), np.ones_like(wanted)
        bases = [(self._weights, self._image), (nothing, np.zeros_like(self._image))]
        if np.count_nonzero(wanted) > len(wanted) / 2:
            bases.append((everything, self._all()))
        weights, image = min(bases, key=lambda base: np.count_nonzero(wanted - base[0]))
        self._weights, self._image = wanted, image + self._sum(wanted - weights)
        return self._image.reshape(self.reduced.scan_shape).astype(np.float32)

    def _all(self) -> np.ndarray:
        if self._total is None:
            self._total = self._sum(np.ones(len(self._weights)))
        return self._total

    def _sum(self, change: np.ndarray) -> np.ndarray:
        image = np.zeros_like(self._image)
        moved = np.flatnonzero(change)
        for part in _parts(len(moved)):
            pixels = moved[part]
            image += change[pixels] @ self.reduced.counts[pixels].astype(np.float64)
        return image


def _parts(count: int) -> list[slice]:
    return [slice(start, start + PIXELS_TOGETHER) for start in range(0, count, PIXELS_TOGETHER)]


def _dtype(scan: Scan, binning: int) -> np.dtype:
    small = np.issubdtype(scan.data.dtype, np.unsignedinteger) and scan.data.dtype.itemsize <= 2
    return scan.data.dtype if small and binning == 1 else np.dtype(np.float32)


def _binned(patterns: np.ndarray, binning: int) -> np.ndarray:
    """Add up squares of pixels; what is missing of the last ones counts as zero."""
    rows, cols = (-size % binning for size in patterns.shape[1:])
    padded = np.pad(patterns, ((0, 0), (0, rows), (0, cols)))
    shape = padded.shape[1] // binning, binning, padded.shape[2] // binning, binning
    return padded.reshape(len(patterns), *shape).sum(axis=(2, 4))
