"""Patterns that no method can index for sure: all their disks belong to one zone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from napari_4dstem_orient.crystals.kinematic import Reflector, excitation_error
from napari_4dstem_orient.crystals.rotations import from_vector
from napari_4dstem_orient.training.accuracy import PUBLISHED_CUT, Trial
from napari_4dstem_orient.training.loss import misorientation_angle

if TYPE_CHECKING:
    from napari_4dstem_orient.indexing.transformer.checkpoint import Model

CHUNK = 1024
FLAT = 0.02
"""Å⁻¹; reflections that lie this close to a plane through the origin belong to one zone."""


def share_with_twins(model: Model, trials: Sequence[Trial], beyond: float) -> dict[str, float]:
    """Return, for each phase, the share of published patterns whose twin lies beyond an angle (degrees)."""
    shares = {}
    for trial in trials:
        if trial.test.kind != "published" or trial.crystal.name in shares:
            continue
        block, mask = trial.test.disks.padded(int(trial.test.disks.counts.max()))
        reflector = model.reflectors[trial.phase].to("cpu")
        symmetry = torch.as_tensor(trial.crystal.symmetry, dtype=torch.float32)
        angles = [
            twin_angles(*part, reflector, symmetry, PUBLISHED_CUT)
            for part in zip(
                trial.test.truth.split(CHUNK),
                torch.from_numpy(block[..., :2]).split(CHUNK),
                torch.from_numpy(mask).split(CHUNK),
                strict=True,
            )
        ]
        shares[trial.crystal.name] = float((torch.cat(angles) > beyond).float().mean())
    return shares


def twin_angles(
    truth: torch.Tensor,
    q: torch.Tensor,
    mask: torch.Tensor,
    reflector: Reflector,
    symmetry: torch.Tensor,
    excitation_cut: float,
) -> torch.Tensor:
    """Return how far each pattern's twin is from the truth in degrees; 0 where there is none.

    Turned by 180° about the axis of their zone, reflections g and -g change places: each disk keeps its place, its
    excitation error and, by Friedel's law, its strength. Only reflections of other zones could tell the two
    orientations apart.

    Parameters
    ----------
    truth : Tensor, shape (n, 3, 3)
    q : Tensor, shape (n, d, 2)
        Undisturbed places of the disks, Å⁻¹.
    mask : Tensor, bool, shape (n, d)
    reflector : Reflector
    symmetry : Tensor, shape (k, 3, 3)
    excitation_cut : float
        Largest excitation error of a disk, Å⁻¹.
    """
    g_lab = reflector.in_lab(truth)
    excited = excitation_error(g_lab, reflector.wavelength).abs() <= excitation_cut
    places = torch.where(excited[..., None], g_lab[..., :2], 1e3)
    g = reflector.g[torch.cdist(q, places).argmin(-1)] * mask[..., None]
    _, extent, axes = torch.linalg.svd(g, full_matrices=False)
    in_one_zone = (extent > FLAT).sum(-1) == 2
    twin = from_vector(math.pi * axes[:, 2]) @ truth
    angle = torch.rad2deg(misorientation_angle(twin, truth, symmetry))
    return torch.where(in_one_zone, angle, 0.0)
