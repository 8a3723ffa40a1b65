"""Training a model for a crystal on patterns that this program simulates; resumable, deterministic for a seed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch

from napari_4dstem_orient.core.devices import choose_device
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.version import VERSION
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.models import same_structure
from napari_4dstem_orient.indexing.transformer.checkpoint import (
    AnySettings,
    Model,
    ModelCard,
    load_model,
    save_model,
)
from napari_4dstem_orient.indexing.transformer.network import NetworkSettings
from napari_4dstem_orient.training.curves import save_curves
from napari_4dstem_orient.training.plan import checkpoint_of
from napari_4dstem_orient.training.synthesis import SynthesisSettings
from napari_4dstem_orient.training.trainer import Trainer, TrainingSettings

CARD_PATTERNS = 512
"""Test patterns of each kind for the accuracy on the card."""

Report = Callable[[dict[str, float]], None]


def train_model(
    phases: Sequence[Phase],
    voltage: float,
    k_max: float,
    out: str | Path,
    *,
    precession: float = 0.0,
    settings: TrainingSettings | None = None,
    synthesis: SynthesisSettings | None = None,
    network: AnySettings | None = None,
    others: Sequence[tuple[Phase, float, float]] = (),
    start_from: str | Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
    report: Report | None = None,
) -> Model:
    """Train a model for one or several crystals and write it to ``out``.

    Killed or cancelled, the run goes on from its checkpoint (``out`` with the suffix ``.training``) when called
    again with the same arguments.

    Parameters
    ----------
    phases : sequence of Phase
        One for a single-phase model, more for a joint one.
    voltage : float
        kV.
    k_max : float
        Å⁻¹.
    out : path
        Model file to write (``.safetensors``); its card and its training curves are written beside it.
    precession : float
        Half-angle of the precession cone in degrees.
    settings, synthesis, network
        Defaults suit a cubic metal on a laptop.
    others : sequence of (Phase, kV, degrees)
        Further crystals of the first phase's structure, and beams, to train on: the model then scales with the
        crystal.
    start_from : path, optional
        Begin with another model's weights: a related crystal is learned sooner.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    progress : Progress
        Called with (patterns seen, patterns in all).
    report : callable, optional
        Called with each validation's figures.

    Raises
    ------
    UserError
        If an argument makes no sense or a file cannot be written.
    Cancelled
        If ``progress`` raises it; the checkpoint is written first.
    """
    if not phases:
        raise UserError("Training needs at least one phase.")
    for other, _, _ in others:
        if len(phases) > 1 or not same_structure(phases[0], other):
            raise UserError(
                f"{other.name} is no crystal of {phases[0].name}'s structure; train a model of its own."
            )
    if not (voltage > 0 and k_max > 0 and 0 <= precession < 10):
        raise UserError(
            "Training needs a voltage (kV) and a k_max (Å⁻¹) above zero and a precession below 10°."
        )
    settings = settings or TrainingSettings()
    network = replace(network or NetworkSettings(), phases=len(phases))
    out = Path(out)
    donor = load_model(start_from) if start_from is not None else None
    card = new_card(
        phases, voltage, k_max, precession, settings, synthesis or SynthesisSettings(), network, others, donor
    )
    if donor is not None and {**donor.card.network, "phases": 1} != {**card.network, "phases": 1}:
        raise UserError(
            f"{start_from} has another network size than the model to be trained; start without it."
        )
    trainer = Trainer(card, settings, choose_device(device))
    if donor is not None:
        trainer.network.load_state_dict(_for_phases(donor, len(phases)))
    return train_to_the_end(trainer, out, progress, report)


def _for_phases(donor: Model, phases: int) -> dict[str, torch.Tensor]:
    """Return a model's weights for another number of phases: each begins with what the donor says of its first."""
    weights = donor.network.state_dict()
    if len(donor.card.phases) != phases:
        for name in ("head.2.weight", "head.2.bias"):
            first = weights[name][: len(weights[name]) // len(donor.card.phases)]
            weights[name] = torch.cat([first] * phases)
    return weights


def train_to_the_end(trainer: Trainer, out: Path, progress: Progress, report: Report | None) -> Model:
    """Train from the checkpoint, where there is one, and write the model; for arguments see ``train_model``."""
    state = checkpoint_of(out)
    if state.exists():
        trainer.restore_state(state)
    try:
        with trainer.drawing_ahead():
            _run(trainer, state, progress, report)
    finally:
        if trainer.seen:
            trainer.save_state(state)
    model = trainer.model()
    save_model(with_accuracy(model), out)
    save_curves(trainer.history, model.card.title, out.with_suffix(".png"))
    state.unlink()
    return load_model(out, trainer.device)


def new_card(
    phases: Sequence[Phase],
    voltage: float,
    k_max: float,
    precession: float,
    settings: TrainingSettings,
    synthesis: SynthesisSettings,
    network: AnySettings,
    others: Sequence[tuple[Phase, float, float]],
    donor: Model | None,
) -> ModelCard:
    """Return the card of a model before its training; for arguments see ``train_model``."""
    card = ModelCard(
        phases=[phase.to_dict() for phase in phases],
        voltage=float(voltage),
        k_max=float(k_max),
        precession=float(precession),
        q_span=1.05 * k_max if donor is None else _matching_span(donor, phases[0], k_max),
        network=asdict(network),
        synthesis=synthesis.to_dict(),
        training={**asdict(settings), "start_from": donor.card.data_hash if donor is not None else None},
        data_hash="",
        others=[
            {"phase": phase.to_dict(), "voltage": float(kv), "precession": float(cone)}
            for phase, kv, cone in others
        ],
        program=f"napari-4dstem-orient {VERSION}",
    )
    return replace(card, data_hash=hashlib.sha256(card.to_json().encode()).hexdigest())


def with_accuracy(model: Model) -> Model:
    """Return the model with its measured accuracy on its card (``evaluate`` adds template matching)."""
    from napari_4dstem_orient.training.accuracy import accuracy_table, evaluate_model

    model.network.eval()
    device = model.reflectors[0].g.device.type
    rows = accuracy_table(evaluate_model(model, patterns=CARD_PATTERNS, template_patterns=0, device=device))
    card = replace(model.card, accuracy={**model.card.accuracy, "test": rows})
    return replace(model, card=card)


def _run(trainer: Trainer, state: Path, progress: Progress, report: Report | None) -> None:
    settings = trainer.settings
    losses: list[float] = []
    began = time.monotonic() - trainer.seconds
    while trainer.seen < settings.patterns:
        losses.append(trainer.step())
        trainer.seconds = time.monotonic() - began
        progress(trainer.seen, settings.patterns)
        began = time.monotonic() - trainer.seconds  # the clock stands still while the run is paused
        finished = trainer.seen >= settings.patterns
        if finished or trainer.seen % settings.every < settings.batch:
            figures = {
                "patterns": trainer.seen,
                "training_loss": sum(losses) / len(losses),
                **trainer.validate(),
            }
            trainer.history.append(figures)
            losses.clear()
            trainer.save_state(state)
            if report is not None:
                report(figures)


def _matching_span(donor: Model, phase: Phase, k_max: float) -> float:
    """Return the |q| span that puts the phase's shortest reflection where the donor's was."""
    nearest = Reflector.of(phase, donor.card.voltage, k_max).nearest
    span = donor.card.q_span * nearest / donor.reflectors[0].nearest
    if span < k_max:
        raise UserError("The model to start from saw too few reflections for this k_max; start without it.")
    return span
