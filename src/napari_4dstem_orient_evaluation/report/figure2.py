"""The publication's Figure 2: what is sampled, what is learned, how far off the answers are, an error that shows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_4dstem_orient.analysis.colours import direction_rgb, draw_outline, key_position
from napari_4dstem_orient.indexing.prediction import predicted_pattern
from napari_4dstem_orient.indexing.transformer.checkpoint import Model, build_network
from napari_4dstem_orient.training.accuracy import (
    ALONE,
    TestSet,
    Trial,
    angles_to_truth,
    methods_for,
    simulate,
)
from napari_4dstem_orient.training.curves import plot_history
from napari_4dstem_orient.training.synthesis import SynthesisSettings
from napari_4dstem_orient.training.trainer import VALIDATION_SEED
from napari_4dstem_orient_evaluation.report.drawing import (
    MODEL,
    TRUTH,
    density,
    new_figure,
    pattern,
    plain_decades,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAR = 0.6
"""Radians; the publication counts what is farther off."""
LARGEST = 1.1
"""Radians; no two orientations of a cubic crystal are farther apart."""
SHOWN = 2000
"""Orientations drawn as dots."""


def sampling_and_learning(model: Model, trial: Trial) -> Figure:
    """Draw the orientations of a test set on the colour key, and the training curves where the card has them."""
    figure = new_figure(11, 3.4)
    triangle, loss, accuracy = figure.subplots(1, 3)
    _sampling(triangle, trial)
    history = model.card.training.get("history")
    if history:
        plot_history(loss, accuracy, history)
    else:
        for axes in (loss, accuracy):
            axes.text(0.5, 0.5, "the model card has no history", ha="center", transform=axes.transAxes)
            axes.axis("off")
    return figure


def _sampling(axes: Axes, trial: Trial) -> None:
    zones = trial.truth[:SHOWN, :, 2]
    x, y = key_position(zones, trial.crystal).T
    axes.scatter(x, y, s=6, c=direction_rgb(zones, trial.crystal), edgecolors="grey", linewidths=0.1)
    draw_outline(axes, trial.crystal)
    axes.set_title(f"{len(zones):,} of the test set's zone axes", fontsize=10)


def geodesic_losses(model: Model, trial: Trial, device: str) -> dict[str, np.ndarray]:
    """Return angles to the truth (radians) of the network's first answer, by what it answered."""
    count, phase = len(trial.angle), trial.phase
    lists, truth = simulate(
        model, phase, SynthesisSettings(**model.card.synthesis), count, seed=VALIDATION_SEED
    )
    validation = TestSet(
        "validation", type(trial.test.disks).from_lists((1, count), lists, calibrated=True), truth
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        untrained = replace(model, network=build_network(model.card).eval())
    found = {}
    for state, network in (("trained", model), ("untrained", untrained)):
        indexer = methods_for(network, device, template=False)[ALONE]()
        for test in (validation, trial.test):
            answer = indexer.index(test.first(count))
            angle = angles_to_truth(answer, test.truth[:count], trial.crystal, phase)
            name = "validation" if test is validation else "test"
            found[f"{name}, {state}"] = np.deg2rad(angle)
    return found


def losses(found: dict[str, np.ndarray], trial: Trial) -> Figure:
    """Draw densities of the geodesic loss, and the angles between found and true axes with their cosines."""
    figure = new_figure(11, 3.4)
    left, middle, right = figure.subplots(1, 3)
    bins = np.linspace(0, LARGEST, 56)
    for name, angle in found.items():
        density(
            left,
            angle,
            bins,
            name,
            color="tab:green" if name.startswith("validation") else MODEL,
            linestyle="-" if name.endswith(", trained") else ":",
        )
    density(left, np.deg2rad(trial.angle), bins, "test, refined", color=TRUTH)
    left.axvline(FAR, color="grey", linewidth=0.8, linestyle="--")
    left.set(xlabel="geodesic loss (rad)", ylabel="density (1/rad)")
    left.legend(frameon=False, fontsize=7)
    angles = np.rad2deg(axis_angles(trial))
    for axis, name in enumerate("xyz"):
        density(middle, angles[:, axis], np.linspace(0, 65, 66), f"θ{name}")
        density(right, np.cos(np.deg2rad(angles[:, axis])), np.linspace(0.4, 1, 61), f"cos θ{name}")
    middle.set(xlabel="angle between found and true axis (°)", ylabel="density (1/°)")
    right.set(xlabel="its cosine", ylabel="density")
    for axes in (left, middle, right):
        plain_decades(axes)
    for axes in (middle, right):
        axes.legend(frameon=False, fontsize=8)
    return figure


def axis_angles(trial: Trial) -> np.ndarray:
    """Return angles between found and true lab axes x, y, z in the crystal, shape (n, 3), radians.

    Of the symmetrically equivalent answers the one nearest to the truth counts.
    """
    symmetry = trial.crystal.symmetry
    variants = symmetry @ trial.answer.rotation[0][:, None]
    nearest = np.einsum("nkij,nij->nk", variants, trial.truth).argmax(1)
    found = variants[np.arange(len(nearest)), nearest]
    return np.arccos(np.clip(np.einsum("nij,nij->nj", found, trial.truth), -1, 1))


def similar_pattern(model: Model, trial: Trial) -> Figure:
    """Draw the pattern whose wrong answer explains it best, or the answer farthest off where none is wrong."""
    far = trial.angle > np.rad2deg(FAR)
    merit = np.where(far, trial.answer.score[0], -1.0) if far.any() else trial.angle
    index = int(merit.argmax())
    card = model.card
    figure = new_figure(10, 3.6)
    measured, found, true = figure.subplots(1, 3)
    reach = card.k_max * model.stretch
    pattern(measured, trial.test.disks.at(0, index), reach, "measured disks", TRUTH)
    for axes, name, rotation in (
        (found, f"answer: {trial.angle[index]:.1f}° off", trial.answer.rotation[0, index]),
        (true, "truth", trial.truth[index]),
    ):
        predicted = predicted_pattern(trial.crystal, rotation, card.voltage, reach, card.precession)
        pattern(axes, predicted[:, :3], reach, name, MODEL)
    return figure
