"""Where the direct beam lies in every pattern."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.calibration.beam_search import extent, find_place, pairs_of, strongest_disks
from napari_4dstem_orient.calibration.quality import Quality
from napari_4dstem_orient.calibration.surfaces import TERMS, fit_surface, smoothest
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.memory import parts

ORIGINS = ("auto", "constant", "plane", "parabola", "each")
"""How the direct beam may wander over the scan; the first chooses."""

REFERENCES = {
    "constant": "one place for all",
    "plane": "a plane",
    "parabola": "a parabola",
    "each": "the middle of the ±g pairs of their own patterns, each pattern being centred on its own",
    "file": "the file's origin",
    "given": "the given place",
}
"""What direct beams are compared with, by how they were found."""

SEARCH_SHARE = 0.15
"""Farthest search radius around the surface, as a share of the detector."""

LEAST_TOLERANCE = 2.5
"""Distance in px from the fitted surface up to which a disk always counts as the direct beam."""

AGREE, BETTER, CLEAR_JITTER = 0.5, 1.15, 0.75
"""Each pattern is centred on its own beam where so many times more of the disks lie in ±g pairs (to within so many px)
about it than about the surface; or, without pairs, where the beams lie so many px from the surface."""

DIMMEST = 0.3
"""Of the others' intensity: what lies far from the surface and is weaker is not the direct beam."""

MISPLACED = 0.3
"""Px between the surface and the middle of the ±g pairs from which the surface is moved there."""

SAMPLE, LEAST_PAIRED = 1000, 5
"""Patterns, spread over the scan, whose ±g pairs judge a fit; and how many of them must have some."""

DISKS_PAIRED, PAIRS_COMPARED, LEAST_PAIRS = 16, 24, 2.5
"""Disks of a pattern that are paired, pairs near the beam that are compared, and how many must agree within a px."""

PATTERNS_TOGETHER = 4096
"""Patterns whose pairs are compared at once, about 100 MB."""

GOOD_SHARE, POOR_SHARE = 0.1, 0.3
"""Residual over the radius of a disk: good below the first, poor from the second."""

LEAST_USED = 0.5
"""Share of the patterns below which a fit is not called good."""


