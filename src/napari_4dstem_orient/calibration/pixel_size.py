"""The size of a detector pixel, from the rings of a crystal that is known to be in the scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.calibration.origin import centred
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.distortion import Distortion, undistorted
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.crystals.rings import rings_of

STEP = 0.1
"""Width in px of the bins of the profile of all disks over |q|."""

SHARP, BROAD = 0.6, 4.0
"""Standard deviations in px of the blurs whose difference keeps rings and drops everything smooth."""

GUESS_RANGE = 0.2
"""How far, relatively, from a guess the pixel size is sought."""

NEAREST = 5.0
"""Disks closer to the direct beam than this, in px, are left out."""

WINDOW = 1.5
"""Half width in px within which disks are counted to a ring; less where the next ring is near."""

LEAST_WINDOW = 0.6
"""Half width in px below which a ring is too close to the next to be told from it."""

COVERED = 0.5
"""Share of |q| that the rings' windows may cover where the explained disks are counted."""

GOOD_RESIDUAL = 0.008
"""Relative deviation of the rings beyond which a fit is not trusted; most wrong crystals show 0.8 % to 2 %."""

GOOD_EXPLAINED = 0.5
"""Share of disks on rings, beyond chance, below which a fit is not trusted."""

GOOD_LIKENESS, GOOD_LIKENESS_UNGUIDED = 0.66, 0.78
"""Correlation with the drawn rings below which a fit is not trusted, with a guess and without. On simulated
disks, right crystals reach 0.68 to 0.95, wrong ones up to 0.64 near a guess and up to 0.73 at any scale."""

RIVAL = 0.9
"""Most of the best correlation that another pixel size may reach."""

FAR_FROM_GUESS = 0.1
"""Relative distance from the guess beyond which it is rather the crystal that is in doubt."""


@dataclass(frozen=True, eq=False)
class PixelSizeFit:
    """A pixel size fitted to a crystal's rings.

    Attributes
    ----------
    q_pixel : float
        Å⁻¹ per px.
    residual : float
        Root mean square deviation of the measured from the expected ring radii, in Å⁻¹.
    residual_percent : float
        The same, relative to each ring's radius, in per cent.
    measured, expected : ndarray, shape (n,)
        Radii in Å⁻¹ of the rings that stand apart and have disks.
    profile_q, profile : ndarray, shape (m,)
        Disks over |q| (Å⁻¹), weighted by the root of their intensity, to draw the rings upon.
    explained : float
        Share of the disks, beyond chance, that lie on rings (counted up to where rings crowd).
    trustworthy : bool
    sentence : str
        What to tell the user.
    """

    q_pixel: float
    residual: float
    residual_percent: float
    measured: np.ndarray
    expected: np.ndarray
    profile_q: np.ndarray
    profile: np.ndarray
    explained: float
    trustworthy: bool
    sentence: str

    @property
    def q_pixel_from(self) -> str:
        """What a ``Calibration`` with this pixel says of where it comes from."""
        return "fitted" if self.trustworthy else "doubtful"


