"""What detected disks are, for patterns whose truth is known; used by ``measure_detection.py``.

A detected disk is a reflection if one lies within ``TOLERANCE`` of it; the most excited such reflection is taken.
Intensities of disks are relative to the strongest disk beside the direct beam.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import napari_4dstem_orient as orient
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.crystals.kinematic import Reflector

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers.multislice import MultislicePatterns

TOLERANCE = 0.06  # Å⁻¹
EXCITED = (
    1e-5  # reflections that two-beam theory never makes stronger than this share of the beam are left out
)
FAINTER = 0.1  # a reflection this much fainter than a disk did not make it
WEAKEST = 1e-6  # of the beam


@dataclass(frozen=True, eq=False)
class Reflections:
    """True reflections of one pattern.

    Attributes
    ----------
    q : ndarray, shape (n, 2)
        Å⁻¹.
    share : ndarray, shape (n,)
        Of the beam's electrons, all that is expected where the disk lies.
    envelope : ndarray, shape (n,)
        1 / (1 + s² ξ²), which says to which of two overlapping reflections the electrons belong.
    hidden : ndarray, bool, shape (n,)
        Whether a stronger one overlaps.
    """

    q: np.ndarray
    share: np.ndarray
    envelope: np.ndarray
    hidden: np.ndarray


def true_reflections(patterns: MultislicePatterns) -> list[Reflections]:
    """List every pattern's reflections with their integrated expected intensities."""
    q_pixel = patterns.calibration.q_pixel
    reflector = reflector_of(patterns)
    width = patterns.calibration.semiangle / 1e3 / reflector.wavelength
    rows, cols = np.indices(patterns.share.shape[1:])
    result = []
    for rotation, image in zip(patterns.rotation, patterns.share, strict=True):
        g_lab = reflector.in_lab(torch.as_tensor(rotation, dtype=torch.float32))
        error = reflector.excitation_errors(g_lab)[0]
        envelope = (1 / (1 + (error * reflector.extinction).square())).numpy()
        q = g_lab[:, :2].numpy().astype(float)
        use = (
            (np.hypot(*q.T) > 0.5 * reflector.nearest) & (np.abs(q).max(axis=1) < 2.05) & (envelope > EXCITED)
        )
        q, envelope = q[use], envelope[use]
        pixel = patterns.origin + q / q_pixel
        near = (
            np.hypot(rows - pixel[:, 0, None, None], cols - pixel[:, 1, None, None]) < width / q_pixel + 0.8
        )
        share = (near * image).sum(axis=(1, 2))
        use = share > WEAKEST
        q, share, envelope = q[use], share[use], envelope[use]
        apart = np.linalg.norm(q[:, None] - q, axis=2)
        hidden = ((apart < 2 * width) & (envelope[None, :] > envelope[:, None])).any(axis=1)
        result.append(Reflections(q, share, envelope, hidden))
    return result


def reflector_of(patterns: MultislicePatterns) -> Reflector:
    """Return the crystal's reflections as far as the detector's edge."""
    return Reflector.of(orient.find_phase(patterns.crystal), patterns.calibration.voltage, 2.2)


@dataclass(frozen=True, eq=False)
class Table:
    """All detected disks beside the direct beam, and all true reflections, of all patterns.

    Attributes
    ----------
    pattern, q, relative, residual, true_share, beside, off : ndarray
        Of each detected disk: its pattern, position, relative intensity, distance from its reflection (NaN if it
        has none), share of the beam, and distance from the nearest disk that is at least three times as strong
        (the direct beam counts), and from the nearest reflection that is at least half as strong.
    real_pattern, real_relative, real_share, real_found : ndarray
        Of each reflection that no brighter one hides: its pattern, relative intensity, share of the beam, whether
        it was found.
    chance : float
        Share of disks that have a reflection near when the pattern is turned by 73°.
    """

    pattern: np.ndarray
    q: np.ndarray
    relative: np.ndarray
    residual: np.ndarray
    true_share: np.ndarray
    beside: np.ndarray
    off: np.ndarray
    real_pattern: np.ndarray
    real_relative: np.ndarray
    real_share: np.ndarray
    real_found: np.ndarray
    chance: float

    @classmethod
    def of(cls, patterns: MultislicePatterns, truth: list[Reflections], disks: BraggDisks) -> Table:
        """Compare detected disks with the truth."""
        nearest = reflector_of(patterns).nearest
        c, s = np.cos(np.deg2rad(73)), np.sin(np.deg2rad(73))
        found, real, chance = [], [], []
        for index, true in enumerate(truth):
            rows = disks.at(0, index).astype(float)
            away = np.hypot(rows[:, 0], rows[:, 1]) > 0.5 * nearest
            q, strength = rows[away, :2], rows[away, 2]
            if not len(q):
                continue
            which = match(q, strength / strength.max(), true)
            chance.append(match(q @ np.array([[c, s], [-s, c]]), strength / strength.max(), true) >= 0)
            some = which >= 0
            residual = np.where(some[:, None], q - true.q[which], np.nan)
            share = np.where(some, true.share[which], np.nan)
            apart = np.linalg.norm(q[:, None] - rows[None, :, :2], axis=2)
            beside = np.where(rows[None, :, 2] > 3 * strength[:, None], apart, np.inf).min(axis=1)
            far = np.linalg.norm(q[:, None] - true.q, axis=2)
            # as strong: compared by the ratio of the strongest detected disk to the strongest reflection
            as_strong = true.share / true.share.max() > 0.5 * strength[:, None] / strength.max()
            off = np.where(as_strong, far, np.inf).min(axis=1)
            found.append((np.full(len(q), index), q, strength / strength.max(), residual, share, beside, off))
            seen = np.isin(np.arange(len(true.q)), which[some])
            clear = ~true.hidden
            relative = true.share / true.share.max()
            real.append((np.full(clear.sum(), index), relative[clear], true.share[clear], seen[clear]))
        return cls(
            *(np.concatenate(part) for part in zip(*found, strict=True)),
            *(np.concatenate(part) for part in zip(*real, strict=True)),
            float(np.concatenate(chance).mean()),
        )


def match(q: np.ndarray, relative: np.ndarray, true: Reflections) -> np.ndarray:
    """Return the index of the most excited reflection near each disk, -1 where there is none."""
    near = np.linalg.norm(q[:, None] - true.q, axis=2) < TOLERANCE
    near &= true.share / true.share.max() > FAINTER * relative[:, None]
    best = np.where(near, true.envelope, -1).argmax(axis=1)
    return np.where(near.any(axis=1), best, -1)
