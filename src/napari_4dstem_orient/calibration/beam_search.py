"""The one place about which the patterns of a scan are arranged, whether or not the direct beam is bright there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks

SAMPLE = 500
"""Patterns, spread over the scan, that are enough to find the place."""

STRONGEST = 30
"""Disks of a pattern that are looked at; its pairs grow with their square."""

BLUR = 0.02
"""Of the detector: how far beams of one scan may lie apart and still pile up."""

SYMMETRY, NO_PAIRS = 2.0, 0.1
"""Weight of the ±g pairs beside the beam's brightness, and what counts as none of them."""

LEAST_PILE, EMPTY = 0.03, 0.3
"""Height of a pile of disks up to which there is none: of all patterns' beams, and over the likeliest beam's."""

STOPPED, PAIRED = 1.45, 0.3
"""There is a beam stop where so many times more disks (and at least such a share) lie in pairs about an empty place."""

GAP = 1.5
"""Px beside the middle of a detector's gap within which no disk is found."""

DOMINANT = 0.6
"""But a disk that is there in most patterns, and whose next is weaker than this, or no other disk even in half as many
as in a scan of many grains, is the beam for all that."""


@dataclass(frozen=True, eq=False)
class Place:
    """Where patterns are centred.

    Attributes
    ----------
    beam : ndarray, shape (2,)
        Where the direct beam most likely lies, along (qx, qy) in px.
    pairs : ndarray, shape (2,)
        About which place most ±g pairs lie.
    seen : bool
        Whether there is a direct beam at all: False where the pairs lie about a place without disks.
    hidden : bool
        Whether it lies in a gap of the detector, which the pairs tell.
    blur : float
        Px within which beams were taken to pile up.
    """

    beam: np.ndarray
    pairs: np.ndarray
    seen: bool
    hidden: bool
    blur: float


def extent(disks: BraggDisks) -> tuple[float, float]:
    """Return the size of the detector in px, or of the part of it that has disks."""
    if disks.detector_shape is not None:
        return float(disks.detector_shape[0]), float(disks.detector_shape[1])
    return float(np.ptp(disks.qx)) + 1, float(np.ptp(disks.qy)) + 1


def find_place(disks: BraggDisks) -> Place:
    """Find where disks pile up over the scan, about which they lie in ±g pairs, and which is bright.

    In a scan of many grains the direct beam alone lies at one place in all patterns. In a single crystal every disk
    does: then the pairs decide, with brightness and, a little, the middle of the detector.

    Parameters
    ----------
    disks : BraggDisks
        In detector pixels; at least one.
    """
    position, amplitude = _sample(disks)
    corner = np.array([disks.qx.min(), disks.qy.min()], float)
    size = np.array([np.ptp(disks.qx), np.ptp(disks.qy)], float) + 1
    if disks.detector_shape is not None:
        corner, size = np.minimum(corner, 0), np.maximum(size, disks.detector_shape)
    blur = max(1.0, BLUR * min(extent(disks)))
    grid = _Grid(corner, size, blur)
    piled = grid.image(position, amplitude) / len(position)
    middle, weight = pairs_of(position, amplitude)
    power = (amplitude**2).sum(axis=1)
    paired = grid.image(middle, 2 * weight / power[:, None]) / max((amplitude[:, 2:3] > 0).sum(), 1)
    there = piled > min(LEAST_PILE, piled.max() / 2)
    likely = there * piled * (paired + NO_PAIRS) ** SYMMETRY * grid.nearness()
    best, about = (np.unravel_index(np.argmax(each), each.shape) for each in (likely, paired))
    empty = piled[about] < EMPTY * piled[best]
    dominant = amplitude.shape[1] < 2 or (
        piled[best] > 0.5
        and (
            np.median(amplitude[:, 1] ** 2) < DOMINANT
            or grid.elsewhere(piled, best, 4 * blur) < piled[best] / 2
        )
    )
    stopped = empty and not dominant and paired[about] > max(PAIRED, STOPPED * paired[best])
    beam, pairs = grid.position(best), grid.position(about)
    # Of a single crystal, whose disks all pile up, lattice rows avoid lines as well.
    hidden = bool(stopped and piled[best] < 0.5 and _in_gap(disks, pairs, blur))
    return Place(beam, pairs, bool(hidden or not stopped), hidden, blur)


