"""A training from its plan to its model: minutes become patterns, and what was stopped is gone on with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Literal

from napari_4dstem_orient.core.devices import choose_device
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.version import VERSION
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.transformer.checkpoint import AnySettings, Model, ModelCard, card_of
from napari_4dstem_orient.indexing.transformer.network import NetworkSettings
from napari_4dstem_orient.indexing.transformer.published import (
    PUBLISHED,
    PUBLISHED_LEARNING_RATE,
    PublishedSettings,
)
from napari_4dstem_orient.training.budget import (
    check_budget,
    measure_speed,
    patterns_within,
    refuse_too_large,
)
from napari_4dstem_orient.training.plan import GAIN, TrainingPlan, checkpoint_of
from napari_4dstem_orient.training.resumable import damaged, read_story
from napari_4dstem_orient.training.synthesis import SynthesisSettings, published_synthesis
from napari_4dstem_orient.training.trainer import Trainer, TrainingSettings
from napari_4dstem_orient.training.training import (
    Report,
    train_model,
    train_to_the_end,
)

SETTINGS = TrainingSettings(every=20_480)
"""All but length and seed: a point on the curves, and a checkpoint, every few seconds."""

Architecture = Literal["own", "published"]
"""What is trained, and on what: this program's network on patterns with everything that detection does to them, or
the published network on the published patterns, to compare with."""

Tell = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Unfinished:
    """A training that was stopped.

    Attributes
    ----------
    card : ModelCard
        What it trains for.
    settings : TrainingSettings
        How long and how fast it trains.
    seen : int
        Patterns trained on so far.
    history : list of dict
        The figures of its validations.
    """

    card: ModelCard
    settings: TrainingSettings
    seen: int
    history: list[dict[str, float]]


def find_unfinished(out: str | Path) -> Unfinished | None:
    """Return the stopped training of a model file, if there is one.

    Raises
    ------
    UserError
        Its checkpoint is damaged.
    """
    path = checkpoint_of(out)
    if not path.exists():
        return None
    with damaged(path):
        story = read_story(path)
        card = card_of(story["card"])
        told = {field.name: card.training[field.name] for field in fields(TrainingSettings)}
        settings = from_plain(TrainingSettings, told)
        return Unfinished(card, settings, int(story["seen"]), list(story["history"]))


def train_plan(
    phases: Sequence[Phase],
    plan: TrainingPlan,
    out: str | Path,
    *,
    patterns: int | None = None,
    architecture: Architecture = "own",
    others: Sequence[tuple[Phase, float, float]] = (),
    start_from: str | Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
    report: Report | None = None,
    tell: Tell = lambda text: None,
) -> Model:
    """Train as planned and write the model to ``out``; for what is not listed see ``train_model``.

    The number of patterns is fixed at the start, by timing a few steps, and kept in the checkpoint: stopped, the
    same call goes on to the same model.

    Parameters
    ----------
    plan : TrainingPlan
    patterns : int, optional
        Train on exactly as many, however long it takes.
    architecture : {"own", "published"}
    tell : callable
        Called with what the user should know, in a sentence: what a model gains, how many patterns fit, that they
        are too few.

    Raises
    ------
    UserError
        A crystal is too large, or of too low symmetry for the minutes.
    """
    if plan.voltage is None:
        raise UserError("Training needs the accelerating voltage; enter it in kV.")
    refuse_too_large(phases, plan.k_max)
    settings = replace(SETTINGS, seed=plan.seed)
    synthesis = SynthesisSettings(thickness=plan.thickness)
    network: AnySettings = NetworkSettings()
    if architecture == PUBLISHED:
        settings = replace(settings, learning_rate=PUBLISHED_LEARNING_RATE)
        synthesis, network = published_synthesis(plan.thickness), PublishedSettings()
    train = partial(
        train_model,
        phases,
        plan.voltage,
        plan.k_max,
        precession=plan.precession,
        synthesis=synthesis,
        network=network,
        others=others,
        start_from=start_from,
        device=device,
    )
    begun = find_unfinished(out) if patterns is None else None
    if begun is not None:
        patterns = begun.settings.patterns
        tell(f"Going on: {begun.seen:,} of {patterns:,} patterns are done.")
    else:
        tell(GAIN)
    if patterns is None:
        tell("Measuring how fast this device trains …")
        patterns = patterns_within(plan.minutes, measure_speed(train, settings, progress), settings)
        tell(f"{patterns:,} patterns fit into {plan.minutes:g} min.")
        if shortage := check_budget(phases, plan.k_max, plan.minutes, patterns):
            tell(shortage)
    return train(out=out, settings=replace(settings, patterns=patterns), progress=progress, report=report)


def resume(
    out: str | Path, device: str = "auto", progress: Progress = silent, report: Report | None = None
) -> Model:
    """Go on with the stopped training of a model file, with nothing but its checkpoint.

    Raises
    ------
    UserError
        There is none, it is damaged, or another version of this program began it.
    """
    begun = find_unfinished(out)
    if begun is None:
        raise UserError(f"There is no stopped training of {out}.")
    program = f"napari-4dstem-orient {VERSION}"
    if begun.card.program != program:
        raise UserError(
            f"{begun.card.program} began the training of {out} and this is {program}; train it anew under another name."
        )
    trainer = Trainer(begun.card, begun.settings, choose_device(device))
    return train_to_the_end(trainer, Path(out), progress, report)
