"""The curves of a running training as a picture in the window's colours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DPI = 160


def draw_curves(history: Sequence[dict[str, float]], text_color: str) -> np.ndarray:
    """Return loss above accuracy as an image, uint8, shape (h, w, 4); the figure belongs to no pyplot.

    Parameters
    ----------
    history : sequence of dict
        The figures that the training has reported.
    text_color : str
        For everything but the curves.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from napari_4dstem_orient.training.curves import plot_history

    figure = Figure(figsize=(3.4, 3.6), dpi=DPI, layout="constrained")
    figure.patch.set_alpha(0)
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    plot_history(loss, accuracy, history)
    loss.set_xlabel("")
    accuracy.set_ylabel("within 5° (%)")
    accuracy.locator_params(axis="x", nbins=5)
    for axes in (loss, accuracy):
        axes.patch.set_alpha(0)
        axes.tick_params(colors=text_color, labelsize=7.5, length=2)
        for label in (axes.xaxis.label, axes.yaxis.label, *axes.get_legend().get_texts()):
            label.set_color(text_color)
            label.set_fontsize(7.5)
        for spine in axes.spines.values():
            spine.set_color(text_color)
            spine.set_linewidth(0.5)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())