def _in_gap(disks: BraggDisks, center: np.ndarray, blur: float) -> bool:
    """Tell whether disks avoid a line through a place, or both, far from it too, though there are many beside."""
    lines = []
    for axis in (0, 1):
        across, along = (disks.qx - center[0], disks.qy - center[1])[:: -1 if axis else 1]
        far = np.abs(along) > 4 * blur
        cells = np.rint(np.stack([across, along])[:, far] / GAP)
        place = GAP * np.unique(cells, axis=1)[0]  # one grain's disks recur
        beside = (np.abs(place) > 2 * blur) & (np.abs(place) < 8 * blur)
        lines.append((int((np.abs(place) < GAP).sum()), float(beside.sum() * GAP / (6 * blur))))
    return any(on <= 0.1 * expected and expected > 6 for on, expected in (*lines, np.sum(lines, axis=0)))


def pairs_of(position: np.ndarray, amplitude: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the middles of all pairs of disks and the products of their amplitudes.

    Parameters
    ----------
    position : ndarray, shape (n, k, 2)
    amplitude : ndarray, shape (n, k)
        0 where there is no disk.

    Returns
    -------
    middle : ndarray, shape (n, k (k - 1) / 2, 2)
    weight : ndarray, shape (n, k (k - 1) / 2)
    """
    one, other = np.triu_indices(position.shape[1], 1)
    return (position[:, one] + position[:, other]) / 2, amplitude[:, one] * amplitude[:, other]


def strongest_disks(disks: BraggDisks, flat: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return places (n, k, 2) and amplitudes (n, k) of some patterns' strongest disks; the highest amplitude is 1."""
    block, inside = disks.padded(count, flat)
    strength = np.where(inside, np.maximum(block[..., 2], 0), 0.0)
    top = np.maximum(strength.max(axis=1, keepdims=True), 1e-30)
    return block[..., :2].astype(float), np.sqrt(strength / top)


def _sample(disks: BraggDisks) -> tuple[np.ndarray, np.ndarray]:
    full = np.flatnonzero(np.diff(disks.offsets))
    chosen = full[np.unique(np.linspace(0, len(full) - 1, SAMPLE).astype(int))]
    return strongest_disks(disks, chosen, STRONGEST)


class _Grid:
    """Cells over the detector, a fraction of the blur wide, in which places are counted."""

    def __init__(self, corner: np.ndarray, size: np.ndarray, blur: float) -> None:
        self.cell = blur / 2.5
        self.corner = corner
        self.shape = tuple(np.ceil(size / self.cell).astype(int) + 1)

    def image(self, position: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Add weights up at their places, blurred; a lone weight of 1 has a height of 1."""
        from scipy.ndimage import gaussian_filter

        index = np.rint((position - self.corner) / self.cell).astype(int).reshape(-1, 2)
        inside = ((index >= 0) & (index < self.shape)).all(axis=1) & (weight.ravel() > 0)
        flat = np.ravel_multi_index(tuple(index[inside].T), self.shape)
        total = np.bincount(flat, weight.ravel()[inside], np.prod(self.shape)).reshape(self.shape)
        return np.asarray(gaussian_filter(total, 2.5, mode="constant") * 2 * np.pi * 2.5**2)

    def nearness(self) -> np.ndarray:
        """Return the chance of the direct beam to lie at each place, for want of other reasons."""
        row, col = (np.linspace(-1, 1, count) for count in self.shape)
        return np.exp(-(row[:, None] ** 2 + col**2))

    def elsewhere(self, image: np.ndarray, index: tuple[np.intp, ...], radius: float) -> float:
        """Return the highest value farther than a radius (px) from a cell."""
        row, col = (np.arange(size) - at for size, at in zip(self.shape, index, strict=True))
        far = np.hypot(row[:, None], col) * self.cell > radius
        return float(image[far].max(initial=0))

    def position(self, index: tuple[np.intp, ...]) -> np.ndarray:
        """Return the place of a cell in px."""
        return self.corner + np.array(index) * self.cell
