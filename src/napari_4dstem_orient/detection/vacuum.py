"""Whether a frame shows a probe and nothing else: one bright, round patch, whole and alone."""

from __future__ import annotations

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.detection.direct_beam import DirectBeam, beam_of, find_brightest, grow_patch
from napari_4dstem_orient.detection.radius import LARGEST

HOT = 10.0
"""A pixel so many times as bright as the brightest of its neighbours is hot."""
BLURS = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
"""Pixels by which a frame is blurred, until its beam is one patch: few electrons, or a patterned aperture, break it."""
FINE = 0.25
"""Radii of the beam by which it may be blurred: more would make anything round."""
REACH, GROWTH, BLURRED_GROWTH = 2.5, 1.6, 1.3
"""Within so many radii a whole beam has at most so many times its own counts; a Gaussian spot has 1.4, a disk 1."""
WEAK, ALIKE = 0.01, 0.4
"""Shares of the beam's height from which on another spot counts, and from which on it looks like a beam."""
ALONE = 0.4
"""Share of its height that the ring about a spot has at most; parts of a patterned beam have more."""
OTHERS = 0.03
"""Share of the beam's height that other spots may have together."""
CLEAR, CLEAR_BEAM = 6.0, 8.0
"""Times the noise that another spot must be high, and the beam."""
CROWD = 40
"""So many spots that look like the beam are noise."""
ROUND = 0.72
"""Share of the circle through its farthest points that a whole beam fills: 1 for a disk, 0.83 for a hexagon."""
EDGE = 0.5
"""Radii that a beam may lie along the detector's edge."""
WITHIN = 0.5
"""Share of its counts, above the ground, that a vacuum frame has in its beam."""
SOFT = 0.12
"""Share of its brightness that a beam has just outside at most: a Gaussian spot has 0.05."""

_EMPTY = "it is empty or flat; take one with the beam on the detector"
_NOISE = "it shows nothing but noise; take one with the beam on the detector"
_SPOTS = "it shows several spots (Bragg disks, or a beam in pieces), not one; take one without specimen and beam stop"
_CUT = "its beam is cut by the edge of the detector; take one with the whole beam on it"
_PART = "its beam is no whole disk, as behind a beam stop; take one without specimen and beam stop"
_SPREAD = (
    "its counts are spread out, not in one disk, as with a specimen or behind a beam stop; "
    "take one without specimen and beam stop"
)


def without_hot_pixels(image: np.ndarray) -> np.ndarray:
    """Return an image with the median of its surroundings in place of single pixels that outshine them."""
    from scipy import ndimage

    around = np.ones((3, 3), bool)
    around[1, 1] = False
    ground = np.median(image)
    brightest = ndimage.maximum_filter(image, footprint=around) - ground
    hot = image - ground > HOT * np.maximum(brightest, 0)
    return np.where(hot, ndimage.median_filter(image, 3), image)


def find_vacuum_beam(image: np.ndarray, name: str) -> DirectBeam:
    """Return centre and outer radius of the beam in a vacuum frame, whatever pattern its aperture has.

    Parameters
    ----------
    image : ndarray, shape (det_y, det_x)
        Without hot pixels.
    name : str
        Where it comes from.

    Raises
    ------
    UserError
        The frame shows no beam, more than one, or a part of one.
    """
    from scipy import ndimage

    image = image - image[_border(image.shape)].mean()
    problems = []
    for blur in BLURS:
        smooth = ndimage.gaussian_filter(image, blur) if blur else image
        if not np.ptp(smooth) > 0 or not (smooth > np.median(smooth)).any():
            raise UserError(f"{name} shows no probe: {_EMPTY}.")
        patch, ground = grow_patch(smooth - np.median(smooth), find_brightest(smooth - np.median(smooth)))
        beam = beam_of(smooth - np.median(smooth), patch, ground)
        if blur > FINE * beam.radius:
            continue
        problem = _problem(image, patch, beam, BLURRED_GROWTH if blur else GROWTH)
        if not problem:
            return beam
        problems.append(problem)
    # Few electrons look like noise until they are blurred, and spread out is whatever is nothing else.
    known = [problem for problem in problems if problem not in (_NOISE, _SPREAD)]
    why = known[0] if known else _NOISE if _NOISE in problems else _SPREAD
    raise UserError(f"{name} shows no probe: {why}.")


