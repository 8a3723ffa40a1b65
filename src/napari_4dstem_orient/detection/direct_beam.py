"""Where the direct beam lies on the detector, and how large it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_4dstem_orient.detection.patterns import aligned_mean, sample_patterns
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.scan import Scan


class DirectBeam(NamedTuple):
    """The direct beam in detector pixels: centre (along det_y, det_x) and radius."""

    center: tuple[float, float]
    radius: float


def find_direct_beam(image: np.ndarray) -> DirectBeam:
    """Find the direct beam in a mean pattern.

    It is the brightest connected patch, a patch being what exceeds half of its own mean. For an even disk that
    is the disk itself; for a Gaussian spot of standard deviation s it is a circle of radius 1.58 s, the aperture
    of best signal to noise: one definition serves convergent-beam disks and precession spots alike.

    Parameters
    ----------
    image : ndarray, shape (det_y, det_x)

    Raises
    ------
    UserError
        If the image is empty or flat.
    """
    from scipy import ndimage

    image = np.asarray(image, np.float64)
    image = image - np.median(image)
    # Hot pixels and bright disks at the rim are not the direct beam: a median and a broad weight outvote them.
    y, x = (np.linspace(-1, 1, size) for size in image.shape)
    weight = np.exp(-(y[:, None] ** 2 + x**2))
    start = np.unravel_index(np.argmax(ndimage.median_filter(image, 3) * weight), image.shape)
    if image[start] <= 0:
        start = np.unravel_index(np.argmax(image), image.shape)
    if image[start] <= 0:
        raise UserError(
            "There is no direct beam in the mean pattern: it is empty or flat. Is this a diffraction scan?"
        )

    level = image[start] / 2
    patch = np.zeros(image.shape, bool)
    for _ in range(30):
        labels, _ = ndimage.label(image > level)
        grown = ndimage.binary_fill_holes(labels == labels[start])
        if np.array_equal(grown, patch):
            break
        patch, level = grown, min(image[grown].mean() / 2, 0.99 * image[start])
    center = ndimage.center_of_mass(np.where(patch, np.maximum(image, 0), 0))
    return DirectBeam((float(center[0]), float(center[1])), float(np.sqrt(patch.sum() / np.pi)))


def direct_beam_of(scan: Scan, samples: int = 32) -> DirectBeam:
    """Find the direct beam of a scan in the aligned mean of some of its patterns."""
    return find_direct_beam(aligned_mean(sample_patterns(scan, samples)))
