"""What the detection is told, and what the data themselves suggest telling it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from napari_4dstem_orient.detection.direct_beam import find_direct_beam
from napari_4dstem_orient.detection.patterns import aligned_mean, sample_patterns
from napari_4dstem_orient.detection.probe import Probe
from napari_4dstem_orient.parameters import parameter
from napari_4dstem_orient.scan import Scan

NOISE_PEAKS = 1.0
"""Peaks of noise a pattern may have above the floor, by a law whose tail is longer than the real one's:
on simulated patterns of 1e4 and 1e6 electrons it leaves 1 and 0.1."""

MIN_RELATIVE_INTENSITY = 0.0001
"""Suggested floor relative to the strongest disk: the tails of a real beam have peaks of their own."""

PEAKS_PER_RING = 25
"""Least number of correlation peaks from which the noise at one distance from the beam is judged."""

NOISIEST = 0.95
"""The floor suits all but the noisiest few patterns: those on thick, amorphous or bare places as well."""

ENGINES = ("torch", "py4DSTEM")
"""What can detect disks; the first is the default."""


@dataclass(frozen=True)
class DetectionSettings:
    """How Bragg disks are told from the rest of a pattern.

    Intensities are those of the correlation with the probe: mean counts per pixel of a disk above its
    surroundings.
    """

    min_intensity: Annotated[
        float,
        parameter(
            "Weakest disk",
            "Disks weaker than this are dropped. Lower it until false disks appear between the real ones: "
            "weak disks tell how the crystal is tilted.",
            unit="counts/px",
            min=0.0,
            max=1e12,
            step=None,
        ),
    ] = 0.0
    min_relative_intensity: Annotated[
        float,
        parameter(
            "Weakest disk, relative",
            "Disks weaker than this share of the pattern's strongest disk are dropped. "
            "Raise it if a very strong direct beam is surrounded by false disks.",
            min=0.0,
            max=1.0,
            step=0.0001,
        ),
    ] = 0.0005
    min_spacing: Annotated[
        float,
        parameter(
            "Least distance of disks",
            "Of two disks closer than this the weaker is dropped. About one and a half disk radii.",
            unit="px",
            min=0.0,
            max=500.0,
            step=0.5,
        ),
    ] = 4.0
    edge: Annotated[
        int,
        parameter(
            "Rim to leave out",
            "Disks this close to the detector's rim are dropped: they are cut off and badly placed.",
            unit="px",
            min=1,
            max=200,
        ),
    ] = 2
    smoothing: Annotated[
        float,
        parameter(
            "Smoothing",
            "Gaussian blur of the correlation before its peaks are found. More of it suppresses noise and "
            "double peaks in unevenly lit disks, and blurs neighbours together.",
            unit="px",
            min=0.0,
            max=20.0,
            step=0.1,
        ),
    ] = 0.5
    correlation_power: Annotated[
        float,
        parameter(
            "Correlation power",
            "1 is cross-correlation, best for weak disks; towards 0 edges count more (phase correlation).",
            min=0.0,
            max=1.0,
            step=0.05,
        ),
    ] = 1.0
    max_disks: Annotated[
        int,
        parameter("Most disks in a pattern", "Only the strongest are kept.", min=1, max=2000),
    ] = 200
    subpixel: Annotated[
        str,
        parameter(
            "Sub-pixel position",
            "poly: parabola through the peak, fast. multicorr: upsampled correlation, finer, slower.",
            choices=("poly", "multicorr"),
        ),
    ] = "poly"
    engine: Annotated[
        str,
        parameter(
            "Engine",
            "torch: many patterns at once, on the GPU where there is one. py4DSTEM: its own code, one pattern after "
            "another. Both find the same disks.",
            choices=ENGINES,
        ),
    ] = "torch"


def settings_for_probe(probe: Probe) -> DetectionSettings:
    """Return settings whose lengths suit the probe's disk; intensities are left at their defaults."""
    return DetectionSettings(
        min_spacing=round(1.5 * probe.radius, 1),
        edge=max(1, round(probe.radius)),
        smoothing=round(min(0.25 * probe.radius, 1.5), 2),
    )


