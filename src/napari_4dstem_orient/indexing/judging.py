"""From proposed orientations to answers: the referee ranks, corrects and says how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.indexer import Hypotheses
from napari_4dstem_orient.indexing.referee import Referee
from napari_4dstem_orient.indexing.referee_training import repeated
from napari_4dstem_orient.indexing.scoring import Measured, ScoreSettings, score

FINALISTS = 5
"""Hypotheses of each phase that are corrected more than once and ranked again."""

IMPOSSIBLE = -1e4
"""Logit of a hypothesis that repeats another."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A phase with proposed orientations for n patterns.

    Attributes
    ----------
    phase_id : int
    rotation : Tensor, shape (n, h, 3, 3)
    reflector : Reflector
    symmetry : Tensor, shape (k, 3, 3)
    """

    phase_id: int
    rotation: torch.Tensor
    reflector: Reflector
    symmetry: torch.Tensor


@torch.inference_mode()
def judge(
    measured: Measured,
    candidates: Sequence[Candidate],
    referee: Referee,
    scoring: ScoreSettings,
    corrections: int,
    keep: int,
) -> Hypotheses:
    """Rank the proposals of all phases together, likeliest first.

    Parameters
    ----------
    measured : Measured
        n patterns.
    candidates : sequence of Candidate
    referee : Referee
    scoring : ScoreSettings
        Of the score that is reported; it takes no part in the choice.
    corrections : int
        So many times the best proposals are turned to where the disks say they should be; 0 leaves them.
    keep : int
        Hypotheses to return.
    """
    found = [_finalists(measured, each, referee, corrections) for each in candidates]
    logits = torch.cat([torch.zeros_like(found[0][1][:, :1]), *(logit for _, logit in found)], 1)
    likely = logits.softmax(1)
    parts = []
    start = 1
    for each, (rotation, logit) in zip(candidates, found, strict=True):
        scored = score(measured, rotation, each.reflector, scoring)
        parts.append(
            Hypotheses(
                rotation.cpu().numpy(),
                np.full(tuple(logit.shape), each.phase_id, np.int32),
                scored.value.cpu().numpy(),
                scored.explained.cpu().numpy(),
                likely[:, start : start + logit.shape[1]].cpu().numpy(),
            )
        )
        start += logit.shape[1]
    preference = [part.probability for part in parts if part.probability is not None]
    return Hypotheses.join(parts, keep, preference)


def _finalists(
    measured: Measured, candidate: Candidate, referee: Referee, corrections: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the best few hypotheses of a phase, (n, f, 3, 3), and their logits, (n, f)."""
    rotation, symmetry = candidate.rotation, candidate.symmetry
    verdict = referee(measured, rotation, candidate.reflector)
    moved = verdict.rotation if corrections else rotation
    logit = torch.where(repeated(moved, symmetry), IMPOSSIBLE, verdict.logit)
    logit, index = logit.topk(min(FINALISTS, logit.shape[1]), dim=1)
    rotation = torch.gather(moved, 1, index[..., None, None].expand(-1, -1, 3, 3))
    if not corrections:
        return rotation, logit
    for _ in range(corrections - 1):
        rotation = referee(measured, rotation, candidate.reflector).rotation
    verdict = referee(measured, rotation, candidate.reflector)
    order = verdict.logit.argsort(1, descending=True)
    rotation = torch.gather(rotation, 1, order[..., None, None].expand(-1, -1, 3, 3))
    logit = verdict.logit.gather(1, order)
    return rotation, torch.where(repeated(rotation, symmetry), IMPOSSIBLE, logit)
