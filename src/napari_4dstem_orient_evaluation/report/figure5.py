"""The publication's Figure 5 a to c: model and template matching by two similarities, and where the model is worse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.indexing.base import FEW_DISKS, HALF_TURN
from napari_4dstem_orient.indexing.prediction import predicted_pattern
from napari_4dstem_orient.indexing.similarity import similarities as similarities_of
from napari_4dstem_orient.indexing.transformer.checkpoint import Model
from napari_4dstem_orient.training.accuracy import Trial
from napari_4dstem_orient_evaluation.report.drawing import (
    MODEL,
    TEMPLATE,
    TRUTH,
    density,
    markdown_table,
    new_figure,
    pattern,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WORSE = 5.0
"""Degrees by which an answer must be farther off to count as worse."""
EXAMPLES = 3


@dataclass(frozen=True, eq=False)
class Similarities:
    """Similarities of the answers to a test set's first n patterns, each of shape (n,), by name of the answer."""

    sparse: dict[str, np.ndarray]
    overlap: dict[str, np.ndarray]


def similarities(model: Model, ours: Trial, theirs: Trial) -> Similarities:
    """Compute both similarities of the model's and template matching's answers, and of the truth."""
    reach, count = model.card.k_max * model.stretch, len(theirs.angle)
    answers = {
        "model": ours.answer.rotation[:, :count],
        "template matching": theirs.answer.rotation,
        "truth": theirs.truth[None],
    }
    disks, every = ours.test.first(count), np.ones((1, count), bool)
    sparse, overlap = {}, {}
    for name, rotation in answers.items():
        both = similarities_of(disks, rotation, every, model.reflectors[ours.phase], reach)
        sparse[name], overlap[name] = (np.nan_to_num(values[0]) for values in both)
    return Similarities(sparse, overlap)


def densities(found: Similarities, ours: Trial, theirs: Trial) -> Figure:
    """Draw densities of both similarities, and the sparse correlation of one method against the other's."""
    figure = new_figure(11, 3.6)
    left, middle, right = figure.subplots(1, 3)
    colors = {"model": MODEL, "template matching": TEMPLATE, "truth": TRUTH}
    highest = max(float(values.max()) for values in found.sparse.values())
    for name, color in colors.items():
        density(left, found.sparse[name], np.linspace(0, highest, 31), name, color=color)
        density(middle, found.overlap[name], np.linspace(0, 1, 31), name, color=color)
    left.set(xlabel="sparse correlation", ylabel="density")
    middle.set(xlabel="Q", ylabel="density")
    left.legend(frameon=False, fontsize=8)
    worse = worse_cases(ours, theirs)
    x, y = found.sparse["template matching"], found.sparse["model"]
    right.plot([0, highest], [0, highest], color="grey", linewidth=0.8)
    right.scatter(x[~worse], y[~worse], s=6, color=MODEL, alpha=0.5, label="others")
    right.scatter(x[worse], y[worse], s=16, color="tab:red", label=f"model {WORSE:g}° worse")
    right.set(xlabel="sparse correlation, template matching", ylabel="sparse correlation, model")
    right.legend(frameon=False, fontsize=8)
    return figure


def worse_cases(ours: Trial, theirs: Trial) -> np.ndarray:
    """Return for which of the first n patterns the model is farther off than template matching by ``WORSE``."""
    return ours.angle[: len(theirs.angle)] > theirs.angle + WORSE


def examples(model: Model, ours: Trial, theirs: Trial) -> Figure | None:
    """Draw a few patterns on which the model is worse; none, if there is no such pattern."""
    worst = np.argsort(theirs.angle - ours.angle[: len(theirs.angle)])[:EXAMPLES]
    worst = worst[worse_cases(ours, theirs)[worst]]
    if not len(worst):
        return None
    card, reach = model.card, model.card.k_max * model.stretch
    figure = new_figure(10, 3.5 * len(worst))
    for row, index in zip(figure.subplots(len(worst), 3, squeeze=False), worst, strict=True):
        pattern(row[0], ours.test.disks.at(0, index), reach, "measured disks", TRUTH)
        for axes, trial, name, color in (
            (row[1], ours, "model", MODEL),
            (row[2], theirs, "template matching", TEMPLATE),
        ):
            rotation = trial.answer.rotation[0, index]
            predicted = predicted_pattern(ours.crystal, rotation, card.voltage, reach, card.precession)
            pattern(axes, predicted[:, :3], reach, f"{name}, {trial.angle[index]:.1f}° off", color)
    return figure


def why_worse(ours: Trial, theirs: Trial) -> str:
    """Return a table: in how many patterns one method is worse, and what the model's failures have in common."""
    count = len(theirs.angle)
    worse = worse_cases(ours, theirs)
    better = theirs.angle > ours.angle[:count] + WORSE
    found, truth = ours.answer.rotation[0, :count], theirs.truth
    turned = misorientation(found @ HALF_TURN, truth, ours.crystal) < WORSE
    others = misorientation(ours.answer.runner_up[0, :count], truth[:, None], ours.crystal)
    listed = others.min(1, initial=180.0) < WORSE
    few = ours.test.disks.counts[0, :count] < FEW_DISKS
    unsure = np.zeros(count, bool) if ours.reliability is None else ours.reliability[:count] < 0.5
    rows = [
        (f"template matching is at least {WORSE:g}° worse", better),
        (f"the model is at least {WORSE:g}° worse", worse),
        ("… because it is turned by 180° about the beam", worse & turned),
        ("… with the right one among its next three answers: the choice was wrong", worse & listed),
        ("… with the right one not among them", worse & ~listed),
        (f"… on fewer than {FEW_DISKS} disks", worse & few),
        ("… and says so: reliability under 0.5", worse & unsure),
    ]
    return markdown_table(
        [f"of {count} patterns", "number", "share"],
        [[text, str(int(mask.sum())), f"{mask.mean():.1%}"] for text, mask in rows],
    )
