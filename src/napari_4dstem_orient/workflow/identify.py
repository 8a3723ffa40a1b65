"""Which of many crystals could be at some scan positions: no more of a scan is read than that takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.run import (
    NOTHING,
    UNSEEN,
    Observer,
    Results,
    check_calibration,
    loaded,
    with_calibrated,
    with_probe,
)

if TYPE_CHECKING:
    from napari_4dstem_orient.indexing.identification import Identification

DETECTED = 256
"""Positions of a scan, spread at random, whose disks are found: to choose from, and to find the direct beam by."""


def identify(
    job: Job,
    at: Sequence[tuple[int, int]] | None = None,
    observer: Observer = UNSEEN,
    have: Results = NOTHING,
) -> Identification:
    """Say which of a job's crystals could be at some scan positions, those that explain most of them first.

    Parameters
    ----------
    job : Job
    at : sequence of (int, int), optional
        Scan positions (row, column); by default some with enough disks, all over the scan.
    observer : Observer, optional
    have : Results, optional
        What there is already: it is not made again. Where there are no disks, only those of the positions are found,
        and of ``DETECTED`` others.

    Raises
    ------
    UserError
        The input cannot be read, lacks something that the job needs, or has no such position.
    Cancelled
        The observer's progress raised it.
    """
    from napari_4dstem_orient.indexing.identification import identify_phases

    got = loaded(job, have)
    known = got.calibration
    assert known is not None
    check_calibration(known)
    assert known.voltage is not None
    there = next(one for one in (got.calibrated, got.disks, got.scan) if one is not None)
    chosen = None if at is None else _flat(at, there.scan_shape)
    if got.disks is None and got.calibrated is None:
        got = with_probe(job, got)
        got = replace(got, disks=_detected(job, got, chosen, observer))
    if got.calibrated is None:
        got = with_calibrated(job, got)
    disks = got.calibrated
    assert disks is not None
    progress = observer.report("Comparing crystals")
    return identify_phases(disks, job.phases, known.voltage, chosen, known.precession, job.device, progress)


def _flat(at: Sequence[tuple[int, int]], scan_shape: tuple[int, int]) -> np.ndarray:
    """Return positions as flat indices; raise UserError where the scan has no such."""
    rows, cols = scan_shape
    for row, col in at:
        if not (0 <= row < rows and 0 <= col < cols):
            raise UserError(
                f"There is no scan position {row},{col}: the scan has rows 0 to {rows - 1} and columns 0 to {cols - 1}."
            )
    return np.array([row * cols + col for row, col in dict.fromkeys(at)], int)


def _detected(job: Job, got: Results, chosen: np.ndarray | None, observer: Observer) -> BraggDisks:
    """Find the disks of the chosen positions, and of some more."""
    from napari_4dstem_orient.detection.detect import detect_at

    assert got.scan is not None
    assert got.probe is not None
    rows, cols = got.scan.scan_shape
    spread = np.random.default_rng(0).permutation(rows * cols)[:DETECTED]
    positions = np.union1d(spread, spread[:0] if chosen is None else chosen)
    progress = observer.report("Detecting Bragg disks")
    return detect_at(got.scan, positions, got.probe, got.settings, progress, job.device)
