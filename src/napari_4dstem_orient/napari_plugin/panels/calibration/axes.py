"""How the detector lies in the scan: rotation and flip as a picture."""

from __future__ import annotations

from collections.abc import Callable

import napari
import numpy as np

from napari_4dstem_orient.calibration.calibrate import detector_axes
from napari_4dstem_orient.napari_plugin.panels.calibration.figure import BLUE, ORANGE, CalibrationFigure
from napari_4dstem_orient.napari_plugin.qt.endings import Endings

SCAN, DETECTOR = 1.2, 0.9
"""Lengths of the arrows."""

BESIDE = 0.3
"""Distance of a name from its arrow: the axes of scan and detector may lie on one another."""


class AxesSection(CalibrationFigure):
    """The detector's axes among the scan's, as the fields say, also before they are left.

    Parameters
    ----------
    viewer : napari.Viewer
    endings : Endings
    turn : callable
        Returns rotation (degrees) and flip.
    """

    HEIGHT = 170
    SAYS = "The detector's axes among the scan's"

    def __init__(
        self, viewer: napari.Viewer, endings: Endings, turn: Callable[[], tuple[float, bool]]
    ) -> None:
        super().__init__(viewer, endings)
        self._turn = turn

    def refresh(self, text: str = "") -> None:
        """Draw what the fields say; there is nothing to wait for."""
        if self.isVisible():
            self.answer = self._turn()
            self._show()

    def show_answer(self, turn: tuple[float, bool], color: str) -> None:
        """Draw the arrows as the scan is seen: first axis down, second to the right."""
        axes = self.canvas.figure.subplots()
        axes.set_axis_off()
        axes.set_aspect("equal")
        axes.set_xlim(-1.5, 1.5)
        axes.set_ylim(1.45, -1.2)
        thin = {"arrowstyle": "->", "color": color, "alpha": 0.6}
        axes.annotate("", (0, SCAN), (0, 0), arrowprops=thin)
        axes.annotate("", (SCAN, 0), (0, 0), arrowprops=thin)
        axes.text(0, SCAN + 0.15, "scan x, down its rows", color=color, fontsize=8, ha="center", va="center")
        axes.text(SCAN + 0.06, 0, "scan y", color=color, fontsize=8, ha="left", va="center")
        shown = detector_axes(*turn)
        names = (("qx", BLUE, "-"), ("qy", ORANGE, "--"))
        for (name, tint, line), (down, right) in zip(names, shown, strict=True):
            end = (DETECTOR * right, DETECTOR * down)
            thick = {"arrowstyle": "-|>", "color": tint, "linewidth": 2, "linestyle": line, "shrinkB": 0}
            axes.annotate("", end, (0, 0), arrowprops=thick)
            aside = BESIDE * np.array([-down, right])
            x, y = max((end + aside, end - aside), key=_clearance)
            axes.text(x, y, name, color=tint, fontsize=9, fontweight="bold", ha="center", va="center")
        self.words.setText(_words(*turn, shown))


def _clearance(place: np.ndarray) -> float:
    """Return how far a place (right, down) is from the scan's arrows."""
    right, down = place
    return float(min(abs(down) if right > 0 else SCAN, abs(right) if down > 0 else SCAN))


def _words(rotation: float, flip: bool, shown: np.ndarray) -> str:
    angles = np.rad2deg(np.arctan2(shown[:, 1], shown[:, 0])).round(1) + 0.0  # no "-0"
    mirrored = "Flipped, then turned" if flip else "Turned"
    return (
        f"{mirrored} by {rotation:g}°: from scan x towards scan y, the detector's qx (down its rows, solid) points to "
        f"{angles[0]:g}°, its qy (dashed) to {angles[1]:g}°."
    )
