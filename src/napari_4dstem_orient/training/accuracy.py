"""How good a model is, on simulated patterns that it has not seen, with template matching beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.optional import installed_engines
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.crystals.rotations import random_rotations
from napari_4dstem_orient.indexing.base import Indexer
from napari_4dstem_orient.indexing.settings import AcceptanceSettings, TemplateSettings, TransformerSettings
from napari_4dstem_orient.indexing.template.indexer import TemplateMatcher
from napari_4dstem_orient.indexing.transformer.checkpoint import Model, load_model
from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer
from napari_4dstem_orient.training.synthesis import (
    PatternSource,
    SynthesisSettings,
    published_synthesis,
)

SEED = 2_000_003
"""Neither training (its own seed) nor validation draws these patterns."""

LISTED = 64
"""Disks of a test pattern, at most."""

SIMULATED = 2048
"""Patterns simulated at a time."""

EVERY_ANSWER = AcceptanceSettings(min_disks=2, min_score=0.0, min_reliability=0.0)

ALONE = "network alone"
"""Its first choice, without templates and verifier."""
WITHOUT = "templates, verifier, refinement"
"""The method that maps are made with where there is no model: what it leaves is what the network gains."""
IN_USE = "templates, network, verifier, refinement"
"""The method that maps are made with: the network proposes where templates convince nobody."""
RELIABLE_HALF = ", reliable half"

REFERENCE = "py4DSTEM"
"""Its template matching is named so, that of torch, which finds the same, "template matching"."""

BEYOND = 34.377
"""Degrees; the published 0.6 rad."""

PUBLISHED_CELLS = (2.0, 1000.0)
"""Thickness of the published patterns in unit cells."""

PUBLISHED_CUT = 0.04
"""Å⁻¹; largest excitation error of the published patterns' beams."""

KINDS = ("published", "noisy", "mis-scaled", "sparse")
"""Test patterns: the published distribution (Bloch waves, nothing disturbed); with everything that detection does to
lists of disks; the published one with the pixel size wrong by 1 % either way; its 4 to 7 strongest disks only."""


@dataclass(frozen=True)
class Accuracy:
    """One row of the accuracy table; angles are symmetry-reduced misorientations from the truth, in degrees.

    Attributes
    ----------
    phase, patterns, method : str
    count : int
        Patterns tried.
    median, mean : float
    within_2, within_5, beyond_34 : float
        Shares of patterns; 34.4° is the paper's 0.6 rad.
    per_second : float
        Patterns indexed a second, on the device of the run.
    """

    phase: str
    patterns: str
    method: str
    count: int
    median: float
    mean: float
    within_2: float
    within_5: float
    beyond_34: float
    per_second: float


@dataclass(frozen=True, eq=False)
class TestSet:
    """Patterns of one phase with their truth.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    disks : BraggDisks
        A scan of one row, calibrated.
    truth : Tensor, shape (n, 3, 3)
    """

    kind: str
    disks: BraggDisks
    truth: torch.Tensor

    def first(self, count: int) -> BraggDisks:
        """Return the disks of the first ``count`` patterns."""
        one_a_row = replace(self.disks, scan_shape=(self.disks.counts.size, 1))
        return replace(one_a_row.rows(0, count), scan_shape=(1, count))


