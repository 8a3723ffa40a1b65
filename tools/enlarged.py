"""The copper sample with more scan positions than it has, for measuring what large scans cost the window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.io.source import lazy
from napari_4dstem_orient.samples.copper import copper_polycrystal


def stretched(size: int, side: int) -> np.ndarray:
    """Return which of ``size`` rows (or columns) each of ``side`` rows repeats."""
    return np.arange(side) * size // side


class Enlarged:
    """A scan's patterns, in memory once, each at several positions beside and below each other."""

    ndim = 4

    def __init__(self, once: np.ndarray, side: int) -> None:
        self._once = once
        self._rows, self._cols = (stretched(size, side) for size in once.shape[:2])
        self.shape, self.dtype = (side, side, *once.shape[2:]), once.dtype

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        (rows, cols), detector = (self._rows[key[0]], self._cols[key[1]]), key[2:]
        block = self._once[np.ix_(np.atleast_1d(rows), np.atleast_1d(cols))]
        return block.reshape(*rows.shape, *cols.shape, *block.shape[2:])[(..., *detector)]


def enlarged(side: int) -> Scan:
    """Return the copper sample with so many rows and columns."""
    scan = copper_polycrystal()
    return replace(scan, data=lazy(Enlarged(np.asarray(scan.data), side)))
