"""What is timed: some hundred patterns of the copper sample, and their disks, repeated to any scan size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from napari_4dstem_orient.calibration.calibrate import calibrate
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.detection.detect import detect_disks
from napari_4dstem_orient.detection.probe import Probe, probe_for
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.detection.suggest import suggest
from napari_4dstem_orient.samples.copper import copper_polycrystal, copper_truth

EVERY_ROW = 6
"""Every so many scan rows of the sample are drawn: about 460 patterns."""
CHUNK = 128
"""Patterns of a tiled scan that are made at once."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Patterns of the film, shuffled once so that every part of them has the same mix.

    Attributes
    ----------
    patterns : ndarray, uint16, shape (n, det_y, det_x)
    calibration : Calibration
    """

    patterns: np.ndarray
    calibration: Calibration

    @cached_property
    def probe(self) -> Probe:
        """The probe that the program estimates."""
        return probe_for(self.scan)

    @cached_property
    def settings(self) -> DetectionSettings:
        """The settings that the program suggests."""
        return suggest(self.scan, self.probe)[0]

    @property
    def scan(self) -> Scan:
        """All of them, in one scan row."""
        return self.tiled((1, len(self.patterns)))

    def tiled(self, scan_shape: tuple[int, int]) -> Scan:
        """Return a lazy scan that repeats the patterns."""
        return tile_scan(self.patterns, scan_shape, self.calibration)


def draw_pool(detector: int, every: int = EVERY_ROW) -> Pool:
    """Draw patterns of the copper sample, vacuum left out and the direct beam in the middle.

    Parameters
    ----------
    detector : int
        Pixels along each side, a multiple of 128.
    every : int
        Take every so many scan rows.
    """
    sample = copper_polycrystal(magnify=detector // 128, descan=False)
    film = ~copper_truth().vacuum[::every].ravel()
    patterns = sample.data[::every].compute(scheduler="synchronous").reshape(-1, *sample.detector_shape)
    order = np.random.default_rng(0).permutation(np.flatnonzero(film))
    return Pool(patterns[order], sample.calibration)


def tile_scan(patterns: np.ndarray, scan_shape: tuple[int, int], calibration: Calibration) -> Scan:
    """Return a lazy scan whose flat position i shows pattern i modulo their number.

    Parameters
    ----------
    patterns : ndarray, shape (n, det_y, det_x)
    scan_shape : (int, int)
    calibration : Calibration
    """
    import dask.array as da

    rows, cols = scan_shape
    widths = tuple(min(CHUNK, cols - start) for start in range(0, cols, CHUNK))
    down = max(1, CHUNK // cols)
    heights = tuple(min(down, rows - start) for start in range(0, rows, down))

    def block(block_id: tuple[int, ...]) -> np.ndarray:
        row, col = block_id[0] * down, block_id[1] * CHUNK
        at_row = row + np.arange(heights[block_id[0]])
        at_col = col + np.arange(widths[block_id[1]])
        return patterns[(at_row[:, None] * cols + at_col) % len(patterns)]

    size_y, size_x = patterns.shape[1:]
    meta = np.empty((0,) * 4, patterns.dtype)
    data = da.map_blocks(
        block, chunks=(heights, widths, (size_y,), (size_x,)), dtype=patterns.dtype, meta=meta
    )
    return Scan(data, calibration, source="benchmark: repeated patterns")


def tile_disks(disks: BraggDisks, scan_shape: tuple[int, int]) -> BraggDisks:
    """Return a scan whose flat position i has the disks of position i modulo the number of positions."""
    counts = np.resize(np.diff(disks.offsets), scan_shape[0] * scan_shape[1])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    values: dict[str, Any] = {name: np.resize(array, offsets[-1]) for name, array in disks.values.items()}
    return replace(disks, scan_shape=scan_shape, offsets=offsets, **values)


def find_pool_disks(pool: Pool, device: str) -> BraggDisks:
    """Detect and calibrate the disks of all patterns of a pool."""
    found = detect_disks(pool.scan, pool.probe, pool.settings, device=device)
    return calibrate(found, pool.calibration)[0]
