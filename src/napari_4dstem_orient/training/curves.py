"""Training curves: loss and accuracy against the patterns seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_4dstem_orient.core.ours import save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEW = 30
"""Validations; fewer are marked by dots, or a first one would not be seen."""


def plot_history(loss: Axes, accuracy: Axes, history: Sequence[dict[str, float]]) -> None:
    """Plot training and validation loss, and accuracy, of the figures that a training reported.

    Parameters
    ----------
    loss, accuracy : Axes
        One for each plot.
    history : sequence of dict
        As ``train_model`` reports them.
    """
    seen = [row["patterns"] / 1e6 for row in history]
    marker = "." if len(history) < FEW else ""
    loss.plot(seen, [row["training_loss"] for row in history], marker=marker, label="training")
    loss.plot(seen, [row["validation_loss"] for row in history], marker=marker, label="validation")
    loss.set(xlabel="patterns seen (millions)", ylabel="loss (rad)")
    loss.legend(frameon=False)
    accuracy.plot(seen, [100 * row["within_5"] for row in history], marker=marker, label="first answer")
    accuracy.plot(
        seen, [100 * row["best_within_5"] for row in history], marker=marker, label="best hypothesis"
    )
    accuracy.set(xlabel="patterns seen (millions)", ylabel="validation patterns within 5° (%)", ylim=(0, 100))
    accuracy.legend(frameon=False)


def save_curves(history: Sequence[dict[str, float]], title: str, path: Path) -> None:
    """Write the curves of a training as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot_history(left, right, history)
    left.set_title(title)
    save_picture(figure, path)
