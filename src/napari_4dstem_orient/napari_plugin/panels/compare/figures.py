"""The figures of a comparison, on the screen and on paper: line style and marker tell what colour tells, too."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from napari_4dstem_orient.analysis.comparison import SCORE, Comparison
from napari_4dstem_orient.analysis.distributions import CROSS, ZoneAxisCorrelations, densities
from napari_4dstem_orient.indexing.methods import in_words, title_of
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import SMALL, dress

STYLES = (("-", "#E69F00"), ("--", "#56B4E9"))
"""Of the first and the second map: Okabe and Ito's colours."""
CROSS_STYLE = (":", "#CC79A7")
POINTS = 10_000
"""Positions drawn at most: more would not be seen, and would slow the window."""


def draw_densities(figure: Figure, found: Comparison, color: str) -> None:
    """Draw the density of each measure of both maps, one measure above the other.

    The maps' own scores are drawn only where nothing else was measured: each method has its own scale.
    """
    measures = [name for name in found.similarity if name != SCORE] or [SCORE]
    plots = figure.subplots(len(measures), 1, squeeze=False)[:, 0]
    for axes, measure in zip(plots, measures, strict=True):
        x, each = densities(list(found.similarity[measure]))
        for name, density, (style, shade) in zip(found.names, each, STYLES, strict=True):
            axes.plot(x, density, style, color=shade, label=title_of(name))
        axes.set(ylim=(0, None), xlabel=measure, ylabel="density")
        dress(axes, color)
    look = {"fontsize": SMALL, "labelcolor": color, "framealpha": 0}
    figure.legend(handles=plots[0].get_lines(), loc="outside upper center", ncols=2, **look)


def scatter_places(found: Comparison, measure: str) -> np.ndarray:
    """Return rows and columns of positions where both maps have a value, shape (n, 2); n is at most ``POINTS``."""
    places = np.argwhere(np.isfinite(found.similarity[measure]).all(axis=0))
    if len(places) > POINTS:
        chosen = np.random.default_rng(0).choice(len(places), POINTS, replace=False)
        places = places[np.sort(chosen)]
    return places


def draw_scatter(figure: Figure, found: Comparison, measure: str, places: np.ndarray, color: str) -> Axes:
    """Draw the second map's values against the first's; on the dotted line both are equal."""
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
    across, up = (f"{measure}, {in_words(name)}" for name in found.names)
    axes.set(xlabel=across, ylabel=up)
    return dress(axes, color)


def draw_correlations(figure: Figure, found: ZoneAxisCorrelations, color: str) -> None:
    """Draw how the correlation of zone axes falls with distance, the azimuthal mean over all directions."""
    axes = figure.add_subplot()
    styles = iter(STYLES)
    for name, curve in found.curves.items():
        style, shade = CROSS_STYLE if name == CROSS else next(styles)
        label = "cross-correlation" if name == CROSS else f"{title_of(name)}, autocorrelation"
        axes.plot(curve.r, curve.by_distance, style, color=shade, label=label)
    axes.axhline(0, color=color, linewidth=0.6)
    axes.set(xlim=(0, None), xlabel=f"distance ({found.unit})", ylabel="correlation of zone axes")
    axes.legend(framealpha=0, loc="best")
    dress(axes, color)
