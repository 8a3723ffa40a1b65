"""How good a model is, on simulated patterns that it has not seen, with template matching beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from napari_4dstem_orient.disks import BraggDisks
from napari_4dstem_orient.indexing.indexer import AcceptanceSettings, Indexer
from napari_4dstem_orient.indexing.rotations import random_rotations
from napari_4dstem_orient.indexing.template import TemplateMatcher
from napari_4dstem_orient.indexing.transformer.checkpoint import Model, load_model
from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer, TransformerSettings
from napari_4dstem_orient.indexing.transformer.loss import misorientation_angle
from napari_4dstem_orient.indexing.transformer.synthesis import PatternSource, SynthesisSettings
from napari_4dstem_orient.progress import Progress, silent

SEED = 2_000_003
"""Neither training (its own seed) nor validation draws these patterns."""

LISTED = 64
"""Disks of a test pattern, at most."""

CLEAN = SynthesisSettings(
    dynamical_share=0.0,
    intensity_noise=0.1,
    scatter=(0.001, 0.002),
    scale_error=0.0,
    origin_error=0.0,
    threshold=(0.002, 0.005),
    missing=0.0,
    false_peaks=0,
    second_crystal=0.0,
)
"""Kinematic patterns with hardly any noise: what every method should do well."""

EVERY_ANSWER = AcceptanceSettings(min_disks=2, min_score=0.0)


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


def evaluate_model(
    model: Model | str | Path,
    patterns: int = 4096,
    template_patterns: int = 256,
    device: str = "auto",
    progress: Progress = silent,
) -> list[Accuracy]:
    """Measure a model on random orientations of each of its phases, on clean and on realistic patterns.

    Parameters
    ----------
    model : Model or path
    patterns : int
        Patterns of each kind for the model.
    template_patterns : int
        How many of them template matching gets too (it is slow); 0 leaves it out.
    device : str
    progress : Progress
        Called with (rows done, rows in all).
    """
    if not isinstance(model, Model):
        model = load_model(model)
    kinds = {"clean": CLEAN, "realistic": SynthesisSettings(**model.card.synthesis)}
    methods = _methods(model, device, template_patterns > 0)
    rows: list[Accuracy] = []
    total = len(kinds) * len(methods) * len(model.reflectors)
    for phase, crystal in enumerate(model.card.crystals):
        symmetry = torch.as_tensor(crystal.symmetry, dtype=torch.float32)
        for kind, settings in kinds.items():
            source = PatternSource(model.reflectors[phase], model.card.k_max, settings)
            truth, disks = _test_scan(source, patterns)
            for method, make in methods.items():
                count = template_patterns if method.startswith("template") else patterns
                indexer = make()
                indexer.index(_first(disks, 1))  # libraries and graphs are made before the clock starts
                began = time.perf_counter()
                answer = indexer.index(_first(disks, count))
                seconds = time.perf_counter() - began
                found = torch.from_numpy(answer.rotation[0])
                angle = np.rad2deg(misorientation_angle(found, truth[:count], symmetry).numpy())
                rows.append(_row(crystal.name, kind, method, angle, count / seconds))
                progress(len(rows), total)
    return rows


def accuracy_table(rows: Sequence[Accuracy]) -> list[dict[str, object]]:
    """Return rows as plain JSON values, rounded for a model card."""
    return [
        {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(row).items()}
        for row in rows
    ]


def _methods(model: Model, device: str, template: bool) -> dict[str, Callable[[], Indexer]]:
    card = model.card
    alone = TransformerSettings(frames=1, refined=0)
    methods: dict[str, Callable[[], Indexer]] = {
        "network, referee": lambda: TransformerIndexer([model], alone, EVERY_ANSWER, device=device),
        "network, referee, refinement": lambda: TransformerIndexer(
            [model], None, EVERY_ANSWER, device=device
        ),
    }
    if template:
        matcher = TemplateMatcher(
            card.crystals, card.voltage, card.k_max, card.precession, acceptance=EVERY_ANSWER
        )
        methods["template matching, 2°"] = lambda: matcher
    return methods


def _test_scan(source: PatternSource, patterns: int) -> tuple[torch.Tensor, BraggDisks]:
    generator = torch.Generator().manual_seed(SEED)
    truth = random_rotations(patterns, generator)
    listed, mask = source.detect(truth.to(source.reflector.g.device), generator, LISTED)
    lists = [disks[inside] for disks, inside in zip(listed.cpu().numpy(), mask.cpu().numpy(), strict=True)]
    return truth, BraggDisks.from_lists((1, patterns), lists, calibrated=True)


def _first(disks: BraggDisks, count: int) -> BraggDisks:
    end = int(disks.offsets[count])
    return BraggDisks(
        (1, count),
        disks.offsets[: count + 1],
        disks.qx[:end],
        disks.qy[:end],
        disks.intensity[:end],
        calibrated=True,
        reach=disks.reach,
    )


def _row(phase: str, patterns: str, method: str, angle: np.ndarray, per_second: float) -> Accuracy:
    return Accuracy(
        phase,
        patterns,
        method,
        len(angle),
        float(np.median(angle)),
        float(angle.mean()),
        float((angle < 2).mean()),
        float((angle < 5).mean()),
        float((angle > 34.377).mean()),
        float(per_second),
    )
