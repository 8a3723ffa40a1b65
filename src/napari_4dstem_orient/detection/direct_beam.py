"""Where the direct beam lies on the detector, and how large it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.patterns import aligned_mean, sample_patterns

PEAKED = 2.5
"""A patch so many times as bright in its middle as on average is a halo around something smaller: a Gaussian spot has
1.75."""


class DirectBeam(NamedTuple):
    """The direct beam in detector pixels: centre (along det_y, det_x) and radius."""

    center: tuple[float, float]
    radius: float


def find_direct_beam(image: np.ndarray) -> DirectBeam:
    """Find the direct beam in a mean pattern: its brightest patch, as ``bright_patch`` says.

    Parameters
    ----------
    image : ndarray, shape (det_y, det_x)

    Raises
    ------
    UserError
        If the image is empty or flat.
    """
    image = np.asarray(image, np.float64)
    image = image - np.median(image)
    return bright_patch(image, find_brightest(image))


def find_brightest(image: np.ndarray) -> tuple[int, int]:
    """Return the pixel to begin at: the brightest of an image, above 0, that is no hot one nor at the rim.

    Raises
    ------
    UserError
        If the image is empty or flat.
    """
    from scipy import ndimage

    # Hot pixels and bright disks at the rim are not the direct beam: a median and a broad weight outvote them.
    y, x = (np.linspace(-1, 1, size) for size in image.shape)
    weighted = ndimage.median_filter(image, 3)
    weighted *= np.exp(-(y[:, None] ** 2 + x**2))
    start = np.unravel_index(np.argmax(weighted), image.shape)
    del weighted
    if image[start] <= 0:
        start = np.unravel_index(np.argmax(image), image.shape)
    if image[start] <= 0:
        raise UserError(
            "There is no direct beam in the mean pattern: it is empty or flat. Is this a diffraction scan?"
        )
    return int(start[0]), int(start[1])


def bright_patch(image: np.ndarray, start: tuple[int, int]) -> DirectBeam:
    """Return centre and radius of the bright patch around a pixel; see ``grow_patch``."""
    return beam_of(image, *grow_patch(image, start))


def beam_of(image: np.ndarray, patch: np.ndarray, ground: float) -> DirectBeam:
    """Return centre and radius of a patch (mask) of an image above its ground."""
    from scipy import ndimage

    center = ndimage.center_of_mass(np.where(patch, np.maximum(image - ground, 0), 0))
    return DirectBeam((float(center[0]), float(center[1])), _radius(patch))


def grow_patch(image: np.ndarray, start: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Return the bright patch (mask) around a pixel, and the ground around it.

    The patch is what exceeds the middle between its own mean and the ground around it, whatever halo both lie on. For
    an even disk that is the disk itself; for a Gaussian spot of standard deviation s it is a circle of radius 1.58 s,
    the aperture of best signal to noise: one definition serves convergent-beam disks and precession spots alike.

    Parameters
    ----------
    image : ndarray, float64, shape (det_y, det_x)
        Above 0 at ``start``.
    start : (int, int)
    """
    from scipy import ndimage

    peak = ndimage.uniform_filter(image, 3)[start]
    level = image[start] / 2
    for _ in range(3):
        patch, ground = _grown(image, start, level)
        mean = image[patch].mean()
        if peak - ground <= PEAKED * (mean - ground):
            break
        level = (peak + mean) / 2  # this is the halo, with the beam in its middle
    return patch, ground


def _grown(image: np.ndarray, start: tuple[int, int], level: float) -> tuple[np.ndarray, float]:
    """Return the patch (mask) that grew, or shrank, from a first level, and the ground around it."""
    from scipy import ndimage

    rows, cols = np.ogrid[: image.shape[0], : image.shape[1]]
    patch, ground = np.zeros(image.shape, bool), 0.0
    for _ in range(30):
        labels, _ = ndimage.label(image > min(level, 0.99 * image[start]))
        grown = ndimage.binary_fill_holes(labels == labels[start])
        if np.array_equal(grown, patch):
            break
        patch = grown
        center, radius = ndimage.center_of_mass(patch), _radius(patch)
        distance = np.hypot(rows - center[0], cols - center[1])
        around = image[(distance > 1.5 * radius + 1) & (distance < 2.5 * radius + 2)]
        ground = float(np.median(around)) if len(around) else float(image.min())
        level = (image[patch].mean() + ground) / 2
    return patch, ground


def direct_beam_of(scan: Scan) -> DirectBeam:
    """Find the direct beam of a scan in the aligned mean of some of its patterns."""
    return find_direct_beam(aligned_mean(sample_patterns(scan)))


def _radius(patch: np.ndarray) -> float:
    return float(np.sqrt(patch.sum() / np.pi))
