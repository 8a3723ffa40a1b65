"""How much of each disturbance a model bears, with template matching beside it on the same patterns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.indexing.transformer.checkpoint import Model
from napari_4dstem_orient.training.accuracy import (
    IN_USE,
    SEED,
    Accuracy,
    accuracy,
    angles_to_truth,
    methods_for,
    simulate,
    timed_index,
)
from napari_4dstem_orient.training.synthesis import SynthesisSettings

TEMPLATE = "template matching, 2°"

CLEAN = SynthesisSettings(
    thickness=(50.0, 1000.0),
    kinematic_share=0.0,
    excitation_cut=0.04,
    averaged_share=0.0,
    clean_share=0.0,
    intensity_noise=0.0,
    scatter=(1e-6, 1e-6),
    uneven=1.0,
    scale_error=0.0,
    origin_error=0.0,
    threshold=(0.004, 0.004),
    missing=0.0,
    false_peaks=0,
    second_crystal=0.0,
    edge=(1.0, 1.0),
)
"""Bloch waves and nothing disturbed, but the few saturated patterns and beam stops that are always there."""


@dataclass(frozen=True)
class Knob:
    """A disturbance that is turned up while the others stay off.

    Attributes
    ----------
    field : str
        Of ``SynthesisSettings``.
    label, unit : str
    values : tuple of float
        As the field has them; of a range, both ends.
    shown : float
        A value times this is in ``unit``.
    """

    field: str
    label: str
    unit: str
    values: tuple[float, ...]
    shown: float = 1.0

    def at(self, value: float) -> SynthesisSettings:
        """Return ``CLEAN`` with this knob turned to a value."""
        ranged = isinstance(getattr(CLEAN, self.field), tuple)
        changed: dict[str, Any] = {self.field: (value, value) if ranged else value}
        return replace(CLEAN, **changed)

    @property
    def title(self) -> str:
        """Label with unit."""
        return f"{self.label} ({self.unit})" if self.unit else self.label

    def text(self, value: float) -> str:
        """Return what a table says about a value."""
        return f"{self.label} {value * self.shown:g} {self.unit}".rstrip()


KNOBS = (
    Knob("scatter", "position scatter", "Å⁻¹", (0.0003, 0.001, 0.003, 0.01, 0.02)),
    Knob("scale_error", "pixel size off by up to", "%", (0.005, 0.01, 0.02, 0.04), 100),
    Knob("origin_error", "origin error", "Å⁻¹", (0.002, 0.005, 0.01, 0.02)),
    Knob("false_peaks", "false peaks, up to", "", (2, 6, 12)),
    Knob("missing", "missing disks, up to", "%", (0.2, 0.4, 0.6), 100),
    Knob("threshold", "weakest disk kept", "% of the strongest", (0.001, 0.01, 0.05, 0.15), 100),
    Knob("intensity_noise", "noise of log intensity, up to", "", (0.2, 0.5, 1.0)),
    Knob("second_crystal", "patterns with a second crystal", "%", (0.25, 0.5, 1.0), 100),
    Knob("thickness", "thickness", "Å", (30, 100, 300, 1000, 3000)),
)


@dataclass(frozen=True)
class Reading:
    """Accuracy of one method with one knob at one value."""

    knob: Knob
    value: float
    accuracy: Accuracy


def measure_robustness(
    model: Model, patterns: int, device: str = "auto", progress: Progress = silent
) -> list[Reading]:
    """Measure a model (with verifier and refinement) and template matching (2°) against each knob.

    Parameters
    ----------
    model : Model
    patterns : int
        At each value of each knob, for both methods.
    device : str
    progress : Progress
        Called with (readings done, readings in all).
    """
    total = 2 * len(model.reflectors) * sum(len(knob.values) for knob in KNOBS)
    methods = methods_for(model, device, template=True)
    indexers = {name: methods[name]() for name in (IN_USE, TEMPLATE)}
    readings: list[Reading] = []
    for phase, crystal in enumerate(model.crystals):
        for knob in KNOBS:
            for value in knob.values:
                lists, truth = simulate(model, phase, knob.at(value), patterns, SEED)
                disks = BraggDisks.from_lists((1, patterns), lists, calibrated=True)
                for method, indexer in indexers.items():
                    answer, per_second = timed_index(indexer, disks)
                    angle = angles_to_truth(answer, truth, crystal, phase)
                    row = accuracy(crystal.name, knob.text(value), method, angle, per_second)
                    readings.append(Reading(knob, value, row))
                    progress(len(readings), total)
    return readings