@dataclass(frozen=True, eq=False)
class Trial:
    """One method's answers to a test set.

    Attributes
    ----------
    phase : int
        The test set's, counted in the model.
    crystal : Phase
    test : TestSet
    method : str
    answer : OrientationMap
        Of the first n patterns.
    angle : ndarray, shape (n,)
        To the truth, degrees; see ``angles_to_truth``.
    per_second : float
    """

    phase: int
    crystal: Phase
    test: TestSet
    method: str
    answer: OrientationMap
    angle: np.ndarray
    per_second: float

    @property
    def truth(self) -> np.ndarray:
        """True orientations, shape (n, 3, 3)."""
        return self.test.truth[: len(self.angle)].numpy()

    @property
    def reliability(self) -> np.ndarray | None:
        """What the method says about each answer, shape (n,), where it knows."""
        certainty = self.answer.certainty
        return None if certainty is None else certainty.reliability[0]

    def rows(self) -> list[Accuracy]:
        """Return the row of the table, and for the method in use that of its more reliable half."""
        rows = [accuracy(self.crystal.name, self.test.kind, self.method, self.angle, self.per_second)]
        if self.method == IN_USE and self.reliability is not None:
            half = np.argsort(-self.reliability, kind="stable")[: max(len(self.angle) // 2, 1)]
            name = self.method + RELIABLE_HALF
            rows.append(accuracy(self.crystal.name, self.test.kind, name, self.angle[half], self.per_second))
        return rows


def evaluate_model(
    model: Model | str | Path,
    patterns: int = 4096,
    template_patterns: int = 256,
    device: str = "auto",
) -> list[Accuracy]:
    """Measure a model on random orientations of each of its phases; for arguments see ``run_trials``."""
    trials = run_trials(model, patterns, template_patterns, device)
    return [row for trial in trials for row in trial.rows()]


def run_trials(
    model: Model | str | Path,
    patterns: int,
    template_patterns: int,
    device: str = "auto",
    progress: Progress = silent,
    tell: Callable[[Trial], None] = lambda trial: None,
) -> list[Trial]:
    """Let every method answer test sets of random orientations of each of a model's phases.

    Parameters
    ----------
    model : Model or path
    patterns : int
        Patterns of each kind for the model.
    template_patterns : int
        How many of them py4DSTEM's own template matching gets too, where it is installed (it is slow); 0 leaves out
        ours as well, which gets all.
    device : str
    progress : Progress
        Called with (trials done, trials in all).
    tell : callable
        Called with each trial as soon as it is done.
    """
    if not isinstance(model, Model):
        model = load_model(model)
    trials: list[Trial] = []
    methods = methods_for(model, device, template_patterns > 0)
    total = len(KINDS) * len(model.reflectors) * len(methods)
    for phase, crystal in enumerate(model.crystals):
        for kind in KINDS:
            test = make_test_set(model, phase, kind, patterns)
            for method, make in methods.items():
                count = min(template_patterns, patterns) if method.startswith(REFERENCE) else patterns
                answer, per_second = timed_index(make(), test.first(count))
                angle = angles_to_truth(answer, test.truth[:count], crystal, phase)
                trials.append(Trial(phase, crystal, test, method, answer, angle, per_second))
                tell(trials[-1])
                progress(len(trials), total)
    return trials


def timed_index(indexer: Indexer, disks: BraggDisks) -> tuple[OrientationMap, float]:
    """Map disks and return the map and patterns a second; libraries and graphs are made before the clock starts."""
    indexer.index(disks.only(0, 0))
    began = time.perf_counter()
    answer = indexer.index(disks)
    return answer, disks.counts.size / (time.perf_counter() - began)


def angles_to_truth(
    answer: OrientationMap, truth: torch.Tensor, crystal: Phase, phase: int = 0
) -> np.ndarray:
    """Return each pattern's angle to the truth in degrees; 180 where another phase, or none, was answered."""
    angle = misorientation(answer.rotation[0], truth.numpy(), crystal)
    return np.where(answer.phase_id[0] == phase, angle, 180.0)


def accuracy_table(rows: Sequence[Accuracy]) -> list[dict[str, object]]:
    """Return rows as plain JSON values, rounded for a model card."""
    return [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(row).items()}
        for row in rows
    ]


def methods_for(model: Model, device: str, template: bool) -> dict[str, Callable[[], Indexer]]:
    """Return what is compared, by name; indexers are made when called for."""
    card = model.card
    alone = TransformerSettings(reference_disks=1, verify=False)
    untrained = tuple(zip(model.crystals, model.reflectors, strict=True))
    methods: dict[str, Callable[[], Indexer]] = {
        ALONE: lambda: TransformerIndexer([model], alone, EVERY_ANSWER, device),
        WITHOUT: lambda: TransformerIndexer((), None, EVERY_ANSWER, device, untrained),
        IN_USE: lambda: TransformerIndexer([model], None, EVERY_ANSWER, device),
    }
    if template:
        for engine in installed_engines():
            name = {"torch": "template matching", "py4DSTEM": REFERENCE}[engine]
            for step in (2.0, 1.0):
                matcher = TemplateMatcher(
                    model.crystals,
                    card.voltage,
                    card.k_max,
                    card.precession,
                    TemplateSettings(zone_axis_step=step, engine=engine),
                    EVERY_ANSWER,
                    device=device,
                )
                methods[f"{name}, {step:g}°"] = lambda matcher=matcher: matcher  # type: ignore[misc]
    return methods


def make_test_set(model: Model, phase: int, kind: str, patterns: int) -> TestSet:
    """Simulate patterns of one of ``KINDS`` in random orientations of a model's phase."""
    lists, truth = simulate(model, phase, settings_of(kind, model, phase), patterns, SEED)
    random = np.random.default_rng(SEED)
    if kind == "mis-scaled":
        scales = (
            [s, s, 1.0] for s in 1 + 0.01 * (1 - 2 * (np.arange(len(lists)) % 2))
        )  # too large, too small
        lists = [rows * np.array(scale, np.float32) for rows, scale in zip(lists, scales, strict=True)]
    if kind == "sparse":
        lists = [rows[: random.integers(4, 8)] for rows in lists]
    return TestSet(kind, BraggDisks.from_lists((1, patterns), lists, calibrated=True), truth)


def simulate(
    model: Model, phase: int, settings: SynthesisSettings, patterns: int, seed: int
) -> tuple[list[np.ndarray], torch.Tensor]:
    """Return disk lists of random orientations of a model's phase, and these orientations."""
    card, device = model.card, model.reflectors[phase].g.device
    source = PatternSource(model.crystals[phase], card.voltage, card.k_max, settings, card.precession, device)
    generator = torch.Generator().manual_seed(seed)
    truth = random_rotations(patterns, generator)
    lists: list[np.ndarray] = []
    for part in truth.split(SIMULATED):
        disks, mask = source.detect(part.to(device), generator, LISTED)
        rows, inside = disks.cpu().numpy(), mask.cpu().numpy()
        lists += [row[within] for row, within in zip(rows, inside, strict=True)]
    return lists, truth


def settings_of(kind: str, model: Model, phase: int) -> SynthesisSettings:
    """Return how patterns of a kind are simulated: for every model alike, however it was trained."""
    if kind == "noisy":
        low, high = model.card.synthesis["thickness"]
        return SynthesisSettings(thickness=(low, high), clean_share=0.0)
    cell = model.crystals[phase].cell[0]
    return published_synthesis((PUBLISHED_CELLS[0] * cell, PUBLISHED_CELLS[1] * cell))


def accuracy(phase: str, patterns: str, method: str, angle: np.ndarray, per_second: float) -> Accuracy:
    """Return one row of the table from angles to the truth in degrees."""
    return Accuracy(
        phase,
        patterns,
        method,
        len(angle),
        float(np.median(angle)),
        float(angle.mean()),
        float((angle < 2).mean()),
        float((angle < 5).mean()),
        float((angle > BEYOND).mean()),
        float(per_second),
    )
