"""Measure how strong the noise of patterns is, from the patterns themselves, whatever camera made them.

The noise of a pixel is taken to have the variance ``gain · counts + dark``, as electrons have that make ``gain`` counts
each, on a camera that adds ``dark`` by itself. Both are measured where nothing but noise is left: second differences
along both axes of blocks of pixels are blind to all that is smooth, and of the tiles in which their squares are summed
only the quieter ones count, for a disk's rim only ever adds. What a template sees is noise on the scale of a disk, and
a camera that blurs has more of it there than neighbouring pixels tell; so blocks of several sizes are looked at, and
the blur that makes their noise what it is says how much reaches the template.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np

from napari_4dstem_orient.detection.probe import Probe
from napari_4dstem_orient.detection.unrest import correlate, ground

BLOCKS = (1, 2, 3, 4)
"""Sides of the blocks of pixels, in px."""
ROOM = 16
"""Blocks that the detector's shorter side holds at least, for their noise to be looked at."""
QUIET, FIRST = 0.6, 0.2
"""Share of tiles of pure noise that count; share of all tiles that is first believed to be pure."""
SURE, PURE = 0.2, 0.08
"""Share of tiles that must turn out to be pure noise to be fully believed; below which patterns show something else."""
GROUPS, LEAST = 16, 8
"""Groups of tiles, from dark to bright, that tell the gain from the camera's own noise; tiles in each at least."""
COUNTABLE, TOGETHER = 10.0, 16
"""Electrons in a tile, at least: of fewer the squares scatter too much, and tiles of several patterns, at most so many,
are averaged."""
FAINTEST, TINY = 1e-7, 1e-9
"""Variance over squared counts that is no noise any more, but what numbers of so many digits leave; gain of a camera
whose own noise hides that of the electrons."""
RANGE, PROPORTIONAL = 1.3, 1.6
"""Factor between brightnesses that tell whether noise goes with them; variances over counts that differ by less than
the second say nothing of a camera's own noise."""
ADDED = 0.5
"""Share of the darkest places' noise that a camera's own, or an offset, must be to be believed: disks' rims look like a
small one."""
BLURS = np.arange(0, 3.01, 0.02).round(2)
"""Standard deviations of a camera's blur, in px."""
MATERIAL = 0.1
"""A blur must explain the noise of the blocks better by so much (rms, relative) to be believed."""
COUNTED, ROUNDING = 0.5, 1 / 12
"""Electrons of less than this share of the smallest step are rounded, not counted; variance of rounding, in steps²."""
FEWEST = 3000
"""Electrons in a pattern that can be indexed, at least: bounds the counts of one where noise does not show."""
WHITE = -0.6
"""Second differences of white noise go with those beside them by less than this; all others need larger blocks."""
MORE = 1.7
"""Blocks must not tell of so many times more noise than pixels do, nor a template in quiet places than blocks."""
BLURRED, WIDEST, PLAIN, PLAIN_TILES = 0.8, 2.2, 0.3, 60
"""From the first blur in px on, disks look like noise unless such a share of the largest blocks, and so many, are free;
from the second on always."""
CHI_SQUARED = 0.455
"""Median of the square of a normal variable."""
DOUBT = "The noise could only be estimated{}; check the counts per electron."
PIXELS = 2**21
"""Pixels that are looked at, at most: bounds time and memory."""


class NoiseLevel(NamedTuple):
    """The noise as a disk template sees it: the variance of a pixel is ``gain * counts + dark``.

    A straight line of variance over counts is the photon transfer curve (J. R. Janesick, Photon Transfer, 2007).

    Attributes
    ----------
    gain : float
        Counts per electron, above 0.
    dark : float
        counts²; below 0 where the camera adds counts that are no electrons.
    doubt : str
        A sentence where it could not be measured; else empty.
    """

    gain: float
    dark: float = 0.0
    doubt: str = ""

    def variance(self, counts: float) -> float:
        """Return the variance of a pixel of so many counts."""
        return self.gain * counts + self.dark


