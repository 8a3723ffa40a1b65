"""The unit cell at the inspected position, seen along the beam."""

from __future__ import annotations

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from napari_4dstem_orient.analysis.unit_cell import cell_vectors, draw_cell
from napari_4dstem_orient.crystals.directions import in_plane_direction, zone_axis
from napari_4dstem_orient.napari_plugin.layers.analysed import Analysed
from napari_4dstem_orient.napari_plugin.panels.base import button
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import Plot


class CellSection(Plot):
    """A small 3D view that follows the position; drag to turn it."""

    def __init__(self, analysed: Analysed) -> None:
        super().__init__(analysed.viewer, analysed.endings, 230, "Unit cell seen along the beam")
        self.analysed = analysed
        again = button("Look along the beam", "Undo turning the view with the mouse.", self.refresh)
        self.column.addWidget(again)
        analysed.map_changed.connect(self._on_changed)
        analysed.endings.listen(analysed.session.position_changed, self._on_changed)
        self.refresh()

    def _on_changed(self, *_: int) -> None:
        if self.isVisible():
            self.refresh()

    def showEvent(self, event: object) -> None:
        """Follow what happened while the section was closed."""
        self.refresh()
        super().showEvent(event)  # type: ignore[arg-type]

    def refresh(self) -> None:
        """Draw the cell at the session's position."""
        found, where = self.analysed.map, self.analysed.session.position
        if found is None or where is None or not found.indexed[where]:
            self.show_figure(lambda figure, color: None, "No answer here." if found is not None else "")
            return
        phase, rotation = found.phases[found.phase_id[where]], found.rotation[where]
        self.show_figure(
            partial(_draw, cell_vectors(rotation, phase)),
            f"{phase.name} at row {where[0]}, column {where[1]}: zone axis {zone_axis(rotation, phase).text}, "
            f"in-plane {in_plane_direction(rotation, phase).text}. Seen along the beam; x down the rows.",
        )


def _draw(vectors: np.ndarray, figure: Figure, color: str) -> None:
    axes = figure.add_subplot(projection="3d")
    axes.patch.set_alpha(0)
    draw_cell(axes, vectors, color)
    arrow, corner = {"arrowstyle": "<-", "color": color}, (0.04, 0.95)
    for name, end in (("x", (0.04, 0.72)), ("y", (0.18, 0.95))):
        axes.annotate(
            name,
            corner,
            end,
            xycoords="figure fraction",
            textcoords="figure fraction",
            arrowprops=arrow,
            annotation_clip=False,
            color=color,
            fontsize=9,
            ha="center",
            va="center",
        )
