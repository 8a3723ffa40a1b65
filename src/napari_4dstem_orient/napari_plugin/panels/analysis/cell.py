"""The unit cell at the inspected position, seen along the beam."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_4dstem_orient.napari_plugin.layers.analysed import Analysed
from napari_4dstem_orient.napari_plugin.panels.base import button
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import PlotCanvas, text_color


class CellSection(QWidget):
    """A small 3D view that follows the position; drag to turn it.

    Parameters
    ----------
    analysed : Analysed
    """

    def __init__(self, analysed: Analysed) -> None:
        super().__init__()
        self.analysed = analysed
        self.canvas = PlotCanvas(230, "Unit cell seen along the beam")
        self.words = QLabel()
        self.words.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.canvas)
        layout.addWidget(self.words)
        layout.addWidget(button("Look along the beam", "Undo turning the view with the mouse.", self.refresh))
        analysed.map_changed.connect(self._on_changed)
        analysed.session.position_changed.connect(self._on_changed)
        self.refresh()

    def release(self) -> None:
        """Stop listening."""
        self.analysed.session.position_changed.disconnect(self._on_changed)

    def _on_changed(self, *_: int) -> None:
        if self.isVisible():
            self.refresh()

    def showEvent(self, event: object) -> None:
        """Follow what happened while the section was closed."""
        self.refresh()
        super().showEvent(event)  # type: ignore[arg-type]

    def refresh(self) -> None:
        """Draw the cell at the session's position."""
        from napari_4dstem_orient.analysis.unit_cell import cell_vectors, draw_cell
        from napari_4dstem_orient.crystals.directions import in_plane_direction, zone_axis

        found, where = self.analysed.map, self.analysed.session.position
        self.canvas.figure.clear()
        if found is None or where is None or not found.indexed[where]:
            self.words.setText("No answer here." if found is not None else "")
            self.canvas.draw_idle()
            return
        phase, rotation = found.phases[found.phase_id[where]], found.rotation[where]
        color = text_color(self.analysed.viewer.theme)
        axes = self.canvas.figure.add_subplot(projection="3d")
        axes.patch.set_alpha(0)
        draw_cell(axes, cell_vectors(rotation, phase), color)
        arrow = {"arrowstyle": "->", "color": color}
        for name, end in (("x", (0.04, 0.72)), ("y", (0.18, 0.95))):
            self.canvas.figure.text(*end, name, color=color, fontsize=9, ha="center", va="center")
            axes.annotate(
                "",
                (end[0], end[1] + 0.05) if name == "x" else (end[0] - 0.025, end[1]),
                (0.04, 0.95),
                xycoords="figure fraction",
                textcoords="figure fraction",
                arrowprops=arrow,
                annotation_clip=False,
            )
        self.words.setText(
            f"{phase.name} at row {where[0]}, column {where[1]}: zone axis {zone_axis(rotation, phase).text}, "
            f"in-plane {in_plane_direction(rotation, phase).text}. Seen along the beam; x down the rows."
        )
        self.canvas.draw_idle()
