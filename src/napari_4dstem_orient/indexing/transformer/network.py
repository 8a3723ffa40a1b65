"""The transformer that reads Bragg disks and proposes orientations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import gelu, linear, scaled_dot_product_attention

from napari_4dstem_orient.crystals.rotations import from_six

LOG_FLOOR = -4.0
"""Disks weaker than 10^LOG_FLOOR of the strongest look alike."""


@dataclass(frozen=True)
class NetworkSettings:
    """Size of the network.

    Attributes
    ----------
    tokens : int
        Disks read from each pattern, strongest first.
    width, heads, layers, feedforward : int
        As in any transformer encoder.
    radial_bins, intensity_bins : int
        Nodes of the learned encodings of |q| and log intensity; between nodes they are interpolated.
    harmonics : int
        Angular harmonics that encode a disk's azimuth.
    hypotheses : int
        Orientations proposed for each phase.
    phases : int
        Phases that the network tells apart.
    """

    tokens: int = 32
    width: int = 96
    heads: int = 8
    layers: int = 3
    feedforward: int = 192
    radial_bins: int = 128
    intensity_bins: int = 32
    harmonics: int = 24
    hypotheses: int = 4
    phases: int = 1


def encoder(width: int, heads: int, layers: int, feedforward: int) -> nn.TransformerEncoder:
    """Return a transformer encoder that normalizes before each layer, without dropout.

    A. Vaswani et al., NeurIPS 2017; normalised first: R. Xiong et al., ICML 2020.
    """
    layer = nn.TransformerEncoderLayer(
        width, heads, feedforward, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)


def encode(network: nn.TransformerEncoder, token: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Run an encoder on tokens (n, t, width) of which those under ``mask`` are there.

    The same arithmetic as the encoder's own, whose shortcut for inference takes half as long again on a CPU. Where
    weights are in half precision (``Model.in_half``) they are multiplied in it; all else stays in single.
    """
    count, length, width = token.shape
    half: torch.dtype = network.layers[0].linear1.weight.dtype
    bias = torch.zeros(mask.shape, dtype=token.dtype, device=token.device)
    bias = bias.masked_fill_(~mask, float("-inf"))[:, None, None]
    for layer in network.layers:
        look: Any = layer.self_attn
        parts = linear(layer.norm1(token).to(half), look.in_proj_weight, look.in_proj_bias).float()
        parts = parts.view(count, length, 3, look.num_heads, -1).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask=bias).transpose(1, 2)
        token = token + look.out_proj(mixed.reshape(count, length, width).to(half))
        token = token + layer.linear2(gelu(layer.linear1(layer.norm2(token).to(half))))
    return token if network.norm is None else network.norm(token)


def pool(network: nn.TransformerEncoder, token: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over the encoded tokens (n, t, width) that are there: (n, width)."""
    encoded, weight = encode(network, token, mask), mask[..., None].to(token.dtype)
    return (encoded * weight).sum(1) / weight.sum(1)


class InterpolatedEmbedding(nn.Module):
    """A learned vector for every number in [0, 1], linear between nodes, so that a small error stays small."""

    def __init__(self, nodes: int, width: int) -> None:
        super().__init__()
        table = torch.empty(nodes, width)
        # Where only shapes are wanted, drawing numbers would load torch's compiler: seconds.
        self.table = nn.Parameter(table if table.is_meta else table.normal_(std=0.3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Encode (...) as (..., width)."""
        place = x.clamp(0, 1) * (len(self.table) - 1)
        left = place.floor().clamp(max=len(self.table) - 2)
        share = (place - left)[..., None]
        index = left.long()
        return self.table[index] * (1 - share) + self.table[index + 1] * share


class OrientationTransformer(nn.Module):
    """Disks as tokens; embeddings of |q|, azimuth and intensity summed; encoder; mean pooling; rotations.

    The published idea (Je, Kennedy, Kim, Yang, Thiede, arXiv 2602.12420) with continuous encodings in place of
    bins and several hypotheses in place of one.

    Parameters
    ----------
    settings : NetworkSettings
    q_span : float
        Longest |q| that is told apart, Å⁻¹.
    """

    canonical = True
    """It reads patterns in the canonical frame."""
    enough = 16
    """So many of the strongest disks tell it as much as all that it was trained to read."""

    def __init__(self, settings: NetworkSettings, q_span: float) -> None:
        super().__init__()
        self.settings = settings
        self.q_span = q_span
        width = settings.width
        self.radial = InterpolatedEmbedding(settings.radial_bins, width)
        self.intensity = InterpolatedEmbedding(settings.intensity_bins, width)
        self.azimuth = nn.Linear(2 * settings.harmonics, width)
        self.mix = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.encoder = encoder(width, settings.heads, settings.layers, settings.feedforward)
        self.outputs = settings.phases * settings.hypotheses
        self.head = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, 7 * self.outputs)
        )

    def forward(self, disks: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Propose orientations.

        Parameters
        ----------
        disks : Tensor, shape (n, tokens, 3)
            qx, qy (Å⁻¹) and intensity relative to the strongest, in the canonical frame.
        mask : Tensor, bool, shape (n, tokens)
            True where there is a disk; every pattern has at least one.

        Returns
        -------
        rotations : Tensor, shape (n, phases * hypotheses, 3, 3)
            Phase by phase, in the canonical frame.
        logits : Tensor, shape (n, phases * hypotheses)
        """
        pooled = pool(self.encoder, self.embed(disks), mask)
        numbers = self.head(pooled).unflatten(-1, (self.outputs, 7)).float()
        return from_six(numbers[..., :6]), numbers[..., 6]

    def embed(self, disks: torch.Tensor) -> torch.Tensor:
        """Return what the encoder reads of each disk: (n, tokens, 3) -> (n, tokens, width)."""
        q = disks[..., :2].norm(dim=-1)
        angle = torch.atan2(disks[..., 1], disks[..., 0])
        orders = torch.arange(1, self.settings.harmonics + 1, device=disks.device)
        waves = angle[..., None] * orders
        decades = disks[..., 2].clamp_min(10**LOG_FLOOR).log10() / -LOG_FLOOR + 1
        token = self.radial(q / self.q_span) + self.intensity(decades)
        token = token + self.azimuth(torch.cat([waves.cos(), waves.sin()], -1))
        return token + self.mix(token)
