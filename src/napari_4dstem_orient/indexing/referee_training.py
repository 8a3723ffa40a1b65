"""Training the referee on hypotheses that pairs of disks suggest, for simulated patterns of many crystals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.referee import MEASURED, Pose, Referee, repeated
from napari_4dstem_orient.indexing.rotations import about_beam, from_vector
from napari_4dstem_orient.indexing.scoring import Measured
from napari_4dstem_orient.indexing.transformer.loss import misorientation_angle
from napari_4dstem_orient.indexing.transformer.synthesis import PatternSource

PASSES = 2
"""Corrections in a row that are trained together."""
PAIRS = ((0, 1), (0, 2), (1, 2))
"""Disks, counted from the strongest, from whose places hypotheses are made."""
EACH_PAIR = 2
SHORTEST = 120
"""Reflections, counted from the shortest, that a pair of disks may be."""
ANY_DIRECTION = 0.98
"""Cosine; closer to a line than this two reflections do not fix an orientation."""
WIDEST = math.radians(8)
"""A hypothesis made from the truth lies at most this far from it."""
UNSURE = math.radians(4)
"""Hypotheses made from pairs are turned by up to this."""
BASIN = math.radians(12)
"""From farther away nobody expects a correction to find the truth."""
RIGHT = math.radians(3)
FINEST = math.radians(0.3)
"""Angle at which the loss of a correction passes from linear to logarithmic."""
HALF_TURNED, ABSENT = 0.3, 0.15
"""Shares of patterns where the hypothesis near the truth is turned by 180° about the beam, or left out."""


@dataclass(frozen=True, eq=False)
class Case:
    """Patterns with hypotheses of one crystal.

    Attributes
    ----------
    measured : Measured
    rotation : Tensor, shape (n, h, 3, 3)
    truth : Tensor, shape (n, 3, 3)
    reflector : Reflector
    symmetry : Tensor, shape (k, 3, 3)
    impostor : bool
        The patterns are another crystal's: every hypothesis is wrong.
    """

    measured: Measured
    rotation: torch.Tensor
    truth: torch.Tensor
    reflector: Reflector
    symmetry: torch.Tensor
    impostor: bool = False

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
        return Case(
            measured, self.rotation[index], self.truth[index], self.reflector, self.symmetry, self.impostor
        )


class PairTable:
    """All pairs of a crystal's shortest reflections, to be looked up by their lengths and the angle between them."""

    def __init__(self, reflector: Reflector, symmetry: torch.Tensor) -> None:
        g = reflector.g[reflector.g.norm(dim=1).argsort(stable=True)[:SHORTEST]]
        # One of each set of equivalent reflections is enough in the first place.
        turned = torch.einsum("kij,mj->mki", symmetry, g)
        tilt = g.new_tensor([1.0, 0.0123, 0.00456])
        first = g[(g @ tilt) >= (turned @ tilt).amax(1) - 1e-6]
        one = first[:, None].expand(-1, len(g), -1).reshape(-1, 3)
        other = g[None].expand(len(first), -1, -1).reshape(-1, 3)
        lengths = torch.stack([one.norm(dim=1), other.norm(dim=1)], 1)
        cosine = (one * other).sum(1) / lengths.prod(1)
        kept = cosine.abs() < ANY_DIRECTION
        self.key = torch.cat([lengths, cosine[:, None] * lengths.mean(1, keepdim=True)], 1)[kept]
        self.frame = frame_of(one[kept], other[kept])

    def hypotheses(
        self, q: torch.Tensor, count: int, blur: float, generator: torch.Generator
    ) -> torch.Tensor:
        """Return orientations in which two disks (n, 2, 2) lie about where reflections do: (n, count, 3, 3)."""
        flat = torch.nn.functional.pad(q, (0, 1))
        one, other = flat.unbind(1)
        lengths = flat.norm(dim=-1).clamp_min(1e-6)
        cosine = (one * other).sum(1) / lengths.prod(1)
        key = torch.cat([lengths, cosine[:, None] * lengths.mean(1, keepdim=True)], 1)
        found = []
        for part, lab in zip(key.split(256), frame_of(one, other).split(256), strict=True):
            apart = torch.cdist(part, self.key)
            noise = blur * torch.rand(apart.shape, generator=generator).to(apart.device)
            index = (apart + noise).topk(count, dim=1, largest=False).indices
            found.append(self.frame[index] @ lab[:, None].transpose(-1, -2))
        return torch.cat(found)


