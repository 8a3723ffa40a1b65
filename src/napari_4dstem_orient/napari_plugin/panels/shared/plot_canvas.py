"""A matplotlib figure in a panel, in the window's colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from napari.utils.theme import get_theme
from qtpy.QtWidgets import QFileDialog, QSizePolicy, QWidget

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.napari_plugin.pattern_view.figures import write_figure
from napari_4dstem_orient.napari_plugin.qt.jobs import notify

PICTURES = "Pictures (*.png *.pdf *.svg)"


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


def save_figure(parent: QWidget, name: str, make: Callable[[], Figure], about: Mapping[str, Any]) -> None:
    """Ask for a file and write a figure with its provenance as PNG, PDF or SVG; what goes wrong is told."""
    path, _ = QFileDialog.getSaveFileName(parent, "Save the figure", name, PICTURES)
    if path:
        try:
            write_figure(make(), path, about)
        except UserError as error:
            notify(error)
