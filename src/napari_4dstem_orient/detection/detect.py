"""Find the Bragg disks of every pattern, a batch of patterns at a time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import NoDisks, UserError
from napari_4dstem_orient.core.memory import (
    MEMORY,
    TOGETHER_BYTES,
    check_memory,
    parts,
    pattern_bytes,
    portions,
)
from napari_4dstem_orient.core.optional import check_engine
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.engine import Py4DSTEMDetection
from napari_4dstem_orient.detection.patterns import check_batch
from napari_4dstem_orient.detection.probe import Probe, probe_for
from napari_4dstem_orient.detection.read_ahead import Piece, read_ahead
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.detection.suggest import suggest

if TYPE_CHECKING:
    import torch

Engine = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Patterns (n, det_y, det_x) to how many disks each has (n,) and all disks (m, 5), as ``BatchedDetection``."""


def detect_disks(
    scan: Scan,
    probe: Probe | float | None = None,
    settings: DetectionSettings | None = None,
    progress: Progress = silent,
    device: str = "auto",
    memory: int = MEMORY,
) -> BraggDisks:
    """Find the Bragg disks of a whole scan.

    Parameters
    ----------
    scan : Scan
    probe : Probe or float, optional
        Disk template, or the radius in px of a disk to draw; by default of a disk as large as the scan's.
    settings : DetectionSettings, optional
        By default what ``suggest`` finds.
    progress : Progress
        Called between batches with (patterns done, patterns in all); may raise ``Cancelled``.
    device : str
        Where the torch engine computes: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``; py4DSTEM always uses the CPU.
    memory : int
        MiB that patterns read ahead and at work may take.

    Returns
    -------
    BraggDisks
        In detector pixels; the direct beam is among the disks.

    Raises
    ------
    UserError
        If the device is not there, the probe was made for another detector, a pattern holds NaN, infinite or
        negative values, no pattern has a disk, or the memory is too little.
    Cancelled
        If ``progress`` raised it.
    """
    from napari_4dstem_orient.core.devices import choose_device, describe

    chosen = choose_device(device)
    check_memory(memory)
    probe = probe_for(scan, probe)
    _check_fits(probe, scan)
    doubt = ""
    if settings is None:
        settings, doubt = suggest(scan, probe)
    if settings.engine == "py4DSTEM":
        chosen = choose_device("cpu")

    counts, rows = _detect_all(scan, make_engine(probe, settings, chosen), chosen, settings, progress, memory)
    disks = replace(
        _made(scan.scan_shape, counts, rows),
        detector_shape=scan.detector_shape,
        provenance={
            "source": scan.source,
            "engine": settings.engine,
            "device": describe(chosen),
            "probe": {"kind": probe.kind, **probe.provenance},
            "settings": asdict(settings),
            "doubts": [sentence for sentence in (probe.doubt, doubt) if sentence],
        },
    )
    if not len(disks):
        raise NoDisks(
            f"No disks anywhere in {scan.source}: lower the min. intensity (now {settings.min_intensity:g} counts/px), "
            f"or check the probe (its disk radius is {probe.radius:.3g} px)."
        )
    return disks


