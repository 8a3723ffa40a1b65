"""How precise a right answer is: the covariance of its turn, from the fit that placed it."""

from __future__ import annotations

import numpy as np
import torch

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.scoring import Measured
from napari_4dstem_orient.indexing.verification.features import PoseHypothesis
from napari_4dstem_orient.indexing.verification.network import POSITION_UNIT, Equations, Verifier

READ = 3.4
"""Standard deviation of what the network reads from intensities, over what its weight stands for: reflections of one
pattern err together. From multislice patterns of Cu, Ti, Cu2O, rutile, ZnO, ZrO2 and Bi of 5e3 to 1e6 electrons
(``tools/measure_certainty.py --set develop``)."""

BELIEVED, FITTED = 2.0, 5.0
"""Disks that their own uncertainties count for beside those that are matched; so many of those the fit, which also
chose the partners, has used up."""


@torch.inference_mode()
def turn_covariance(
    measured: Measured, rotation: torch.Tensor, reflector: Reflector, verifier: Verifier
) -> torch.Tensor:
    """Return the covariance of the turns by which right answers are off.

    The fit's weights W are not inverse variances Σ⁻¹, so its errors have the covariance (AᵀWA + P)⁻¹ (AᵀWΣWA + P)
    (AᵀWA + P)⁻¹, with P the prior. Σ: a disk's place has its own uncertainty, and all of a pattern's are scaled by how
    far they really lie beside their reflections, across q (along q, dynamical diffraction shifts them, which turns
    nothing). That determines the turn about the beam. Tilts come from excitation errors, which the network reads from
    intensities: their error is ``READ`` times as large as its weights stand for.

    Such a covariance is the "sandwich" of P. J. Huber, Proc. 5th Berkeley Symp. 1 (1967) 221.

    Parameters
    ----------
    measured : Measured
        n patterns.
    rotation : Tensor, shape (n, 3, 3)
        Their answers.
    reflector : Reflector
    verifier : Verifier
        That placed them.

    Returns
    -------
    Tensor, shape (n, 3, 3)
        Radians², about lab x, y, z.
    """
    fit = verifier.equations(measured, PoseHypothesis.of(rotation[:, None]), reflector)
    disks, weight = fit.g.shape[2], fit.weight
    sure = weight[..., -disks:]
    if measured.spread is None:
        placed = sure * READ**2
    else:
        placed = (sure * measured.spread[:, None, :disks] / POSITION_UNIT).square()
    inverse = torch.linalg.inv(fit.normal)
    placed = placed * _misfit(fit, inverse, placed)[..., None]
    noise = torch.cat([weight[..., : -2 * disks] * READ**2, placed, placed], -1)
    error = fit.matrix.transpose(-1, -2) @ (fit.matrix * noise[..., None]) + torch.diag(fit.prior)
    return (inverse @ error @ inverse)[:, 0, :3, :3]


def _misfit(fit: Equations, inverse: torch.Tensor, placed: torch.Tensor) -> torch.Tensor:
    """Return what the variances of disks' places (weighted, n, h, d) are to be multiplied by, shape (n, h)."""
    disks = fit.g.shape[2]
    step = inverse @ (fit.matrix.transpose(-1, -2) @ (fit.weight * fit.target)[..., None])
    left = fit.target - (fit.matrix @ step)[..., 0]
    lever = fit.g[..., :2].norm(dim=-1).clamp_min(1e-6)
    x, y = left[..., -2 * disks : -disks], left[..., -disks:]
    across = (y * fit.g[..., 0] - x * fit.g[..., 1]) / lever
    weight = fit.weight[..., -disks:] * lever
    seen = (weight * across.clamp(-10, 10)).square().sum(-1)
    expected = (placed * lever.square()).sum(-1)
    count = weight.sum(-1).square() / weight.square().sum(-1).clamp_min(1e-12)
    ratio = seen / expected.clamp_min(1e-12)
    return (BELIEVED + count * ratio) / (BELIEVED + count - FITTED).clamp_min(1)


def deviations(covariance: torch.Tensor) -> np.ndarray:
    """Return standard deviations about the best and the worst determined axis, degrees: (n, 3, 3) -> (n, 2)."""
    variance = np.linalg.eigvalsh(covariance.cpu().numpy().astype(np.float64))
    return np.rad2deg(np.sqrt(variance[:, [0, 2]].clip(0))).astype(np.float32)
