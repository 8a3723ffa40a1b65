"""Bragg disks as tokens, in a frame that the pattern itself defines."""

from __future__ import annotations

import torch

from napari_4dstem_orient.crystals.rotations import about_beam


def strongest(disks: torch.Tensor, mask: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Keep the ``count`` strongest disks of each pattern, strongest first.

    Parameters
    ----------
    disks : Tensor, shape (n, d, 3 or more)
        qx, qy in Å⁻¹, intensity and what else is known.
    mask : Tensor, bool, shape (n, d)
    """
    index = by_strength(disks, mask, count)
    return torch.gather(disks, 1, index[..., None].expand(-1, -1, disks.shape[-1])), torch.gather(
        mask, 1, index
    )


def by_strength(disks: torch.Tensor, mask: torch.Tensor, count: int) -> torch.Tensor:
    """Return which disks ``strongest`` keeps: (n, d, 3) -> (n, count)."""
    weight = torch.where(mask, disks[..., 2], torch.full_like(disks[..., 2], -1.0))
    return weight.topk(min(count, weight.shape[1]), dim=1).indices


def in_frame(disks: torch.Tensor, canonical: bool, reference: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return disks as a network wants them: in the canonical frame, or in the lab frame; see ``canonical_frame``."""
    turned, back = canonical_frame(disks, reference)
    if canonical:
        return turned, back
    return torch.cat([disks[..., :2], turned[..., 2:]], -1), torch.eye(3, device=disks.device).expand_as(back)


def canonical_frame(disks: torch.Tensor, reference: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn each pattern so that one disk lies on +x; scale intensities to the strongest disk.

    Parameters
    ----------
    disks : Tensor, shape (n, d, 3)
        Strongest first.
    reference : int
        Which disk goes on +x.

    Returns
    -------
    turned : Tensor, shape (n, d, 3)
    back : Tensor, shape (n, 3, 3)
        An orientation R found in the turned frame is ``R @ back`` in the lab frame.
    """
    angle = torch.atan2(disks[:, reference, 1], disks[:, reference, 0])
    turn = about_beam(-angle)
    xy = disks[..., :2] @ turn[:, :2, :2].transpose(1, 2)
    relative = disks[..., 2:] / disks[:, :1, 2:].clamp_min(1e-12)
    return torch.cat([xy, relative], -1), turn