def fit_q_pixel(
    disks: BraggDisks,
    phase: Phase,
    guess: float | None = None,
    origin: np.ndarray | None = None,
    distortion: Distortion = (0.0, 0.0),
) -> PixelSizeFit:
    """Fit the size of a detector pixel to the ring radii of a known crystal.

    The profile of all disks over |q| is compared with the crystal's rings drawn at every scale in question; the
    best scale is refined on the rings that stand apart.

    Parameters
    ----------
    disks : BraggDisks
        In detector pixels.
    phase : Phase
        A crystal known to be in the scan.
    guess : float, optional
        Å⁻¹ per px to begin with, good to ±15 %; without it all scales that show at least three rings are tried.
    origin : ndarray, shape (scan_y, scan_x, 2), optional
        Direct beam in px; fitted by default.
    distortion : (float, float)
        ``Calibration.distortion``; undone first.

    Raises
    ------
    UserError
        If there are too few disks beside the direct beam.
    """
    disks = disks.sure()
    radius, weight, farthest, profile = over_q(
        *undistorted(*centred(disks, origin), distortion),
        disks.intensity,
        "There are too few disks beside the direct beam to fit the pixel size; "
        "detect more disks, or type the pixel size.",
    )
    scales = _scales(phase, farthest, guess)
    likeness = _likeness(profile, phase, scales)
    best = int(np.argmax(likeness))
    elsewhere = np.abs(np.log(scales / scales[best])) > 0.03
    rival = float(likeness[elsewhere].max(initial=0.0) / max(likeness[best], 1e-9))

    q_pixel, measured, expected = _refine(radius, weight, phase, float(scales[best]), farthest)
    deviation = measured - expected
    relative = float(np.sqrt(np.mean((deviation / expected) ** 2))) if len(measured) else float("nan")
    explained = explained_share(radius, weight, phase, q_pixel, farthest)
    trustworthy, sentence = _verdict(
        phase, q_pixel, guess, len(measured), relative, explained, float(likeness[best]), rival
    )
    return PixelSizeFit(
        q_pixel,
        float(np.sqrt(np.mean(deviation**2))) if len(measured) else float("nan"),
        100 * relative,
        measured,
        expected,
        (np.arange(len(profile)) + 0.5) * STEP * q_pixel,
        profile,
        explained,
        trustworthy,
        sentence,
    )


def over_q(
    x: np.ndarray, y: np.ndarray, intensity: np.ndarray, too_few: str
) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """Return the disks beside the direct beam over |q| in px.

    Their radii and weights (the roots of intensities), the radius beyond which lie only a few stray disks in the
    detector's corners, and the profile of weights up to there. UserError, saying ``too_few``, for fewer than ten.
    """
    radius = np.hypot(x, y)
    beside = radius > NEAREST
    radius, weight = radius[beside], np.sqrt(np.maximum(intensity[beside], 0))
    if len(radius) < 10:
        raise UserError(too_few)
    farthest = float(np.quantile(radius, 0.99))
    within = radius <= farthest
    return radius, weight, farthest, np.bincount((radius[within] / STEP).astype(int), weight[within])


def _scales(phase: Phase, farthest: float, guess: float | None) -> np.ndarray:
    """Return the pixel sizes to try, 0.1 % apart."""
    if guess is not None:
        low, high = guess * (1 - GUESS_RANGE), guess * (1 + GUESS_RANGE)
    else:
        first, third = _first_radii(phase)
        # At least three rings on the detector, and the innermost not within the direct beam.
        low, high = third / farthest, first / (2 * NEAREST)
        high = max(high, 2 * low)
    return np.exp(np.arange(np.log(low), np.log(high), 0.001))


def _first_radii(phase: Phase) -> tuple[float, float]:
    k_max = 2.0 / min(phase.cell[:3])
    while len(radii := rings_of(phase, k_max).radii) < 3:
        k_max *= 1.5
    return float(radii[0]), float(radii[2])


def _band(curves: np.ndarray) -> np.ndarray:
    """Keep what is as sharp as a ring."""
    from scipy.ndimage import gaussian_filter1d

    sharp = gaussian_filter1d(curves, SHARP / STEP, axis=-1, mode="constant")
    return sharp - gaussian_filter1d(curves, BROAD / STEP, axis=-1, mode="constant")


def _likeness(profile: np.ndarray, phase: Phase, scales: np.ndarray) -> np.ndarray:
    """Return the correlation coefficient of the profile with the rings drawn at each scale."""
    start = int(NEAREST / STEP)
    shown = _band(np.sqrt(profile))[start:]
    shown /= np.linalg.norm(shown) + 1e-30
    radii, intensity, _ = rings_of(phase, float(scales[-1]) * len(profile) * STEP)
    strength = np.sqrt(np.sqrt(intensity))
    result = np.empty(len(scales))
    for part in parts(len(scales), 256):
        place = (radii / scales[part, None] / STEP).astype(int)
        inside = place < len(profile)
        drawn = np.zeros((len(place), len(profile)))
        row = np.broadcast_to(np.arange(len(place))[:, None], place.shape)
        np.add.at(drawn, (row[inside], place[inside]), np.broadcast_to(strength, place.shape)[inside])
        drawn = _band(drawn)[:, start:]
        result[part] = drawn @ shown / (np.linalg.norm(drawn, axis=1) + 1e-30)
    return result