@dataclass(frozen=True, eq=False)
class OriginFit:
    """The direct beam over the scan, in detector pixels.

    Attributes
    ----------
    origin : ndarray, float64, shape (scan_y, scan_x, 2)
        Fitted position along (qx, qy).
    measured : ndarray, float64, shape (scan_y, scan_x, 2)
        Position of the disk taken for the direct beam; NaN where none was.
    surface : str
        ``"constant"``, ``"plane"``, ``"parabola"`` or ``"each"`` (found); ``"file"`` or ``"given"`` (told).
    residual : float
        Root mean square distance of the measured beams from ``reference`` in px; NaN where there is nothing to
        compare.
    used : float
        Share of the patterns whose direct beam was found.
    moved : float
        By how many px the surface was moved onto the middle of the ±g pairs: the beam's disk is cut, by a gap of
        the detector for instance.
    hidden : bool
        The beam lies in a gap of the detector: what was measured are the middles of the ±g pairs.
    """

    origin: np.ndarray
    measured: np.ndarray
    surface: str
    residual: float
    used: float
    moved: float = 0.0
    hidden: bool = False

    @property
    def told(self) -> bool:
        """Whether the origin was told rather than found."""
        return self.surface in ("file", "given")

    @property
    def reference(self) -> str:
        """What the direct beams are compared with, in words."""
        return REFERENCES[self.surface]

    @property
    def shifts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Measured and fitted shift from the mean fitted position, and measured less fitted; as ``origin``."""
        middle = self.origin.mean(axis=(0, 1))
        return self.measured - middle, self.origin - middle, self.measured - self.origin

    def quality(self, disk_radius: float | None) -> Quality:
        """Judge the residual by the radius of a disk in px; to be checked where that is not known."""
        if disk_radius is None:
            return Quality.CHECK
        found = Quality.of(self.residual, GOOD_SHARE * disk_radius, POOR_SHARE * disk_radius)
        return Quality.CHECK if self.used < LEAST_USED and found is Quality.GOOD else found


def fit_origin(
    disks: BraggDisks, surface: str = "auto", position: tuple[float, float] | None = None
) -> OriginFit:
    """Find the direct beam in every pattern, and a smooth surface through it, deaf to outliers.

    ``find_place`` says where to begin. From there each pattern's own beam is followed: a disk near the surface, the
    stronger the farther it may be. Which surface, or whether each pattern is centred on its own beam, is judged by
    the middle of the ±g pairs, which does not know of the beam. Patterns without a direct beam take the surface's
    value or, where each has its own, the middle of their pairs.

    Parameters
    ----------
    disks : BraggDisks
        In detector pixels.
    surface : str
        One of ``ORIGINS``; ``"auto"`` takes the origin that the disks' file told, where it did, and else chooses.
    position : (float, float), optional
        The direct beam along (qx, qy), the row and column, where it is known; then nothing is searched for.

    Raises
    ------
    UserError
        If the disks are calibrated already, there are none, there is no direct beam, or it is said to lie beside the
        detector.
    """
    if surface not in ORIGINS:
        raise ValueError(f"surface must be one of {ORIGINS}, not {surface!r}")
    if disks.calibrated:
        raise UserError("These disks are calibrated already; their origin is the direct beam.")
    disks = disks.sure()
    if not len(disks):
        raise UserError("There are no disks to find the direct beam in; detect disks first.")
    if position is not None:
        check_inside(position, disks.detector_shape)
        return _compared(disks, np.broadcast_to(position, (*disks.scan_shape, 2)), "given")
    if surface == "auto" and disks.origin is not None:
        return _compared(disks, disks.origin, "file")
    place = find_place(disks)
    if not place.seen:
        row, col = place.pairs
        raise UserError(
            "There is no direct beam: the patterns are arranged about a place without disks, as behind a beam stop; "
            f"give the origin as row and column in px, such as {row:.1f},{col:.1f} where the ±g pairs lie about."
        )
    if place.hidden:
        flat = np.arange(len(disks.offsets) - 1)
        measured = _middles(disks, flat, np.tile(place.pairs, (len(flat), 1)), _reach(disks))
    else:
        measured = _follow(disks, place.beam, place.blur)
    chosen = smoothest(disks.scan_shape, measured) if surface in ("auto", "each") else surface
    surface_fit = fit_surface(disks.scan_shape, chosen, measured)[0]
    residual = _rms(measured - surface_fit)
    sample = _sample(disks)
    shift, _ = _shift(disks, sample, surface_fit)
    origin = surface_fit + shift
    if surface == "each" or (surface == "auto" and _jumps(disks, measured, origin)):
        chosen, own = "each", _each(disks, measured, origin)
        shift, middle = _shift(disks, sample, own)
        origin = own + shift
        residual = _rms(np.where(np.isfinite(measured[sample]), origin[sample] - middle, np.nan))
    grid = (*disks.scan_shape, 2)
    used, moved = float(np.isfinite(measured[:, 0]).mean()), float(np.hypot(*shift))
    return OriginFit(
        origin.reshape(grid), measured.reshape(grid), chosen, residual, used, moved, place.hidden
    )


def centred(disks: BraggDisks, origin: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return where disks lie from the direct beam of their pattern, px; the beam is fitted where it is not given."""
    if origin is None:
        origin = fit_origin(disks).origin
    center = origin.reshape(-1, 2)[disks.owner]
    return disks.qx - center[:, 0], disks.qy - center[:, 1]


def check_inside(position: tuple[float, float], detector_shape: tuple[int, int] | None) -> None:
    """Raise UserError where an origin (row, column) in px is not on the detector."""
    row, col = position
    rows, cols = detector_shape or (np.inf, np.inf)
    if not (-0.5 <= row <= rows - 0.5 and -0.5 <= col <= cols - 0.5):
        size = f" of {rows} × {cols} pixels" if detector_shape else ""
        raise UserError(
            f"The origin {row:g},{col:g} lies beside the detector{size}; give row and column in px, counted from 0."
        )


def _compared(disks: BraggDisks, origin: np.ndarray, told: str) -> OriginFit:
    """Return an origin that was told, and how far from it the direct beams lie."""
    origin = np.array(origin, float)
    place = origin.reshape(-1, 2)
    near, _ = _near(disks, place, LEAST_TOLERANCE)
    measured = _beams(disks, _strongest(disks, near, disks.intensity[near]))
    used, residual = float(np.isfinite(measured[:, 0]).mean()), _rms(measured - place)
    if used < LEAST_USED:  # a few false disks, or the beams lie elsewhere
        elsewhere, sample = find_place(disks), _sample(disks)
        apart = float(np.hypot(*(elsewhere.beam - np.median(place, axis=0))))
        there = np.tile(elsewhere.beam, (len(sample), 1))
        better = _support(disks, sample, there).sum() > _support(disks, sample, place[sample]).sum()
        doubtful = elsewhere.seen and better and apart > 2 * elsewhere.blur
        residual = apart if doubtful else float("nan")
    return OriginFit(origin, measured.reshape(origin.shape), told, residual, used)


