"""The published architecture (Je, Kennedy, Kim, Yang, Thiede, arXiv 2602.12420), to compare with.

It reads patterns as they lie on the detector, in bins, and answers with a single orientation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from napari_4dstem_orient.crystals.rotations import nearest_rotation
from napari_4dstem_orient.indexing.transformer.network import encoder, pool

PUBLISHED = "published"
"""What a model card calls this architecture."""

PUBLISHED_LEARNING_RATE = 3e-4
"""A network this wide diverges at the rate that suits the small one. The publication's own rate is not used."""


@dataclass(frozen=True)
class PublishedSettings:
    """Size of the published network.

    Attributes
    ----------
    tokens : int
        Disks read from each pattern, strongest first.
    width, heads, layers, feedforward : int
        As in any transformer encoder.
    radial_bins, azimuth_bins, intensity_bins : int
        Bins of |q|, of the azimuth and of the intensity relative to the strongest disk.
    phases : int
        Phases that the network tells apart.
    architecture : str
        Tells it from the other network on a model card.
    """

    tokens: int = 76
    width: int = 384
    heads: int = 8
    layers: int = 3
    feedforward: int = 768
    radial_bins: int = 256
    azimuth_bins: int = 360
    intensity_bins: int = 64
    phases: int = 1
    architecture: str = PUBLISHED

    hypotheses: ClassVar[int] = 1


class PublishedTransformer(nn.Module):
    """Disks as tokens; embeddings of binned |q|, azimuth and intensity summed; encoder; mean; nearest rotation.

    Parameters
    ----------
    settings : PublishedSettings
    q_span : float
        Longest |q| that is told apart, Å⁻¹.
    """

    canonical = False
    enough = 76

    def __init__(self, settings: PublishedSettings, q_span: float) -> None:
        super().__init__()
        self.settings = settings
        self.q_span = q_span
        width = settings.width
        self.radial = nn.Embedding(settings.radial_bins, width)
        self.azimuth = nn.Embedding(settings.azimuth_bins, width)
        self.intensity = nn.Embedding(settings.intensity_bins, width)
        self.encoder = encoder(width, settings.heads, settings.layers, settings.feedforward)
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 10 * settings.phases))

    def forward(self, disks: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Answer with one orientation for each phase.

        Parameters
        ----------
        disks : Tensor, shape (n, tokens, 3)
            qx, qy (Å⁻¹) and intensity relative to the strongest, in the lab frame.
        mask : Tensor, bool, shape (n, tokens)
            True where there is a disk; every pattern has at least one.

        Returns
        -------
        rotations : Tensor, shape (n, phases, 3, 3)
        logits : Tensor, shape (n, phases)
            Which phase it is; of a single phase they say nothing.
        """
        pooled = pool(self.encoder, self.embed(disks), mask)
        numbers = self.head(pooled).unflatten(-1, (self.settings.phases, 10)).float()
        return nearest_rotation(numbers[..., :9].unflatten(-1, (3, 3))), numbers[..., 9]

    def embed(self, disks: torch.Tensor) -> torch.Tensor:
        """Return what the encoder reads of each disk: (n, tokens, 3) -> (n, tokens, width)."""
        q = disks[..., :2].norm(dim=-1)
        turn = torch.atan2(disks[..., 1], disks[..., 0]) / (2 * math.pi) + 0.5
        tokens: torch.Tensor = (
            self.radial(_bin(q / self.q_span, self.settings.radial_bins))
            + self.azimuth(_bin(turn, self.settings.azimuth_bins))
            + self.intensity(_bin(disks[..., 2], self.settings.intensity_bins))
        )
        return tokens


def _bin(share: torch.Tensor, bins: int) -> torch.Tensor:
    """Return the bin of numbers in [0, 1]."""
    return (share * bins).long().clamp(0, bins - 1)
