"""Accuracy against each disturbance, as curves and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from napari_4dstem_orient.training.accuracy import IN_USE
from napari_4dstem_orient_evaluation.report.drawing import MODEL, TEMPLATE, markdown_table, new_figure
from napari_4dstem_orient_evaluation.robustness import Reading

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def robustness_figure(readings: Sequence[Reading]) -> Figure:
    """Draw a curve for each knob and method, of one phase."""
    knobs = list(dict.fromkeys(reading.knob for reading in readings))
    columns = 3
    rows = -(-len(knobs) // columns)
    figure = new_figure(10, 2.5 * rows)
    places = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, knob in zip(places, knobs, strict=False):
        for ours, name, color in ((True, "model", MODEL), (False, "template matching, 2°", TEMPLATE)):
            own = [r for r in readings if r.knob == knob and (r.accuracy.method == IN_USE) is ours]
            axes.plot(
                [r.value * knob.shown for r in own],
                [100 * r.accuracy.within_5 for r in own],
                marker="o",
                markersize=4,
                color=color,
                label=name,
            )
        if knob.field in ("thickness", "threshold"):
            axes.set_xscale("log")
        axes.set(xlabel=knob.title, ylim=(0, 102))
    for axes in places[len(knobs) :]:
        axes.axis("off")
    for axes in places[::columns]:
        axes.set_ylabel("within 5° (%)")
    places[0].legend(frameon=False, fontsize=8, loc="lower left")
    return figure


def robustness_table(readings: Sequence[Reading]) -> str:
    """Return a table of one phase: a row for each value, model and template matching side by side."""
    rows: dict[str, list[str]] = {}
    for reading in readings:
        row = reading.accuracy
        cells = rows.setdefault(row.patterns, [row.patterns])
        cells += [f"{row.median:.3g}°", f"{row.within_5:.1%}"]
    header = ["patterns", "model: median", "within 5°", "template matching, 2°: median", "within 5°"]
    return markdown_table(header, list(rows.values()))
