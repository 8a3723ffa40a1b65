"""The inspected position as a figure for a paper: the measured pattern beside each method's answer. Knows no Qt."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_4dstem_orient.napari_plugin.figures import write_figure
from napari_4dstem_orient.napari_plugin.indexers import METHODS
from napari_4dstem_orient.napari_plugin.inspection import CIRCLE, Answer, Position, angle_between, variants
from napari_4dstem_orient.napari_plugin.marks import Marks, in_variant, plane_indices, plane_mathtext
from napari_4dstem_orient.napari_plugin.pictures import GAMMA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from napari_4dstem_orient.napari_plugin.snapshot import Snapshot

EXPLAINED, UNEXPLAINED, MISSING, PREDICTED, RESIDUAL = "#0072b2", "#d55e00", "black", "0.55", "#cc0055"
"""Colours; every mark has its own shape too."""
LABELS = 8
"""Reflections that are named."""
LONGER = 5
"""Residuals are drawn so many times longer than they are."""
BARS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Lengths of scale bars, Å⁻¹."""


def pattern_figure(position: Position, answers: dict[str, Answer]) -> Figure:
    """Draw three panels: measured, template matching, transformer.

    Parameters
    ----------
    position : Position
    answers : dict
        Method to the answer that is shown; methods without one get a panel that says so.

    Returns
    -------
    Figure
        That no window knows of.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.4), layout="constrained")
    axes = figure.subplots(1, 1 + len(METHODS))
    _measured(axes[0], position)
    apart = angle_between(*(answers.get(method) for method in METHODS))
    told = "" if apart is None else f"\nthe answers differ by {apart:.1f}°"
    axes[0].set_xlabel(f"{position.reflections} disks{told}", fontsize=7)
    named = variants(answers)
    for axis, (method, title) in zip(axes[1:], METHODS.items(), strict=True):
        axis.set_title(title, fontsize=9)
        _frame(axis, position)
        answer = answers.get(method)
        if answer is None or answer.phase is None:
            axis.set_xlabel("no answer" if answer is None else answer.reason.text, fontsize=7, wrap=True)
        else:
            marks = position.marks(answer.spots)
            _answered(axis, position, marks, answer, named[method])
    _legend(figure)
    return figure


def save_patterns(
    position: Position, answers: dict[str, Answer], snapshot: Snapshot, path: str | Path
) -> None:
    """Write the figure with its provenance; raises UserError where ``write_figure`` does. For any thread."""
    write_figure(pattern_figure(position, answers), path, about(position, answers, snapshot))


def about(position: Position, answers: dict[str, Answer], snapshot: Snapshot) -> dict[str, Any]:
    """Return where a figure comes from, as plain JSON values: for its metadata."""
    from napari_4dstem_orient.analysis.directions import zone_axis
    from napari_4dstem_orient.pipeline import environment

    told: dict[str, Any] = {}
    for method, answer in answers.items():
        told[method] = {"reason": answer.reason.text}
        if answer.phase is not None:
            told[method] |= {
                "phase": answer.phase.name,
                "zone_axis": zone_axis(answer.rotation, answer.phase).text,
                "rotation": np.asarray(answer.rotation, float).round(6).tolist(),
                "score": round(answer.score, 4),
                "explained": answer.explained,
                "reliability": answer.reliability,
            }
    return {
        **environment(),
        "source": snapshot.scan.source if snapshot.scan is not None else None,
        "position": {"row": position.where[0], "column": position.where[1]},
        "calibration": asdict(snapshot.calibration),
        "exploratory": list(snapshot.calibration.exploratory),
        "answers": told,
    }


def _measured(axes: Axes, position: Position) -> None:
    row, col = position.where
    axes.set_title(f"Measured (row {row}, column {col})", fontsize=9)
    height, width = position.detector.shape
    top, left = -position.origin - 0.5
    axes.imshow(
        position.picture**GAMMA,
        cmap="gray_r",
        vmin=0,
        vmax=1,
        extent=(left, left + width, top + height, top),
        interpolation="nearest",
    )
    _rings(axes, position.marks(np.zeros((0, 6))).disks, position.radius, EXPLAINED, "-")
    _frame(axes, position)
    _scale_bar(axes, position)


def _answered(axes: Axes, position: Position, marks: Marks, answer: Answer, variant: np.ndarray) -> None:
    from matplotlib.collections import EllipseCollection, LineCollection

    from napari_4dstem_orient.analysis.directions import nearest_direction

    phase = answer.phase
    assert phase is not None
    across = 2 * position.radius * marks.sizes
    there = ~marks.missing
    axes.add_collection(
        EllipseCollection(
            across[there],
            across[there],
            0 * across[there],
            units="xy",
            offsets=marks.spots[there][:, ::-1],
            offset_transform=axes.transData,
            facecolors=PREDICTED,
            linewidths=0,
        )
    )
    missing = marks.spots[marks.missing]
    axes.plot(
        missing[:, 1], missing[:, 0], "x", color=MISSING, markersize=3, markeredgewidth=0.7, gid="missing"
    )
    _rings(axes, marks.disks[marks.explained], position.radius, EXPLAINED, "-")
    _rings(axes, marks.disks[~marks.explained], position.radius, UNEXPLAINED, "--")
    start = marks.spots[marks.reflection[marks.explained]]
    lines = np.stack([start, start + LONGER * marks.residuals], axis=1)[..., ::-1]
    axes.add_collection(LineCollection(list(lines), colors=RESIDUAL, linewidths=0.9, gid="residuals"))
    named = replace(marks, hkl=in_variant(marks.hkl, answer.rotation, variant, phase))
    for place, hkl in named.labelled(LABELS):
        axes.annotate(
            plane_mathtext(plane_indices(hkl, phase)),
            (place[1], place[0]),
            xytext=(0, 4 + 0.5 * position.radius),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=6,
            annotation_clip=True,
        )
    sure = "" if answer.reliability is None else f", reliability {answer.reliability:.0%}"
    zone = nearest_direction(variant[:, 2], phase).mathtext
    axes.set_xlabel(
        f"{phase.name}, zone axis {zone}\nscore {answer.score:.2f}{sure}\n"
        f"explains {answer.explained} of {position.reflections} disks",
        fontsize=7,
    )


def _rings(axes: Axes, disks: np.ndarray, radius: float, color: str, style: str) -> None:
    from matplotlib.collections import EllipseCollection

    across = np.full(len(disks), 2 * CIRCLE * radius)
    axes.add_collection(
        EllipseCollection(
            across,
            across,
            0 * across,
            units="xy",
            offsets=disks[:, ::-1],
            offset_transform=axes.transData,
            facecolors="none",
            edgecolors=color,
            linewidths=0.8,
            linestyles=style,
        )
    )


def _frame(axes: Axes, position: Position) -> None:
    """Show the detector, rows down, the direct beam as a cross."""
    top, left = -position.origin - 0.5
    height, width = position.detector.shape
    axes.plot(0, 0, "+", color="0.4", markersize=5)
    axes.set(xlim=(left, left + width), ylim=(top + height, top), aspect="equal", xticks=[], yticks=[])


def _scale_bar(axes: Axes, position: Position) -> None:
    from matplotlib.patheffects import AbstractPathEffect, withStroke

    q_pixel, (height, width) = position.detector.q_pixel, position.detector.shape
    longest = 0.35 * width * q_pixel
    length = max((bar for bar in BARS if bar <= longest), default=BARS[0])
    left, below = -position.origin[1] + 0.05 * width, -position.origin[0] + 0.93 * height
    halo: list[AbstractPathEffect] = [withStroke(linewidth=3, foreground="white")]
    ends = [left, left + length / q_pixel]
    axes.plot(ends, [below] * 2, "k-", linewidth=2, solid_capstyle="butt", path_effects=halo, gid="scale bar")
    text = axes.text(left, below - 0.025 * height, f"{length:g} Å⁻¹", fontsize=7, va="bottom")
    text.set_path_effects(halo)


def _legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    def ring(color: str, style: Literal["-", "--"]) -> Line2D:
        return Line2D([], [], color=color, linestyle=style, linewidth=1)

    marks = {
        "measured": ring(EXPLAINED, "-"),
        "measured, not explained": ring(UNEXPLAINED, "--"),
        "predicted": Line2D([], [], color=PREDICTED, marker="o", linestyle="", markersize=5),
        "predicted, no disk": Line2D([], [], color=MISSING, marker="x", linestyle="", markersize=4),
        f"measured − predicted, × {LONGER}": ring(RESIDUAL, "-"),
    }
    figure.legend(
        list(marks.values()), list(marks), loc="outside lower center", ncols=5, fontsize=6, frameon=False
    )
