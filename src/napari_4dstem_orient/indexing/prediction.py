"""The diffraction pattern that an answer predicts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase

FAINTEST = 1e-3
"""Predicted disks weaker than this share of the strongest are left out."""


def predicted_pattern(
    phase: Phase,
    rotation: np.ndarray,
    voltage: float,
    k_max: float,
    precession: float = 0.0,
    excitation_width: float = 0.02,
) -> np.ndarray:
    """Return the kinematic pattern of one orientation.

    Parameters
    ----------
    phase : Phase
    rotation : ndarray, shape (3, 3)
        g_lab = Rᵀ g_crystal.
    voltage : float
        kV.
    k_max : float
        Å⁻¹.
    precession : float
        Half-angle in degrees.
    excitation_width : float
        Gaussian width of the excitation error, Å⁻¹.

    Returns
    -------
    ndarray, float32, shape (n, 6)
        qx, qy (Å⁻¹, scan frame), intensity relative to the strongest, and h, k, l; strongest first.
    """
    reflector = _reflector(phase, voltage, k_max, precession)
    g_lab = reflector.in_lab(torch.as_tensor(np.asarray(rotation), dtype=torch.float32))
    intensity = reflector.excite(g_lab, excitation_width).numpy()
    intensity = intensity / max(float(intensity.max()), 1e-12)
    order = np.argsort(-intensity, kind="stable")
    order = order[intensity[order] > FAINTEST]
    hkl = phase.reflections(k_max).hkl
    return np.column_stack([g_lab.numpy()[order, :2], intensity[order], hkl[order]]).astype(np.float32)


@lru_cache(maxsize=32)
def _reflector(phase: Phase, voltage: float, k_max: float, precession: float) -> Reflector:
    return Reflector.of(phase, voltage, k_max, precession)
