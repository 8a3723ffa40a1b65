"""A matplotlib figure in a panel, in the window's colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import napari
from matplotlib.axes import Axes
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from napari.utils.theme import get_theme
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_4dstem_orient.napari_plugin.panels.base import button, wrapped
from napari_4dstem_orient.napari_plugin.pattern_view.figures import write_figure
from napari_4dstem_orient.napari_plugin.qt.boxes import column
from napari_4dstem_orient.napari_plugin.qt.dialogs import save_file
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.qt.jobs import telling

PICTURES = "Pictures (*.png *.pdf *.svg)"
SMALL = 7.5
"""Points: the letters in a figure."""

Draw = Callable[[Figure, str], Any]
"""Fills an empty figure, with words and axes in a colour."""


class PlotCanvas(FigureCanvasQTAgg):
    """A transparent figure of fixed height; the mouse wheel scrolls the panel and not the figure.

    Parameters
    ----------
    height : int
        Pixels.
    says : str
        What the figure shows, for those who cannot see it.
    """

    def __init__(self, height: int, says: str) -> None:
        super().__init__(Figure(layout="constrained"))
        self.figure.patch.set_alpha(0)
        self.setStyleSheet("background: transparent")
        self.setMinimumSize(200, height)
        self.setFixedHeight(height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(says)

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the panel."""
        event.ignore()


def text_color(theme: str) -> str:
    """Return the colour of a theme's words."""
    return str(get_theme(theme).text.as_hex())


def dress(axes: Axes, color: str) -> Axes:
    """Give axes a panel's look: small letters and thin lines in a colour, on whatever lies behind."""
    axes.patch.set_alpha(0)
    axes.tick_params(colors=color, labelsize=SMALL, length=2)
    legend = axes.get_legend()
    words = [] if legend is None else legend.get_texts()
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title, *words):
        label.set(color=color, fontsize=SMALL)
    for spine in axes.spines.values():
        spine.set(color=color, linewidth=0.5)
    return axes


class Plot(QWidget):
    """A figure with words below it; it follows the theme.

    Parameters
    ----------
    viewer : napari.Viewer
    endings : Endings
        Of the panel.
    height, says
        As for ``PlotCanvas``.
    """

    def __init__(self, viewer: napari.Viewer, endings: Endings, height: int, says: str) -> None:
        super().__init__()
        self.viewer = viewer
        self.canvas = PlotCanvas(height, says)
        self.words = wrapped()
        self.column = column(self, self.canvas, self.words)
        self.draw: Draw | None = None
        endings.listen(viewer.events.theme, self.redraw)

    def show_figure(self, draw: Draw | None, words: str) -> None:
        """Draw a figure, or none."""
        self.draw = draw
        self.words.setText(words)
        self.canvas.setVisible(draw is not None)
        self.redraw()

    def redraw(self, event: Any = None) -> None:
        """Draw the same figure in the theme's colours."""
        if self.draw is not None:
            self.canvas.figure.clear()
            self.draw(self.canvas.figure, text_color(self.viewer.theme))
            self.canvas.draw_idle()


class SavedPlot(Plot):
    """A plot with a button, to be put beside it, that saves it black on white.

    Parameters
    ----------
    viewer, endings, height, says
        As for ``Plot``.
    file : str
        Name proposed for the file.
    """

    def __init__(self, viewer: napari.Viewer, endings: Endings, height: int, says: str, file: str) -> None:
        super().__init__(viewer, endings, height, says)
        self.save_button = button(
            "Save figure…",
            "As PDF, SVG or PNG.",
            partial(save_file, self, "Save the figure", file, PICTURES, self.save),
        )
        self.save_button.setEnabled(False)
        self.about: Mapping[str, Any] = {}
        """Provenance of what is drawn."""
        self.paper = (3.4, height / 90)
        """Width and height on paper, inches."""

    def show_figure(self, draw: Draw | None, words: str) -> None:
        """Draw a figure that can be saved, or none."""
        self.save_button.setEnabled(draw is not None)
        super().show_figure(draw, words)

    def paper_figure(self) -> Figure:
        """Return the figure as it is saved: black on white."""
        figure = Figure(figsize=self.paper, layout="constrained", facecolor="white")
        if self.draw is not None:
            self.draw(figure, "black")
        return figure

    @telling
    def save(self, path: str) -> None:
        """Write the figure with its provenance; what goes wrong is told."""
        write_figure(self.paper_figure(), path, self.about)