def detect_at(
    scan: Scan,
    positions: np.ndarray,
    probe: Probe,
    settings: DetectionSettings | None = None,
    progress: Progress = silent,
    device: str = "auto",
) -> BraggDisks:
    """Find the Bragg disks of some patterns of a scan; of the whole scan's disks, the others are left empty.

    Parameters
    ----------
    scan : Scan
    positions : ndarray of int, shape (n,)
        Flat scan positions, ascending.
    probe : Probe
    settings : DetectionSettings, optional
        By default what ``suggest`` finds.
    progress : Progress
        Called with (patterns done, n); may raise ``Cancelled``.
    device : str
        As ``detect_disks``.

    Returns
    -------
    BraggDisks
        Of the scan's shape, in detector pixels.

    Raises
    ------
    UserError
        If the device is not there, the probe was made for another detector, or a pattern holds NaN, infinite or
        negative values.
    """
    from napari_4dstem_orient.core.devices import choose_device

    _check_fits(probe, scan)
    settings = settings or suggest(scan, probe)[0]
    chosen = choose_device("cpu" if settings.engine == "py4DSTEM" else device)
    engine = make_engine(probe, settings, chosen)
    cols = scan.scan_shape[1]
    counts, found = np.zeros(scan.scan_shape[0] * cols, np.int64), [np.zeros((0, 5), np.float32)]
    progress(0, len(positions))
    for part in parts(len(positions), max(1, TOGETHER_BYTES // pattern_bytes(scan))):
        where = positions[part]
        patterns = np.stack([scan.pattern(*divmod(flat, cols)) for flat in where.tolist()])
        check_batch(patterns, where, scan)
        counts[where], rows_found = engine(patterns)
        found.append(rows_found)
        progress(min(part.stop, len(positions)), len(positions))
    disks = _made(scan.scan_shape, counts, np.concatenate(found))
    return replace(disks, detector_shape=scan.detector_shape, provenance={"source": scan.source})


def detect_one(pattern: np.ndarray, probe: Probe, settings: DetectionSettings) -> BraggDisks:
    """Find the Bragg disks of one pattern, on the CPU, with all that is known of each: a 1 × 1 scan."""
    from napari_4dstem_orient.core.devices import choose_device

    return _made((1, 1), *make_engine(probe, settings, choose_device("cpu"))(pattern[None]))


def detect_patterns(patterns: np.ndarray, probe: Probe, settings: DetectionSettings) -> list[np.ndarray]:
    """Find the Bragg disks of some patterns held in memory, on the CPU.

    Parameters
    ----------
    patterns : ndarray, shape (n, det_y, det_x)
    probe : Probe
    settings : DetectionSettings

    Returns
    -------
    list of ndarray, float32, shape (m, 3)
        Of each pattern: position along det_y (qx), along det_x (qy) in pixels, and intensity; the strongest first.
    """
    from napari_4dstem_orient.core.devices import choose_device

    counts, rows = make_engine(probe, settings, choose_device("cpu"))(patterns)
    return np.split(rows[:, :3], np.cumsum(counts)[:-1])


def detect_candidates(
    pattern: np.ndarray, probe: Probe, settings: DetectionSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Find all that could be a disk in one pattern, and why it is one or not, on the CPU.

    Returns
    -------
    disks, status : ndarray
        As ``BatchedDetection.candidates``, whatever the engine: both engines find the same.
    """
    from napari_4dstem_orient.core.devices import choose_device
    from napari_4dstem_orient.detection.batched import BatchedDetection

    return BatchedDetection(probe, settings, choose_device("cpu")).candidates(pattern)


def _made(scan_shape: tuple[int, int], counts: np.ndarray, rows: np.ndarray) -> BraggDisks:
    """Return what an engine found."""
    qx, qy, intensity, uncertainty, snr = np.ascontiguousarray(rows.T)
    return BraggDisks(
        scan_shape,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        qx,
        qy,
        intensity,
        uncertainty=None if np.isnan(uncertainty).any() else uncertainty,
        snr=None if np.isnan(snr).any() else snr,
    )


def make_engine(probe: Probe, settings: DetectionSettings, device: torch.device) -> Engine:
    """Return what detects disks the way that the settings say.

    Raises
    ------
    UserError
        If there is no such engine, or it is not installed.
    """
    check_engine(settings.engine)
    if settings.engine == "py4DSTEM":
        return Py4DSTEMDetection(probe, settings)
    from napari_4dstem_orient.detection.batched import BatchedDetection

    return BatchedDetection(probe, settings, device)


def _detect_all(
    scan: Scan,
    engine: Engine,
    device: torch.device,
    settings: DetectionSettings,
    progress: Progress,
    memory: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how many disks each position has, and all disks (n, 5)."""
    from napari_4dstem_orient.core.devices import at_a_time, each_batch

    def detect(piece: Piece) -> tuple[np.ndarray, np.ndarray]:
        check_batch(piece.patterns, piece.positions, scan)
        return engine(piece.patterns)

    total = scan.scan_shape[0] * scan.scan_shape[1]
    # py4DSTEM computes in Python, where threads only hinder each other.
    one_by_one = settings.engine == "py4DSTEM"
    portion = portions(scan, memory, 1 if one_by_one else at_a_time(device), device.type == "cpu")
    counts, where, found = np.zeros(total, np.int64), [], []
    done = 0

    progress(0, total)
    pieces = read_ahead(scan, portion)
    results = (
        ((piece, detect(piece)) for piece in pieces)
        if one_by_one
        else each_batch(detect, pieces, device, portion.at_work)
    )
    with closing(pieces), closing(results):
        for piece, (number, disks) in results:
            counts[piece.positions] = number
            where.append(piece.positions)
            found.append(disks)
            done += len(piece)
            progress(done, total)
    return counts, _in_order(counts, np.concatenate(where), np.concatenate(found))


def _in_order(counts: np.ndarray, where: np.ndarray, disks: np.ndarray) -> np.ndarray:
    """Return disks, found position by position as in ``where``, in the order of the scan."""
    if (np.diff(where) == 1).all():
        return disks
    read = counts[where]
    start = np.empty(len(counts), np.int64)
    start[where] = np.cumsum(read) - read
    first = np.cumsum(counts) - counts
    return disks[np.arange(len(disks)) + np.repeat(start - first, counts)]


def _check_fits(probe: Probe, scan: Scan) -> None:
    """Refuse a probe that was made for another detector."""
    if probe.kernel.shape != scan.detector_shape:
        raise UserError(
            f"The probe was made for a detector of {_times(probe.kernel.shape)} pixels, but {scan.source} has "
            f"{_times(scan.detector_shape)}; make a probe for this scan."
        )


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(str(size) for size in shape)
