"""One training run of a network: its patterns and steps, its validation, and how it is stopped and gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.indexing.transformer.checkpoint import Model, ModelCard, build_network
from napari_4dstem_orient.training.loss import hypothesis_loss
from napari_4dstem_orient.training.resumable import read_story, restore_state, save_state
from napari_4dstem_orient.training.synthesis import Batch, PatternSource, SynthesisSettings

VALIDATION_SEED = 1_000_003
VALIDATION_PATTERNS = 2048
LENGTH_BUCKETS = 4
"""A batch is cut by number of disks, so that short patterns do not pay for long ones."""


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast to train.

    Steps are AdamW's (I. Loshchilov and F. Hutter, ICLR 2019), their size follows a cosine (the same, ICLR 2017).

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
        self._drawer: ThreadPoolExecutor | None = None
        self._next: Future[list[Batch]] | None = None
        self._before_next = self.generator.get_state()
        self.seen = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        checker = torch.Generator().manual_seed(VALIDATION_SEED)
        self.validation = [
            (phase, self._draw(phase, turn, VALIDATION_PATTERNS // len(sources), checker))
            for phase, sources in enumerate(self.sources)
            for turn in range(len(sources))
        ]

    def _draw(self, phase: int, turn: int, count: int, generator: torch.Generator) -> Batch:
        """Draw patterns of a phase under the beam whose turn it is, on the scale of the model's own crystal."""
        source = self.sources[phase][turn % len(self.sources[phase])]
        batch = source.draw(count, self.network.settings.tokens, generator, self.network.canonical)
        scale = batch.disks.new_tensor([self.card.k_max / source.k_max] * 2 + [1.0])
        return Batch(batch.disks * scale, batch.mask, batch.rotation)

    @contextmanager
    def drawing_ahead(self) -> Iterator[None]:
        """Draw the patterns of each step while the step before learns from its own: half of the threads for each."""
        threads = torch.get_num_threads()
        if self.device.type != "cpu" or threads == 1:
            yield
            return
        half = threads // 2
        torch.set_num_threads(half)
        self._drawer = ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(half,))
        try:
            yield
        finally:
            self._drawer.shutdown()
            self._drawer = None
            torch.set_num_threads(threads)

    def _patterns(self) -> list[Batch]:
        """Return this step's patterns of each phase, and have those of the next drawn."""
        if self._next is None:
            patterns = self._draw_all(self.seen)
        else:
            patterns, self._next = self._next.result(), None
        if self._drawer is not None and self.seen + self.settings.batch < self.settings.patterns:
            self._before_next = self.generator.get_state()
            self._next = self._drawer.submit(self._draw_all, self.seen + self.settings.batch)
        return patterns

    def _draw_all(self, seen: int) -> list[Batch]:
        share, turn = self.settings.batch // len(self.sources), seen // self.settings.batch
        return [self._draw(phase, turn, share, self.generator) for phase in range(len(self.sources))]

    def step(self) -> float:
        """Train on one batch of every phase and return the mean loss."""
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.learning_rate * self._schedule()
        self.optimizer.zero_grad()
        total = 0.0
        for phase, batch in enumerate(self._patterns()):
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
        for phase, batch in self.validation:
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
        generator = self.generator
        if self._next is not None:  # what was drawn ahead will be drawn again
            generator = torch.Generator()
            generator.set_state(self._before_next)
        save_state(path, self.network, self.optimizer, generator, story)

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


def _by_length(batch: Batch) -> list[Batch]:
    order = batch.mask.sum(1).argsort(stable=True)
    parts = []
    for index in order.chunk(LENGTH_BUCKETS):
        mask = batch.mask[index]
        longest = int(mask.sum(1).max())
        parts.append(Batch(batch.disks[index, :longest], mask[:, :longest], batch.rotation[index]))
    return parts
