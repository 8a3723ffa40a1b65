"""A coarse template library of any crystal: where to look first, for the verifier to decide."""

from __future__ import annotations

import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.template.library import Templates
from napari_4dstem_orient.indexing.template.zone_axes import zone_rotations

STEP = 4.0
"""Degrees between zone axes, and in the plane: the verifier corrects more."""
KERNEL, WIDTH, POWER = 0.08, 0.03, 0.25
"""Correlation kernel and width of the excitation error in Å⁻¹, and power of the intensities: wide, as the grid is."""


def coarse_library(phase: Phase, reflector: Reflector) -> Templates:
    """Make a crystal's coarse library; a tenth of a second."""
    zones = torch.as_tensor(zone_rotations(phase, STEP), dtype=torch.float32, device=reflector.g.device)
    return Templates.made(reflector, zones, STEP, KERNEL, POWER, WIDTH)
