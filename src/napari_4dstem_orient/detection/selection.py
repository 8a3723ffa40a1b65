"""Choose among the peaks of many patterns at once: not too weak, not too close, not too many."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from napari_4dstem_orient.detection.peaks import Peaks
from napari_4dstem_orient.detection.ridges import on_ridge
from napari_4dstem_orient.detection.settings import DetectionSettings

PAIRS_AT_ONCE = 2_000_000
"""Pairs of peaks whose distance is looked at together: bounds the memory."""


class PeakStatus(IntEnum):
    """What became of a peak, and why."""

    ACCEPTED = 0
    TOO_WEAK = 1
    TOO_WEAK_BESIDE_STRONGEST = 2
    TOO_CLOSE = 3
    TOO_MANY = 4
    AT_RIM = 5
    NOISE = 6
    ON_RIDGE = 7

    @property
    def text(self) -> str:
        """In words."""
        return (
            "accepted",
            "below the min. intensity",
            "too weak beside the strongest disk",
            "too close to a stronger disk",
            "beyond the greatest number of disks",
            "too close to the detector's rim",
            "hardly above the noise at its place",
            "hardly above the ring or band that it lies on",
        )[self]


class PeakStatistics(NamedTuple):
    """What speaks for peaks being disks, beside their height.

    Attributes
    ----------
    snr : ndarray, shape (n,)
        Signal-to-noise ratio.
    along : ndarray, shape (n,)
        How high the correlation stays along a line through each (see ``ridges``).
    ring : ndarray, shape (n,)
        How high it is on the circle around the direct beam that each lies on (see ``ridges``).
    """

    snr: np.ndarray
    along: np.ndarray
    ring: np.ndarray
    above_ring: np.ndarray


def select(peaks: Peaks, settings: DetectionSettings, evidence: PeakStatistics | None = None) -> np.ndarray:
    """Apply floors, least distance and greatest number to the peaks of each pattern, in this order.

    Parameters
    ----------
    peaks : Peaks
        In the order of the pixels.
    settings : DetectionSettings
    evidence : PeakStatistics, optional
        Without it the settings' least signal-to-noise ratio is not asked for, and ridges count as disks.

    Returns
    -------
    ndarray of int
        Which are disks: by pattern, the strongest first.
    """
    accepted = np.flatnonzero(status_of(peaks, settings, evidence) == PeakStatus.ACCEPTED)
    return accepted[strongest_first(peaks.pattern[accepted], peaks.height[accepted])]


def status_of(
    peaks: Peaks, settings: DetectionSettings, evidence: PeakStatistics | None = None
) -> np.ndarray:
    """Return the ``PeakStatus`` of each peak, uint8 (n,); see ``select``."""
    status = np.full(len(peaks.height), PeakStatus.ACCEPTED, np.uint8)

    def drop(left: np.ndarray, why: PeakStatus, stays: np.ndarray) -> np.ndarray:
        status[left[~stays]] = why
        return left[stays]

    left = drop(np.arange(len(status)), PeakStatus.TOO_WEAK, peaks.height >= settings.min_intensity)
    if evidence is not None:
        left = drop(left, PeakStatus.NOISE, evidence.snr[left] >= settings.min_signal_to_noise)
        left = drop(left, PeakStatus.ON_RIDGE, evidence.above_ring[left] >= settings.min_signal_to_noise)
        left = drop(
            left,
            PeakStatus.ON_RIDGE,
            ~on_ridge(peaks.height[left], evidence.along[left], evidence.snr[left]),
        )
    if settings.min_relative_intensity > 0 and len(left):
        pattern, height = peaks.pattern[left], peaks.height[left]
        strongest = np.zeros(pattern[-1] + 1)
        np.maximum.at(strongest, pattern, height)
        floor = settings.min_relative_intensity * strongest[pattern]
        left = drop(left, PeakStatus.TOO_WEAK_BESIDE_STRONGEST, height >= floor)
    left = drop(left, PeakStatus.TOO_CLOSE, far_apart(peaks.take(left), settings.min_spacing))
    order = left[strongest_first(peaks.pattern[left], peaks.height[left])]
    drop(order, PeakStatus.TOO_MANY, rank_in_group(peaks.pattern[order]) < settings.max_disks)
    return status


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
