"""How well phases are told apart, on simulated patterns of each with its truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.indexing.settings import AcceptanceSettings
from napari_4dstem_orient.indexing.transformer.checkpoint import Model
from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer
from napari_4dstem_orient.training.accuracy import EVERY_ANSWER, angles_to_truth, make_test_set, timed_index

KINDS = ("published", "noisy")
CLEAR = 0.5
"""Phase margin from which a phase counts as told."""


@dataclass(frozen=True)
class PhaseAccuracy:
    """One row of the table of phases; shares of patterns.

    Attributes
    ----------
    phase, patterns : str
    count : int
    right : float
        Patterns whose phase is right.
    told : float
        Patterns whose phase margin is at least ``CLEAR``.
    right_of_told : float
        Of these, those whose phase is right.
    right_of_mapped : float
        Of the patterns with as many disks as a map asks for by default, those whose phase is right.
    within_5 : float
        Patterns whose phase is right and whose orientation is within 5°.
    within_5_alone : float
        Patterns within 5° where only this phase is looked for.
    """

    phase: str
    patterns: str
    count: int
    right: float
    told: float
    right_of_told: float
    right_of_mapped: float
    within_5: float
    within_5_alone: float


def evaluate_phases(
    models: Sequence[Model],
    patterns: int = 2048,
    device: str = "auto",
    progress: Progress = silent,
) -> list[PhaseAccuracy]:
    """Map patterns of each model's phases with all models together, and with the one alone."""
    together = TransformerIndexer(models, acceptance=EVERY_ANSWER, device=device)
    rows: list[PhaseAccuracy] = []
    number = 0
    total = len(KINDS) * len(together.phases)
    for model in models:
        alone = TransformerIndexer([model], acceptance=EVERY_ANSWER, device=device)
        for own, crystal in enumerate(model.crystals):
            for kind in KINDS:
                test = make_test_set(model, own, kind, patterns)
                joint, single = (timed_index(indexer, test.disks)[0] for indexer in (together, alone))
                angle = angles_to_truth(joint, test.truth, crystal, number)
                angle_alone = angles_to_truth(single, test.truth, crystal, own)
                right = joint.phase_id[0] == number
                assert joint.certainty is not None
                told = joint.certainty.phase_margin[0] >= CLEAR
                mapped = test.disks.counts[0] >= AcceptanceSettings().min_disks
                rows.append(
                    PhaseAccuracy(
                        crystal.name,
                        kind,
                        patterns,
                        float(right.mean()),
                        float(told.mean()),
                        float(right[told].mean()) if told.any() else float("nan"),
                        float(right[mapped].mean()) if mapped.any() else float("nan"),
                        float((angle < 5).mean()),
                        float((angle_alone < 5).mean()),
                    )
                )
                progress(len(rows), total)
            number += 1
    return rows
