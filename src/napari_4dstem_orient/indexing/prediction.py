"""The diffraction pattern that an answer predicts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from napari_4dstem_orient.crystals.bloch import BlochWaves
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.settings import PredictionSettings

FAINTEST = 1e-3
"""Predicted disks weaker than this share of the strongest are left out."""
BEAMS = 64
"""Beams that scatter among each other in a prediction by Bloch waves."""


def predicted_pattern(
    phase: Phase,
    rotation: np.ndarray,
    voltage: float,
    k_max: float,
    precession: float = 0.0,
    settings: PredictionSettings | None = None,
) -> np.ndarray:
    """Return the pattern of one orientation.

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
    settings : PredictionSettings, optional

    Returns
    -------
    ndarray, float32, shape (n, 6)
        qx, qy (Å⁻¹, scan frame), intensity relative to the strongest, and h, k, l; strongest first.
    """
    settings = settings or PredictionSettings()
    turn = torch.as_tensor(np.asarray(rotation), dtype=torch.float32)
    if settings.physics == "Bloch waves":
        waves = _waves(phase, voltage, k_max)
        scatters = waves.excited(turn[None], BEAMS, precession)[0, 1:]
        q, intensity = waves.diffract(
            turn[None], torch.tensor([[settings.thickness]]), beams=BEAMS, precession=precession
        )
        xy, strength, hkl = q[0].numpy(), intensity[0, 0].numpy(), waves.hkl[scatters].numpy()
    else:
        reflector = _reflector(phase, voltage, k_max, precession)
        g_lab = reflector.in_lab(turn)
        if settings.physics == "two-beam":
            strength = reflector.two_beam(g_lab, settings.thickness).numpy()
        else:
            strength = reflector.excite(g_lab, settings.excitation_width).numpy()
        xy, hkl = g_lab[:, :2].numpy(), phase.reflections(k_max).hkl
    strength = strength / max(float(strength.max()), 1e-12)
    order = np.argsort(-strength, kind="stable")
    order = order[strength[order] > FAINTEST]
    return np.column_stack([xy[order], strength[order], hkl[order]]).astype(np.float32)


@lru_cache(maxsize=32)
def _reflector(phase: Phase, voltage: float, k_max: float, precession: float) -> Reflector:
    return Reflector.of(phase, voltage, k_max, precession)


@lru_cache(maxsize=8)
def _waves(phase: Phase, voltage: float, k_max: float) -> BlochWaves:
    return BlochWaves.of(phase, voltage, k_max)
