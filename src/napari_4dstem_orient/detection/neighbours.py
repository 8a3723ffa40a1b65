"""Measure how strong the noise of patterns is to a disk's template, from what neighbours do not have in common.

The second difference of three patterns in a row holds their noise and hardly anything of the crystal. It is correlated
with the template as patterns are when disks are looked for, so whatever a camera does to its noise (blur, sums,
averages, rounding) is in what is measured. Of the places where that is done only the quieter ones count: where the
crystal changes from position to position, noise can only seem stronger.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.counted import counts_electrons
from napari_4dstem_orient.detection.noise_level import (
    COUNTED,
    DOUBT,
    ROUNDING,
    TINY,
    NoiseLevel,
    is_white,
    measure_noise,
    smallest_step,
)
from napari_4dstem_orient.detection.patterns import sample_rows
from napari_4dstem_orient.detection.probe import Probe
from napari_4dstem_orient.detection.unrest import correlate, inside

ROWS, FEWEST = 24, 8
"""Rows of three neighbours that are looked at, at most and at least."""
SECOND, WIDER = np.array([1.0, -2.0, 1.0]), np.array([1.0, 0.0, -1.0])
"""What is left of three neighbours; and of the outer two."""
QUIETEST, MOST = (0.6, 0.2), (0.9, 0.4)
"""Share of places of pure noise that count; share of all places that is first believed to be pure."""
AGREE, ALIKE = 1.3, 0.55
"""Neighbours are alike if most places tell of no more than so many times the noise that the quietest do, and if such a
share of them shows noise alone."""
UNLIKE = 1.15
"""Rows of three that differ by so many times more than a quarter of them are no neighbours of one crystal."""
ADDED, MATERIAL = 0.3, 0.05
"""A camera's own noise, or an offset, must be such a share of the darkest places' noise, and fit so much better, to be
believed."""
PIXELS = 2**22
"""Pixels of a third of the rows, at most: bounds time and memory."""
STRONG, BLOTS = 1 / 4, 1.5
"""Variance, in squared steps, of noise that shows through rounding; how many times stronger blots of that are."""
HIDDEN = 0.8
"""Share of pixels with less, from which on the noise is doubtful: it may be far less than what rounding can make."""
MORE = 1.15, 4.0
"""Single patterns that tell of noise so many times less are believed: differing neighbours add to it everywhere, but no
more while most places seem alike."""
LESS = 0.6
"""Differing neighbours that tell of so much less than single patterns are believed: these take rounding for noise."""
SHARED = 2.0
"""Where positions two apart differ by so many times more than neighbours, these share noise (a smoothed scan)."""
SMOOTH, SIDE, QUIET = (2.0, 2.0), 6, 0.7
"""Blur of the light that noise is compared with, and side of places where it is, in px; share of those that count."""
WHITE, WIDEST = 0.015, 3.0
"""Share of noise that pixels next to each other have in common at least where a camera blurs; the most that it does, in
px."""
UNEVEN = 0.7
"""Where a blur leaves most places less than this of what light makes of noise everywhere, no number stands for both."""
EMPTY = 0.1
"""Share of pixels that hold the very same number, the least of all, from which this is taken for an offset."""
LEAST = 20
"""Places that tell, at least."""


class Places(NamedTuple):
    """What some places of the detector show in rows of three patterns.

    Attributes
    ----------
    counts, variance : ndarray, shape (rows, places)
        Brightness, and square of the correlation, per pixel of the template.
    pixels : float
        Of a flat template that scatters as much as this one.
    """

    counts: np.ndarray
    variance: np.ndarray
    pixels: float

    def only(self, rows: np.ndarray | slice = np.s_[:], places: np.ndarray | slice = np.s_[:]) -> Places:
        """Return some patterns and some places."""
        return Places(self.counts[rows][:, places], self.variance[rows][:, places], self.pixels)

    def level(
        self, gain: float, dark: float, kind: tuple[float, float] = MOST
    ) -> tuple[float, float, np.ndarray, np.ndarray]:
        """Compare with noise of ``gain * counts + dark``.

        Returns by how much that of quiet places exceeds it, the share of places that show noise alone, which are quiet,
        and what a quiet one shows on average, of noise as strong as expected.
        """
        from scipy.special import gammainc, gammaincinv

        expected = self._expected(gain, dark)
        mean = expected.mean(axis=0)
        ratio = self.variance.mean(axis=0) / mean
        half = self._freedom(gain, expected) / 2
        share, first = kind
        limit = gammaincinv(half, share) / half
        weight = gammainc(half + 1, half * limit) / share  # of chi-squared variables below their limit
        found = float(np.quantile(ratio / (gammaincinv(half, first) / half), first))
        trust = half * np.sqrt(mean)  # all places together, bright ones too, tell of a blurred camera
        for _ in range(30):
            quiet = ratio <= limit * found
            before, found = (
                found,
                float((trust * ratio)[quiet].sum() / max((trust * weight)[quiet].sum(), 1e-30)),
            )
            if abs(found - before) <= 1e-3 * abs(before):
                break
        return found, float(quiet.mean() / share), quiet, weight

    def misfit(self, gain: float, dark: float) -> float:
        """Return how badly noise of ``gain * counts + dark`` fits: the mean deviance, outliers cut."""
        expected = self._expected(gain, dark)
        ratio = np.maximum(self.variance.mean(axis=0) / expected.mean(axis=0), 1e-3)
        half = self._freedom(gain, expected) / 2
        return float(np.minimum(half * (ratio - 1 - np.log(ratio)), 3).mean())

    def _expected(self, gain: float, dark: float) -> np.ndarray:
        """Return the variance that is expected, without what chance made too small."""
        return _at_least(gain * self.counts + dark)

    def _freedom(self, gain: float, expected: np.ndarray) -> np.ndarray:
        """Return how many normal variables the places are worth: fewer where rows differ, or electrons are few."""
        total, rows = expected.sum(axis=0), len(expected)
        chance = gain**2 * total / 2 / self.pixels  # of the brightness itself
        freedom = total**2 / np.maximum((expected**2).sum(axis=0) - chance, total**2 / rows)
        electrons = total**2 / np.maximum(gain**3 * self.counts.sum(axis=0), 1e-30) * 2 * self.pixels
        return np.clip(freedom / (1 + rows / 2 / np.maximum(electrons, 1e-30)), 0.5, rows)


def measure_scan(scan: Scan, patterns: np.ndarray, probe: Probe, smoothing: float) -> NoiseLevel:
    """Measure the noise of a scan's patterns between neighbours, or in each pattern alone where neighbours differ.

    Parameters
    ----------
    scan : Scan
    patterns : ndarray, shape (n, det_y, det_x)
        Some of the scan's.
    probe : Probe
    smoothing : float
        Of the correlation, in px.
    """
    rows = sample_rows(scan, min(ROWS, PIXELS // patterns[0].size))
    rows = rows[np.isfinite(rows).all(axis=(1, 2, 3))]  # others are refused when disks are looked for
    offset = _offset(patterns)
    found = _measure(patterns - offset, rows - offset, probe, smoothing)
    if not found.doubt and _rounded_away(patterns - offset, found, probe):
        found = found._replace(doubt=DOUBT.format(", because of coarse rounding"))
    return found._replace(dark=found.dark - found.gain * offset)


def _rounded_away(patterns: np.ndarray, noise: NoiseLevel, probe: Probe) -> bool:
    """Tell whether most places have so little noise that rounding makes it anything from nothing to a step."""
    step = smallest_step(patterns)
    light = patterns.mean(axis=0, dtype=np.float64)[inside(probe)]
    weak = noise.gain * light < STRONG * step**2
    return bool(noise.gain < COUNTED * step and weak.mean() > HIDDEN)


def _offset(patterns: np.ndarray) -> float:
    """Return what a camera adds to every pixel, where many hold nothing else."""
    lowest = patterns.min()
    return float(lowest) if lowest > 0 and (patterns == lowest).mean() > EMPTY else 0.0


def _measure(patterns: np.ndarray, rows: np.ndarray, probe: Probe, smoothing: float) -> NoiseLevel:
    """Measure the noise of some patterns, and of rows of three neighbours, (n, 3, det_y, det_x)."""
    step = smallest_step(patterns)
    counted = counts_electrons(patterns, step)
    if counted:
        return NoiseLevel(step)
    alone = measure_noise(patterns, probe, smoothing)
    between = _between(rows, SECOND, probe, smoothing, step)
    if between is None:
        return alone
    there, white = _typical(patterns, probe.radius), is_white(np.asarray(patterns, np.float64))
    wider = _between(rows, WIDER, probe, smoothing, step)
    if counted is False and there < step:  # most noise is rounded away
        return NoiseLevel(
            max(step, between.gain), max(between.dark, 0.0), DOUBT.format(", because of coarse rounding")
        )
    shared = wider is None or wider.variance(there) > SHARED * between.variance(there)
    if (
        shared
        and wider is not None
        and wider.doubt
        and not between.doubt
        and wider.variance(there) < alone.variance(there)
    ):
        return wider._replace(
            doubt=DOUBT.format(", because neighbours may share it")
        )  # or differ: rather too much
    doubt = "Neighbours share noise." if shared else between.doubt
    # Crystals that differ seem blurred too, but single patterns then show that no camera does it.
    blur = 0.0 if white else _blur(rows)
    even = _between(rows, SECOND, probe, smoothing, step, blur) if blur else None
    if even is not None:  # a blur makes most places differ from what light makes of noise everywhere
        most = min(between.variance(there) / even.variance(there), 1.0)
        scale = most**0.25 if most >= UNEVEN else 1.0  # rather too much
        between = NoiseLevel(even.gain * scale, even.dark * scale)
        if most < UNEVEN:
            between = between._replace(doubt=DOUBT.format(", because the camera blurs disks into each other"))
    excess = between.variance(there) / max(alone.variance(there), 1e-30)
    if doubt:  # where crystals differ, noise can only seem stronger
        if excess < 1 and (alone.doubt or (not shared and between.gain < LESS * alone.gain)):
            doubt = alone.doubt or DOUBT.format(", for single patterns tell of more than neighbours do")
            return between._replace(doubt=doubt)
        return alone
    if not alone.doubt and white and between.gain >= COUNTED * step and MORE[0] < excess < MORE[1]:
        return alone
    return between


def _blur(rows: np.ndarray) -> float:
    """Return the camera's blur in px, 0 where pixels next to each other share none of the noise of rows.

    It is the Gaussian one that leaves as much in common with the next pixel but one as with the next.
    """
    from scipy import ndimage

    light = ndimage.gaussian_filter(np.abs(rows).mean(axis=1, dtype=np.float64), (0, *SMOOTH))
    noise = np.tensordot(rows, SECOND, (1, 0))
    noise = np.divide(noise, np.sqrt(light), out=np.zeros_like(light), where=light > 1e-3 * light.mean())
    square, *common = (
        ndimage.uniform_filter(noise * (np.roll(noise, lag, 1) + np.roll(noise, lag, 2)) / 2, (0, SIDE, SIDE))
        for lag in (0, 1, 2)
    )
    quiet = square <= np.quantile(square[square > 0], QUIET) if square.any() else square > 0
    here, beside, beyond = (float(part[quiet & (square > 0)].sum()) for part in (square, *common))
    if beside <= WHITE * here or beyond <= 0:
        return 0.0
    return float(min(WIDEST, np.sqrt(0.75 / max(np.log(beside / beyond), 1e-3))))


def _typical(patterns: np.ndarray, radius: float) -> float:
    """Return how bright most places are, of those that have any light."""
    from scipy import ndimage

    light = ndimage.uniform_filter(patterns.mean(axis=0, dtype=np.float64), 2 * round(radius) + 1)
    return float(np.median(light[light > 0])) if (light > 0).any() else 0.0


def _between(
    rows: np.ndarray, weights: np.ndarray, probe: Probe, smoothing: float, step: float, blur: float = 0.0
) -> NoiseLevel | None:
    """Measure the noise of weighted sums of rows of patterns, (n, 3, det_y, det_x); doubtful if they differ.

    What is told of most places is, with the ``blur`` of the camera in px, told of all light alike.
    None where there are too few, or too few places that tell.
    """
    if len(rows) < FEWEST:
        return None
    places = _places(rows, weights, probe, smoothing, blur)
    light = np.maximum(places.counts, 0).sum(axis=1)
    places = places.only(light > 1e-3 * light.max(initial=0))  # nothing at all is no neighbour
    if len(places.counts) < FEWEST:
        return None
    strength = np.sqrt(places.variance).sum(axis=1) / np.sqrt(np.maximum(places.counts, 0)).sum(axis=1)
    places = places.only(strength <= UNLIKE * np.quantile(strength, 0.25))
    seen = places.variance.mean(axis=0)
    light = places.counts.mean(axis=0)
    places = places.only(places=(seen > 1e-9 * seen.max(initial=0)) & (light > 1e-6 * light.max(initial=0)))
    if places.counts.shape[1] < LEAST:
        return None
    gain, dark, places = _line(places, step)
    if places.counts.shape[1] < LEAST:
        return None
    share, quietest = places.level(gain, dark)[1], places.level(gain, dark, QUIETEST)[0]
    alike = share >= ALIKE and AGREE * quietest >= 1
    return NoiseLevel(gain, dark, "" if alike else "Neighbours differ.")


def _at_least(variance: np.ndarray) -> np.ndarray:
    """Return expected variances without those that chance made too small."""
    return np.maximum(variance, np.maximum(0.1 * np.abs(variance).mean(axis=0), 1e-30))


def _places(rows: np.ndarray, weights: np.ndarray, probe: Probe, smoothing: float, blur: float) -> Places:
    """Correlate the weighted sum of each row with the template, at places half a disk apart."""
    from scipy import ndimage

    kernel = probe.blurred(smoothing)
    inner = inside(probe, max(1, round(probe.radius)))
    square = float((kernel**2).sum())
    power = weights**2 / (weights**2).sum()
    seen = []
    for row in rows:
        noise, light = np.tensordot([weights, power], np.asarray(row, np.float64), 1)
        # A camera that blurs spreads light farther than the noise that comes of it.
        strength = ndimage.gaussian_filter(correlate(noise, kernel) ** 2, blur / 2**0.5, mode="wrap")
        seen.append([part[inner].ravel() for part in (strength, correlate(light, kernel**2))])
    noise, counts = np.moveaxis(np.array(seen), 1, 0)
    return Places(counts / square, noise / square / (weights**2).sum(), square**2 / float((kernel**4).sum()))


def _line(places: Places, step: float) -> tuple[float, float, Places]:
    """Return gain, dark variance, and the places that tell."""
    counts, variance = places.counts.mean(axis=0), places.variance.mean(axis=0)
    bright = counts >= np.quantile(counts, 0.9)
    gain = float(np.median(variance[bright] / np.maximum(counts[bright], 1e-30)))
    if gain < COUNTED * step:  # rounded: only where noise is stronger than that it shows
        dark, strong = ROUNDING * step**2, gain * counts >= STRONG * step**2
        told = places.only(places=strong)
        gain *= told.level(gain, dark)[0]
        if (
            not strong.all()
        ):  # rounding what is smooth makes blots, of which a template sees more than of pixels
            blots = float((variance - gain * counts)[~strong].mean())
            dark = blots if blots > BLOTS * dark else dark
        return gain, dark, told
    for _ in range(2):  # how far places scatter depends a little on the gain
        gain *= places.level(gain, 0.0)[0]
    simple = gain, 0.0
    best = min(
        (_affine(places, *start) for start in (simple, (TINY, float(np.median(variance))))),
        key=lambda line: places.misfit(*line),
    )
    added = abs(best[1]) > ADDED * best[0] * abs(float(np.quantile(counts, 0.05)))
    if added and places.misfit(*best) < (1 - MATERIAL) * places.misfit(*simple):
        return *best, places
    return *simple, places


def _affine(places: Places, gain: float, dark: float) -> tuple[float, float]:
    """Return gain and dark variance of the quiet places, found from a first guess."""
    counts, variance = places.counts.mean(axis=0), places.variance.mean(axis=0)
    for _ in range(20):
        _, _, quiet, weight = places.level(gain, dark)
        scale = 1 / _at_least(gain * counts + dark)[quiet]
        lines = np.column_stack([counts, np.ones_like(counts)])[quiet] * (weight[quiet] * scale)[:, None]
        (gain, dark), *_ = np.linalg.lstsq(lines, variance[quiet] * scale, rcond=None)
        if gain <= 0:
            gain, dark = TINY, float(variance[quiet].sum() / weight[quiet].sum())
    return float(gain), float(dark)
