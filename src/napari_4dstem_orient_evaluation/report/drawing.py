"""What all figures of the report share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.ours import save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MODEL, TEMPLATE, TRUTH = "tab:blue", "tab:orange", "black"
"""Colours."""


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, size in inches, that no window knows of."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure: Figure, path: Path) -> str:
    """Write a figure as a picture and return its file name."""
    save_picture(figure, path)
    return path.name


def density(axes: Axes, values: np.ndarray, bins: np.ndarray, label: str, **style: Any) -> None:
    """Draw the distribution of values; those beyond the bins count in the outermost ones."""
    height, _ = np.histogram(np.clip(values, bins[0], bins[-1]), bins, density=True)
    middle = (bins[1:] + bins[:-1]) / 2
    axes.plot(middle, height, drawstyle="steps-mid", linewidth=1.2, label=label, **style)


def plain_decades(axes: Axes) -> None:
    """Make the y axis logarithmic, with labels at powers of ten only."""
    from matplotlib.ticker import NullFormatter

    axes.set_yscale("log")
    axes.yaxis.set_minor_formatter(NullFormatter())


def pattern(axes: Axes, disks: np.ndarray, k_max: float, title: str, color: str) -> None:
    """Draw disks (n, 3) as they lie on the detector: qx down, qy to the right; areas as the root of intensity."""
    size = 60 * np.sqrt(disks[:, 2] / max(float(disks[:, 2].max(initial=0)), 1e-12))
    axes.scatter(disks[:, 1], disks[:, 0], s=size, color=color, alpha=0.75, linewidths=0)
    axes.plot(0, 0, "+", color="grey")
    axes.set(xlim=(-k_max, k_max), ylim=(k_max, -k_max), aspect="equal")
    axes.set_xlabel("qy (Å⁻¹)")
    axes.set_ylabel("qx (Å⁻¹)")
    axes.set_title(title, fontsize=9)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table as markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