class Tiles(NamedTuple):
    """What tiles of patterns show, at one size of block in px: ``variance`` and ``counts`` of a pixel, shape (m,).

    Each is the average of so many patterns ``together``. Of ``few`` electrons only all tiles together tell.
    """

    block: int
    together: int
    few: bool
    variance: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, images: np.ndarray, block: int, together: int = 1) -> Tiles:
        """Look at images, shape (n, det_y, det_x)."""
        blocks = _in_blocks(images, block)
        strength = float((_differences(block) ** 2).sum())
        seen = _means(_along_both(blocks, block, -2.0) ** 2, _side(block)) / strength
        counts = _means(_along_both(blocks, block, 4.0), _side(block)) / strength
        starts = np.arange(0, len(images) - together + 1, together)
        variance, counts = (np.add.reduceat(part, starts).ravel() / together for part in (seen, counts))
        return cls(block, together, False, variance, counts)

    def level(
        self, expected: np.ndarray, part: np.ndarray | slice = np.s_[:], blur: float = 0.0
    ) -> tuple[float, float]:
        """Return by how much the noise of quiet tiles exceeds what is expected, and the share of such tiles.

        Noise of a camera's ``blur``, in px, scatters more.
        """
        variance, expected = self.variance[part], expected[part]
        lit = expected > 1e-3 * np.median(np.abs(expected))
        if not lit.any():
            return 0.0, 0.0
        if self.few:
            dim = lit & (expected <= np.median(expected[lit]))
            return float(variance[dim].sum() / expected[dim].sum()), 1.0
        ratio = np.sort(variance[lit] / expected[lit])
        if self.together > 1:  # so few electrons scatter more than normal variables do, and hide most disks
            return float(np.median(ratio)) / _of_few(self.block, self.together), 1.0
        return _quiet(ratio, *_of_noise(self.block, blur))


def _quiet(ratio: np.ndarray, first: float, limit: float, mean: float) -> tuple[float, float]:
    """Return the level of pure noise among sorted ratios, and the share of them that belongs to it."""
    found, kept = float(np.quantile(ratio, FIRST)) / first, 0
    for _ in range(30):
        kept = max(3, int(np.searchsorted(ratio, limit * found, side="right")))
        before, found = found, float(ratio[:kept].mean()) / mean
        if abs(found - before) <= 1e-3 * abs(before):
            break
    return found, min(1.0, kept / len(ratio) / QUIET)


