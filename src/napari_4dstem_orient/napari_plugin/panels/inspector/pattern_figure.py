"""The inspected position as a figure for a paper: the measured pattern beside each method's answer. Knows no Qt."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from napari_4dstem_orient.crystals.directions import nearest_direction, zone_axis
from napari_4dstem_orient.indexing.methods import METHODS, title_of
from napari_4dstem_orient.indexing.settings import PredictionSettings
from napari_4dstem_orient.napari_plugin.panels.inspector.views import ViewOptions
from napari_4dstem_orient.napari_plugin.pattern_view.figures import write_figure
from napari_4dstem_orient.napari_plugin.pattern_view.inspection import (
    Answer,
    Position,
    farthest_apart,
    variants,
)
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import (
    CORNERS,
    CRYSTALS,
    LABELS,
    STYLES,
    MarkSet,
    Shape,
    Style,
    matched,
    of_crystals,
    rings,
    scale_bar,
)
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import Contrast
from napari_4dstem_orient.napari_plugin.pattern_view.spot_matching import (
    Marks,
    in_variant,
    plane_indices,
    plane_mathtext,
)
from napari_4dstem_orient.workflow.provenance import environment

if TYPE_CHECKING:
    from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot


def pattern_figure(
    position: Position,
    answers: dict[str, Answer],
    attention: np.ndarray | None = None,
    look: ViewOptions = ViewOptions(),  # noqa: B008 - it is frozen
) -> Figure:
    """Draw the measured pattern and, beside it, what each method predicts.

    Parameters
    ----------
    position : Position
    answers : dict
        Method to the answer that is shown; methods of the registry without one get a panel that says so.
    attention : ndarray, shape (n,), optional
        Share of the transformer's that each of the position's disks got.
    look : ViewOptions
        Which crystal is drawn, in which contrast, and whether reflections are named.

    Returns
    -------
    Figure
        That no window knows of.
    """
    from matplotlib.figure import Figure

    methods = list(dict.fromkeys((*METHODS, *answers)))
    figure = Figure(figsize=(2.4 * (1 + len(methods)), 3.4), layout="constrained")
    axes = figure.subplots(1, 1 + len(methods))
    told = None if attention is None else attention[position.beside]
    _measured(axes[0], position, told, look.contrast)
    firsts = {method: answer.of_crystals(look.crystal)[0] for method, answer in answers.items()}
    apart = farthest_apart(firsts)
    angle = "" if apart is None else f"\nthe answers differ by {apart:.1f}°"
    axes[0].set_xlabel(f"{position.reflections} disks{angle}", fontsize=7)
    named = variants(firsts)
    kinds: dict[str, Style] = dict(STYLES)
    for axis, method in zip(axes[1:], methods, strict=True):
        axis.set_title(title_of(method), fontsize=9)
        _frame(axis, position)
        answer = answers.get(method)
        if answer is None or answer.phase is None:
            axis.set_xlabel("no answer" if answer is None else answer.status.text, fontsize=7, wrap=True)
        elif answer.beside:
            kinds |= _several(axis, position, answer, look.crystal)
        else:
            seen = position.marks(answer.spots)
            looked_at = told if method == "transformer" else None
            _answered(axis, position, seen, answer, named[method], looked_at, look.labels)
    _legend(figure, kinds)
    return figure


def save_patterns(
    position: Position,
    answers: dict[str, Answer],
    snapshot: Snapshot,
    path: str | Path,
    look: ViewOptions,
    attention: np.ndarray | None = None,
) -> None:
    """Write the figure with its provenance; raises UserError where ``write_figure`` does. For any thread."""
    figure = pattern_figure(position, answers, attention, look)
    write_figure(figure, path, about(position, answers, snapshot, look.prediction))


def about(
    position: Position,
    answers: dict[str, Answer],
    snapshot: Snapshot,
    prediction: PredictionSettings | None = None,
) -> dict[str, Any]:
    """Return where a figure comes from, as plain JSON values: for its metadata."""
    told = {method: _about(position, answer) for method, answer in answers.items()}
    return {
        **environment(),
        "source": snapshot.scan.source if snapshot.scan is not None else None,
        "position": {"row": position.where[0], "column": position.where[1]},
        "calibration": asdict(snapshot.calibration),
        "prediction": asdict(prediction or PredictionSettings()),
        "exploratory": list(snapshot.calibration.exploratory),
        "answers": told,
    }


def _about(position: Position, answer: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {"reason": answer.status.text}
    if answer.phase is not None:
        told |= {
            "phase": answer.phase.name,
            "zone_axis": zone_axis(answer.rotation, answer.phase).text,
            "rotation": np.asarray(answer.rotation, float).round(6).tolist(),
            "score": round(answer.score, 4),
            "explained": int(position.marks(answer.spots).explained.sum()),
            "reliability": answer.reliability,
        }
    if answer.share is not None:
        told["share"] = round(answer.share, 4)
    if answer.beside:
        told["beside"] = [_about(position, other) for other in answer.beside]
    return told


def _measured(axes: Axes, position: Position, attention: np.ndarray | None, contrast: Contrast) -> None:
    row, col = position.where
    axes.set_title(f"Measured (row {row}, column {col})", fontsize=9)
    height, width = position.detector.shape
    top, left = -position.origin - 0.5
    axes.imshow(
        contrast.apply(position.picture),
        cmap="gray_r",
        vmin=0,
        vmax=1,
        extent=(left, left + width, top + height, top),
        interpolation="nearest",
    )
    _draw(axes, rings(position.disks[position.beside], position.radius, attention))
    _frame(axes, position)
    if position.detector.scaled:
        _scale_bar(axes, position)


def _answered(
    axes: Axes,
    position: Position,
    seen: Marks,
    answer: Answer,
    variant: np.ndarray,
    attention: np.ndarray | None,
    labels: bool,
) -> None:
    phase, there = answer.phase, ~seen.missing
    assert phase is not None
    found = MarkSet("predicted", seen.spots[there], position.radius, seen.intensity[there])
    for marks in (found, *matched(seen, position.radius, residuals=True, attention=attention)):
        _draw(axes, marks)
    named = replace(seen, hkl=in_variant(seen.hkl, answer.rotation, variant, phase))
    for place, hkl in named.labelled(LABELS) if labels else ():
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
        f"{phase.name}, zone axis {zone}\nscore {answer.score:.2f}{sure}\n{seen.text}", fontsize=7
    )


def _several(axes: Axes, position: Position, answer: Answer, crystal: int) -> dict[str, Style]:
    """Draw a pattern of several crystals as the screen shows it, and return the kinds of marks that are new."""
    every, ones = answer.of_crystals(), answer.of_crystals(crystal)
    seen = {one.crystal: position.marks(one.spots) for one in every}
    there = [(seen[one.crystal], ~seen[one.crystal].missing) for one in ones]
    where = np.vstack([marks.spots[found] for marks, found in there])
    strength = np.concatenate([marks.intensity[found] for marks, found in there])
    numbers = [one.crystal for one in ones]
    for each in (
        MarkSet("predicted", where, position.radius, strength),
        *of_crystals(seen, numbers, position.radius, residuals=True),
    ):
        _draw(axes, each)
    lines = []
    for one in ones:
        assert one.phase is not None
        zone = nearest_direction(variants({"": one})[""][:, 2], one.phase).mathtext
        sure = "" if one.reliability is None else f", reliability {one.reliability:.0%}"
        lines.append(
            f"crystal {one.crystal}: {one.phase.name} {zone}, {one.share or 0:.0%} of the light{sure}"
        )
    axes.set_xlabel("\n".join(lines), fontsize=7)
    return {f"crystal {number}": CRYSTALS[f"crystal {number}"] for number in numbers}


def _draw(axes: Axes, marks: MarkSet) -> None:
    """Draw marks in the shape and the colour that they have on paper."""
    from matplotlib.collections import EllipseCollection, LineCollection, PolyCollection

    colour, shape = marks.style.paper, marks.style.shape
    if shape is Shape.CROSS:
        col, row = marks.where[:, 1], marks.where[:, 0]
        axes.plot(col, row, "x", color=colour, markersize=3, markeredgewidth=0.7, gid=marks.kind)
        return
    if shape is Shape.ARROW:
        assert marks.ends is not None
        lines = np.stack([marks.where, marks.ends], axis=1)[..., ::-1]
        axes.add_collection(LineCollection(list(lines), colors=colour, linewidths=0.9, gid=marks.kind))
        return
    if shape in CORNERS:
        corners = marks.where[:, None, ::-1] + marks.radius * np.array(CORNERS[shape])[:, ::-1]
        outline = PolyCollection(list(corners), facecolors="none", edgecolors=colour, linewidths=0.8)
        outline.set_gid(marks.kind)
        axes.add_collection(outline)
        return
    across = np.full(len(marks.where), 2 * marks.radius)
    if shape is Shape.DISC:  # white paper has no brightness: areas go as the root of the intensity
        assert marks.strength is not None
        across = across * np.clip(marks.strength, 0, 1) ** 0.25
        look: dict[str, Any] = {"facecolors": colour, "linewidths": 0}
    else:
        told = marks.attention_colours()
        edges = colour if told is None else [tuple(part / 255 for part in each) for each in told]
        style = "--" if shape is Shape.DASHED else "-"
        look = {
            "facecolors": "none",
            "edgecolors": edges,
            "linewidths": 0.8 * marks.widths,
            "linestyles": style,
        }
    axes.add_collection(
        EllipseCollection(
            across,
            across,
            0 * across,
            units="xy",
            offsets=marks.where[:, ::-1],
            offset_transform=axes.transData,
            gid=marks.kind,
            **look,
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
    length = scale_bar(width * q_pixel)
    left, below = -position.origin[1] + 0.05 * width, -position.origin[0] + 0.93 * height
    halo: list[AbstractPathEffect] = [withStroke(linewidth=3, foreground="white")]
    ends = [left, left + length / q_pixel]
    axes.plot(ends, [below] * 2, "k-", linewidth=2, solid_capstyle="butt", path_effects=halo, gid="scale bar")
    text = axes.text(left, below - 0.025 * height, f"{length:g} Å⁻¹", fontsize=7, va="bottom")
    text.set_path_effects(halo)


def _legend(figure: Figure, kinds: dict[str, Style]) -> None:
    from matplotlib.lines import Line2D

    looks: dict[Shape, dict[str, Any]] = {
        Shape.RING: {"linestyle": "-"},
        Shape.DASHED: {"linestyle": "--"},
        Shape.DISC: {"linestyle": "", "marker": "o", "markersize": 5},
        Shape.CROSS: {"linestyle": "", "marker": "x", "markersize": 4},
        Shape.ARROW: {"linestyle": "-"},
        Shape.SQUARE: {"linestyle": "", "marker": "s", "markersize": 4, "markerfacecolor": "none"},
        Shape.DIAMOND: {"linestyle": "", "marker": "D", "markersize": 4, "markerfacecolor": "none"},
        Shape.TRIANGLE: {"linestyle": "", "marker": "^", "markersize": 4, "markerfacecolor": "none"},
    }
    marks = [
        Line2D([], [], color=style.paper, linewidth=1, label=style.legend, **looks[style.shape])
        for style in kinds.values()
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks), fontsize=6, frameon=False)