def _near(disks: BraggDisks, place: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Return which disks (their indices) lie within a radius of their pattern's place, and the squares of how far."""
    counts = np.diff(disks.offsets)
    x, y = (np.repeat(part.astype(np.float32), counts) for part in place.T)
    apart = (disks.qx - x) ** 2 + (disks.qy - y) ** 2
    index = np.flatnonzero(apart < radius**2)
    return index, apart[index]


def _beams(disks: BraggDisks, chosen: np.ndarray) -> np.ndarray:
    """Return the places of the chosen disks, shape (n, 2); NaN where there is none (-1)."""
    place = np.stack([disks.qx[chosen], disks.qy[chosen]], axis=1).astype(np.float64)
    return np.where(chosen[:, None] >= 0, place, np.nan)


def _rms(apart: np.ndarray) -> float:
    """Return the root mean square length of those vectors that are known; NaN where none is."""
    known = apart[np.isfinite(apart[:, 0])]
    return float(np.sqrt((known**2).sum(axis=1).mean())) if len(known) else float("nan")


def _follow(disks: BraggDisks, start: np.ndarray, blur: float) -> np.ndarray:
    """Return each pattern's own beam, (n, 2): from ``start`` on, as far as they spread; NaN where none is near."""
    surface: np.ndarray = np.tile(start, (len(disks.offsets) - 1, 1))
    farthest = max(LEAST_TOLERANCE, SEARCH_SHARE * min(extent(disks)))
    spread, tolerance = blur, 3 * blur
    for name in ("plane", "plane", "plane", "parabola", "parabola"):
        near, apart = _near(disks, surface, tolerance)
        # Weak false disks may lie nearer than the beam, bright reflections lie much farther.
        chance = np.log(np.maximum(disks.intensity[near], 1e-30)) - 1.5 * np.log1p(apart / spread**2)
        chosen = _strongest(disks, near, chance)
        enough = (chosen >= 0).sum() >= 4 * TERMS[name]
        measured = _beams(disks, chosen)
        surface, spread = fit_surface(disks.scan_shape, name if enough else "constant", measured)
        spread = max(spread, 0.5)
        tolerance = float(np.clip(5 * spread, LEAST_TOLERANCE, farthest))
    chosen[~(np.hypot(*(measured - surface).T) < tolerance)] = -1
    return _follow_jumps(disks, chosen, surface)


def _follow_jumps(disks: BraggDisks, chosen: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """Look farther from the surface for beams like the others about which there are at least as many ±g pairs."""
    measured = _beams(disks, chosen)
    lost = chosen < 0
    if lost.any() and not lost.all():
        usual = np.median(disks.intensity[chosen[~lost]])
        near, _ = _near(disks, np.where(lost[:, None], surface, np.inf), _reach(disks))
        near = near[disks.intensity[near] > DIMMEST * usual]
        there = _beams(disks, _strongest(disks, near, disks.intensity[near]))
        flat = np.flatnonzero(np.isfinite(there[:, 0]))
        flat = flat[_support(disks, flat, there[flat]) >= _support(disks, flat, surface[flat])]
        measured[flat] = there[flat]
    return measured


def _reach(disks: BraggDisks) -> float:
    """Return how far from the surface the middle of ±g pairs is looked for, px: up to the next reflections' middles."""
    return SEARCH_SHARE * min(extent(disks)) / 1.5


def _strongest(disks: BraggDisks, index: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Return which of these disks (in order) is the strongest of every position, -1 where there is none."""
    best = np.full(len(disks.offsets) - 1, -1)
    if len(index):
        owner = np.searchsorted(disks.offsets, index, side="right") - 1
        first = np.flatnonzero(np.diff(owner, prepend=-1))
        top = np.repeat(np.maximum.reduceat(strength, first), np.diff(first, append=len(index)))
        winner = np.flatnonzero(strength == top)
        best[owner[winner]] = index[winner]
    return best


def _sample(disks: BraggDisks) -> np.ndarray:
    """Return flat positions, spread over the scan, of patterns that may have ±g pairs."""
    full = np.flatnonzero(np.diff(disks.offsets) > 2)
    return full[np.unique(np.linspace(0, len(full) - 1, SAMPLE).astype(int))] if len(full) else full


def _support(disks: BraggDisks, flat: np.ndarray, center: np.ndarray) -> np.ndarray:
    """Return how much of each pattern lies in ±g pairs about a place, the disk that is there left out; shape (n,)."""
    found = np.zeros(len(flat))
    for part in parts(len(flat), PATTERNS_TOGETHER):
        position, amplitude = strongest_disks(disks, flat[part], DISKS_PAIRED)
        near = np.hypot(*np.moveaxis(position - center[part, None], -1, 0)) < LEAST_TOLERANCE
        middle, weight = pairs_of(position, np.where(near, 0, amplitude))
        apart = ((middle - center[part, None]) ** 2).sum(axis=-1)
        found[part] = (weight * np.exp(-apart / (2 * AGREE**2))).sum(axis=1)
    return found


def _middles(disks: BraggDisks, flat: np.ndarray, near: np.ndarray, radius: float) -> np.ndarray:
    """Return about which place within a radius the ±g pairs of each pattern lie, (n, 2); NaN where too few do."""
    found = np.full((len(flat), 2), np.nan)
    for part in parts(len(flat), PATTERNS_TOGETHER):
        middle, weight = pairs_of(*strongest_disks(disks, flat[part], DISKS_PAIRED))
        weight = np.where(np.hypot(*np.moveaxis(middle - near[part, None], -1, 0)) < radius, weight, 0)
        order = np.argsort(-weight, axis=1)[:, :PAIRS_COMPARED]
        middle = np.take_along_axis(middle, order[..., None], axis=1)
        weight = np.take_along_axis(weight, order, axis=1)
        apart = ((middle[:, :, None] - middle[:, None]) ** 2).sum(axis=-1)
        together = np.exp(-apart / 2) * (weight > 0)[:, None]
        best = np.argmax((together * weight[:, None]).sum(axis=-1) * (weight > 0), axis=1)
        close = np.take_along_axis(together, best[:, None, None], axis=1)[:, 0]
        share = close * weight
        mean = (share[..., None] * middle).sum(axis=1) / np.maximum(share.sum(axis=1), 1e-30)[:, None]
        found[part] = np.where(close.sum(axis=1)[:, None] > LEAST_PAIRS, mean, np.nan)
    return found


def _shift(disks: BraggDisks, sample: np.ndarray, origin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how far the middles of ±g pairs lie beside the origin, (2,), 0 unless beyond doubt; and those middles."""
    middle = _middles(disks, sample, origin[sample], max(LEAST_TOLERANCE, _reach(disks) / 2))
    apart = (middle - origin[sample])[np.isfinite(middle[:, 0])]
    if len(apart) < LEAST_PAIRED:
        return np.zeros(2), middle
    shift = np.median(apart, axis=0)
    error = 1.86 * np.median(np.abs(apart - shift)) / np.sqrt(len(apart))  # of a median
    now, then = (_support(disks, sample, origin[sample] + by).sum() for by in (0, shift))
    beyond_doubt = np.hypot(*shift) > max(MISPLACED, 4 * error) and then > BETTER * now
    return shift if beyond_doubt else np.zeros(2), middle


def _jumps(disks: BraggDisks, own: np.ndarray, surface: np.ndarray) -> bool:
    """Tell whether more ±g pairs lie about the patterns' own beams than about the surface."""
    sample = _sample(disks)
    sample = sample[np.isfinite(own[sample, 0])]
    ours, theirs = (_support(disks, sample, center[sample]) for center in (own, surface))
    if (np.maximum(ours, theirs) > 0.05).sum() >= LEAST_PAIRED:
        return bool(ours.sum() > BETTER * theirs.sum())
    apart = np.hypot(*(own - surface)[np.isfinite(own[:, 0])].T)
    return bool(len(apart) and np.median(apart) > CLEAR_JITTER)


def _each(disks: BraggDisks, own: np.ndarray, surface: np.ndarray) -> np.ndarray:
    """Return each pattern's own beam; where it has none the middle of its ±g pairs, or else the surface."""
    lost = np.flatnonzero(~np.isfinite(own[:, 0]))
    origin = np.where(np.isfinite(own), own, surface)
    middle = _middles(disks, lost, surface[lost], _reach(disks))
    origin[lost] = np.where(np.isfinite(middle), middle, surface[lost])
    return origin
