"""How well an orientation explains the measured disks: one physical score for every method and phase."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from napari_4dstem_orient.core.devices import least_in_rows
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.settings import ScoreSettings

CLOSEST = 0.85
"""Disks closer to the centre than this share of the shortest reflection are none: leaves room for a wrong scale."""

SCORE_WEIGHT, PRECESSED_WEIGHT = 60.0, 100.0
"""Evidence that a difference of one in score stands for. Multislice patterns do not mind from 40 to 100; precession
makes intensities kinematic, as the score takes them, and real silver with 50 disks needs 100 for all to be right."""

SURE = 1e6
"""Odds of the best hypothesis of a method that knows no probabilities."""

STANDS_OUT = 1.7
"""Signal-to-noise ratio of the surest disk: with less nobody knows a crystal, and with more its answer says whether it
is one. Of copper's patterns of 3,000 electrons all have it."""

ALIKE = 0.999
"""Share of an intensity that rounding leaves at least: equivalent reflections are kept or left out together."""

MATCHED = 0.1
"""Å⁻¹ within which a measured and a predicted disk count as the same."""

PREDICTED = 64
"""Predicted disks that a score looks at."""


@dataclass(frozen=True, eq=False)
class Measured:
    """Measured disks of some patterns, the direct beam left out.

    Attributes
    ----------
    q : Tensor, shape (n, d, 2)
        Å⁻¹.
    intensity : Tensor, shape (n, d)
        Relative to each pattern's strongest; 0 where there is no disk.
    mask : Tensor, bool, shape (n, d)
    reach : float
        |q| in Å⁻¹ up to which disks could have been seen.
    snr : Tensor, shape (n, d), or None
        Signal-to-noise ratio, 0 where there is no disk; None where it is not known.
    spread : Tensor, shape (n, d), or None
        Standard deviation of a disk's place along either axis, Å⁻¹; None where it is not known.
    """

    q: torch.Tensor
    intensity: torch.Tensor
    mask: torch.Tensor
    reach: float
    snr: torch.Tensor | None = None
    spread: torch.Tensor | None = None

    @classmethod
    def of(cls, disks: torch.Tensor, mask: torch.Tensor, reach: float) -> Measured:
        """Prepare disks, (n, d, 3 to 5) as ``BraggDisks.padded`` gives them; those beyond ``reach`` are ignored."""
        mask = mask & (disks[..., :2].norm(dim=-1) <= reach)
        intensity = disks[..., 2].clamp_min(0) * mask
        relative = intensity / intensity.amax(1, keepdim=True).clamp_min(1e-12)
        snr = disks[..., 3] * mask if disks.shape[-1] > 3 else None
        spread = disks[..., 4] if disks.shape[-1] > 4 else None
        return cls(disks[..., :2], relative, mask, reach, snr, spread)

    def enough(self, min_disks: int) -> torch.Tensor:
        """Tell which patterns may be a crystal's, bool (n,): two disks, of which one stands out of the noise.

        Where the signal-to-noise ratio is not known, ``min_disks`` disks.
        """
        count = self.mask.sum(1)
        if self.snr is None:
            return count >= min_disks
        return (count >= 2) & (self.snr.amax(1) >= STANDS_OUT)

    def __getitem__(self, index: torch.Tensor) -> Measured:
        snr, spread = (None if each is None else each[index] for each in (self.snr, self.spread))
        return Measured(self.q[index], self.intensity[index], self.mask[index], self.reach, snr, spread)

    def surest_first(self) -> Measured:
        """Return the disks by falling signal-to-noise ratio; where it is not known they stay as they are."""
        if self.snr is None:
            return self
        order = torch.where(self.mask & (self.snr > 0), self.snr, -1.0 * ~self.mask)
        order = order.argsort(dim=1, descending=True, stable=True)
        q = self.q.gather(1, order[..., None].expand_as(self.q))
        rest = (values.gather(1, order) for values in (self.intensity, self.mask, self.snr))
        intensity, mask, snr = rest
        spread = None if self.spread is None else self.spread.gather(1, order)
        return Measured(q, intensity, mask, self.reach, snr, spread)


def without_direct_beam(disks: torch.Tensor, mask: torch.Tensor, nearest: float) -> torch.Tensor:
    """Return the mask without disks that lie closer to the centre than any reflection (``nearest``, Å⁻¹).

    Besides the direct beam, these are most of the false peaks of noisy patterns.
    """
    return mask & (disks[..., :2].norm(dim=-1) > CLOSEST * nearest)


