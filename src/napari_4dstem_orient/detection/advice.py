"""What the patterns themselves say against finding disks in them as usual: spots, overlap, a beam stop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.detect import detect_patterns
from napari_4dstem_orient.detection.direct_beam import find_direct_beam
from napari_4dstem_orient.detection.patterns import aligned_mean, sample_patterns
from napari_4dstem_orient.detection.probe import Probe
from napari_4dstem_orient.detection.suggest import settings_for_probe

SAMPLES = 16
"""Patterns that are looked at."""
PEAKED = 1.2
"""Inner over outer half of the direct beam: 1 for an even disk, 1.3 to 1.5 for the spots of precession."""
SMALLEST_DISK = 1.5
"""Pixels: of a smaller radius nobody can tell a disk from a spot."""
CLEAR = 4.0
"""Times the noise of the correlation that a disk must be strong to count in a search for overlap."""
LAPLACIAN = np.outer([1, -2, 1], [1, -2, 1])
"""Blind to all that is smooth: what is left of a pattern is noise and edges (Immerkær 1996)."""
OVERLAPPING = 0.2
"""Share of disks with a near neighbour from which overlap is the rule and not a boundary of two grains."""
SHADE = 0.3
"""A pixel darker than this share of the other pixels as far from the middle lies in a shadow."""
NEAR = 0.3
"""How near to the middle a beam stop reaches, as a share of half the detector."""


def advise(scan: Scan, probe: Probe) -> str:
    """Look at some patterns of a scan and say in one line what to do about them; nothing if all is well.

    Parameters
    ----------
    scan : Scan
    probe : Probe
        Its disk's radius is the measure of everything.

    Raises
    ------
    UserError
        If patterns hold NaN or negative values.
    """
    patterns = sample_patterns(scan, SAMPLES)
    advice = [probe.doubt] if probe.doubt else []
    if has_beam_stop(patterns, probe.radius):  # what is left of the beam tells neither spots nor sizes
        return (
            "A beam stop, or a dead stripe of the detector, hides the middle: measure the probe in vacuum or type "
            "its radius, and check the centre in Calibration."
        )
    if looks_like_spots(patterns):
        advice.append(
            "These look like spots rather than disks: measure the probe (Region of the scan, or Vacuum file) "
            "instead of drawing an even disk."
        )
    spacing = overlap(patterns, probe)
    if spacing is not None:
        advice.append(
            f"Disks overlap ({spacing:.1f} px apart, {2 * probe.radius:.1f} px wide): set the least distance below "
            f"{spacing:.1f} px; their intensities are mixed unless the convergence angle is made smaller."
        )
    return " ".join(advice)


def looks_like_spots(patterns: np.ndarray) -> bool:
    """Tell whether the direct beam is a peak rather than an evenly lit disk.

    Parameters
    ----------
    patterns : ndarray, shape (n, det_y, det_x)

    Raises
    ------
    UserError
        If there is no direct beam.
    """
    mean = aligned_mean(patterns)
    center, radius = find_direct_beam(mean)
    if radius < SMALLEST_DISK:
        return True
    y, x = np.ogrid[: mean.shape[0], : mean.shape[1]]
    # The outermost pixel belongs to the edge, however sharp that is.
    distance = np.hypot(y - center[0], x - center[1]) / max(radius - 0.5, 1.0)
    inner, outer = distance <= 0.5, (distance > 0.5) & (distance <= 1)
    above = mean - np.median(mean)
    return bool(above[inner].mean() > PEAKED * above[outer].mean()) if inner.any() and outer.any() else True


def overlap(patterns: np.ndarray, probe: Probe) -> float | None:
    """Return how far apart neighbouring disks are that overlap, in pixels; None where they do not.

    The floor that ``suggest`` finds is of no use here: where disks overlap everywhere it takes most of them
    for noise.

    Parameters
    ----------
    patterns : ndarray, shape (n, det_y, det_x)
    probe : Probe

    Returns
    -------
    float or None
        Median over the overlapping disks.
    """
    floor = CLEAR * _pixel_noise(patterns) * float(np.linalg.norm(probe.kernel))
    # Closer than a radius they are the two halves of one unevenly lit disk.
    spacing = 1.1 * probe.radius
    settings = replace(
        settings_for_probe(probe), min_intensity=floor, min_relative_intensity=0.01, min_spacing=spacing
    )
    nearest = [
        _nearest(disks[:, :2]) for disks in detect_patterns(patterns, probe, settings) if len(disks) > 1
    ]
    if not nearest:
        return None
    distance = np.concatenate(nearest)
    close = distance < 2 * probe.radius - 0.25
    return float(np.median(distance[close])) if close.mean() > OVERLAPPING else None


def _pixel_noise(patterns: np.ndarray) -> float:
    """Return the standard deviation of the noise of a pixel, rather too large where there are many edges."""
    from scipy import ndimage

    rough = ndimage.convolve(np.asarray(patterns, np.float64), LAPLACIAN[None])
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(rough).mean())


def _nearest(places: np.ndarray) -> np.ndarray:
    from scipy.spatial import KDTree

    return np.asarray(KDTree(places).query(places, k=2)[0][:, 1])


def has_beam_stop(patterns: np.ndarray, radius: float) -> bool:
    """Tell whether something casts a shadow over the middle of all patterns, be it from the rim or by itself.

    The middle is that of the patterns' inversion symmetry (Friedel's law), which a hidden direct beam leaves.
    Without any light between the disks only a hidden direct beam shows.

    Parameters
    ----------
    patterns : ndarray, shape (n, det_y, det_x)
    radius : float
        Of a disk, in pixels.
    """
    from scipy import ndimage

    mean = patterns.mean(axis=0, dtype=np.float64)
    center = _inversion_center(mean)
    y, x = np.ogrid[: mean.shape[0], : mean.shape[1]]
    distance = np.hypot(y - center[0], x - center[1])
    rings = np.rint(distance).astype(int)
    which, ring = np.unique(rings, return_inverse=True)  # about half a pixel there is no ring of radius 0
    average = ndimage.mean(mean, rings, which)
    if average[which <= radius / 2].max() < 0.5 * average[which >= 2 * radius].max():
        return True
    smooth = ndimage.uniform_filter(mean, 3)
    usual = np.asarray(ndimage.median(smooth, rings, which))[ring.reshape(rings.shape)]
    dark = (smooth < SHADE * usual) & (usual > 0)
    labels, _ = ndimage.label(ndimage.binary_opening(dark, np.ones((3, 3))))
    at_rim = {*labels[[0, -1]].ravel(), *labels[:, [0, -1]].ravel()} - {0}
    reach = max(NEAR * min(mean.shape) / 2, 2.5 * radius)
    return any(distance[labels == number].min() < reach for number in at_rim)


def _inversion_center(image: np.ndarray) -> tuple[float, float]:
    """Return the pixel about which an image is most like itself turned by 180°."""
    from scipy import fft, ndimage

    bright = np.sqrt(np.maximum(image, 0))
    bright -= bright.mean()
    size = [2 * length for length in image.shape]
    itself = fft.irfft2(fft.rfft2(bright, s=size) ** 2, s=size)
    row, col = np.unravel_index(np.argmax(ndimage.uniform_filter(itself, 3)), itself.shape)
    return float(row) / 2, float(col) / 2
