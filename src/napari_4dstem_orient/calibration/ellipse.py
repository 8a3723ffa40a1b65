"""How elliptical the detector shows a scan's diffraction rings, from the disks themselves: no crystal need be known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.calibration.origin import centred
from napari_4dstem_orient.calibration.pixel_size import LEAST_WINDOW, NEAREST, STEP, WINDOW, half_widths
from napari_4dstem_orient.calibration.quality import Quality
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.distortion import Distortion, ratio_and_axis, undistorted
from napari_4dstem_orient.core.errors import UserError

GOOD, CHECK = 0.01, 0.03
"""Long over short axis less 1: good below the first, poor from the second."""

RANGE = 0.06
"""Largest e that is looked for: rings 13 % longer than wide. Beyond it, different rings can be taken for one."""

LEAST_CELLS = 12
"""Distinct places of disks on rings below which nothing is told."""

GOOD_ERROR = 0.0015
"""Standard error of e beyond which a fit is not trusted."""

GOOD_EXPLAINED = 0.16
"""Share of disks on rings, beyond chance, below which a fit is not trusted, and more where there are few disks: with
2 / √n added, disks that lie anywhere stay below it."""

SECTOR = 15.0
"""Degrees: disks of a ring that lie closer than this lie in one direction."""

LEAST_DIRECTIONS = 6
"""Directions beyond those that the fit has unknowns for; with fewer, one crystal's spots could be moved onto rings."""


@dataclass(frozen=True, eq=False)
class EllipseFit:
    """The ellipticity of a scan's rings.

    Attributes
    ----------
    distortion : (float, float)
        As ``Calibration.distortion``: (e cos 2φ0, e sin 2φ0) in the detector's frame.
    error : float
        Standard error of e; infinite where nothing is known.
    rings : int
        Rings that it comes from.
    azimuth, deviation, weight : ndarray, shape (n,)
        Places of disks on rings: angle in degrees from the detector's first axis, measured |q| over the ring's radius
        less 1, and how much they count; to draw.
    doubts : tuple of str
        Why it is not to be trusted; empty where it is.
    """

    distortion: Distortion
    error: float
    rings: int
    azimuth: np.ndarray
    deviation: np.ndarray
    weight: np.ndarray
    doubts: tuple[str, ...]

    @property
    def trustworthy(self) -> bool:
        """Whether nothing speaks against it."""
        return not self.doubts

    @property
    def ratio(self) -> float:
        """Long over short axis of the rings."""
        return ratio_and_axis(self.distortion)[0]

    @property
    def axis(self) -> float:
        """Long axis in degrees, 0 to 180, from the detector's first axis (down the rows) towards its second."""
        return ratio_and_axis(self.distortion)[1]

    def remaining(self, corrected: Distortion) -> Distortion:
        """Return what is left of the distortion once ``corrected`` is undone (to first order, as both are small)."""
        return self.distortion[0] - corrected[0], self.distortion[1] - corrected[1]

    def quality(self, corrected: Distortion = (0.0, 0.0)) -> Quality:
        """Judge what is left once ``corrected`` is undone."""
        if not self.trustworthy:
            return Quality.CHECK
        return Quality.of(ratio_and_axis(self.remaining(corrected))[0] - 1, GOOD, CHECK)


NOTHING = EllipseFit(
    (0.0, 0.0), np.inf, 0, np.zeros(0), np.zeros(0), np.zeros(0), ("the disks lie on no rings",)
)
"""Of disks that lie anywhere."""


def fit_ellipse(disks: BraggDisks, origin: np.ndarray | None = None) -> EllipseFit:
    """Fit |q| = R (1 + e cos 2(φ - φ0)) to the disks on rings, with a radius R for each ring that they show.

    The distortion is sought under which the rings are sharpest, then fitted to the disks on the rings by iteratively
    reweighted least squares: disks beside rings count ever less. Disks that lie at the same place in many patterns
    count as one measurement.

    Parameters
    ----------
    disks : BraggDisks
        In detector pixels.
    origin : ndarray, shape (scan_y, scan_x, 2), optional
        Direct beam in px; fitted by default.

    Raises
    ------
    UserError
        If there are too few disks beside the direct beam.
    """
    disks = disks.sure()
    cells = _cells(*centred(disks, origin), disks.intensity)
    if len(cells[0]) < LEAST_CELLS:
        raise UserError(
            "There are too few disks beside the direct beam to see whether rings are round; detect more disks."
        )
    return _refine(*cells, _sharpest(*cells))


