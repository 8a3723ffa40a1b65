"""How far the calibrated disks lie from the rings of the known crystal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari
import numpy as np
from matplotlib.axes import Axes
from qtpy.QtCore import Qt

from napari_4dstem_orient.calibration.pixel_size import GOOD_EXPLAINED, GOOD_RESIDUAL
from napari_4dstem_orient.calibration.ring_residuals import POOR_RESIDUAL, RingResiduals, ring_residuals
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.napari_plugin.panels.base import wrapped
from napari_4dstem_orient.napari_plugin.panels.calibration.figure import BLUE, ORANGE, CalibrationFigure
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import dress
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.workflow.session import Stage

JUDGED = f"Good below {GOOD_RESIDUAL:.1%}, poor from {POOR_RESIDUAL:.1%}."
ROWS_SHOWN = 8
"""Rings in the table, innermost first; the figure has all."""


class ResidualsSection(CalibrationFigure):
    """Disks over |q| with the crystal's rings, and each ring's residual below.

    Parameters
    ----------
    viewer : napari.Viewer
    endings : Endings
    crystal : callable
        Returns the crystal chosen, or the path of its CIF.
    """

    HEIGHT = 200
    SAYS = "Disks over |q| with a crystal's rings, and the residual of each ring"

    def __init__(self, viewer: napari.Viewer, endings: Endings, crystal: Callable[[], str | Phase]) -> None:
        super().__init__(viewer, endings)
        self._crystal = crystal
        self.table = wrapped()
        self.table.setTextFormat(Qt.TextFormat.RichText)
        self.table.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.column.addWidget(self.table)

    def inputs(self) -> tuple[Any, ...] | str:
        """Return the calibrated disks, the crystal and the pixel size that they were calibrated with."""
        disks = self.session.get(Stage.CALIBRATED)
        if disks is None or not len(disks):
            return "Needs calibrated disks (press Apply)."
        made_with = disks.provenance.get("calibration", {}).get("q_pixel")
        q_pixel = made_with or self.session.calibration.q_pixel
        if not q_pixel:
            return "Needs the size of a detector pixel (type it above): it tells how sharp a ring can be."
        return disks, self._crystal(), float(q_pixel)

    @staticmethod
    def compute(disks: BraggDisks, crystal: str | Phase, q_pixel: float) -> tuple[str, RingResiduals]:
        """Compare with the crystal's rings."""
        phase = crystal if isinstance(crystal, Phase) else find_phase(crystal)
        return phase.name, ring_residuals(disks, phase, q_pixel)

    def show_answer(self, answer: tuple[str, RingResiduals], color: str) -> None:
        """Draw disks and rings, and list the residuals."""
        name, found = answer
        above, below = self.canvas.figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        draw_rings(above, found.q, found.profile, found.expected)
        above.set_ylabel("√disks")
        percent, limit = 100 * found.relative, 100 * GOOD_RESIDUAL
        below.axhspan(-limit, limit, color=color, alpha=0.15, linewidth=0)
        below.vlines(found.expected, 0, percent, color=BLUE, linewidth=1)
        below.plot(found.expected, percent, "o", color=BLUE, markersize=3)
        below.axhline(0, color=color, linewidth=0.5)
        span = 1.2 * max(limit, float(np.abs(percent).max(initial=0)))
        below.set_ylim(-span, span)
        below.set_xlabel(f"|q| (Å⁻¹); dashed: rings of {name}; shaded: good")
        below.set_ylabel("residual (%)")
        for axes in (above, below):
            dress(axes, color)
        self.words.setText(self._words(name, found))
        self.table.setText(table(found))
        self.table.setVisible(bool(len(found.expected)))

    def _words(self, name: str, found: RingResiduals) -> str:
        absolute, relative = found.rms
        lines = [f"{found.quality.text}."]
        if len(found.expected):
            lines.append(
                f"Root mean square {relative:.2%} ({absolute:.4f} Å⁻¹) from {len(found.expected)} rings of {name}."
            )
        else:
            lines.append(f"No ring of {name} that stands apart has disks.")
        if found.explained < GOOD_EXPLAINED:
            lines.append(
                f"Only {found.explained:.0%} of the disks lie on its rings: is it the right crystal and pixel size?"
            )
        if self.session.is_stale(Stage.CALIBRATED):
            lines.append("Of the disks as last calibrated: press Apply again.")
        return " ".join([*lines, JUDGED])

    def _show_nothing(self, why: str) -> None:
        super()._show_nothing(why)
        self.table.hide()


def draw_rings(axes: Axes, q: np.ndarray, profile: np.ndarray, rings: np.ndarray) -> None:
    """Draw disks over |q|, as the root of their profile, with the rings on which a crystal has them."""
    for radius in rings:
        axes.axvline(radius, color=ORANGE, linewidth=0.8, linestyle="--")
    axes.plot(q, np.sqrt(profile), color=BLUE, linewidth=0.8)
    axes.set(xlim=(0, float(q[-1])), ylim=(0, None), yticks=[])


def table(found: RingResiduals) -> str:
    """Return the residual of each ring as HTML."""
    heads = ("Ring (Å⁻¹)", "Measured (Å⁻¹)", "Residual (Å⁻¹)", "Residual (%)")
    rows = ["".join(f"<th align='right' style='padding-right: 8px'>{head}</th>" for head in heads)]
    for expected, measured in zip(found.expected[:ROWS_SHOWN], found.measured[:ROWS_SHOWN], strict=True):
        cells = (
            f"{expected:.4f}",
            f"{measured:.4f}",
            f"{measured - expected:+.4f}",
            f"{100 * (measured / expected - 1):+.2f}",
        )
        rows.append("".join(f"<td align='right' style='padding-right: 8px'>{cell}</td>" for cell in cells))
    more = len(found.expected) - ROWS_SHOWN
    tail = f"<br>and {more} more rings" if more > 0 else ""
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>{tail}"
