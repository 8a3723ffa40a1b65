"""How large the disks of a scan are: from the convergence angle where that is known, else from the patterns."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.detection.direct_beam import DirectBeam, bright_patch, find_direct_beam
from napari_4dstem_orient.detection.patterns import aligned_mean, sample_patterns

LEAST, LARGEST = 0.5, 0.25
"""Pixels, and share of the detector's shorter side, that a disk's radius must lie between."""
SHARP = 1.0
"""Pixels: a smaller disk looks as large as the camera blurs it, whatever the convergence angle."""
AGREE = 1.1
"""Measured and calculated radii that differ by less than such a factor are the same."""
DISAGREE = 1.5
"""Measured and calculated radii that differ by such a factor are worth a word."""
PLATEAU = 5
"""Pixels of exactly the greatest value from which on a pattern's direct beam is cut off."""
LEVELS = 16
"""Different values that such a pattern has at least; counts of few electrons have fewer, and are not cut off."""
CLEAR = 6.0
"""Times the noise that a disk must be strong to be measured in the direct beam's place."""
FEWEST, MOST = 5, 200
"""Disks to average."""
BEYOND = 0.3
"""Share of its height that a disk has just outside at most."""
LOOKS = 5
"""Sizes at which disks are looked for, at most."""


class DiskRadius(NamedTuple):
    """The radius of a scan's disks.

    Attributes
    ----------
    px : float
        Detector pixels.
    found_by : str
        ``"semiangle"``, ``"direct beam"`` or ``"other disks"``.
    doubt : str
        A sentence where it is doubtful; else empty.
    """

    px: float
    found_by: str
    doubt: str = ""


def find_radius(scan: Scan) -> DiskRadius:
    """Return the radius of a scan's disks.

    Where convergence angle, voltage and pixel size are known, they tell it, unless the patterns say nearly the same,
    which is what the camera makes of it. Else it is the direct beam's in the mean of some patterns; or, where the
    camera cuts that off, that of the other disks.

    Raises
    ------
    UserError
        If there is no direct beam, or patterns hold NaN or negative values.
    """
    measured = measure_radius(sample_patterns(scan))
    calculated = calculate_radius(scan.calibration)
    if calculated is None or calculated < SHARP:
        return measured
    told = f"The convergence angle of {scan.calibration.semiangle:g} mrad makes disks of radius {calculated:.3g} px"
    what = "check convergence angle, voltage and pixel size, or give the probe's radius"
    if not calculated <= LARGEST * min(scan.detector_shape):
        return measured._replace(
            doubt=f"{told}, too large for this detector, so the measured {measured.px:.3g} px were taken; {what}."
        )
    apart = max(measured.px / calculated, calculated / measured.px)
    if apart < AGREE and not measured.doubt:
        return measured  # it tells what the camera makes of the disk
    doubt = f"{told}, but those of the patterns have about {measured.px:.3g} px; {what}."
    return DiskRadius(calculated, "semiangle", doubt if apart > DISAGREE else "")


def calculate_radius(calibration: Calibration) -> float | None:
    """Return the disk radius in px that convergence angle, voltage and pixel size tell; None where one is unknown."""
    from napari_4dstem_orient.core.units import electron_wavelength

    semiangle, voltage, q_pixel = calibration.semiangle, calibration.voltage, calibration.q_pixel
    if semiangle is None or voltage is None or q_pixel is None:
        return None
    return float(1e-3 * semiangle / electron_wavelength(voltage) / q_pixel)


def measure_radius(patterns: np.ndarray) -> DiskRadius:
    """Measure the disk radius in patterns, shape (n, det_y, det_x); see ``find_radius``.

    Raises
    ------
    UserError
        If there is no direct beam.
    """
    beam = find_direct_beam(aligned_mean(patterns))
    if not _cut_off(patterns):
        return DiskRadius(beam.radius, "direct beam")
    others = _others_radius(patterns, beam)
    if others is not None:
        return DiskRadius(others, "other disks")
    doubt = (
        "The camera cuts the direct beam off, and no other disk is clear enough to tell a disk's size: it may be "
        f"smaller than the {beam.radius:.3g} px taken; give the probe's radius."
    )
    return DiskRadius(beam.radius, "direct beam", doubt)


