"""Which of many crystals could be here: all are looked for in the same patterns, and one verifier compares them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.base import Hypotheses
from napari_4dstem_orient.indexing.methods import Asked
from napari_4dstem_orient.indexing.methods.transformer import by_templates

POSITIONS = 64
"""Scan positions that are looked at by default, all over the scan."""
SPEAKING = 4
"""Sure disks, the direct beam apart, from which a position is looked at by default."""


@dataclass(frozen=True)
class PhaseEvidence:
    """What speaks for a crystal.

    Attributes
    ----------
    phase : Phase
    share : float
        Of the positions, about how many it explains: the mean of its probabilities among all crystals and none.
    likeliest : int
        Positions where it is likelier than each other crystal, and than none.
    score : float
        Median of its best orientations' scores, 0 to 1; NaN without any.
    n_matched : float
        Median number of disks that these match.
    """

    phase: Phase
    share: float
    likeliest: int
    score: float
    n_matched: float


def speaking_positions(disks: BraggDisks, count: int = POSITIONS) -> np.ndarray:
    """Return up to ``count`` scan positions with enough sure disks, evenly all over the scan, as flat indices."""
    speaking = np.flatnonzero(disks.sure().counts.ravel() > SPEAKING)
    return speaking[np.linspace(0, len(speaking) - 1, min(count, len(speaking))).round().astype(int)]


def identify_phases(
    disks: BraggDisks,
    phases: Sequence[Phase],
    voltage: float,
    positions: Sequence[int] | np.ndarray | None = None,
    precession: float = 0.0,
    device: str = "auto",
) -> list[PhaseEvidence]:
    """Say which crystals could be at some scan positions, those that explain most of them first.

    Parameters
    ----------
    disks : BraggDisks
        Calibrated: in Å⁻¹, centred, in the scan frame.
    phases : sequence of Phase
        Any number of crystals; all are found by their templates, so that none has an advantage.
    voltage : float
        kV.
    positions : sequence of int, optional
        Flat indices of scan positions (row × columns + column); by default ``speaking_positions``.
    precession : float
        Half-angle of the precession cone in degrees.
    device : "auto", "cpu", "cuda" or "mps"

    Raises
    ------
    UserError
        No phase is given, the disks are not calibrated, or no position has enough disks.
    """
    chosen = speaking_positions(disks) if positions is None else np.asarray(positions, int)
    if not len(chosen):
        raise UserError(
            f"No scan position has more than {SPEAKING} sure disks; choose positions, or detect more."
        )
    farthest = float(np.hypot(disks.qx, disks.qy).max(initial=0))
    asked = Asked(tuple(phases), voltage, precession, disks.reach, farthest, device=device)
    indexer = by_templates(asked)
    tried, found = indexer.answer(*indexer.read(disks, chosen, indexer.reach(disks)))
    if found is None:
        raise UserError("No disk of these scan positions stands out of the noise; choose others.")
    evidence = [_evidence(phase, number, found, len(tried)) for number, phase in enumerate(phases)]
    return sorted(evidence, key=lambda each: -each.share)


def _evidence(phase: Phase, number: int, found: Hypotheses, positions: int) -> PhaseEvidence:
    assert found.probability is not None
    own = found.phase_id == number
    share = np.where(own, found.probability, 0).sum(1)
    others = [
        np.where(found.phase_id == each, found.probability, 0).sum(1) for each in np.unique(found.phase_id)
    ]
    none = 1 - found.probability.sum(1)
    best = np.where(own, found.probability, -1).argmax(1)
    rows = np.flatnonzero(own.any(1))
    return PhaseEvidence(
        phase,
        float(share.sum() / positions),
        int((share >= np.max([*others, none], axis=0)).sum()),
        float(np.median(found.score[rows, best[rows]])) if len(rows) else float("nan"),
        float(np.median(found.n_matched[rows, best[rows]])) if len(rows) else float("nan"),
    )
