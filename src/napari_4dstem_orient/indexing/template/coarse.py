"""A coarse template library of any crystal: where to look first, for the verifier to decide."""

from __future__ import annotations

import math

import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.template.library import Templates
from napari_4dstem_orient.indexing.template.zone_axes import zone_rotations

STEP = 2.5
"""Degrees between zone axes, and in the plane: the pre-verifier recognizes what is so much off."""
KERNEL, WIDTH, POWER = 0.08, 0.03, 0.25
"""Correlation kernel and width of the excitation error in Å⁻¹, and power of the intensities: wide, as the grid is."""
NARROWEST = 0.012
"""Å⁻¹; the width of excitation errors that even a thick crystal's reflections have."""
NEAR = 0.7
"""Å⁻¹ up to which reflections tell how far apart they lie."""
AT_ONCE = 2_000_000
"""Reflections of zone axes whose templates are made together: tens of megabytes."""


def coarse_library(phase: Phase, reflector: Reflector) -> Templates:
    """Make a crystal's coarse library; a tenth of a second, for large cells without symmetry some seconds.

    Where reflections lie close together, kernel and width are less, and only the nearer ones are taken: far out, half a
    step turns a reflection into the next one's place.
    """
    apart = spacing(reflector)
    near = reflector.within(8 * apart)
    kernel, width = min(apart / 5, KERNEL), min(max(apart / 10, NARROWEST), WIDTH)
    zones = torch.as_tensor(zone_rotations(phase, STEP), dtype=torch.float32, device=reflector.g.device)
    some = zones.split(max(AT_ONCE // len(near.g), 1))
    return Templates.join([Templates.made(near, part, STEP, kernel, POWER, width) for part in some])


def spacing(reflector: Reflector) -> float:
    """Return about how far apart the reflections that count lie in reciprocal space, Å⁻¹: of the nearer ones.

    Weak ones count less: amplitudes count as many as their sum, squared, is sums of squares.
    """
    reach = min(reflector.farthest, max(NEAR, 2 * reflector.nearest))
    amplitude = reflector.within(reach).intensity.sqrt()
    number = float(amplitude.sum().square() / amplitude.square().sum())
    return reach * (4 / 3 * math.pi / number) ** (1 / 3)
