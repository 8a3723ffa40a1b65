"""What the transformer looked at: the share of its attention that each Bragg disk of a pattern got."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.scoring import Measured, without_direct_beam
from napari_4dstem_orient.indexing.transformer.checkpoint import Model
from napari_4dstem_orient.indexing.transformer.tokens import by_strength, in_frame, strongest

if TYPE_CHECKING:
    from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer


@torch.inference_mode()
def attention_at(indexer: TransformerIndexer, disks: BraggDisks, phase: Phase) -> np.ndarray:
    """Return the share of attention that each disk of one scan position got.

    Parameters
    ----------
    indexer : TransformerIndexer
    disks : BraggDisks
        One scan position, calibrated (``BraggDisks.only``).
    phase : Phase
        Whose model is asked, where there are several.

    Returns
    -------
    ndarray, float32, shape (n,)
        In the order of ``disks.at(0, 0)``; adds up to 1. NaN for disks that the network did not read: the direct
        beam, those beyond its reach, and the weakest of very many.

    Raises
    ------
    UserError
        No model knows the phase, or the disks are not calibrated.
    """
    reach = indexer.reach(disks)
    model = next((each for each in indexer.models if _knows(each, phase)), None)
    if model is None:
        raise UserError(f"None of the chosen models knows {phase.name}; choose one in the Map panel.")
    found = torch.from_numpy(disks.at(0, 0))[None].to(indexer.device)
    nearest = min(reflector.nearest for each in indexer.models for reflector in each.reflectors)
    mask = without_direct_beam(found, torch.ones_like(found[..., 0], dtype=torch.bool), nearest)
    mask = Measured.of(found, mask, reach).mask
    if not bool(mask.any()):
        return np.full(found.shape[1], np.nan, np.float32)
    share = disk_attention(model, found, mask, indexer.settings.reference_disks)[0]
    return share.cpu().numpy()


@torch.inference_mode()
def disk_attention(
    model: Model, disks: torch.Tensor, mask: torch.Tensor, reference_disks: int = 1
) -> torch.Tensor:
    """Run the encoder on some patterns and return the share of attention that each disk got.

    The network answers from the mean over its tokens, so attention is averaged over the tokens that give it, over
    the heads, and over the frames in which the pattern was read. That of all layers is the product of (A + 1) / 2,
    since each layer adds to what the one before made (Abnar & Zuidema, ACL 2020, 4190).

    Parameters
    ----------
    model : Model
    disks : Tensor, shape (n, d, 3)
        qx, qy in Å⁻¹ and intensity.
    mask : Tensor, bool, shape (n, d)
        Disks to be read; every pattern has at least one.
    reference_disks : int
        As in ``indexer.propose``.

    Returns
    -------
    Tensor, shape (n, d)
        Adds up to 1; NaN for disks that were not read.
    """
    count = model.tokens
    index = by_strength(disks, mask, count)
    tokens, inside = strongest(disks, mask, count)
    scale = tokens.new_tensor([1 / model.stretch, 1 / model.stretch, 1.0])
    canonical = model.network.canonical
    shares, weights = [], []
    for reference in range(min(reference_disks, tokens.shape[1]) if canonical else 1):
        turned, _ = in_frame(tokens * scale, canonical, reference)
        _, layers = encode(model.network.encoder, model.network.embed(turned * inside[..., None]), inside)
        matrix = _rollout(layers)
        asking = inside.to(matrix.dtype)
        shares.append((asking[:, None] @ matrix)[:, 0] / asking.sum(1, keepdim=True))
        weights.append(inside[:, reference].to(matrix.dtype))  # a frame of no disk is no reading
    weight = torch.stack(weights)[..., None]
    mean = (torch.stack(shares) * weight).sum(0) / weight.sum(0)
    mean = torch.where(inside, mean, torch.full_like(mean, torch.nan))
    return torch.full_like(disks[..., 2], torch.nan).scatter(1, index, mean)


def encode(
    encoder: nn.TransformerEncoder, tokens: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Do what the encoder does, slowly, keeping each layer's attention.

    Parameters
    ----------
    encoder : TransformerEncoder
        One that normalizes before each layer, without dropout (``network.encoder``).
    tokens : Tensor, shape (n, t, width)
    mask : Tensor, bool, shape (n, t)

    Returns
    -------
    encoded : Tensor, shape (n, t, width)
    attention : list of Tensor, shape (n, t, t)
        For each layer, averaged over heads: what each token (row) took from each other (column); rows add up to 1.
    """
    attention = []
    for layer in encoder.layers:
        assert isinstance(layer, nn.TransformerEncoderLayer)
        given = layer.norm1(tokens)
        taken, weights = layer.self_attn(given, given, given, key_padding_mask=~mask, need_weights=True)
        tokens = tokens + taken
        tokens = tokens + layer.linear2(layer.activation(layer.linear1(layer.norm2(tokens))))
        attention.append(weights)
    return encoder.norm(tokens) if encoder.norm is not None else tokens, attention


def _rollout(layers: list[torch.Tensor]) -> torch.Tensor:
    through = torch.eye(layers[0].shape[-1], device=layers[0].device)
    for matrix in layers:
        through = (matrix + torch.eye(matrix.shape[-1], device=matrix.device)) / 2 @ through
    return through


def _knows(model: Model, phase: Phase) -> bool:
    return any(crystal is phase or crystal.same_crystal(phase) for crystal in model.crystals)