def explain_settings(settings: DetectionSettings, probe: Probe) -> dict[str, str]:
    """Say in one sentence each why ``suggest_settings`` chose what it did.

    Parameters
    ----------
    settings : DetectionSettings
        As suggested.
    probe : Probe
        For which they were suggested.

    Returns
    -------
    dict of str to str
        By field.
    """
    return {
        "min_intensity": f"Above {settings.min_intensity:g} counts/px the noise of the scan's own patterns leaves "
        f"about {NOISE_PEAKS:g} false disk in a pattern.",
        "min_relative_intensity": "The tails of a strong direct beam have peaks of their own, weaker than this.",
        "min_spacing": f"One and a half radii of the probe's disk ({probe.radius:.2f} px).",
        "edge": f"A disk of radius {probe.radius:.2f} px is cut off when it is nearer to the rim.",
        "smoothing": "A quarter of the disk's radius, 1.5 px at most: noise goes, neighbours stay apart.",
        "correlation_power": "Cross-correlation finds weak disks best.",
        "max_disks": "More disks than a pattern of a crystal has: it should not limit anything.",
        "subpixel": "A parabola is fast; choose multicorr for strain.",
        "engine": "It finds the same disks as py4DSTEM, many patterns at once.",
    }


def suggest_settings(scan: Scan, probe: Probe, samples: int = 40) -> DetectionSettings:
    """Suggest settings from the probe's size and from the noise of some of the scan's own patterns.

    Parameters
    ----------
    scan : Scan
    probe : Probe
    samples : int
        Patterns to read.

    Returns
    -------
    DetectionSettings
        With the floor at which about one peak of noise per pattern is expected.

    Raises
    ------
    UserError
        If patterns hold NaN or negative values, or have no direct beam.
    """
    from napari_4dstem_orient.detection.detect import detect_patterns

    patterns = sample_patterns(scan, samples)
    center = find_direct_beam(aligned_mean(patterns)).center
    settings = settings_for_probe(probe)
    everything = replace(settings, min_intensity=0.0, min_relative_intensity=0.0, max_disks=100_000)

    def distance_and_height(peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        distance = np.hypot(peaks[:, 0] - center[0], peaks[:, 1] - center[1])
        away = distance > 2 * probe.radius
        return distance[away], peaks[away, 2]

    noise = np.random.default_rng(0).normal(size=(1, *scan.detector_shape)).astype(np.float32)
    expected, _ = distance_and_height(detect_patterns(noise, probe, everything)[0])
    found = detect_patterns(patterns, probe, everything)
    floors = [noise_floor(*distance_and_height(peaks), expected) for peaks in found]
    floor = float(np.quantile(floors, NOISIEST))
    return replace(
        settings, min_intensity=float(f"{floor:.3g}"), min_relative_intensity=MIN_RELATIVE_INTENSITY
    )


def noise_floor(distance: np.ndarray, height: np.ndarray, noise: np.ndarray) -> float:
    """Return the height above which a pattern has about one peak of noise.

    Nearly all peaks of a correlation image are noise, and noise is stronger where the pattern is brighter, near
    the beam. So the lower half of the peaks at about the same distance tells the width of the noise there, as
    if heights followed Rayleigh's law, and Bragg disks among the upper half do not disturb it. Where a pattern
    has fewer peaks than noise would make, the missing ones count as peaks of height zero: a pattern nearly free
    of noise gets a floor near zero, however many disks it has.

    Parameters
    ----------
    distance, height : ndarray, shape (n,)
        All correlation peaks of a pattern: distance from the direct beam, and height.
    noise : ndarray, shape (m,)
        Distances of all correlation peaks of pure noise.
    """
    from scipy.optimize import brentq

    rings = int(np.clip(len(noise) // PEAKS_PER_RING, 1, 20))
    edges = np.quantile(noise, np.linspace(0, 1, rings + 1)[1:-1]) if len(noise) else np.zeros(0)
    which = np.searchsorted(edges, distance)
    expected = len(noise) / rings
    widths = np.array([_rayleigh_width(height[which == ring], expected) for ring in range(rings)])
    if widths.max() <= 0 or len(noise) <= NOISE_PEAKS:
        return 0.0

    def excess(floor: float) -> float:
        left = np.exp(-0.5 * (floor / np.maximum(widths, 1e-6 * widths.max())) ** 2)
        return float(expected * left.sum() - NOISE_PEAKS)

    return float(brentq(excess, 0.0, 10 * widths.max()))


def _rayleigh_width(height: np.ndarray, expected: float) -> float:
    """Return w of P(height > h) = exp(-h²/2w²) from the 40 % quantile, which lies at w sqrt(-2 ln 0.6)."""
    missing = max(0, round(expected) - len(height))
    padded = np.concatenate([np.zeros(missing), height])
    return float(np.quantile(padded, 0.4)) / np.sqrt(-2 * np.log(0.6)) if len(padded) else 0.0
