"""How the pattern of an answer is predicted for the eye; needs no torch, so that a form can be made at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from napari_4dstem_orient.parameters import parameter


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
