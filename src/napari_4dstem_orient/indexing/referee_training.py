"""Training the referee on what trained networks propose for simulated patterns of many crystals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.models import fitted
from napari_4dstem_orient.indexing.referee import MEASURED, Referee
from napari_4dstem_orient.indexing.rotations import about_beam, from_vector
from napari_4dstem_orient.indexing.scoring import Measured
from napari_4dstem_orient.indexing.transformer.checkpoint import Model
from napari_4dstem_orient.indexing.transformer.loss import misorientation_angle
from napari_4dstem_orient.indexing.transformer.proposals import propose
from napari_4dstem_orient.indexing.transformer.synthesis import PatternSource, SynthesisSettings

PASSES = 2
"""Corrections in a row that are trained together."""
PROPOSED = 5
"""Of the network's proposals this many are judged, the best one among them."""
WIDEST = math.radians(8)
"""A hypothesis made from the truth lies at most this far from it."""
BASIN = math.radians(12)
"""From farther away nobody expects a correction to find the truth."""
RIGHT = math.radians(3)
ALIKE = math.radians(2)
FINEST = math.radians(0.3)
"""Angle at which the loss of a correction passes from linear to logarithmic."""


@dataclass(frozen=True, eq=False)
class Case:
    """Patterns of one crystal with hypotheses.

    Attributes
    ----------
    measured : Measured
    rotation : Tensor, shape (n, h, 3, 3)
        Hypotheses of the right phase.
    truth : Tensor, shape (n, 3, 3)
    reflector : Reflector
    symmetry : Tensor, shape (k, 3, 3)
    """

    measured: Measured
    rotation: torch.Tensor
    truth: torch.Tensor
    reflector: Reflector
    symmetry: torch.Tensor

    def batches(self, size: int, generator: torch.Generator) -> list[Case]:
        """Return the case in shuffled pieces, patterns with about as many disks together."""
        noise = 4 * torch.rand(len(self.truth), generator=generator)
        order = (self.measured.mask.sum(1).cpu() + noise).argsort()
        pieces = [self._of(index.to(self.truth.device)) for index in order.split(size)]
        return [pieces[number] for number in torch.randperm(len(pieces), generator=generator)]

    def _of(self, index: torch.Tensor) -> Case:
        longest = max(int(self.measured.mask[index].sum(1).max()), 1)
        measured = Measured(
            self.measured.q[index, :longest],
            self.measured.intensity[index, :longest],
            self.measured.mask[index, :longest],
            self.measured.reach,
        )
        return Case(measured, self.rotation[index], self.truth[index], self.reflector, self.symmetry)


@torch.no_grad()
def make_case(
    model: Model, source: PatternSource, count: int, frames: int, generator: torch.Generator
) -> Case:
    """Simulate ``count`` patterns and let the model propose hypotheses for them."""
    batch = source.draw(count, MEASURED, generator)
    measured = Measured.of(batch.disks, batch.mask, source.k_max)
    proposed = propose(model, batch.disks, batch.mask, frames)[0]
    symmetry = torch.as_tensor(source.phase.symmetry, dtype=torch.float32, device=proposed.device)
    best = misorientation_angle(proposed, batch.rotation[:, None], symmetry).argmin(1)
    chance = torch.rand(proposed.shape[:2], generator=generator).to(proposed.device)
    chance.scatter_(1, best[:, None], 2.0)
    picked = chance.topk(PROPOSED, dim=1).indices
    picked = torch.gather(proposed, 1, picked[..., None, None].expand(-1, -1, 3, 3))
    axis = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    turn = (axis * (WIDEST * torch.rand(count, 1, generator=generator))).to(proposed.device)
    near = batch.rotation @ from_vector(turn)
    half_turn = (torch.rand(count, generator=generator) < 0.3) * math.pi
    near = near @ about_beam(half_turn.to(proposed.device))
    rotation = torch.cat([picked, near[:, None]], 1)
    return Case(measured, rotation, batch.rotation, source.reflector, symmetry)


def referee_loss(referee: Referee, case: Case) -> tuple[torch.Tensor, list[tuple[float, ...]]]:
    """Return the loss of a batch, and for each pass ranking loss, correction loss and accuracy of the choice."""
    rotation, total = case.rotation, case.truth.new_zeros(())
    figures: list[tuple[float, ...]] = []
    for _ in range(PASSES):
        verdict = referee(case.measured, rotation, case.reflector)
        before = misorientation_angle(rotation, case.truth[:, None], case.symmetry)
        after = misorientation_angle(verdict.rotation, case.truth[:, None], case.symmetry)
        within = before < BASIN
        correction = (torch.log1p(after / FINEST) * within).sum() / within.sum().clamp_min(1)
        again = repeated(rotation, case.symmetry)
        right = (after.detach() < RIGHT) & ~again
        evidence = torch.where(again, -1e4, verdict.logit)
        evidence = torch.cat([torch.zeros_like(evidence[:, :1]), evidence], 1)
        answer = torch.cat([~right.any(1, keepdim=True), right], 1)
        ranking = (evidence.logsumexp(1) - torch.where(answer, evidence, -1e4).logsumexp(1)).mean()
        total = total + ranking + 0.3 * correction
        chosen = answer.gather(1, evidence.argmax(1, keepdim=True)).float().mean()
        figures.append((ranking.item(), correction.item(), chosen.item()))
        rotation = verdict.rotation.detach()
    return total, figures


def repeated(rotation: torch.Tensor, symmetry: torch.Tensor, alike: float = ALIKE) -> torch.Tensor:
    """Return which hypotheses (n, h, 3, 3) nearly equal an earlier one of the same pattern: (n, h)."""
    apart = misorientation_angle(rotation[:, :, None], rotation[:, None], symmetry)
    return torch.tril(apart < alike, -1).any(-1)


def sources_of(
    models: Sequence[Model], settings: SynthesisSettings, device: torch.device
) -> list[tuple[Model, PatternSource]]:
    """Return every crystal and beam that the models were trained on, with the model fitted to it."""
    found = []
    for model in models:
        for crystal, voltage, precession, stretch in model.card.conditions[0]:
            k_max = model.card.k_max * stretch
            suited = fitted(model, [crystal], voltage, precession)
            found.append((suited, PatternSource(crystal, voltage, k_max, settings, precession, device)))
    return found
