"""What the detection is told, and what the data themselves suggest telling it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from napari_4dstem_orient.core.parameters import parameter
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.direct_beam import find_direct_beam
from napari_4dstem_orient.detection.patterns import aligned_mean, sample_patterns
from napari_4dstem_orient.detection.probe import Probe

LEAST_SIGNAL_TO_NOISE = 3.0
"""Suggested where the ground between disks is smooth; where it is not, it must be so many times what that shows."""

MIN_RELATIVE_INTENSITY = 0.0001
"""Suggested floor relative to the strongest disk: the tails of a real beam have peaks of their own."""

SUBPIXEL = ("fit", "poly", "multicorr")
"""How disks can be placed; "fit" is suggested, the others are py4DSTEM's."""

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
    min_signal_to_noise: Annotated[
        float,
        parameter(
            "Least signal-to-noise",
            "Peaks that stand less far out of the noise at their own place are dropped: near the beam and in thick "
            "places a disk must be stronger. The torch engine then also drops what noise makes of diffuse rings and "
            "bands. 0: no such demand. For cross-correlation (power 1) only.",
            min=0.0,
            max=1000.0,
            step=0.5,
        ),
    ] = 0.0
    gain: Annotated[
        float,
        parameter(
            "Counts per electron",
            "Of the detector: it says how strong the noise is. Suggest measures it in the scan's own patterns.",
            min=1e-12,
            max=1e12,
            step=None,
        ),
    ] = 1.0
    dark_noise: Annotated[
        float,
        parameter(
            "Camera's own noise",
            "Variance of a pixel that no electron reached: read-out and rounding. Below 0 where the camera adds counts "
            "that are no electrons (an offset). Suggest measures it, too.",
            unit="counts²",
            min=-1e12,
            max=1e12,
            step=None,
        ),
    ] = 0.0
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
            "fit: where the disk's rim lies, however unevenly it is lit; each disk gets its uncertainty. poly: "
            "parabola through the peak. multicorr: upsampled correlation, slower. py4DSTEM's engine knows no fit: "
            "poly instead.",
            choices=SUBPIXEL,
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
    from napari_4dstem_orient.detection.noise import faintest
    from napari_4dstem_orient.detection.noise_level import measure_noise
    from napari_4dstem_orient.detection.unrest import unrest

    patterns = sample_patterns(scan, samples)
    find_direct_beam(aligned_mean(patterns))
    settings = settings_for_probe(probe)
    noise = measure_noise(patterns, probe, settings.smoothing)
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
