"""What the detection is told, and what the data themselves suggest telling it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from napari_4dstem_orient.core.optional import ENGINES, why_not
from napari_4dstem_orient.core.parameters import parameter

SUBPIXEL = ("fit", "poly", "multicorr")
"""How disks can be placed; "fit" is suggested, the others are py4DSTEM's."""


@dataclass(frozen=True)
class DetectionSettings:
    """How Bragg disks are told from the rest of a pattern.

    Intensities are those of the correlation with the probe: mean counts per pixel of a disk above its
    surroundings.
    """

    min_intensity: Annotated[
        float,
        parameter(
            "Min. intensity",
            "Disks weaker than this are dropped. Lower it until false disks appear between the real ones: "
            "weak disks tell how the crystal is tilted (py4DSTEM: minAbsoluteIntensity).",
            unit="counts/px",
            min=0.0,
            max=1e12,
            step=None,
        ),
    ] = 0.0
    min_relative_intensity: Annotated[
        float,
        parameter(
            "Min. relative intensity",
            "Disks weaker than this share of the pattern's strongest disk are dropped. "
            "Raise it if a very strong direct beam is surrounded by false disks (py4DSTEM: minRelativeIntensity).",
            min=0.0,
            max=1.0,
            step=0.0001,
        ),
    ] = 0.0005
    min_signal_to_noise: Annotated[
        float,
        parameter(
            "Min. signal-to-noise",
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
    unrest: Annotated[
        float,
        parameter(
            "Uneven ground",
            "How many times more uneven than its noise the ground between disks is: halos and rings make peaks of "
            "their own. Signal-to-noise ratios are divided by it. Suggest measures it, too.",
            min=1.0,
            max=1000.0,
            step=0.1,
        ),
    ] = 1.0
    min_spacing: Annotated[
        float,
        parameter(
            "Min. peak spacing",
            "Of two disks closer than this the weaker is dropped. About one and a half disk radii "
            "(py4DSTEM: minPeakSpacing).",
            unit="px",
            min=0.0,
            max=500.0,
            step=0.5,
        ),
    ] = 4.0
    edge: Annotated[
        int,
        parameter(
            "Edge exclusion",
            "Disks this close to the detector's rim are dropped: they are cut off and badly placed "
            "(py4DSTEM: edgeBoundary).",
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
        parameter(
            "Max. peaks",
            "Only the strongest disks of a pattern are kept (py4DSTEM: maxNumPeaks).",
            min=1,
            max=2000,
        ),
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
            why_not=why_not,
        ),
    ] = "torch"
