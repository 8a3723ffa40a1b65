"""Find the Bragg disks of every pattern with py4DSTEM's detection, a batch of patterns at a time."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from napari_4dstem_orient.detection.engine import single_pattern_detection
from napari_4dstem_orient.detection.patterns import batch_length, check_batch
from napari_4dstem_orient.detection.probe import Probe, estimate_radius, synthetic_probe
from napari_4dstem_orient.detection.settings import DetectionSettings, suggest_settings
from napari_4dstem_orient.disks import BraggDisks
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.progress import Progress, silent
from napari_4dstem_orient.scan import Scan

PATTERNS_PER_REPORT = 256
"""Most patterns between two progress reports: a cancelled run stops within about half a second."""


def detect_disks(
    scan: Scan,
    probe: Probe | None = None,
    settings: DetectionSettings | None = None,
    progress: Progress = silent,
) -> BraggDisks:
    """Find the Bragg disks of a whole scan.

    Parameters
    ----------
    scan : Scan
    probe : Probe, optional
        Disk template; by default a synthetic disk whose radius is estimated from the scan.
    settings : DetectionSettings, optional
        By default ``suggest_settings(scan, probe)``.
    progress : Progress
        Called between batches with (patterns done, patterns in all); may raise ``Cancelled``.

    Returns
    -------
    BraggDisks
        In detector pixels; the direct beam is among the disks.

    Raises
    ------
    UserError
        If the probe was made for another detector, a pattern holds NaN, infinite or negative values, or no
        pattern has a disk.
    Cancelled
        If ``progress`` raised it.
    """
    if probe is None:
        probe = synthetic_probe(estimate_radius(scan), scan.detector_shape)
    if probe.kernel.shape != scan.detector_shape:
        raise UserError(
            f"The probe was made for a detector of {_times(probe.kernel.shape)} pixels, but {scan.source} has "
            f"{_times(scan.detector_shape)}; make a probe for this scan."
        )
    if settings is None:
        settings = suggest_settings(scan, probe)

    total = scan.scan_shape[0] * scan.scan_shape[1]
    progress(0, total)
    lists: list[np.ndarray] = []
    for where, block in scan.batches(min(batch_length(scan), PATTERNS_PER_REPORT)):
        check_batch(block, where, scan)
        lists.extend(detect_pattern(pattern, probe, settings) for pattern in block)
        progress(where.stop, total)

    disks = BraggDisks.from_lists(
        scan.scan_shape,
        lists,
        detector_shape=scan.detector_shape,
        provenance={
            "source": scan.source,
            "engine": "py4DSTEM",
            "probe": {"kind": probe.kind, **probe.provenance},
            "settings": asdict(settings),
        },
    )
    if not len(disks):
        raise UserError(
            f"No disks anywhere in {scan.source}: lower the weakest disk (now {settings.min_intensity:g} counts/px), "
            f"or check the probe (its disk radius is {probe.radius:.3g} px)."
        )
    return disks


def detect_pattern(pattern: np.ndarray, probe: Probe, settings: DetectionSettings) -> np.ndarray:
    """Find the Bragg disks of one pattern.

    Parameters
    ----------
    pattern : ndarray, shape (det_y, det_x)
    probe : Probe
    settings : DetectionSettings

    Returns
    -------
    ndarray, float32, shape (n, 3)
        Position along det_y (qx), along det_x (qy) in pixels, and intensity; the strongest first.
    """
    # An empty pattern makes py4DSTEM divide by zero; it then finds nothing, which is right.
    with np.errstate(divide="ignore", invalid="ignore"):
        found = single_pattern_detection()(
            pattern,
            probe.fourier,
            _template_space="fourier",
            corrPower=settings.correlation_power,
            sigma_cc=settings.smoothing,
            subpixel=settings.subpixel,
            minAbsoluteIntensity=settings.min_intensity,
            minRelativeIntensity=settings.min_relative_intensity,
            relativeToPeak=0,
            minPeakSpacing=settings.min_spacing,
            edgeBoundary=settings.edge,
            maxNumPeaks=settings.max_disks,
        ).data
    return np.stack([found["qx"], found["qy"], found["intensity"]], axis=1).astype(np.float32)


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(str(size) for size in shape)
