"""Which models there are, and which one fits a scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.indexing.transformer.checkpoint import ModelCard, read_card
from napari_4dstem_orient.resource_files import resource

VOLTAGE_TOLERANCE = 0.05
"""Relative; the Ewald sphere's curvature changes little within it."""

PRECESSION_TOLERANCE = 0.3
"""Degrees."""


@dataclass(frozen=True, eq=False)
class AvailableModel:
    """A model file and its card."""

    path: Path
    card: ModelCard


def list_models(*folders: str | Path) -> list[AvailableModel]:
    """Return the bundled models and those in further folders; files that are no models are passed over."""
    found = []
    for folder in (resource("models"), *map(Path, folders)):
        for path in sorted(folder.glob("*.safetensors")):
            try:
                found.append(AvailableModel(path, read_card(path)))
            except UserError:
                continue
    return found


def why_not(
    card: ModelCard,
    phases: Sequence[Phase],
    voltage: float | None,
    reach: float | None,
    precession: float = 0.0,
) -> str | None:
    """Say why a model does not fit, or return None if it does.

    A model fits by crystal (cell, atoms and symmetry, never by name), voltage and k range.

    Parameters
    ----------
    card : ModelCard
    phases : sequence of Phase
        The crystals looked for; the model must know at least one of them and no other.
    voltage : float or None
        kV of the scan.
    reach : float or None
        Å⁻¹ up to which the scan's detector sees every direction.
    precession : float
        Half-angle in degrees.
    """
    for crystal in card.crystals:
        if not any(crystal.same_crystal(phase) for phase in phases):
            wanted = ", ".join(phase.name for phase in phases) or "none"
            return f"it was trained for {crystal.name} (a = {crystal.cell[0]:.3f} Å), another crystal than {wanted}"
    if voltage is None:
        return "the scan's voltage is unknown"
    if abs(card.voltage - voltage) > VOLTAGE_TOLERANCE * card.voltage:
        return f"it was trained for {card.voltage:g} kV, the scan was taken at {voltage:g} kV"
    if reach is not None and reach < 0.5 * card.k_max:
        return f"it expects disks up to {card.k_max:g} Å⁻¹, the detector only reaches {reach:.2g} Å⁻¹"
    if abs(card.precession - precession) > PRECESSION_TOLERANCE:
        return f"it was trained for {card.precession:g}° precession, the scan has {precession:g}°"
    return None


def choose_models(
    available: Sequence[AvailableModel],
    phases: Sequence[Phase],
    voltage: float | None,
    reach: float | None = None,
    precession: float = 0.0,
) -> list[AvailableModel]:
    """Return the fewest fitting models that know all phases, or raise why there are none.

    Raises
    ------
    UserError
        Naming the phase without a model and why each candidate does not fit.
    """
    fitting = [
        model for model in available if why_not(model.card, phases, voltage, reach, precession) is None
    ]
    fitting.sort(key=lambda model: (-len(model.card.phases), abs(model.card.precession - precession)))
    chosen: list[AvailableModel] = []
    for phase in phases:
        if any(_knows(model, phase) for model in chosen):
            continue
        model = next((model for model in fitting if _knows(model, phase)), None)
        if model is None:
            reasons = [
                why_not(model.card, [phase], voltage, reach, precession)
                for model in available
                if _knows(model, phase)
            ]
            because = f": {reasons[0]}" if reasons else ""
            raise UserError(
                f"No model fits {phase.name}{because}; train one with 'napari-4dstem-orient train' or use template "
                "matching."
            )
        chosen.append(model)
    return chosen


def _knows(model: AvailableModel, phase: Phase) -> bool:
    return any(crystal.same_crystal(phase) for crystal in model.card.crystals)