def ring_windows(
    phase: Phase, scale: float, farthest: float, widest: float = WINDOW
) -> tuple[np.ndarray, np.ndarray]:
    """Return the radii in px of the rings on the detector, and the half width that each has for itself."""
    radii = rings_of(phase, farthest * scale).radii / scale
    return radii, half_widths(radii, widest)


def half_widths(radii: np.ndarray, widest: float) -> np.ndarray:
    """Return the half width in px that each ring has for itself, ``widest`` at most."""
    gaps = np.diff(radii, prepend=-np.inf, append=np.inf)
    return np.minimum(widest, 0.45 * np.minimum(gaps[:-1], gaps[1:]))


def _refine(
    radius: np.ndarray, weight: np.ndarray, phase: Phase, scale: float, farthest: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the pixel size from the rings that stand apart, their measured and expected radii in Å⁻¹."""
    measured = expected = np.zeros(0)
    for _ in range(4):
        radii, half = ring_windows(phase, scale, farthest)
        centers, counts, rings = [], [], []
        apart = (half >= LEAST_WINDOW) & (radii > NEAREST) & (radii < farthest)
        for ring, window in zip(radii[apart], half[apart], strict=True):
            near = np.abs(radius - ring) < window
            if near.sum() >= 3:
                centers.append(np.average(radius[near], weights=weight[near]))
                counts.append(weight[near].sum())
                rings.append(ring * scale)
        if not rings:
            break
        measured, expected, share = np.array(centers), np.array(rings), np.sqrt(counts)
        scale = float((share * measured * expected).sum() / (share * measured**2).sum())
    return scale, measured * scale, expected


def explained_share(
    radius: np.ndarray, weight: np.ndarray, phase: Phase, scale: float, farthest: float
) -> float:
    """Return the share of disks on rings beyond what chance puts there, up to where rings crowd."""
    radii, half = ring_windows(phase, scale, farthest)
    places = np.arange(NEAREST, farthest, STEP)
    covered = np.zeros(len(places), bool)
    on_ring = np.zeros(len(radius), bool)
    for ring, window in zip(radii, half, strict=True):
        covered |= np.abs(places - ring) < window
        on_ring |= np.abs(radius - ring) < window
    chance = np.cumsum(covered) / np.arange(1, len(places) + 1)
    last = int(np.flatnonzero(chance <= COVERED)[-1])
    within = radius < places[last]
    share = weight[within & on_ring].sum() / max(weight[within].sum(), 1e-30)
    return float(max(0.0, (share - chance[last]) / (1 - chance[last])))


def _verdict(
    phase: Phase,
    q_pixel: float,
    guess: float | None,
    rings: int,
    relative: float,
    explained: float,
    likeness: float,
    rival: float,
) -> tuple[bool, str]:
    """Decide whether to trust the fit, and say why."""
    found = f"{q_pixel:.5g} Å⁻¹ per pixel from {rings} rings of {phase.name}"
    doubts = []
    if rings < 2:
        doubts.append("fewer than two rings stand apart")
    elif not relative <= GOOD_RESIDUAL:
        doubts.append(f"the rings deviate by {relative:.2%} (good is up to {GOOD_RESIDUAL:.1%})")
    if explained < GOOD_EXPLAINED:
        doubts.append(f"only {explained:.0%} of the disks lie on its rings")
    if likeness < (GOOD_LIKENESS_UNGUIDED if guess is None else GOOD_LIKENESS):
        doubts.append(
            "its rings do not resemble the measured ones" + ("; give a guess" if guess is None else "")
        )
    if rival > RIVAL:
        doubts.append("another pixel size fits nearly as well")
    if guess is not None and abs(q_pixel / guess - 1) > FAR_FROM_GUESS:
        doubts.append(f"it is {abs(q_pixel / guess - 1):.0%} from the guess")
    if doubts:
        return False, f"Doubtful: {found}; {'; '.join(doubts)}. Is this the right crystal?"
    caution = " Any crystal with this lattice type fits as well without a guess." if guess is None else ""
    return (
        True,
        f"{found}; they deviate by {relative:.2%}, {explained:.0%} of the disks lie on them.{caution}",
    )
