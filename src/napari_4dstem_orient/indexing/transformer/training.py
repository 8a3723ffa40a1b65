"""Training a model for a crystal on patterns that this program simulates; resumable, deterministic for a seed."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from napari_4dstem_orient import __version__
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.devices import choose_device
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.indexing.models import same_structure
from napari_4dstem_orient.indexing.resumable import read_story, restore_state, save_state
from napari_4dstem_orient.indexing.transformer.checkpoint import (
    AnySettings,
    Model,
    ModelCard,
    build_network,
    load_model,
    save_model,
)
from napari_4dstem_orient.indexing.transformer.curves import save_curves
from napari_4dstem_orient.indexing.transformer.loss import hypothesis_loss
from napari_4dstem_orient.indexing.transformer.network import NetworkSettings
from napari_4dstem_orient.indexing.transformer.synthesis import Batch, PatternSource, SynthesisSettings
from napari_4dstem_orient.progress import Progress, silent

VALIDATION_SEED = 1_000_003
VALIDATION_PATTERNS = 2048
CARD_PATTERNS = 512
"""Test patterns of each kind for the accuracy on the card."""
LENGTH_BUCKETS = 4
"""A batch is cut by number of disks, so that short patterns do not pay for long ones."""

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to train.

    Attributes
    ----------
    patterns : int
        Training patterns in all; each is drawn once and never seen again.
    batch : int
        Patterns in one step.
    learning_rate : float
        Peak of the schedule (linear warm-up, then cosine to zero).
    seed : int
        Determines weights and patterns.
    every : int
        Patterns between validations and checkpoints.
    """

    patterns: int = 2_000_000
    batch: int = 512
    learning_rate: float = 1.5e-3
    seed: int = 0
    every: int = 51_200