def _problem(image: np.ndarray, patch: np.ndarray, beam: DirectBeam, growth: float) -> str:
    """Say why a patch (mask) is no probe, or not all of it; empty where it is one."""
    height, others, noise = _spots(image, beam)
    alike = int((others > ALIKE * height).sum()) if height > 0 else 0
    if alike > CROWD or patch.sum() < 2 or (alike and beam.radius < 0.9) or 0 < height < CLEAR_BEAM * noise:
        return _NOISE
    if height > 0 and others.sum() > OTHERS * height:
        return _SPOTS
    away = _distance(image.shape, beam) / beam.radius
    whole = image[away <= 1 + 1 / beam.radius].sum()
    if height <= 0 or image[away <= REACH].sum() > growth * whole:
        return _SPREAD
    if np.concatenate([patch[0], patch[-1], patch[:, 0], patch[:, -1]]).sum() > max(EDGE * beam.radius, 1):
        return _CUT
    rows, cols = image.shape
    if beam.radius > LARGEST * min(rows, cols):
        return (
            f"its bright patch has a radius of {beam.radius:.3g} px on a detector of {rows} × {cols} pixels; "
            "take one with the scan's own aperture"
        )
    far = np.percentile(away[patch], 98)
    if beam.radius >= 1.5 and far**-2 < ROUND:
        return _PART
    soft = _mean(image, (away > 1.5) & (away < 2)) > SOFT * _mean(image, away <= 1)
    ground = image[_border(image.shape)]
    total = image.sum() - 3 * ground.std() * image.size / ground.size**0.5  # the ground is known so well
    if soft or image[away <= 2].sum() < WITHIN * total or (beam.radius > 3 and _is_halo(image, away)):
        return _SPREAD
    return ""


def _is_halo(image: np.ndarray, away: np.ndarray) -> bool:
    """Tell a halo around a beam stop from the beam of a ring-shaped aperture: it fades towards its outer edge."""
    shells = [_mean(image, (away >= low / 10) & (away < (low + 1) / 10)) for low in range(8)]
    return max(shells[:2]) < 0.3 * max(shells) and _mean(image, (away > 0.8) & (away < 0.95)) < 0.5 * max(
        shells
    )


def _spots(image: np.ndarray, beam: DirectBeam) -> tuple[float, np.ndarray, float]:
    """Return the beam's height above the ring about it, those of the spots of its size beside it, and their noise."""
    from scipy import ndimage, signal

    size = max(beam.radius, 1.0)
    reach = int(np.ceil(2 * size)) + 1
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    apart = np.hypot(y, x)
    disk, ring = apart <= size, (apart > 1.3 * size) & (apart <= 1.8 * size + 0.7)
    inside, around = (signal.fftconvolve(image, part / part.sum(), "same") for part in (disk, ring))
    heights = inside - around
    own = float(heights[round(beam.center[0]), round(beam.center[1])])
    cross = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]]) / 4
    rough = np.percentile(np.abs(image - ndimage.convolve(image, cross)), 75) / 1.15 / 1.25**0.5
    # Where most pixels counted nothing, that is 0.
    noise = (rough or image[_border(image.shape)].std()) * (1 / disk.sum() + 1 / ring.sum()) ** 0.5
    peak = heights == ndimage.maximum_filter(heights, 2 * int(np.ceil(size)) + 1)
    peak &= (_distance(image.shape, beam) > 2 * size + 1) & (around < ALONE * inside)
    peak &= (heights > WEAK * own) & (heights > CLEAR * noise)
    return own, heights[peak], float(noise)


def _border(shape: tuple[int, ...]) -> np.ndarray:
    """Return the mask of a detector's outermost pixels."""
    y, x = (np.abs(np.linspace(-1, 1, size)) for size in shape)
    return np.maximum(y[:, None], x) > 0.85


def _distance(shape: tuple[int, ...], beam: DirectBeam) -> np.ndarray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return np.asarray(np.hypot(y - beam.center[0], x - beam.center[1]))


def _mean(image: np.ndarray, where: np.ndarray) -> float:
    return float(image[where].mean()) if where.any() else 0.0
