"""What a user may set about finding orientations; knows nothing of how it is done, so forms open without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from napari_4dstem_orient.core.limits import MOST_CRYSTALS
from napari_4dstem_orient.core.optional import ENGINES, why_not
from napari_4dstem_orient.core.parameters import parameter


@dataclass(frozen=True)
class ScoreSettings:
    """How measured and predicted disks are compared."""

    tolerance: Annotated[
        float,
        parameter(
            "Position tolerance",
            "Distance at which a predicted and a measured disk stop being the same one; raise it for distorted or "
            "badly scaled patterns.",
            "Å⁻¹",
            min=0.005,
            max=0.2,
            step=0.005,
        ),
    ] = 0.035
    excitation_width: Annotated[
        float,
        parameter(
            "Excitation error width",
            "How far a reflection may be from the Ewald sphere and still be seen (Gaussian width); thin crystals "
            "need more.",
            "Å⁻¹",
            min=0.002,
            max=0.1,
            step=0.002,
        ),
    ] = 0.02
    intensity_power: Annotated[
        float,
        parameter(
            "Intensity power",
            "Intensities enter the score to this power: 1 trusts them, 0 compares positions only.",
            min=0.0,
            max=1.0,
            step=0.05,
        ),
    ] = 0.4


@dataclass(frozen=True)
class AcceptanceSettings:
    """Which answers are given at all."""

    min_disks: Annotated[
        int,
        parameter(
            "Fewest disks",
            "Of disks without a signal-to-noise ratio (those of other programs): positions with fewer, the direct beam "
            "apart, are not indexed. Others are judged by their answer.",
            min=2,
            max=30,
        ),
    ] = 4
    min_score: Annotated[
        float | None,
        parameter(
            "Lowest score",
            "Answers that explain the disks less well than this are not shown (0 to 1). If empty, 0.25: noise hardly "
            "ever reaches it, and few electrons on a background leave right answers little more. Where no reliability "
            "is known 0.3.",
            min=0.0,
            max=1.0,
            step=0.05,
            empty="by method",
        ),
    ] = None
    min_reliability: Annotated[
        float,
        parameter(
            "Lowest reliability",
            "Answers that are less likely right than this are not shown (0 to 1; only where reliability is known).",
            min=0.0,
            max=1.0,
            step=0.05,
        ),
    ] = 0.1
    min_phase_margin: Annotated[
        float,
        parameter(
            "Lowest phase margin",
            "Of several phases, the answer's must be so much likelier than the next (0 to 1; only where reliability is "
            "known).",
            min=0.0,
            max=1.0,
            step=0.05,
        ),
    ] = 0.0
    neighbours: Annotated[
        bool,
        parameter(
            "Neighbours speak",
            "Positions that may be one crystal are indexed together too, and what they measured decides where the "
            "disks of one alone hardly tell twins apart. Without it each position is judged alone.",
        ),
    ] = True
    crystals: Annotated[
        int,
        parameter(
            "Most crystals",
            "In one pattern. Where the first leaves clear disks over, what they say is looked for too, and the first "
            "is looked at again without the other's disks (only where reliability is known); 1: only the first.",
            min=1,
            max=MOST_CRYSTALS,
        ),
    ] = MOST_CRYSTALS

    def least_score(self, reliability_known: bool) -> float:
        """Return the lowest score of answers that are shown, of a method that knows their reliability or does not."""
        if self.min_score is not None:
            return self.min_score
        return 0.25 if reliability_known else 0.3


@dataclass(frozen=True)
class TransformerSettings:
    """How the network's answers are used."""

    FORMERLY: ClassVar[dict[str, str | None]] = {
        "frames": "reference_disks",
        "pairs": None,
        "two_disk_seeds": None,
        "corrections": "refinement_iterations",
        "referee": "verify",
    }

    reference_disks: Annotated[
        int,
        parameter(
            "Reference disks",
            "Without verification: read a pattern up to this many times, turned so that its strongest, second "
            "strongest … disk lies on +x.",
            min=1,
            max=5,
        ),
    ] = 3
    template_hypotheses: Annotated[
        int,
        parameter(
            "Template hypotheses",
            "Where the likeliest templates of a coarse library convince nobody, try so many more, and what a fitting "
            "network proposes; 0: only the first.",
            min=0,
            max=64,
        ),
    ] = 8
    refinement_iterations: Annotated[
        int,
        parameter(
            "Refinement iterations",
            "So many times the best hypotheses are turned to where the disks say they should be; 0 only chooses "
            "among the network's own.",
            min=0,
            max=6,
        ),
    ] = 3
    verify: Annotated[
        bool,
        parameter(
            "Verify and refine",
            "Choose among the hypotheses by what physics predicts, and correct the best. Without it a fitting "
            "network's first choice stands as it is, or the likeliest coarse template: some five times faster, wrong "
            "far more often, and nothing says how reliable it is.",
        ),
    ] = True