@dataclass(frozen=True, eq=False)
class Score:
    """Scores (0 to 1) and numbers of explained disks, shape (n, h)."""

    value: torch.Tensor
    n_matched: torch.Tensor


def score(measured: Measured, rotation: torch.Tensor, reflector: Reflector, settings: ScoreSettings) -> Score:
    """Compare the disks with the kinematic patterns of several orientations.

    The score is a cosine: Σ w w' k / (‖w‖ ‖w'‖) over measured disks and the predicted disk nearest to each, with
    w, w' the intensities to ``intensity_power`` and k = exp(-d²/2τ²) for their distance d. Predicted disks weaker
    than a detection that found this many disks would have seen are left out of ‖w'‖.

    Such a cosine is the index of E. F. Rauch and L. Dupuy, Arch. Metall. Mater. 50 (2005) 87; the kernel is ours.

    Parameters
    ----------
    measured : Measured
        n patterns.
    rotation : Tensor, shape (n, h, 3, 3)
    reflector : Reflector
    settings : ScoreSettings
    """
    position, intensity = reflector.brightest(rotation, settings.excitation_width, measured.reach, PREDICTED)
    # A detection that found n disks would not have seen reflections much weaker than the n brightest.
    last = (1.25 * measured.mask.sum(1) + 1).long().clamp_max(intensity.shape[-1] - 1)
    faintest = intensity.gather(2, last[:, None, None].expand(*intensity.shape[:2], 1))
    intensity = intensity * (intensity >= ALIKE * faintest)
    relative = intensity / intensity[..., :1].clamp_min(1e-12)
    predicted = _weight(relative, settings.intensity_power)
    weight = _weight(measured.intensity, settings.intensity_power)
    distance, nearest = _nearest(measured.q, position, predicted > 0)
    kernel = gaussian(distance, settings.tolerance)
    matched = (weight[:, None] * torch.gather(predicted, 2, nearest) * kernel).sum(-1)
    norm = weight.norm(dim=1)[:, None] * predicted.norm(dim=-1)
    explained = ((distance < MATCHED**2) & measured.mask[:, None]).sum(-1)
    return Score((matched / norm.clamp_min(1e-12)).clamp(0, 1), explained)


def scoring_for(reflector: Reflector, snr_known: bool) -> ScoreSettings:
    """Return what tells hypotheses apart best under a reflector's beam.

    Without precession intensities are those of dynamical scattering, so the score trusts them and the places less.
    Where no signal-to-noise is known faint disks may be false, and have to count for less.
    """
    if reflector.precession or not snr_known:
        return ScoreSettings()
    return ScoreSettings(tolerance=0.05, excitation_width=0.04, intensity_power=0.25)


def score_weight(reflector: Reflector) -> float:
    """Return the evidence that a difference of one in score stands for under a reflector's beam."""
    return PRECESSED_WEIGHT if reflector.precession else SCORE_WEIGHT


def odds_by_score(value: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Return how much likelier scores make hypotheses than that none is right, by that of the best."""
    return np.asarray(SURE * np.exp(SCORE_WEIGHT * (value.astype(np.float64) - best)))


def gaussian(squared: torch.Tensor, width: torch.Tensor | float) -> torch.Tensor:
    """Return exp(-x²/2σ²) of x²; beyond 11 σ it stays as it is there, for smaller numbers take ten times as long."""
    return torch.exp((squared * (-0.5 / width**2)).clamp_(min=-60))


def _weight(intensity: torch.Tensor, power: float) -> torch.Tensor:
    return torch.where(intensity > 0, intensity.clamp_min(1e-12) ** power, torch.zeros_like(intensity))


def _nearest(
    q: torch.Tensor, position: torch.Tensor, present: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return squared distance and index of the predicted disk nearest to each measured one, shape (n, h, d)."""
    # Distance² is q² - 2 q p + p²; q² decides nothing among the places.
    absent = torch.where(present, position.square().sum(-1), 1e6)
    place = torch.cat([-2 * position, absent[..., None]], -1)
    apart = torch.nn.functional.pad(q, (0, 1), value=1.0)[:, None] @ place.transpose(-1, -2)
    nearest = least_in_rows(apart)
    distance = apart.gather(-1, nearest[..., None])[..., 0] + q.square().sum(-1)[:, None]
    return distance.clamp_min(0), nearest