def frame_of(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return right-handed frames (n, 3, 3), axes as columns: along ``one``, and across both the third."""
    along = torch.nn.functional.normalize(one, dim=-1)
    across = torch.nn.functional.normalize(torch.linalg.cross(one, other) + 1e-9, dim=-1)
    return torch.stack([along, torch.linalg.cross(across, along), across], -1)


@torch.no_grad()
def make_case(source: PatternSource, suspect: PatternSource, count: int, generator: torch.Generator) -> Case:
    """Simulate ``count`` patterns of one crystal and make hypotheses for them of another, or of the same one."""
    batch = source.draw(count, MEASURED, generator)
    device = batch.disks.device
    measured = Measured.of(batch.disks, batch.mask, source.k_max)
    symmetry = torch.as_tensor(suspect.phase.symmetry, dtype=torch.float32, device=device)
    table = PairTable(suspect.reflector, symmetry)
    made = [table.hypotheses(batch.disks[:, list(pair), :2], EACH_PAIR, 0.03, generator) for pair in PAIRS]
    near = batch.rotation @ turned_up_to(WIDEST, (count,), generator, device)
    chance = torch.rand(count, generator=generator).to(device)
    near = near @ about_beam((chance < HALF_TURNED) * math.pi)
    far = turned_up_to(math.pi, (count,), generator, device)
    near = torch.where((chance > 1 - ABSENT)[:, None, None], far, near)
    pairs = torch.cat(made, 1)
    pairs = pairs @ turned_up_to(UNSURE, pairs.shape[:2], generator, device)
    rotation = torch.cat([pairs, near[:, None]], 1)
    impostor = suspect is not source
    return Case(measured, rotation, batch.rotation, suspect.reflector, symmetry, impostor)


def turned_up_to(
    angle: float, shape: tuple[int, ...], generator: torch.Generator, device: torch.device
) -> torch.Tensor:
    """Return rotations about random axes by up to an angle in radians: (*shape, 3, 3)."""
    axis = torch.nn.functional.normalize(torch.randn(*shape, 3, generator=generator), dim=-1)
    return from_vector((axis * (angle * torch.rand(*shape, 1, generator=generator))).to(device))


def referee_loss(referee: Referee, case: Case) -> tuple[torch.Tensor, list[tuple[float, ...]]]:
    """Return the loss of a batch, and for each pass ranking loss, correction loss and accuracy of the choice."""
    pose, total = Pose.of(case.rotation), case.truth.new_zeros(())
    figures: list[tuple[float, ...]] = []
    for _ in range(PASSES):
        before = misorientation_angle(pose.rotation, case.truth[:, None], case.symmetry)
        again = repeated(pose.rotation, case.symmetry)
        logit, pose = referee(case.measured, pose, case.reflector)
        after = misorientation_angle(pose.rotation, case.truth[:, None], case.symmetry)
        within = (before < BASIN) & (not case.impostor)
        correction = (torch.log1p(after / FINEST) * within).sum() / within.sum().clamp_min(1)
        right = (after.detach() < RIGHT) & ~again & (not case.impostor)
        evidence = torch.where(again, -1e4, logit)
        evidence = torch.cat([torch.zeros_like(evidence[:, :1]), evidence], 1)
        answer = torch.cat([~right.any(1, keepdim=True), right], 1)
        ranking = (evidence.logsumexp(1) - torch.where(answer, evidence, -1e4).logsumexp(1)).mean()
        total = total + ranking + 0.3 * correction
        chosen = answer.gather(1, evidence.argmax(1, keepdim=True)).float().mean()
        figures.append((ranking.item(), correction.item(), chosen.item()))
        pose = Pose(pose.rotation.detach(), pose.scale.detach(), pose.origin.detach())
    return total, figures
