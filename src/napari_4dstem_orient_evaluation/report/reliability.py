"""How far reliability tells right answers from wrong ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.training.accuracy import Trial
from napari_4dstem_orient_evaluation.report.drawing import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RIGHT = 5.0
"""Degrees."""
BINS = np.linspace(0, 1, 11)
FEWEST = 10
"""Patterns; a bin of fewer says nothing."""


def calibration(reliability: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return mean reliability, share of right answers and number of patterns of each bin, shape (bins, 3).

    Bins of fewer than ``FEWEST`` patterns are left out.
    """
    which = np.clip(np.digitize(reliability, BINS) - 1, 0, len(BINS) - 2)
    rows = [
        (reliability[which == number].mean(), right[which == number].mean(), (which == number).sum())
        for number in range(len(BINS) - 1)
        if (which == number).sum() >= FEWEST
    ]
    return np.array(rows).reshape(-1, 3)


def coverage(reliability: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return shares of patterns, most reliable first, and the share of right answers among each."""
    order = np.argsort(-reliability, kind="stable")
    number = np.arange(1, len(order) + 1)
    return number / len(order), right[order].cumsum() / number


def reliability_figure(trials: Sequence[Trial]) -> Figure:
    """Draw, for each test set, right answers against reliability and against the share of patterns kept."""
    figure = new_figure(9, 3.8)
    left, right = figure.subplots(1, 2)
    left.plot([0, 100], [0, 100], color="grey", linewidth=0.8)
    for trial in trials:
        if trial.reliability is None:
            continue
        correct = trial.angle < RIGHT
        bins = calibration(trial.reliability, correct)
        left.plot(100 * bins[:, 0], 100 * bins[:, 1], marker="o", markersize=4, label=trial.test.kind)
        kept, share = coverage(trial.reliability, correct)
        start = min(FEWEST, len(kept)) - 1
        right.plot(100 * kept[start:], 100 * share[start:], label=trial.test.kind)
    left.set(xlabel="reliability (%)", ylabel=f"answers within {RIGHT:g}° (%)", xlim=(0, 100), ylim=(0, 102))
    right.axvline(50, color="grey", linewidth=0.8, linestyle="--")
    right.set(
        xlabel="most reliable patterns kept (%)", ylabel=f"of these within {RIGHT:g}° (%)", xlim=(0, 100)
    )
    right.set_ylim(top=101)
    left.legend(frameon=False, fontsize=8)
    return figure