def _cut_off(patterns: np.ndarray) -> bool:
    """Tell whether patterns are flat at their greatest value: their brightest pixels are saturated."""
    flat = np.median((patterns >= patterns.max()).sum(axis=(1, 2))) >= PLATEAU
    return bool(flat and len(np.unique(patterns[0])) >= LEVELS)


def _others_radius(patterns: np.ndarray, beam: DirectBeam) -> float | None:
    """Return the radius of the mean of the strongest disks beside the direct beam; None where few are clear.

    Disks are looked for with a filter of about their size, which is not known: the direct beam's is a first guess,
    then smaller ones, then what was found.
    """
    size, found = beam.radius, None
    for _ in range(LOOKS):
        cutouts = _cutouts(patterns, beam, size)
        if len(cutouts) >= FEWEST:
            middle = cutouts.shape[1] // 2
            found = bright_patch(cutouts.mean(axis=0), (middle, middle)).radius
            if found < SHARP:
                return None  # single pixels: noise
            if abs(found - size) < 0.15 * size:
                break
            size = found
        elif found is None and size > 2 * SHARP:
            size /= 1.6
        else:
            break
    return found if found is not None and _is_whole(_cutouts(patterns, beam, found), found) else None


def _is_whole(cutouts: np.ndarray, radius: float) -> bool:
    """Tell whether what lies around spots are disks of that radius: parts of larger ones go on beyond it."""
    if not len(cutouts):
        return False
    mean, middle = cutouts.mean(axis=0), cutouts.shape[1] // 2
    mean = mean - np.percentile(mean, 10)
    step = np.arange(-middle, middle + 1) / radius
    apart = np.hypot(step[:, None], step)
    return bool(mean[(apart > 1.3) & (apart < 1.8)].mean() < BEYOND * mean[apart < 0.8].mean())


def _cutouts(patterns: np.ndarray, beam: DirectBeam, size: float) -> np.ndarray:
    """Return what lies around clear spots of about this radius, each with height 1 above its ground.

    Returns
    -------
    ndarray, shape (m, side, side)
    """
    from scipy import ndimage

    count, rows, cols = patterns.shape
    reach = int(np.ceil(2 * size)) + 3
    width, near = max(size / 1.58, 0.5), 2 * int(np.ceil(size)) + 1
    y, x = np.ogrid[:rows, :cols]
    there = np.hypot(y - beam.center[0], x - beam.center[1]) > beam.radius + 1.5 * size
    there &= (y >= reach) & (y < rows - reach) & (x >= reach) & (x < cols - reach)
    result = [np.zeros((0, 2 * reach + 1, 2 * reach + 1))]
    limit, most = patterns.max(), max(8, MOST // count)
    for pattern in patterns:
        narrow, wide = (ndimage.gaussian_filter(pattern, times * width) for times in (1, 2))
        spots = narrow - wide
        # Not the median: it is 0 where most pixels counted nothing.
        noise = np.percentile(np.abs(spots), 75) / 1.15
        clear = (
            there
            & (spots == ndimage.maximum_filter(spots, near))
            & (spots > CLEAR * noise)
            & (pattern < limit)
        )
        row, col = np.nonzero(clear)
        if not len(row):
            continue
        strongest = np.argsort(-spots[row, col])[:most]
        row, col = row[strongest, None, None], col[strongest, None, None]
        step = np.arange(-reach, reach + 1)
        around = pattern[row + step[:, None], col + step]
        ground = np.median(around, axis=(1, 2), keepdims=True)
        result.append((around - ground) / spots[row, col])
    return np.concatenate(result)
