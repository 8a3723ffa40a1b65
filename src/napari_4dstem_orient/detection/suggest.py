"""Settings of the detection that suit a scan, and why."""

from __future__ import annotations

from dataclasses import replace

from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.direct_beam import find_direct_beam
from napari_4dstem_orient.detection.patterns import aligned_mean, sample_patterns
from napari_4dstem_orient.detection.probe import Probe
from napari_4dstem_orient.detection.settings import DetectionSettings

LEAST_SIGNAL_TO_NOISE = 3.0
"""Suggested where the ground between disks is smooth; where it is not, it must be so many times what that shows."""

MIN_RELATIVE_INTENSITY = 0.0001
"""Suggested floor relative to the strongest disk: the tails of a real beam have peaks of their own."""


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
        "min_intensity": f"In the dark, a disk of {settings.min_intensity:g} counts/px has the least signal-to-noise: "
        "nothing fainter stands out.",
        "min_relative_intensity": "The tails of a strong direct beam have peaks of their own, weaker than this.",
        "min_signal_to_noise": "Of the peaks that noise alone makes, one in some hundreds reaches "
        f"{LEAST_SIGNAL_TO_NOISE:g}, near the beam and far from it; it is more where the ground is uneven.",
        "gain": "In the scan's own patterns the noise on the scale of a disk is that of electrons of "
        f"{settings.gain:.3g} counts each.",
        "dark_noise": "What of that noise does not go with the counts.",
        "min_spacing": f"One and a half radii of the probe's disk ({probe.radius:.2f} px).",
        "edge": f"A disk of radius {probe.radius:.2f} px is cut off when it is nearer to the rim.",
        "smoothing": "A quarter of the disk's radius, 1.5 px at most: noise goes, neighbours stay apart.",
        "correlation_power": "Cross-correlation finds weak disks best.",
        "max_disks": "More disks than a pattern of a crystal has: it should not limit anything.",
        "subpixel": "Closest to the reflection: a disk's rim stays in place when a thick crystal lights it unevenly.",
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
        With a least signal-to-noise ratio, and disks placed by a fit.

    Raises
    ------
    UserError
        If patterns hold NaN or negative values, or have no direct beam.
    """
    return suggest(scan, probe, samples)[0]


def suggest(scan: Scan, probe: Probe, samples: int = 40) -> tuple[DetectionSettings, str]:
    """Suggest settings as ``suggest_settings`` does, and say in a sentence what of them is doubtful, if anything."""
    from napari_4dstem_orient.detection.neighbours import measure_scan
    from napari_4dstem_orient.detection.noise import faintest
    from napari_4dstem_orient.detection.unrest import unrest

    patterns = sample_patterns(scan, samples)
    find_direct_beam(aligned_mean(patterns))
    settings = settings_for_probe(probe)
    noise = measure_scan(scan, patterns, probe, settings.smoothing)
    gain, dark = float(f"{noise.gain:.3g}"), float(f"{noise.dark:.3g}")
    least = LEAST_SIGNAL_TO_NOISE
    if not noise.doubt:  # what was only estimated holds the ground's unrest already
        least *= unrest(patterns, probe, settings.smoothing, noise)
    floor = faintest(probe, settings.smoothing, gain, least, dark)
    suggested = replace(
        settings,
        min_intensity=float(f"{floor:.3g}"),
        min_relative_intensity=MIN_RELATIVE_INTENSITY,
        min_signal_to_noise=float(f"{least:.3g}"),
        gain=gain,
        dark_noise=dark,
        subpixel="fit",
    )
    return suggested, noise.doubt
