"""Orientations that the places of two disks suggest: coarse, but they need no training."""

from __future__ import annotations

import torch

from napari_4dstem_orient.crystals.kinematic import Reflector

STRONG, PAIRS = 6, 3
"""Hypotheses are made from the places of the strongest disk and, of the next few, those farthest from its row."""
SHORTEST = 300
"""Reflections, counted from the shortest, that a pair of disks may be."""
ANYWHERE = (1.0, 0.0123, 0.00456)
"""A direction without symmetry; of equivalent reflections the farthest along it stands for all."""
ANY_DIRECTION = 0.98
"""Cosine; closer to a line than this two reflections do not fix an orientation."""
CHUNK = 256


class PairTable:
    """All pairs of a crystal's shortest reflections, to be looked up by their lengths and the angle between them."""

    def __init__(self, reflector: Reflector, symmetry: torch.Tensor) -> None:
        g = reflector.g[reflector.g.norm(dim=1).argsort(stable=True)[:SHORTEST]]
        turned = torch.einsum("kij,mj->mki", symmetry, g)
        height = g @ g.new_tensor(ANYWHERE)
        heights = turned @ g.new_tensor(ANYWHERE)
        firsts, others = [], []
        # Of pairs that a symmetry makes equal only one is kept.
        for first, moved in zip(
            g[height >= heights.amax(1) - 1e-6], turned[height >= heights.amax(1) - 1e-6], strict=True
        ):
            fixing = (moved - first).norm(dim=1) < 1e-4
            second = g[height >= heights[:, fixing].amax(1) - 1e-6]
            firsts.append(first.expand(len(second), -1))
            others.append(second)
        one, other = torch.cat(firsts), torch.cat(others)
        lengths = torch.stack([one.norm(dim=1), other.norm(dim=1)], 1)
        cosine = (one * other).sum(1) / lengths.prod(1)
        kept = cosine.abs() < ANY_DIRECTION
        self.key = torch.cat([lengths, cosine[:, None] * lengths.mean(1, keepdim=True)], 1)[kept]
        self.frame = frame_of(one[kept], other[kept])

    def hypotheses(
        self, q: torch.Tensor, count: int, blur: float = 0.0, generator: torch.Generator | None = None
    ) -> torch.Tensor:
        """Return orientations in which two disks (n, 2, 2) lie about where reflections do: (n, count, 3, 3).

        Best first; ``blur`` (Å⁻¹) mixes in others that fit nearly as well.
        """
        flat = torch.nn.functional.pad(q, (0, 1))
        one, other = flat.unbind(1)
        # Disks on one line fix nothing; anything aside of it keeps the frame one.
        aside = torch.stack([-one[:, 1], one[:, 0], one[:, 2]], 1)
        on_line = torch.linalg.cross(one, other).norm(dim=1, keepdim=True) < 1e-6
        other = torch.where(on_line, aside, other)
        lengths = torch.stack([one.norm(dim=1), other.norm(dim=1)], 1).clamp_min(1e-6)
        cosine = (one * other).sum(1) / lengths.prod(1)
        key = torch.cat([lengths, cosine[:, None] * lengths.mean(1, keepdim=True)], 1)
        found = []
        for part, lab in zip(key.split(CHUNK), frame_of(one, other).split(CHUNK), strict=True):
            apart = torch.cdist(part, self.key)
            if blur:
                apart = apart + blur * torch.rand(apart.shape, generator=generator).to(apart.device)
            index = apart.topk(min(count, apart.shape[1]), dim=1, largest=False).indices
            found.append(self.frame[index] @ lab[:, None].transpose(-1, -2))
        return torch.cat(found)


def pairs_of(q: torch.Tensor) -> list[torch.Tensor]:
    """Return pairs of disks (n, 2, 2) that fix an orientation, of disks (n, d, 2), strongest first."""
    first, next_ones = q[:, :1], q[:, 1:STRONG]
    if not next_ones.shape[1]:
        return []
    aside = (first[..., 0] * next_ones[..., 1] - first[..., 1] * next_ones[..., 0]).abs()
    index = aside.topk(min(PAIRS, next_ones.shape[1]), dim=1).indices
    chosen = torch.gather(next_ones, 1, index[..., None].expand(-1, -1, 2))
    return [torch.cat([first, other], 1) for other in chosen.split(1, dim=1)]


def frame_of(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Return right-handed frames (n, 3, 3), axes as columns: along ``one``, and across both the third."""
    along = torch.nn.functional.normalize(one, dim=-1)
    across = torch.nn.functional.normalize(torch.linalg.cross(one, other), dim=-1)
    return torch.stack([along, torch.linalg.cross(across, along), across], -1)
