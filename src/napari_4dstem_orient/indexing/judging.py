"""From proposed orientations to answers: the referee ranks, corrects and says how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.indexer import Hypotheses
from napari_4dstem_orient.indexing.referee import Pose, Referee, repeated
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
    pose, symmetry = Pose.of(candidate.rotation), candidate.symmetry
    logit, moved = referee(measured, pose, candidate.reflector)
    pose = moved if corrections else pose
    logit = torch.where(repeated(pose.rotation, symmetry), IMPOSSIBLE, logit)
    logit, index = logit.topk(min(FINALISTS, logit.shape[1]), dim=1)
    pose = pose.pick(index)
    if not corrections:
        return pose.rotation, logit
    for _ in range(corrections - 1):
        _, pose = referee(measured, pose, candidate.reflector)
    logit, _ = referee(measured, pose, candidate.reflector)
    logit, order = logit.sort(dim=1, descending=True)
    pose = pose.pick(order)
    return pose.rotation, torch.where(repeated(pose.rotation, symmetry), IMPOSSIBLE, logit)
