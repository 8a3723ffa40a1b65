"""The figures of a comparison, on the screen and on paper: line style and marker tell what colour tells, too."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from napari_4dstem_orient.analysis.comparison import SCORE
from napari_4dstem_orient.analysis.distributions import CROSS, densities
from napari_4dstem_orient.indexing.methods import in_words, title_of

if TYPE_CHECKING:
    from napari_4dstem_orient.analysis.comparison import Comparison
    from napari_4dstem_orient.analysis.distributions import ZoneAxisCorrelations

STYLES = (("-", "#E69F00"), ("--", "#56B4E9"))
"""Of the first and the second map: Okabe and Ito's colours."""
CROSS_STYLE = (":", "#CC79A7")
POINTS = 10_000
"""Positions drawn at most: more would not be seen, and would slow the window."""


def draw_densities(figure: Figure, found: Comparison, color: str) -> None:
    """Draw the density of each measure of both maps, one measure above the other.

    The maps' own scores are drawn only where nothing else was measured: each method has its own scale.
    """
    figure.clear()
    measures = [name for name in found.similarity if name != SCORE] or [SCORE]
    plots = figure.subplots(len(measures), 1, squeeze=False)[:, 0]
    for axes, measure in zip(plots, measures, strict=True):
        x, each = densities(list(found.similarity[measure]))
        for name, density, (style, shade) in zip(found.names, each, STYLES, strict=True):
            axes.plot(x, density, style, color=shade, label=title_of(name))
        axes.set_ylim(0, None)
        _dress(axes, measure, "density", color)
    lines = plots[0].get_lines()
    figure.legend(
        handles=lines, loc="outside upper center", ncols=2, fontsize=7.5, labelcolor=color, framealpha=0
    )


def scatter_places(found: Comparison, measure: str) -> np.ndarray:
    """Return rows and columns of positions where both maps have a value, shape (n, 2); n is at most ``POINTS``."""
    places = np.argwhere(np.isfinite(found.similarity[measure]).all(axis=0))
    if len(places) > POINTS:
        chosen = np.random.default_rng(0).choice(len(places), POINTS, replace=False)
        places = places[np.sort(chosen)]
    return places


def draw_scatter(figure: Figure, found: Comparison, measure: str, places: np.ndarray, color: str) -> Axes:
    """Draw the second map's values against the first's; on the dotted line both are equal."""
    figure.clear()
    axes = figure.add_subplot()
    one, other = found.similarity[measure][:, places[:, 0], places[:, 1]]
    axes.scatter(one, other, s=9, color="#56B4E9", alpha=0.6, linewidths=0, rasterized=len(places) > 2000)
    if len(places):
        low, high = float(min(one.min(), other.min())), float(max(one.max(), other.max()))
        edge = 0.06 * max(high - low, 1e-3)
        limits = low - edge, high + edge
        axes.plot(limits, limits, ":", color=color, linewidth=1)
        axes.set(xlim=limits, ylim=limits)
    axes.set_aspect("equal")
    axes.locator_params(nbins=5)
    _dress(axes, f"{measure}, {in_words(found.names[0])}", f"{measure}, {in_words(found.names[1])}", color)
    return axes


def draw_correlations(figure: Figure, found: ZoneAxisCorrelations, color: str) -> None:
    """Draw how the correlation of zone axes falls with distance, the azimuthal mean over all directions."""
    figure.clear()
    axes = figure.add_subplot()
    styles = iter(STYLES)
    for name, curve in found.curves.items():
        style, shade = CROSS_STYLE if name == CROSS else next(styles)
        label = "cross-correlation" if name == CROSS else f"{title_of(name)}, autocorrelation"
        axes.plot(curve.r, curve.by_distance, style, color=shade, label=label)
    axes.axhline(0, color=color, linewidth=0.6)
    axes.set_xlim(0, None)
    _dress(axes, f"distance ({found.unit})", "correlation of zone axes", color)
    _legend(axes, color)


def _legend(axes: Axes, color: str) -> None:
    axes.legend(fontsize=7.5, labelcolor=color, framealpha=0, loc="best")


def _dress(axes: Axes, x: str, y: str, color: str) -> None:
    axes.patch.set_alpha(0)
    axes.set_xlabel(x, color=color, fontsize=8)
    axes.set_ylabel(y, color=color, fontsize=8)
    axes.tick_params(colors=color, labelsize=8)
    for spine in axes.spines.values():
        spine.set_color(color)