def measure_noise(patterns: np.ndarray, probe: Probe, smoothing: float) -> NoiseLevel:
    """Measure the noise of patterns.

    Parameters
    ----------
    patterns : ndarray, shape (n, det_y, det_x)
    probe : Probe
    smoothing : float
        Of the correlation, in px.
    """
    count = max(1, PIXELS // patterns[0].size)
    images = np.asarray(patterns[:: -(-len(patterns) // count)], np.float64)
    step = smallest_step(images)
    pixels = _tiles(images, 1, step)
    rounding = ROUNDING * step**2
    if pixels.level(pixels.counts)[0] < COUNTED * step and np.median(pixels.variance) < 2 * rounding:
        return _estimated(images, probe, smoothing, rounding)
    gain, dark = _gain_and_dark(pixels)
    typical = float(np.median(pixels.counts))
    white = is_white(images)
    tiles = [pixels]
    if not (white or pixels.few or pixels.together > 1):  # counted electrons so few are not blurred
        blocks = [size for size in BLOCKS if ROOM * size <= min(images.shape[1:])] or [1]
        tiles += [_tiles(images, size, step) for size in blocks[1:]]
    template = np.fft.fftshift(probe.blurred(smoothing))
    blur = level = 0.0
    for _ in range(3):  # blurred noise scatters more, which matters to which tiles are quiet
        levels, shares = zip(
            *(part.level(_at_least(gain * part.counts + dark), blur=blur) for part in tiles), strict=True
        )
        level, found = _reaching(template, [part.block for part in tiles], levels, shares)
        if round(found, 1) == blur:
            break
        blur = round(found, 1)
    noise = NoiseLevel(gain * level, dark * level)
    doubt = DOUBT.format(", because disks leave little of the patterns free")
    told = _pixels_tell(images)
    counted = dark == 0 and COUNTED * step <= told <= COUNTABLE * step
    if counted and not white and max(gain * levels[0], noise.gain) > MORE * told:
        return NoiseLevel(told, 0.0, doubt)
    if max(shares) < PURE or not noise.variance(typical) > FAINTEST * typical**2:
        return _estimated(images, probe, smoothing, max(noise.dark, 0.0))
    if white:
        return noise
    shown = ground(images, probe, smoothing, noise)
    few = shares[-1] < PLAIN or shares[-1] * len(tiles[-1].counts) < PLAIN_TILES
    if shown > MORE or blur > WIDEST or (blur > BLURRED and few):
        # No more than leaves electrons enough for a pattern that can be indexed.
        scale = min(shown if shown > MORE else 1.0, _most(images) / noise.gain)
        return NoiseLevel(noise.gain * scale, noise.dark * scale, doubt)
    return noise


def _pixels_tell(images: np.ndarray) -> float:
    """Return counts per electron from differences of pixels, twice too many of few electrons; disks hardly matter."""
    one, other = images[:, :, :-1], images[:, :, 1:]
    both = one + other
    lit = both > 0
    return float(np.median((one - other)[lit] ** 2 / both[lit]) / CHI_SQUARED) if lit.any() else 0.0


def _estimated(images: np.ndarray, probe: Probe, smoothing: float, dark: float) -> NoiseLevel:
    """Return what is safe where patterns show no noise: all that the quieter places show to the template itself.

    Where disks fill those too, it is so much that there would be too few electrons for a pattern.
    """
    kernel = probe.blurred(smoothing)
    side = max(2, min(kernel.shape) // 32)
    square, counts = (
        _means(part, side).ravel() for part in (correlate(images, kernel) ** 2, correlate(images, kernel**2))
    )
    lit = counts > 1e-9 * max(float(counts.max()), 1e-30)
    gain = float(np.quantile(square[lit] / counts[lit], FIRST)) if lit.any() else 0.0
    because = ": the patterns show none of their own (simulated, denoised or coarsely rounded ones)"
    return NoiseLevel(min(gain, _most(images)) if gain > 1e-12 else 1.0, dark, DOUBT.format(because))


def _most(images: np.ndarray) -> float:
    """Return the counts of each electron where a pattern that can be indexed has the fewest."""
    return float(images.sum(axis=(1, 2)).mean()) / FEWEST


def is_white(images: np.ndarray) -> bool:
    """Return whether pixels of images, shape (n, det_y, det_x), share no noise: no camera blurs or interpolates them.

    Second differences of white noise go with those beside them by about -0.62, in quiet tiles.
    """
    seen = _along_both(images, 1, -2.0)
    here, beside = seen[:, :-1, :-1], (seen[:, 1:, :-1] + seen[:, :-1, 1:]) / 2
    light = np.abs(_along_both(images, 1, 4.0)[:, :-1, :-1])
    square, product, light = (_means(part, _side(1)).ravel() for part in (here**2, here * beside, light))
    lit = light > 1e-6 * light.max(initial=0)
    square, product = square[lit] / light[lit], product[lit] / light[lit]
    quiet = square <= np.quantile(square, 0.5) if lit.any() else lit[lit]
    return bool(product[quiet].sum() < WHITE * square[quiet].sum())


def _tiles(images: np.ndarray, block: int, step: float) -> Tiles:
    """Return tiles of enough electrons, each taken to make one ``step``: dark ones of several patterns together."""
    if step == 0:
        return Tiles.of(images, block)
    side = _side(block)
    electrons = float(np.quantile(_means(images.mean(axis=0)[None], side), FIRST)) * side**2 / step
    wanted = int(np.ceil(COUNTABLE / electrons)) if electrons > 0 else TOGETHER
    tiles = Tiles.of(images, block, max(1, min(wanted, TOGETHER, len(images))))
    enough = tiles.counts * side**2 * tiles.together >= COUNTABLE * step
    if enough.mean() < FIRST:
        return tiles._replace(few=True)
    return tiles._replace(variance=tiles.variance[enough], counts=tiles.counts[enough])


def _groups(tiles: Tiles) -> list[np.ndarray]:
    """Return the tiles in groups from dark to bright."""
    order = np.argsort(tiles.counts)
    return np.array_split(order, min(GROUPS, max(1, len(order) // LEAST)))


def _gain_and_dark(tiles: Tiles) -> tuple[float, float]:
    """Return gain and dark variance of pixels; 1 and 0 where the variance is proportional to counts, as far as seen."""
    groups = _groups(tiles)
    counts = np.array([tiles.counts[part].mean() for part in groups])
    if counts[0] > 0:
        ratio, share = np.array([tiles.level(tiles.counts, part) for part in groups]).T
        # Bright places are full of disks, whose rims look like an offset: if the dark half can tell, it does.
        half = len(counts) // 2
        tell = slice(None, half) if half and counts[half - 1] > RANGE * counts[0] else slice(None)
        sure = ratio[tell][(share[tell] > SURE) & (ratio[tell] > 0)]
        if len(sure) < 2 or sure.max() < PROPORTIONAL * sure.min():
            return 1.0, 0.0
    gain, dark = _affine(tiles, groups, counts)
    if counts[0] > 0 and abs(dark) < ADDED * gain * counts[0]:
        return 1.0, 0.0
    return gain, dark


def _affine(tiles: Tiles, groups: list[np.ndarray], counts: np.ndarray) -> tuple[float, float]:
    """Return gain and dark variance from the noise of groups of tiles, from dark ones to bright ones."""
    gain, dark = 0.0, 1.0
    for _ in range(4):
        expected = _at_least(gain * tiles.counts + dark)
        level, share = np.array([tiles.level(expected, part) for part in groups]).T
        variance = level * np.array([expected[part].mean() for part in groups])
        use = (share >= min(SURE, np.median(share))) & (variance > 0)
        if use.sum() < 2:  # at places without counts no noise either
            return (float(gain), float(dark)) if gain > 0 else (1.0, 0.0)
        weight = share[use] / variance[use]
        rows = np.column_stack([counts, np.ones_like(counts)])[use] * weight[:, None]
        (gain, dark), *_ = np.linalg.lstsq(rows, share[use], rcond=None)
        if gain <= 0:
            gain, dark = TINY, float(np.average(variance[use], weights=share[use]))
    return float(gain), float(dark)


def _at_least(variance: np.ndarray) -> np.ndarray:
    """Return expected variances without those that chance made too small."""
    return np.maximum(variance, 0.1 * np.median(np.abs(variance)))


def _reaching(
    template: np.ndarray, blocks: list[int], levels: Sequence[float], shares: Sequence[float]
) -> tuple[float, float]:
    """Return how strong noise is to a template that is so strong in blocks, and by how many px it is blurred.

    It may be white or blurred.
    """
    level, share, sides = np.array(levels), np.array(shares), np.array(blocks)
    use = level > 0
    if not use.any():
        return 0.0, 0.0
    level, weight = level[use], share[use] / np.linalg.norm(share[use])
    white = blurred = (np.inf, 0.0, 0.0)
    for blur in BLURS.tolist():
        left = np.array([_passed(side, blur) for side in sides[use].tolist()])
        apart = np.log(level / left)
        mean = float((weight**2 * apart).sum())
        fit = float(np.linalg.norm(weight * (apart - mean))), float(np.exp(mean)), blur
        blurred = min(blurred, fit)
        if blur == 0:  # the smallest blocks tell best
            trust = (weight**4 / sides[use] ** 2) / level
            white = fit[0], float(trust.sum() / (trust / level).sum()), 0.0
    # What says more must explain it better.
    _, strength, blur = blurred if blurred[0] < white[0] - MATERIAL else white
    return strength * passed(template, blur), blur


@cache
def _of_noise(block: int, blur: float) -> tuple[float, float, float]:
    """Return what tiles of pure noise show, of variance 1 on average: two quantiles, and the mean below the second."""
    from scipy import ndimage

    noise = np.random.default_rng(0).standard_normal((TOGETHER, 128, 128))
    if blur:
        noise = ndimage.gaussian_filter(noise, (0, blur, blur), mode="wrap")
    ratio = np.sort(Tiles.of(noise, block).variance)
    ratio = ratio / ratio.mean()
    limit = np.quantile(ratio, QUIET)
    return float(np.quantile(ratio, FIRST)), float(limit), float(ratio[ratio <= limit].mean())


@cache
def _of_few(block: int, together: int) -> float:
    """Return the median of what tiles of about twice ``COUNTABLE`` electrons show."""
    electrons = 2 * COUNTABLE / together / _side(block) ** 2
    tiles = Tiles.of(np.random.default_rng(0).poisson(electrons, (TOGETHER, 128, 128)), block, together)
    return float(np.median(tiles.variance / np.maximum(tiles.counts, 1e-30)))


@cache
def _passed(block: int, blur: float) -> float:
    return passed(np.pad(_differences(block), int(4 * BLURS[-1])), blur)


def passed(template: np.ndarray, blur: float) -> float:
    """Return the share of the noise of a template that is left when a camera blurs the noise by so many px."""
    from scipy import ndimage

    return float((ndimage.gaussian_filter(template, blur) ** 2).sum() / (template**2).sum())


def smallest_step(images: np.ndarray) -> float:
    """Return the smallest difference of two values in a pattern: 1 for counts, next to nothing for measured light."""
    values = np.unique(images[0])
    return float(np.diff(values).min()) if len(values) > 1 else 0.0


def _side(block: int) -> int:
    """Return the side of a tile in px."""
    return 6 if block == 1 else 3 * block


def _differences(block: int) -> np.ndarray:
    """Return the second differences of blocks along both axes, as an image."""
    lines = np.repeat([1.0, -2.0, 1.0], block)
    return np.outer(lines, lines)


def _in_blocks(images: np.ndarray, block: int) -> np.ndarray:
    """Return the sums of all blocks of so many pixels along each axis."""
    if block == 1:
        return images
    total = np.pad(images, ((0, 0), (1, 0), (1, 0))).cumsum(1).cumsum(2)
    total = total[:, block:] - total[:, :-block]
    return np.asarray(total[:, :, block:] - total[:, :, :-block])


def _along_both(images: np.ndarray, block: int, middle: float) -> np.ndarray:
    """Return the sum of three blocks in a row, the middle one times ``middle``, along both axes."""
    images = images[:, 2 * block :] + middle * images[:, block:-block] + images[:, : -2 * block]
    return images[:, :, 2 * block :] + middle * images[:, :, block:-block] + images[:, :, : -2 * block]


def _means(images: np.ndarray, side: int) -> np.ndarray:
    """Return the means of whole tiles, shape (n, tiles); of the whole image where it is smaller."""
    count, rows, cols = images.shape
    high, wide = min(side, rows), min(side, cols)
    down, right = rows // high, cols // wide
    cut = images[:, : down * high, : right * wide].reshape(count, down, high, right, wide)
    return np.asarray(cut.mean(axis=(2, 4)).reshape(count, -1))
