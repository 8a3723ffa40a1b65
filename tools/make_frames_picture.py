"""Draw docs/images/frames.png: scan axes, detector axes and Bunge's Euler angles.

python tools/make_frames_picture.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Rectangle

OUT = Path(__file__).parents[1] / "docs" / "images" / "frames.png"
BLUE, ORANGE = "#0072B2", "#D55E00"


def main() -> None:
    """Draw the picture."""
    figure = Figure(figsize=(11, 3.9), dpi=130, layout="constrained", facecolor="white")
    scan, detector, angles = figure.subplots(1, 3)
    _grid(scan, "Scan (map)", ("lab x: down the rows", "lab y: along the columns"), BLUE)
    scan.text(
        0.5,
        -0.27,
        "z towards you, beam along −z\nx_nm, y_nm of files count columns, rows",
        ha="center",
        va="top",
    )
    _grid(detector, "Detector (pattern)", ("qx: down the rows", "qy: along the columns"), ORANGE)
    detector.text(0.5, -0.27, "exchanged if flip, then turned\nby rotation: scan axes", ha="center", va="top")
    _euler(angles)
    figure.savefig(OUT)
    print(OUT)


def _grid(axes: Axes, title: str, names: tuple[str, str], color: str) -> None:
    axes.add_patch(Rectangle((0, -0.15), 1, 1.15, fill=False, color="0.5"))
    for step in np.linspace(0.2, 0.8, 4):
        axes.plot([step, step], [-0.15, 1], color="0.9", zorder=0)
        axes.plot([0, 1], [step, step], color="0.9", zorder=0)
    for end, name, place, turn in (
        ((0, 0.3), names[0], (-0.09, 0.5), 90),
        ((0.7, 1), names[1], (0.4, 1.07), 0),
    ):
        axes.annotate("", end, (0, 1), arrowprops={"arrowstyle": "-|>", "color": color, "lw": 2.5})
        axes.text(*place, name, color=color, ha="center", va="center", rotation=turn)
    axes.plot(0, 1, "o", color=color)
    axes.set(xlim=(-0.25, 1.15), ylim=(-0.6, 1.2), aspect="equal", title=title)
    axes.axis("off")


def _euler(axes: Axes) -> None:
    for angle, name, color in ((0, "x", BLUE), (90, "y", BLUE), (35, "x′", ORANGE), (125, "y′", ORANGE)):
        x, y = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
        axes.annotate("", (x, y), (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "lw": 2})
        axes.text(1.12 * x, 1.12 * y, name, color=color, ha="center", va="center")
    axes.add_patch(Arc((0, 0), 1, 1, theta1=0, theta2=35))
    axes.text(0.6, 0.17, "φ1")
    words = "1. about z by φ1 (drawn, z towards you)\n2. about the new x′ by Φ\n3. about the new z by φ2: crystal axes"
    axes.text(0.15, -0.25, words, ha="center", va="top")
    axes.set(xlim=(-1.3, 1.5), ylim=(-1.2, 1.3), aspect="equal", title="Bunge Euler angles")
    axes.axis("off")


if __name__ == "__main__":
    main()