@dataclass(frozen=True)
class TemplateSettings:
    """A template library, and what matches it."""

    zone_axis_step: Annotated[
        float,
        parameter(
            "Zone axis step",
            "Angle between neighbouring zone axes of the template library; smaller is finer and slower.",
            "°",
            min=0.5,
            max=10.0,
            step=0.5,
        ),
    ] = 2.0
    in_plane_step: Annotated[
        float,
        parameter("In-plane step", "Angle between in-plane rotations.", "°", min=0.5, max=10.0, step=0.5),
    ] = 2.0
    kernel: Annotated[
        float,
        parameter(
            "Correlation kernel",
            "Distance at which a measured and a template disk stop overlapping; less where a crystal's reflections lie "
            "close together.",
            "Å⁻¹",
            min=0.01,
            max=0.5,
            step=0.01,
        ),
    ] = 0.08
    excitation_width: Annotated[
        float,
        parameter(
            "Excitation error width",
            "How far a reflection may be from the Ewald sphere and still be in a template (Gaussian width); less where "
            "a crystal's reflections lie close together.",
            "Å⁻¹",
            min=0.002,
            max=0.1,
            step=0.002,
        ),
    ] = 0.03
    intensity_power: Annotated[
        float | None,
        parameter(
            "Intensity power",
            "Measured and template intensities enter the correlation to this power: 1 trusts them, 0 compares "
            "positions only. If empty, 0.25, and 0.5 under precession, which makes intensities more kinematic.",
            min=0.0,
            max=1.0,
            step=0.05,
            empty="by precession",
        ),
    ] = None
    matches: Annotated[
        int, parameter("Matches", "Orientations returned for each position, best first.", min=1, max=4)
    ] = 2
    verify: Annotated[
        bool,
        parameter(
            "Say how reliable",
            "The transformer's verifier looks at the matches beside hypotheses of its own, and says how likely each is "
            "right; the matches stay as they are. Without it: four times faster.",
        ),
    ] = True
    engine: Annotated[
        str,
        parameter(
            "Engine",
            "torch matches many patterns at once with this program's templates; py4DSTEM, with its own, one after the "
            "other, and takes a hundred times as long.",
            choices=ENGINES,
            why_not=why_not,
        ),
    ] = "torch"

    def power(self, precession: float) -> float:
        """Return the power of the intensities under so much precession (half-angle in degrees)."""
        if self.intensity_power is not None:
            return self.intensity_power
        return 0.5 if precession else 0.25


@dataclass(frozen=True)
class PredictionSettings:
    """How the inspector predicts the pattern of an answer; maps are made without it."""

    physics: Annotated[
        Literal["kinematic", "two-beam", "Bloch waves"],
        parameter(
            "Predict",
            "Kinematic: weak scattering, every thickness alike. Two-beam: each reflection alone exchanges electrons "
            "with the direct beam. Bloch waves: all strong beams scatter among each other.",
        ),
    ] = "kinematic"
    excitation_width: Annotated[
        float,
        parameter(
            "Width",
            "How far from the Ewald sphere reflections still show (Gaussian width of the excitation error); "
            "wider for thin crystals. Kinematic only.",
            "Å⁻¹",
            min=0.005,
            max=0.06,
            step=0.001,
        ),
    ] = 0.02
    thickness: Annotated[
        float,
        parameter(
            "Thickness",
            "Of the crystal along the beam. Two-beam and Bloch waves only.",
            "Å",
            min=10.0,
            max=1500.0,
            step=10.0,
        ),
    ] = 300.0
