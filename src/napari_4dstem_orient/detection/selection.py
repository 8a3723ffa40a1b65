"""Choose among the peaks of many patterns at once: not too weak, not too close, not too many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_4dstem_orient.detection.peaks import Peaks
from napari_4dstem_orient.detection.settings import DetectionSettings

PAIRS_AT_ONCE = 2_000_000
"""Pairs of peaks whose distance is looked at together: bounds the memory."""


def select(peaks: Peaks, settings: DetectionSettings) -> Peaks:
    """Apply floors, least distance and greatest number to the peaks of each pattern, in this order.

    Parameters
    ----------
    peaks : Peaks
        In the order of the pixels.
    settings : DetectionSettings

    Returns
    -------
    Peaks
        By pattern, the strongest first.
    """
    peaks = peaks.take(peaks.height >= settings.min_intensity)
    if settings.min_relative_intensity > 0 and len(peaks.height):
        strongest = np.zeros(peaks.pattern[-1] + 1)
        np.maximum.at(strongest, peaks.pattern, peaks.height)
        peaks = peaks.take(peaks.height >= settings.min_relative_intensity * strongest[peaks.pattern])
    peaks = peaks.take(far_apart(peaks, settings.min_spacing))
    peaks = peaks.take(strongest_first(peaks.pattern, peaks.height))
    return peaks.take(rank_in_group(peaks.pattern) < settings.max_disks)


def strongest_first(pattern: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Return the order by pattern and falling height; of equal heights the later goes first."""
    return np.lexsort((-np.arange(len(height)), -height, pattern))


def rank_in_group(group: np.ndarray) -> np.ndarray:
    """Return 0, 1, 2 … within each run of equal numbers; ``group`` is sorted."""
    return np.arange(len(group)) - np.searchsorted(group, group)


def far_apart(peaks: Peaks, spacing: float) -> np.ndarray:
    """Tell which peaks stay if, from the strongest down, each one that stays drops all that are closer.

    Parameters
    ----------
    peaks : Peaks
        In the order of the pixels.
    spacing : float
        Pixels.

    Returns
    -------
    ndarray, bool, shape (n,)
    """
    dropped = np.zeros(len(peaks.height), bool)
    pairs = list(_close_pairs(peaks, spacing)) if spacing > 1 else []
    if not pairs:
        return ~dropped
    first, second = np.concatenate(pairs, axis=1)
    stronger = peaks.height[first] > peaks.height[second]
    strong, weak = np.where(stronger, first, second), np.where(stronger, second, first)
    while len(strong):
        # Who is the weaker of no open pair stays, and drops its neighbours, which closes more pairs.
        stays = np.ones(len(dropped), bool)
        stays[weak] = False
        dropped[weak[stays[strong]]] = True
        still = ~dropped[strong] & ~dropped[weak]
        strong, weak = strong[still], weak[still]
    return ~dropped


def _close_pairs(peaks: Peaks, spacing: float) -> Iterator[np.ndarray]:
    """Yield pairs (2, n) of peaks of one pattern that are closer than the spacing."""
    reach = int(np.ceil(spacing)) - 1
    # In this order the peaks of the next few rows of the same pattern follow each other.
    line = peaks.pattern * (peaks.row.max(initial=0) + reach + 1) + peaks.row
    followers = np.searchsorted(line, line + reach, side="right") - np.arange(len(line)) - 1
    before = np.concatenate([[0], np.cumsum(followers)])
    start = 0
    while start < len(line):
        stop = max(start + 1, int(np.searchsorted(before, before[start] + PAIRS_AT_ONCE, side="right")) - 1)
        first = np.repeat(np.arange(start, stop), followers[start:stop])
        second = first + 1 + np.arange(len(first)) - (before[first] - before[start])
        down, across = peaks.row[first] - peaks.row[second], peaks.col[first] - peaks.col[second]
        close = down**2 + across**2 < spacing**2
        yield np.stack([first[close], second[close]])
        start = stop
