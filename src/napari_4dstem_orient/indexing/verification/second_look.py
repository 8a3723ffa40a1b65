"""Hypotheses from elsewhere, such as a neighbour's: what a pattern's own disks make of each."""

from __future__ import annotations

import math

import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.scoring import Measured, Score, score, score_weight
from napari_4dstem_orient.indexing.settings import ScoreSettings
from napari_4dstem_orient.indexing.verification.features import PoseHypothesis
from napari_4dstem_orient.indexing.verification.network import Verifier

STAYS = math.radians(3)
"""Disks that turn a hypothesis farther speak for another one."""


@torch.inference_mode()
def look_again(
    measured: Measured,
    rotation: torch.Tensor,
    reflector: Reflector,
    verifier: Verifier,
    scoring: ScoreSettings,
    iterations: int,
    against: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, Score]:
    """Verify one hypothesis for each of n patterns, and turn it a little where that raises the evidence.

    Parameters
    ----------
    measured : Measured
    rotation : Tensor, shape (n, 3, 3)
    reflector, verifier, scoring, iterations
        As in ``ranking.rank``.
    against : Tensor, shape (n,)
        Score of the pattern's own answer, relative to which the hypothesis' score is evidence.

    Returns
    -------
    rotation : Tensor, shape (n, 3, 3)
    logit : Tensor, shape (n,)
        Evidence against "none is right".
    score : Score, shape (n,)
    """
    start = pose = PoseHypothesis.of(rotation[:, None])
    weight = score_weight(reflector)
    logit, moved = verifier(measured, pose, reflector)
    found = score(measured, pose.rotation, reflector, scoring)
    evidence = logit + weight * (found.value - against[:, None])
    for _ in range(iterations):
        logit, further = verifier(measured, moved, reflector)
        scored = score(measured, moved.rotation, reflector, scoring)
        told = logit + weight * (scored.value - against[:, None])
        better = (told > evidence) & (start.turn_to(moved) < STAYS)
        pose = pose.copy()
        pose.put(better, moved[better])
        evidence = torch.where(better, told, evidence)
        found = Score(
            torch.where(better, scored.value, found.value),
            torch.where(better, scored.n_matched, found.n_matched),
        )
        moved = further
    return pose.rotation[:, 0], evidence[:, 0], Score(found.value[:, 0], found.n_matched[:, 0])
