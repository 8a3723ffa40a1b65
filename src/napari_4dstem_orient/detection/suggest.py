"""Settings of the detection that suit a scan, and why."""

from __future__ import annotations

from dataclasses import replace

from napari_4dstem_orient.core.bragg_disks import SURE
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.direct_beam import find_direct_beam
from napari_4dstem_orient.detection.patterns import aligned_mean, sample_patterns
from napari_4dstem_orient.detection.probe import Probe
from napari_4dstem_orient.detection.settings import DetectionSettings

LEAST_SIGNAL_TO_NOISE = 0.8
"""Suggested: fainter peaks tell nothing more, one electron alone among them."""

MOST_DISKS = 100
"""Suggested: more tell nothing more."""

SAMPLES = 40
"""Patterns that are looked at."""

MIN_RELATIVE_INTENSITY = 1e-6
"""Suggested floor relative to the strongest disk: what single precision makes of that."""


def settings_for_probe(probe: Probe) -> DetectionSettings:
    """Return settings whose lengths suit the probe's disk; intensities are left at their defaults."""
    return DetectionSettings(
        min_spacing=round(1.5 * probe.radius, 1),
        edge=max(1, round(probe.radius)),
        smoothing=round(max(min(0.45 * probe.radius, 1.0), min(0.25 * probe.radius, 1.5)), 2),
    )


def explain_settings(settings: DetectionSettings, probe: Probe) -> dict[str, str]:
    """Say in one sentence each why ``suggest`` chose what it did.

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
        "min_intensity": "None: signal-to-noise tells better what a disk is, for every dose.",
        "min_relative_intensity": "What rounding makes of the strongest disk is weaker than this.",
        "min_signal_to_noise": "Every peak that could be a disk is kept, and weighed by its signal-to-noise; fainter "
        f"ones tell nothing more. From {SURE:g} on a disk is sure: it is shown and counted.",
        "gain": "In the scan's own patterns the noise on the scale of a disk is that of electrons of "
        f"{settings.gain:.3g} counts each.",
        "dark_noise": "What of that noise does not go with the counts.",
        "unrest": "Measured on the ground between disks, where nothing but noise should be.",
        "min_spacing": f"One and a half radii of the probe's disk ({probe.radius:.2f} px).",
        "edge": f"A disk of radius {probe.radius:.2f} px is cut off when it is nearer to the rim.",
        "smoothing": "A quarter of the disk's radius, of small disks up to half: noise goes, neighbours stay apart.",
        "correlation_power": "Cross-correlation finds weak disks best.",
        "max_disks": "More than a pattern of a crystal has, and more than are looked at.",
        "subpixel": "Closest to the reflection: a disk's rim stays in place when a thick crystal lights it unevenly.",
        "engine": "It finds the same disks as py4DSTEM, many patterns at once.",
    }


def suggest(scan: Scan, probe: Probe) -> tuple[DetectionSettings, str]:
    """Suggest settings from the probe's size and from the noise of some of the scan's own patterns.

    Returns
    -------
    settings : DetectionSettings
        With a least signal-to-noise ratio, and disks placed by a fit.
    doubt : str
        What of them is doubtful, in a sentence; empty where nothing is.

    Raises
    ------
    UserError
        If patterns hold NaN or negative values, or have no direct beam.
    """
    from napari_4dstem_orient.detection.neighbours import measure_scan
    from napari_4dstem_orient.detection.unrest import unrest

    patterns = sample_patterns(scan, SAMPLES)
    find_direct_beam(aligned_mean(patterns))
    settings = settings_for_probe(probe)
    noise = measure_scan(scan, patterns, probe, settings.smoothing)
    gain, dark = float(f"{noise.gain:.3g}"), float(f"{noise.dark:.3g}")
    # What was only estimated holds the ground's unrest already.
    uneven = 1.0 if noise.doubt else unrest(patterns, probe, settings.smoothing, noise)
    suggested = replace(
        settings,
        min_relative_intensity=MIN_RELATIVE_INTENSITY,
        min_signal_to_noise=LEAST_SIGNAL_TO_NOISE,
        max_disks=MOST_DISKS,
        gain=gain,
        dark_noise=dark,
        unrest=float(f"{uneven:.3g}"),
        subpixel="fit",
    )
    return suggested, noise.doubt
