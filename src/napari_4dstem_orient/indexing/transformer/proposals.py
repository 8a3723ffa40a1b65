"""What the network proposes for measured disks, in the lab frame."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from napari_4dstem_orient.indexing.transformer.checkpoint import Model
from napari_4dstem_orient.indexing.transformer.tokens import in_frame, strongest


def propose(
    model: Model, disks: torch.Tensor, mask: torch.Tensor, reference_disks: Sequence[int]
) -> list[torch.Tensor]:
    """Read each pattern in several frames and return its hypotheses for each phase of the model.

    Parameters
    ----------
    model : Model
    disks : Tensor, shape (n, d, 3)
        qx, qy in Å⁻¹ and intensity; the direct beam masked out.
    mask : Tensor, bool, shape (n, d)
    reference_disks : sequence of int
        Which: turned so that the strongest (0), second strongest (1) … disk lies on +x. What a pattern with fewer
        disks is read as in a later frame is never likely. A network that reads patterns as they lie reads them once.

    Returns
    -------
    list of Tensor, shape (n, h, 3, 3)
        Orientations in the lab frame, likeliest first.
    """
    tokens, inside = strongest(disks, mask, model.tokens)
    scale = tokens.new_tensor([1 / model.stretch, 1 / model.stretch, 1.0])
    rotations, logits = [], []
    canonical = model.network.canonical
    for reference in reference_disks if canonical else reference_disks[:1]:
        usable = inside[:, min(reference, inside.shape[1] - 1)]
        turned, back = in_frame(tokens * scale, canonical, min(reference, tokens.shape[1] - 1))
        proposed, scores = model.network(turned * inside[..., None], inside)
        rotations.append(proposed @ back[:, None])
        logits.append(torch.where(usable[:, None], scores.log_softmax(1), torch.full_like(scores, -1e4)))
    phases = len(model.reflectors)
    by_phase = torch.stack(rotations, 1).unflatten(2, (phases, -1))
    likely = torch.stack(logits, 1).unflatten(2, (phases, -1))
    found = []
    for phase in range(phases):
        own = by_phase[:, :, phase].flatten(1, 2)
        order = likely[:, :, phase].flatten(1).argsort(1, descending=True)
        found.append(torch.gather(own, 1, order[..., None, None].expand(-1, -1, 3, 3)))
    return found
