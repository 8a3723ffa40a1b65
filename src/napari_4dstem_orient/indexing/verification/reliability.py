"""The last step to reliability: what the verifier believes becomes how often such answers are right, within 5°."""

from __future__ import annotations

import numpy as np

TEMPERATURE = 1.3
"""By how much the verifier is too sure of what it judges alone. ``tools/measure_certainty.py --set develop --fit``
finds 1.2 for random orientations of seven crystals, of 5e3 to 1e6 electrons; grains of a map, which err as one, ask
for more. What pools say needs none."""

NEAREST = 1e-9
"""To 0 or 1; nothing is surer."""


def calibrated(believed: np.ndarray, temperature: float = TEMPERATURE) -> np.ndarray:
    """Return the share of answers that are right where so much is believed (0 to 1): σ(logit(b) / temperature).

    Temperature scaling: C. Guo et al., ICML 2017.
    """
    inside = believed.astype(np.float64).clip(NEAREST, 1 - NEAREST)
    return np.where(believed > 0, 1 / (1 + (1 / inside - 1) ** (1 / temperature)), 0.0)
