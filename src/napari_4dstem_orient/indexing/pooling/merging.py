"""One list of disks for each pool: what its members measured at the same place, averaged."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.indexing.pooling.grouping import Pools

CELL = 0.025
"""Å⁻¹; disks are counted in cells of this size, a third of the distance within which they are one."""
WINDOW = 2
"""Cells to each side of a peak that belong to it."""
BLUR = {0: 2.0, 1: 1.0}
"""Weight of a cell's own disks and of those next to it, along each axis."""
AT_ONCE = 32
"""Pools at a time."""


def merge(disks: BraggDisks, pools: Pools) -> BraggDisks:
    """Return a scan of one column, whose rows are the pools.

    Disks of all members that pile up within about 0.03 Å⁻¹ become one: at their mean place, weighted by intensity,
    with their intensities' sum over the number of members, and the signal-to-noise ratio that the sum has. No pattern
    needs to be read again, and no disk is too weak to be added: what is there in one member alone becomes faint.
    """
    parts = [
        _merge(disks, pools, start, min(start + AT_ONCE, len(pools)))
        for start in range(0, len(pools), AT_ONCE)
    ]
    names = [name for name in ("qx", "qy", "intensity", "snr") if getattr(disks, name) is not None]
    columns = [np.concatenate([part[1 + index] for part in parts]) for index in range(len(names))]
    counts = np.concatenate([part[0] for part in parts])
    return replace(
        disks,
        scan_shape=(len(pools), 1),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        uncertainty=None,
        origin=None,
        **{name: values.astype(np.float32) for name, values in zip(names, columns, strict=True)},
    )


def _merge(disks: BraggDisks, pools: Pools, first: int, last: int) -> tuple[np.ndarray, ...]:
    """Return how many disks some pools have, and their qx, qy, intensity and, where it is known, snr."""
    size = pools.size[first:last]
    members = pools.members[pools.offsets[first] : pools.offsets[last]]
    measured = disks.take(members)
    pool = np.repeat(np.arange(len(size)), size)[measured.owner]
    q = np.stack([measured.qx, measured.qy], 1).astype(np.float64)
    peak = _peaks(pool, q, len(size))
    light = np.where(peak < 0, 0.0, measured.intensity).clip(0)
    kept, owner = np.unique(peak, return_inverse=True)
    kept_from = int(np.searchsorted(kept, 0))
    total = np.bincount(owner, light).clip(1e-30)
    place = [np.bincount(owner, light * q[:, axis]) / total for axis in (0, 1)]
    of_pool = np.zeros(len(kept), np.int64)
    of_pool[owner] = pool
    columns = [*place, total / size[of_pool]]
    if measured.snr is not None:
        columns.append(np.bincount(owner, measured.snr) / np.sqrt(size[of_pool]))
    return np.bincount(of_pool[kept_from:], minlength=len(size)), *(values[kept_from:] for values in columns)


def _peaks(pool: np.ndarray, q: np.ndarray, pools: int) -> np.ndarray:
    """Return the cell of the peak that each disk belongs to; -1 where its neighbours climb to another."""
    margin = WINDOW + 1
    reach = math.ceil(np.abs(q).max(initial=0) / CELL) + margin + 1
    side = 2 * reach
    cell = (np.floor(q / CELL).astype(np.int64) + reach) @ (side, 1) + pool * side * side
    occupied, of_disk, heap = np.unique(cell, return_inverse=True, return_counts=True)
    # Zeros that nothing touches cost nothing.
    raw = np.zeros(pools * side * side, np.float32)
    height = np.zeros_like(raw)
    raw[occupied] = heap
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            height[occupied] += BLUR[abs(down)] * BLUR[abs(right)] * raw[occupied + down * side + right]
    span = range(-WINDOW, WINDOW + 1)
    best, top = np.zeros(len(occupied), np.float32), occupied.copy()
    for step in (down * side + right for down in span for right in span):
        there = height[occupied + step]
        higher = there > best
        best[higher], top[higher] = there[higher], (occupied + step)[higher]
    climb = np.searchsorted(occupied, top)
    summit = climb[climb]
    return np.where(climb[summit] == summit, occupied[summit], -1)[of_disk]
