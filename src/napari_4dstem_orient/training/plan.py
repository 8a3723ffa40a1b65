"""A training as a user asks for it; knows nothing of how it is done, so its form opens without torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.parameters import parameter

THICKNESS = (10.0, 3000.0)
"""Å; the thinnest and the thickest specimen that a model knows unless it is told otherwise."""
GAIN = (
    "Any crystal is mapped without a model. One helps where patterns have few disks and the crystal is not cubic: on "
    "simulated patterns of titanium by two points at most. On multislice images of copper, titanium and Cu₂O it "
    "changes nothing."
)
"""What a model gains, as `napari-4dstem-orient evaluate` and `tools/measure_proposals.py` print it."""


@dataclass(frozen=True)
class TrainingPlan:
    """What to train for and how long."""

    voltage: Annotated[
        float | None, parameter("Voltage", "Of the scans that the model will map.", unit="kV", min=1)
    ] = None
    k_max: Annotated[
        float,
        parameter(
            "k range",
            "Disks up to here are used. The detector's reach is the most that helps; less trains faster.",
            unit="Å⁻¹",
            min=0.2,
            max=5.0,
            step=0.1,
        ),
    ] = 1.5
    precession: Annotated[
        float, parameter("Precession", "Half-angle of the cone; 0 for a still beam.", unit="°", min=0, max=5)
    ] = 0.0
    thinnest: Annotated[
        float, parameter("Thickness from", "The thinnest specimen it shall know.", unit="Å", min=1, max=1e5)
    ] = THICKNESS[0]
    thickest: Annotated[
        float, parameter("Thickness to", "The thickest specimen it shall know.", unit="Å", min=1, max=1e5)
    ] = THICKNESS[1]
    minutes: Annotated[
        float,
        parameter(
            "Budget", "How long to train; longer is better.", unit="minutes", min=0.5, max=10_000, step=5
        ),
    ] = 15.0
    seed: Annotated[
        int,
        parameter("Seed", "The same seed and number of patterns give the same model.", min=0, max=2**31 - 1),
    ] = 0

    @property
    def thickness(self) -> tuple[float, float]:
        """The range of thickness in Å.

        Raises
        ------
        UserError
            It is none.
        """
        if not 0 < self.thinnest < self.thickest:
            raise UserError(
                f"{self.thinnest:g} to {self.thickest:g} Å is no range of thickness; give the thinner first."
            )
        return self.thinnest, self.thickest


def checkpoint_of(out: str | Path) -> Path:
    """Return where the training of a model file keeps its checkpoint."""
    return Path(out).with_suffix(".training")


def files_of_training(out: str | Path) -> list[Path]:
    """Return the files that a training writes: the model, its card and curves, and until it ends a checkpoint."""
    out = Path(out)
    return [out, out.with_suffix(".json"), out.with_suffix(".png"), checkpoint_of(out)]