Rings = tuple[np.ndarray, np.ndarray]
"""Radii, and the half width that each ring has for itself, px."""


def _cells(x: np.ndarray, y: np.ndarray, intensity: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge disks at the same place, to a pixel: x, y and how much each place counts."""
    beside = np.hypot(x, y) > NEAREST
    x, y, share = x[beside].astype(float), y[beside].astype(float), np.sqrt(np.maximum(intensity[beside], 0))
    if not len(x):
        return x, y, share
    share = np.maximum(share / (np.median(share) or 1.0), 1e-3)
    side = 2 * int(np.abs([x, y]).max()) + 4
    key = np.rint(x).astype(np.int64) * side + np.rint(y).astype(np.int64)
    _, where = np.unique(key, return_inverse=True)
    where = where.ravel()
    total = np.bincount(where, share)
    return np.bincount(where, share * x) / total, np.bincount(where, share * y) / total, np.sqrt(total)


def _profile(radius: np.ndarray, weight: np.ndarray, sharp: float, broad: float) -> np.ndarray:
    """Return the disks over |q|, with what is as sharp as a ring kept and everything smooth dropped."""
    from scipy.ndimage import gaussian_filter1d

    counts = np.bincount((radius / STEP).astype(int), weight / np.sqrt(radius))
    narrow = gaussian_filter1d(counts, sharp / STEP, mode="constant")
    return narrow - gaussian_filter1d(counts, broad / STEP, mode="constant")


def _sharpest(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Distortion:
    """Return the distortion under which the rings are sharpest, to about a quarter of a per cent."""
    reach = float(np.quantile(np.hypot(x, y), 0.9))
    best = (0.0, 0.0)
    for spacing, width in ((0.01, RANGE), (0.0025, 0.0075)):
        steps = np.arange(-width, width + spacing / 2, spacing)
        tried = [(c, s) for c in best[0] + steps for s in best[1] + steps if np.hypot(c, s) <= RANGE + 1e-9]
        blur = max(0.7, spacing * reach / 2)
        sharpness = []
        for distortion in tried:
            profile = _profile(np.hypot(*undistorted(x, y, distortion)), weight, blur, 4 * blur + 2)
            sharpness.append(float((np.maximum(profile, 0) ** 2).sum()))
        best = tried[int(np.argmax(sharpness))]
    return best


def _apart(radii: np.ndarray) -> Rings:
    """Return the rings that can be told from their neighbours."""
    half = half_widths(radii, WINDOW)
    return radii[half > LEAST_WINDOW], half[half > LEAST_WINDOW]


def _seen(radius: np.ndarray, weight: np.ndarray) -> Rings:
    """Return the rings that stand out."""
    from scipy.signal import find_peaks

    profile = _profile(radius, weight, 0.6, 4.0)
    noise = 1.4826 * float(np.median(np.abs(profile)))
    peaks, _ = find_peaks(profile, height=max(3 * noise, 0.1 * float(profile.max())), distance=1.2 / STEP)
    return _apart((peaks + 0.5) * STEP)


def _refine(x: np.ndarray, y: np.ndarray, weight: np.ndarray, distortion: Distortion) -> EllipseFit:
    """Fit the disks on rings: the distortion, its error, and what speaks against it."""
    for _ in range(12):
        px, py = undistorted(x, y, distortion)
        radius, azimuth = np.hypot(px, py), np.arctan2(py, px)
        radii, half = _seen(radius, weight)
        if not len(radii):
            return NOTHING
        ring = np.searchsorted((radii[1:] + radii[:-1]) / 2, radius)
        on = np.abs(radius - radii[ring]) < half[ring]
        if on.sum() < LEAST_CELLS:
            return NOTHING
        change, error, offset = _least_squares(radius[on], azimuth[on], radii[ring[on]], ring[on], weight[on])
        distortion = distortion[0] + change[0], distortion[1] + change[1]
        if np.hypot(*change) < 1e-5 or np.hypot(*distortion) > 2 * RANGE:
            break
    sectors = (np.rad2deg(azimuth[on]) % 180 / SECTOR).astype(int)
    directions = len(np.unique(ring[on] * 1000 + sectors)) - len(np.unique(ring[on])) - 2
    doubts = _doubts(distortion, error, _explained(radius, weight, radii, half, on), len(x), directions)
    return EllipseFit(
        distortion,
        error,
        len(np.unique(ring[on])),
        np.rad2deg(np.arctan2(y[on], x[on])) % 360,
        np.hypot(x[on], y[on]) / (radii[ring[on]] * (1 + offset)) - 1,
        weight[on],
        doubts,
    )


def _least_squares(
    radius: np.ndarray, azimuth: np.ndarray, radii: np.ndarray, free: np.ndarray, weight: np.ndarray
) -> tuple[Distortion, float, np.ndarray]:
    """Return the distortion that is left, its standard error, and by how much each disk's ring is larger.

    ``free`` numbers, for each disk, the factor that its radius is right up to.
    """
    terms = np.stack([np.cos(2 * azimuth), np.sin(2 * azimuth)], axis=1)
    weight = weight * radii**2  # disks scatter by so many pixels, wherever they lie
    deviation, robust = radius / radii - 1, weight
    for _ in range(8):
        offset = _mean(deviation, robust, free)
        # A ring with disks in one direction alone says nothing: its own radius takes all of it.
        x = terms - np.stack([_mean(column, robust, free) for column in terms.T], axis=1)
        y = deviation - offset
        normal = (x * robust[:, None]).T @ x
        found = np.linalg.lstsq(normal, x.T @ (robust * y), rcond=1e-6)[0]
        left = (y - x @ found) * radii
        scale = max(1.4826 * float(np.median(np.abs(left))), 0.05)
        robust = weight / (1 + (left / (2 * scale)) ** 2) ** 2
    # The covariance of a weighted fit whose noise is not known beforehand ("sandwich"; White 1980).
    pull = x * (robust * (left / radii))[:, None]
    inverse = np.linalg.pinv(normal, rcond=1e-6, hermitian=True)
    freedom = max(len(x) - len(np.unique(free)) - 2, 1) / len(x)
    covariance = inverse @ (pull.T @ pull) @ inverse / freedom
    blind = np.linalg.eigvalsh(normal)[0] < 1e-6 * float(robust.sum())
    error = np.inf if blind else float(np.sqrt(np.linalg.eigvalsh(covariance)[-1]))
    return (float(found[0]), float(found[1])), error, offset + _mean(terms @ found, robust, free)


def _mean(values: np.ndarray, weight: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return for each value the weighted mean of its group."""
    return (np.bincount(group, weight * values) / np.maximum(np.bincount(group, weight), 1e-30))[group]


def _explained(
    radius: np.ndarray, weight: np.ndarray, radii: np.ndarray, half: np.ndarray, on: np.ndarray
) -> float:
    """Return the share of disks on rings beyond what a smooth distribution over |q| would put there."""
    from scipy.ndimage import gaussian_filter1d

    smooth = gaussian_filter1d(np.bincount((radius / STEP).astype(int), weight), 6.0 / STEP, mode="nearest")
    place = (np.arange(len(smooth)) + 0.5) * STEP
    covered = (np.abs(place[:, None] - radii) < half).any(axis=1)
    chance = min(float(smooth[covered].sum() / smooth.sum()), 0.99)
    return max(0.0, (float(weight[on].sum() / weight.sum()) - chance) / (1 - chance))


def _doubts(
    distortion: Distortion, error: float, explained: float, places: int, directions: int
) -> tuple[str, ...]:
    """Say in plain words what speaks against a fit."""
    doubts = []
    if explained < GOOD_EXPLAINED + 2 / np.sqrt(places):
        doubts.append("hardly more disks lie on rings than beside them")
    elif directions < LEAST_DIRECTIONS:
        doubts.append("the disks on rings lie in too few directions")
    elif not error <= GOOD_ERROR:
        doubts.append("the disks on rings are too few, or scatter too much")
    if np.hypot(*distortion) > 0.95 * RANGE:
        doubts.append("rings that are so far from round cannot be told from different ones")
    return tuple(doubts)
