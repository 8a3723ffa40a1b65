"""A small plot of a scan's disks over |q| with a crystal's rings: do they lie where they should?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.napari_plugin.panels.calibration.figure import ORANGE

if TYPE_CHECKING:
    from napari_4dstem_orient.calibration.pixel_size import PixelSizeFit

DPI = 160


def draw_rings(fit: PixelSizeFit, text_color: str) -> np.ndarray:
    """Return the plot as an image, uint8, shape (h, w, 4); the figure belongs to no pyplot.

    Parameters
    ----------
    fit : PixelSizeFit
    text_color : str
        For everything but the curve.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.3, 1.4), dpi=DPI, layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    for radius in fit.expected:
        axes.axvline(radius, color="#ff2fd0", linewidth=0.8)
    axes.plot(fit.profile_q, np.sqrt(fit.profile), color=ORANGE, linewidth=0.7)
    axes.set_xlim(0, float(fit.profile_q[-1]))
    axes.set_ylim(0, None)
    axes.set_yticks([])
    axes.set_xlabel("|q| (Å⁻¹): disks, and the crystal's rings", color=text_color, fontsize=7.5)
    axes.set_ylabel("√intensity", color=text_color, fontsize=7.5)
    axes.tick_params(colors=text_color, labelsize=7.5, length=2)
    for spine in axes.spines.values():
        spine.set_color(text_color)
        spine.set_linewidth(0.5)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())
