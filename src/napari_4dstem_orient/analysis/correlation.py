"""How far the zone axis at one scan position tells that at another: two-point correlations of maps.

The crystal direction along the beam, n, is the same crystal for every S n of the Laue group, so it is described by
the spherical harmonics of even degree that the group leaves unchanged, symmetrised as in texture analysis (Bunge,
Texture Analysis in Materials Science, 1982, chapter 4). The sum over the harmonics of one degree is, by the addition
theorem, the mean over S of (2l + 1) P_l(n · S n') / 4π: the correlation depends on the angles between equivalent
zone axes and on nothing else. Degrees are weighted by a Gaussian's spectrum, exp(-l (l + 1) σ² / 2), so that zone axes
nearer than about σ count as the same. The publication's own function may weight directions otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.memory import parts

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase

WIDTH = 10.0
"""Degrees, σ: zone axes that are nearer count as the same."""
FAINT = 0.01
"""Degrees l with a smaller weight than this are left out."""
_CHUNK = 4096


@dataclass(frozen=True, eq=False)
class TwoPoint:
    """A two-point correlation over a map.

    Attributes
    ----------
    by_shift : ndarray, float32, shape (2 scan_y - 1, 2 scan_x - 1)
        Correlation for each shift in positions; no shift is in the middle. NaN where there is no pair.
    pairs : ndarray, int64, same shape
        Pairs of positions behind each value.
    r : ndarray, shape (n,)
        Mean distance of each ring of shifts, in nm where the scan step is given, else in positions.
    by_distance : ndarray, shape (n,)
        Mean over each ring, every pair counting the same.
    """

    by_shift: np.ndarray
    pairs: np.ndarray
    r: np.ndarray
    by_distance: np.ndarray


def zone_axis_features(rotation: np.ndarray, phase: Phase, width: float = WIDTH) -> np.ndarray:
    """Describe zone axes by symmetrised spherical harmonics.

    Parameters
    ----------
    rotation : ndarray, shape (n, 3, 3)
        Orientation matrices; the third column is the zone axis in crystal Cartesian coordinates.
    phase : Phase
    width : float
        σ in degrees.

    Returns
    -------
    ndarray, float32, shape (n, k)
        The scalar product of two rows is Σ_l w_l (2l + 1) mean_S P_l(n · S n') over even l > 0.
    """
    degrees = _degrees(width)
    mixes = [_symmetrised(phase, degree) for degree in degrees]
    weights = np.sqrt([4 * np.pi * _weight(degree, width) for degree in degrees])
    vectors = np.asarray(rotation, float)[:, :, 2]
    features = np.empty((len(vectors), sum(mix.shape[1] for mix in mixes)), np.float32)
    for part in parts(len(vectors), _CHUNK):
        harmonics = _harmonics(vectors[part], degrees)
        features[part] = np.concatenate(
            [weight * (y @ mix) for weight, y, mix in zip(weights, harmonics, mixes, strict=True)], axis=1
        )
    return features


def two_point(
    first: np.ndarray,
    second: np.ndarray,
    where: tuple[np.ndarray, np.ndarray],
    r_pixel: float | tuple[float, float] | None = None,
) -> TwoPoint:
    """Correlate two fields over a scan: C(r) = ⟨(F(x) - ⟨F⟩) · (G(x + r) - ⟨G⟩)⟩ / √(var F var G).

    Only pairs of positions that both have a value count; their number divides. 1 is full correlation, 0 none.

    Parameters
    ----------
    first, second : ndarray, shape (scan_y, scan_x, k)
        The same field twice for the autocorrelation.
    where : (ndarray, ndarray) of bool, shape (scan_y, scan_x)
        Where each field has a value.
    r_pixel : float or (float, float), optional
        Scan step in nm, or steps down the rows and along them.
    """
    from scipy.fft import irfft2, next_fast_len, rfft2

    rows, cols = where[0].shape
    shape = next_fast_len(2 * rows - 1, real=True), next_fast_len(2 * cols - 1, real=True)
    one, other = (_centred(field, mask) for field, mask in ((first, where[0]), (second, where[1])))
    total = np.zeros((shape[0], shape[1] // 2 + 1), np.complex64)
    for k in range(one.shape[-1]):
        left = rfft2(one[..., k], shape)
        total += left.conj() * (left if first is second else rfft2(other[..., k], shape))
    masks = [rfft2(mask.astype(np.float64), shape) for mask in where]
    pairs = np.rint(_unwrapped(irfft2(masks[0].conj() * masks[1], shape), rows, cols)).astype(np.int64)
    summed = _unwrapped(irfft2(total, shape), rows, cols)
    length = np.sqrt(_variance(one, where[0]) * _variance(other, where[1]))
    down, along = np.broadcast_to(r_pixel or 1.0, 2).tolist()
    with np.errstate(invalid="ignore", divide="ignore"):
        by_shift = np.where(pairs > 0, summed / (pairs * length), np.nan).astype(np.float32)
    return TwoPoint(by_shift, pairs, *_rings(by_shift, pairs, (rows, cols), (down, along)))


def correlation_length(correlation: TwoPoint) -> float:
    """Return the distance at which the correlation first falls to 1/e of that at no distance; NaN if never."""
    level = correlation.by_distance[0] / np.e
    below = np.flatnonzero(correlation.by_distance < level)
    if not len(below) or below[0] == 0:
        return float("nan")
    pair = slice(below[0] - 1, below[0] + 1)
    return float(np.interp(-level, -correlation.by_distance[pair], correlation.r[pair]))


def _degrees(width: float) -> tuple[int, ...]:
    return tuple(degree for degree in range(2, 60, 2) if _weight(degree, width) > FAINT) or (2,)


def _weight(degree: int, width: float) -> float:
    return float(np.exp(-degree * (degree + 1) * np.deg2rad(width) ** 2 / 2))


def _harmonics(vectors: np.ndarray, degrees: tuple[int, ...]) -> list[np.ndarray]:
    """Return real orthonormal spherical harmonics of each degree, shape (n, 2l + 1)."""
    from scipy.special import sph_legendre_p_all

    x, y, z = vectors.T / np.linalg.norm(vectors, axis=1)
    legendre = sph_legendre_p_all(degrees[-1], degrees[-1], np.arccos(np.clip(z, -1, 1)))[0]
    azimuth, order = np.arctan2(y, x), np.arange(1, degrees[-1] + 1)[:, None]
    waves = np.sqrt(2) * np.stack([np.cos(order * azimuth), np.sin(order * azimuth)])
    found = []
    for degree in degrees:
        cosine, sine = legendre[degree, 1 : degree + 1] * waves[:, :degree]
        found.append(np.concatenate([legendre[degree, :1], cosine, sine]).T)
    return found


@lru_cache(maxsize=256)
def _symmetrised(phase: Phase, degree: int) -> np.ndarray:
    """Return which combinations of a degree's harmonics the Laue group leaves unchanged, shape (2l + 1, k)."""
    points = np.random.default_rng(degree).normal(size=(4 * degree + 8, 3))
    (plain,) = _only(points, degree)
    turned = np.mean([_only(points @ operation.T, degree)[0] for operation in phase.symmetry], axis=0)
    projector = np.linalg.lstsq(plain, turned, rcond=None)[0]
    values, vectors = np.linalg.eigh((projector + projector.T) / 2)
    return vectors[:, values > 0.5]


def _only(points: np.ndarray, degree: int) -> list[np.ndarray]:
    return _harmonics(points, (degree,))


def _centred(field: np.ndarray, where: np.ndarray) -> np.ndarray:
    centred = np.zeros(field.shape, np.float32)
    centred[where] = field[where] - field[where].mean(axis=0, dtype=float) if where.any() else 0
    return centred


def _variance(centred: np.ndarray, where: np.ndarray) -> float:
    return float(np.square(centred, dtype=float).sum() / max(int(where.sum()), 1))


def _unwrapped(wrapped: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """Put no shift into the middle, and leave the padding out."""
    down, right = np.arange(1 - rows, rows), np.arange(1 - cols, cols)
    return np.asarray(wrapped[down[:, None] % wrapped.shape[0], right % wrapped.shape[1]])


def _rings(
    by_shift: np.ndarray, pairs: np.ndarray, shape: tuple[int, int], steps: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Average over rings as wide as the shorter step, out to half of the longer side."""
    down, right = (np.arange(1 - size, size) * step for size, step in zip(shape, steps, strict=True))
    distance = np.hypot(down[:, None], right)
    width = min(steps)
    ring = np.rint(distance / width).astype(int)
    known = (pairs > 0) & (
        ring <= max(size * step for size, step in zip(shape, steps, strict=True)) / width // 2
    )
    weight = np.bincount(ring[known], pairs[known])
    there = weight > 0
    r = np.bincount(ring[known], pairs[known] * distance[known])[there] / weight[there]
    mean = np.bincount(ring[known], pairs[known] * by_shift[known])[there] / weight[there]
    return r, mean
