"""Plots of a comparison: distributions, one method against the other, correlation with distance."""

from __future__ import annotations

from functools import partial
from typing import Any

import napari
import numpy as np
from matplotlib.figure import Figure
from qtpy.QtWidgets import QWidget

from napari_4dstem_orient.analysis.comparison import Comparison
from napari_4dstem_orient.analysis.correlation import correlation_length
from napari_4dstem_orient.analysis.distributions import CROSS, ZoneAxisCorrelations, zone_axis_correlations
from napari_4dstem_orient.indexing.methods import in_words, title_of
from napari_4dstem_orient.napari_plugin.panels.compare.figures import (
    draw_correlations,
    draw_densities,
    draw_scatter,
    scatter_places,
)
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import SavedPlot
from napari_4dstem_orient.napari_plugin.qt.boxes import column
from napari_4dstem_orient.napari_plugin.qt.collapsible import Section
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.state.sessions import session_for

NOTHING_YET = "Compare two maps first."
NEAR = 12
"""Pixels within which a click takes a point."""


class ComparePlots(QWidget):
    """The plots, each in a section that opens and closes.

    Parameters
    ----------
    viewer : napari.Viewer
        Its session's position is marked; a click on a point moves it there.
    endings : Endings
        Of the panel.
    """

    def __init__(self, viewer: napari.Viewer, endings: Endings) -> None:
        super().__init__()
        self.session = session_for(viewer)
        of = viewer, endings
        self.densities = SavedPlot(*of, 300, "Densities of both methods' similarities", "densities.pdf")
        self.scatter = SavedPlot(*of, 290, "One method's similarity against the other's", "scatter.pdf")
        self.correlations = SavedPlot(*of, 230, "Correlation against distance", "correlation.pdf")
        for plot in self.plots:
            plot.column.addWidget(plot.save_button)
            plot.show_figure(None, NOTHING_YET)
        self.found: Comparison | None = None
        self.measure = ""
        self.places = np.empty((0, 2), int)
        self._correlated: Comparison | None = None
        self._mark: Any = None
        self.scatter.canvas.mpl_connect("button_press_event", self._on_press)
        titles = ("Densities", "One against the other", "Correlation with distance")
        self.sections = {title: Section(title, plot) for title, plot in zip(titles, self.plots, strict=True)}
        column(self, *self.sections.values())
        self.sections["Correlation with distance"].toggle.toggled.connect(self._correlate)
        self._latest = endings.latest(self._on_correlated)
        endings.listen(self.session.position_changed, self._on_moved)

    @property
    def plots(self) -> tuple[SavedPlot, ...]:
        """All plots."""
        return self.densities, self.scatter, self.correlations

    def take(self, found: Comparison | None) -> None:
        """Show another comparison, or none."""
        self.found, self._correlated = found, None
        self._latest.drop()
        for plot in self.plots:
            plot.about = {} if found is None else found.provenance
            plot.show_figure(None, NOTHING_YET)
        if found is not None:
            self.densities.show_figure(
                lambda figure, color: draw_densities(figure, found, color),
                "How often the methods' answers reach which similarity.",
            )
            self._correlate()

    def show_measure(self, measure: str) -> None:
        """Compare the methods in another measure."""
        self.measure = measure
        if self.found is None or not measure:
            return
        self.places = scatter_places(self.found, measure)
        both = int(np.isfinite(self.found.similarity[measure]).all(axis=0).sum())
        drawn = "" if len(self.places) == both else f"; {len(self.places):,} of them drawn"
        words = (
            f"{both:,} positions with both answers{drawn}. Above the dotted line, "
            f"{in_words(self.found.names[1])} is better. Click a point to inspect its position (circle)."
        )
        self.scatter.show_figure(self._draw_scatter, words)

    # ---------------------------------------------------------------- the scatter plot

    def _draw_scatter(self, figure: Figure, color: str) -> None:
        assert self.found is not None
        axes = draw_scatter(figure, self.found, self.measure, self.places, color)
        (mark,) = axes.plot(
            [], [], "o", ms=11, mfc="none", mec="#D55E00", mew=2.2, label="inspected position"
        )
        mark.set_data(*self._inspected())
        if figure is self.scatter.canvas.figure:
            self._mark = mark

    def _inspected(self) -> tuple[list[float], list[float]]:
        if self.found is None or self.session.position is None:
            return [], []
        row, col = self.session.position
        one, other = self.found.similarity[self.measure][:, row, col]
        return ([float(one)], [float(other)]) if np.isfinite(one) and np.isfinite(other) else ([], [])

    def _on_moved(self, *_: int) -> None:
        if self.found is not None and self._mark is not None:
            self._mark.set_data(*self._inspected())
            self.scatter.canvas.draw_idle()

    def _on_press(self, event: Any) -> None:
        """Inspect the position whose point is nearest to a click."""
        if self.found is None or event.inaxes is None or event.button != 1 or not len(self.places):
            return
        values = self.found.similarity[self.measure][:, self.places[:, 0], self.places[:, 1]]
        apart = np.hypot(*(event.inaxes.transData.transform(values.T) - (event.x, event.y)).T)
        nearest = int(apart.argmin())
        if apart[nearest] <= NEAR * self.scatter.canvas.device_pixel_ratio:
            self.session.move_to(*map(int, self.places[nearest]))

    # ---------------------------------------------------------------- the correlation

    def _correlate(self, *_: bool) -> None:
        """Correlate in a thread, once for each comparison and only where the plot is open."""
        wanted = self.sections["Correlation with distance"].toggle.isChecked()
        if wanted and self.found is not None and self._correlated is not self.found:
            self._correlated = self.found
            self.correlations.words.setText("Correlating …")
            self._latest.ask(partial(zone_axis_correlations, self.found))

    def _on_correlated(self, made: ZoneAxisCorrelations) -> None:
        self.correlations.show_figure(
            lambda figure, color: draw_correlations(figure, made, color),
            f"{made.phase.name}: 1 is full correlation, 0 none; the mean over all directions. "
            f"Zone axes nearer than about 10° count as the same. {lengths_text(made)}",
        )


def lengths_text(made: ZoneAxisCorrelations) -> str:
    """Say over which distance each map's zone axes correlate: about the size of its grains."""
    found = {
        title_of(name): correlation_length(curve) for name, curve in made.curves.items() if name != CROSS
    }
    known = [f"{name} {length:.3g} {made.unit}" for name, length in found.items() if np.isfinite(length)]
    return f"Falls to 1/e within: {', '.join(known)}." if known else "Does not fall to 1/e within the map."
