"""The reflections of a crystal that orientations are found by: of a large cell's those that are near and strong."""

from __future__ import annotations

import math

import numpy as np
import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase

COMPUTED, KEPT = 250_000, 8192
"""Reflections whose structure factors are computed, of which so many are kept: enough for all of a cell of 300 Å³."""

INNER = 0.7
"""Å⁻¹ up to which reflections tell how far apart they lie."""
NEAR = 0.035
"""Å⁻¹ within which a disk is a reflection's, where reflections do not lie closer together."""
SHARE_OF_SPACING = 0.25
"""Of the distance between reflections: within more of it every disk would be some reflection's."""


def reach_within(phase: Phase, k_max: float) -> float:
    """Return |q| in Å⁻¹ up to which the reflections of a crystal are computed: ``k_max``, less for a large cell."""
    near = (3 * COMPUTED / (4 * math.pi * abs(float(np.linalg.det(phase.lattice))))) ** (1 / 3)
    return min(k_max, near)


def reflector_of(
    phase: Phase,
    voltage: float,
    k_max: float,
    precession: float = 0.0,
    device: torch.device | str = "cpu",
) -> Reflector:
    """Collect the reflections of a crystal that count, up to ``k_max`` (Å⁻¹) at most; see ``Reflector.of``.

    Raises
    ------
    UserError
        There is none: the detector ends before the first.
    """
    return Reflector.of(phase, voltage, reach_within(phase, k_max), precession, device).strongest(KEPT)


def spacing(reflector: Reflector) -> float:
    """Return about how far apart the reflections that count lie in reciprocal space, Å⁻¹: of the nearer ones.

    Weak ones count less: amplitudes count as many as their sum, squared, is sums of squares.
    """
    reach = min(reflector.farthest, max(INNER, 2 * reflector.nearest))
    amplitude = reflector.within(reach).intensity.sqrt()
    number = float(amplitude.sum().square() / amplitude.square().sum())
    return reach * (4 / 3 * math.pi / number) ** (1 / 3)


def near_enough(reflector: Reflector) -> float:
    """Return how near a disk is to a reflection that made it, Å⁻¹; never more than ``NEAR``."""
    return min(NEAR, SHARE_OF_SPACING * spacing(reflector))