class Trainer:
    """A training run: everything that changes from step to step, and how to save and restore it."""

    def __init__(self, card: ModelCard, settings: TrainingSettings, device: torch.device) -> None:
        torch.manual_seed(settings.seed)
        self.card = card
        self.settings = settings
        self.device = device
        phases = card.crystals
        self.symmetries = [
            torch.as_tensor(phase.symmetry, dtype=torch.float32, device=device) for phase in phases
        ]
        synthesis = SynthesisSettings(**card.synthesis)
        self.sources = [
            [
                PatternSource(crystal, voltage, card.k_max * stretch, synthesis, precession, device)
                for crystal, voltage, precession, stretch in conditions
            ]
            for conditions in card.conditions
        ]
        self.reflectors = tuple(sources[0].reflector for sources in self.sources)
        self.network = build_network(card).to(device)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), settings.learning_rate, weight_decay=0.01
        )
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.seen = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        checker = torch.Generator().manual_seed(VALIDATION_SEED)
        self.validation = [
            self._draw(phase, turn, VALIDATION_PATTERNS // len(sources), checker)
            for phase, sources in enumerate(self.sources)
            for turn in range(len(sources))
        ]
        self.validated_phase = [
            phase for phase, sources in enumerate(self.sources) for _ in range(len(sources))
        ]

    def _draw(self, phase: int, turn: int, count: int, generator: torch.Generator) -> Batch:
        """Draw patterns of a phase under the beam whose turn it is, on the scale of the model's own crystal."""
        source = self.sources[phase][turn % len(self.sources[phase])]
        batch = source.draw(count, self.network.settings.tokens, generator, self.network.canonical)
        scale = batch.disks.new_tensor([self.card.k_max / source.k_max] * 2 + [1.0])
        return Batch(batch.disks * scale, batch.mask, batch.rotation)

    def step(self) -> float:
        """Train on one batch of every phase and return the mean loss."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * self._schedule()
        self.optimizer.zero_grad()
        share = self.settings.batch // len(self.sources)
        total = 0.0
        for phase in range(len(self.sources)):
            batch = self._draw(phase, self.seen // self.settings.batch, share, self.generator)
            for part in _by_length(batch):
                loss, _ = self._loss(part, phase)
                loss = loss * (len(part.disks) / self.settings.batch)
                loss.backward()
                total += loss.item()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.seen += self.settings.batch
        return total

    def _schedule(self) -> float:
        done = self.seen / self.settings.patterns
        warm = min(1.0, (self.seen + self.settings.batch) / (100 * self.settings.batch))
        return warm * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * min(done, 1.0)))))

    def _loss(self, batch: Batch, phase: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss, and the angles of the phase's hypotheses with the one of the highest logit first."""
        rotations, logits = self.network(batch.disks, batch.mask)
        count = self.network.settings.hypotheses
        own = slice(phase * count, (phase + 1) * count)
        # The ranking runs over all phases' hypotheses: a softmax over them also says which phase it is.
        elsewhere = torch.cat([logits[:, own], logits[:, : own.start], logits[:, own.stop :]], 1)
        loss, angles = hypothesis_loss(rotations[:, own], elsewhere, batch.rotation, self.symmetries[phase])
        chosen = logits[:, own].argmax(1, keepdim=True)
        return loss, torch.cat([angles.gather(1, chosen), angles], 1)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return loss and accuracy on the fixed validation patterns (angles in degrees)."""
        self.network.eval()
        losses, angles = [], []
        for phase, batch in zip(self.validated_phase, self.validation, strict=True):
            loss, found = self._loss(batch, phase)
            losses.append(loss)
            angles.append(torch.rad2deg(found))
        first, best = torch.cat(angles)[:, 0], torch.cat(angles)[:, 1:].amin(1)
        return {
            "validation_loss": float(torch.stack(losses).mean()),
            "median": float(first.median()),
            "within_5": float((first < 5).float().mean()),
            "best_median": float(best.median()),
            "best_within_5": float((best < 5).float().mean()),
        }

    def model(self) -> Model:
        """Return what has been learned so far as a model."""
        spent = {"patterns_seen": self.seen, "seconds": round(self.seconds), "history": self.history}
        accuracy = {"validation": self.history[-1]} if self.history else {}
        card = replace(self.card, training=self.card.training | spent, accuracy=accuracy)
        return Model(card, self.network, card.crystals, self.reflectors)

    def save_state(self, path: Path) -> None:
        """Write everything needed to go on later."""
        story = {
            "seen": self.seen,
            "seconds": self.seconds,
            "history": self.history,
            "data_hash": self.card.data_hash,
            "card": asdict(self.card),
        }
        save_state(path, self.network, self.optimizer, self.generator, story)

    def restore_state(self, path: Path) -> None:
        """Go on from what ``save_state`` wrote.

        Raises
        ------
        UserError
            If the file belongs to another training run or is damaged.
        """
        story = read_story(path)
        if story.get("data_hash") != self.card.data_hash:
            raise UserError(
                f"{path} belongs to a training with other settings; remove it or name another model file."
            )
        restore_state(path, self.network, self.optimizer, self.generator)
        self.seen, self.seconds, self.history = story["seen"], story["seconds"], story["history"]


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


def checkpoint_of(out: str | Path) -> Path:
    """Return where the training of a model file keeps its checkpoint."""
    return Path(out).with_suffix(".training")


def train_to_the_end(trainer: Trainer, out: Path, progress: Progress, report: Report | None) -> Model:
    """Train from the checkpoint, where there is one, and write the model; for arguments see ``train_model``."""
    state = checkpoint_of(out)
    if state.exists():
        trainer.restore_state(state)
    try:
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
        network=network.to_dict(),
        synthesis=synthesis.to_dict(),
        training={**asdict(settings), "start_from": donor.card.data_hash if donor is not None else None},
        data_hash="",
        others=[
            {"phase": phase.to_dict(), "voltage": float(kv), "precession": float(cone)}
            for phase, kv, cone in others
        ],
        program=f"napari-4dstem-orient {__version__}",
    )
    return replace(card, data_hash=hashlib.sha256(card.to_json().encode()).hexdigest())


def with_accuracy(model: Model) -> Model:
    """Return the model with its measured accuracy on its card (``evaluate`` adds template matching)."""
    from napari_4dstem_orient.indexing.evaluation import accuracy_table, evaluate_model

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


def _by_length(batch: Batch) -> list[Batch]:
    order = batch.mask.sum(1).argsort(stable=True)
    parts = []
    for index in order.chunk(LENGTH_BUCKETS):
        mask = batch.mask[index]
        longest = int(mask.sum(1).max())
        parts.append(Batch(batch.disks[index, :longest], mask[:, :longest], batch.rotation[index]))
    return parts


def _matching_span(donor: Model, phase: Phase, k_max: float) -> float:
    """Return the |q| span that puts the phase's shortest reflection where the donor's was."""
    nearest = Reflector.of(phase, donor.card.voltage, k_max).nearest
    span = donor.card.q_span * nearest / donor.reflectors[0].nearest
    if span < k_max:
        raise UserError("The model to start from saw too few reflections for this k_max; start without it.")
    return span
