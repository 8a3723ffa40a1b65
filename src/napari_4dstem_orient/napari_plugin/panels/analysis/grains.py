"""Grains of a map: boundaries and grains as layers, a table, and the table as a file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from qtpy.QtWidgets import QWidget

from napari_4dstem_orient.analysis.boundaries import Boundary, Neighbours, edge_lines, outline
from napari_4dstem_orient.analysis.grains import Grains, GrainSettings, find_grains
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.export.grain_table import Columns, grain_columns, save_grain_table, with_sizes
from napari_4dstem_orient.napari_plugin.layers.analysed import Analysed
from napari_4dstem_orient.napari_plugin.layers.removal import take_away
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer, put_layer, title_colour_bar
from napari_4dstem_orient.napari_plugin.panels.base import button, wrapped
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import Plot, dress
from napari_4dstem_orient.napari_plugin.panels.shared.table import Table
from napari_4dstem_orient.napari_plugin.qt.boxes import column, row
from napari_4dstem_orient.napari_plugin.qt.dialogs import save_file
from napari_4dstem_orient.napari_plugin.qt.forms import form_for
from napari_4dstem_orient.napari_plugin.qt.jobs import JobBar, telling

GRAINS, BOUNDARIES, SELECTED = "grains", "grain boundaries", "selected grain"
HALO = "halo of grain boundaries"
"""Black lines below the boundaries, which are read upon any colour; hidden with them."""
KERNEL, SPREAD = "KAM (°)", "GOS (°)"
KIND_COLORS = {1: "#F0E442", 2: "#ffffff", 3: "#CC79A7", 4: "#56B4E9"}
"""Of ``Boundary``: low angle, high angle, twin, between phases (Okabe and Ito, and white)."""
WIDTH, THINNEST = 0.25, 500
"""Of a boundary in scan positions; in a map longer than this many positions it is wider, or would not be seen."""


class GrainsSection(QWidget):
    """Finds grains and shows them.

    Parameters
    ----------
    analysed : Analysed
    jobs : JobBar
        Of the panel.
    """

    def __init__(self, analysed: Analysed, jobs: JobBar) -> None:
        super().__init__()
        self.analysed, self.jobs = analysed, jobs
        self.form = form_for(GrainSettings)
        self.find_button = button("Find grains", "Find grains and boundaries of the map chosen.", self.find)
        self.save_button = button(
            "Save table as CSV…",
            "Write the table to a file.",
            partial(save_file, self, "Save the table", "grains.csv", "Table (*.csv)", self.save),
        )
        self.found = wrapped()
        self.table = Table()
        self.table.setToolTip("Select a row to see the grain on the map; click on the map to find its row.")
        self.table.chosen.connect(self._on_chosen)
        self.table.hide()
        self.sizes = Plot(analysed.viewer, analysed.endings, 110, "How large grains are")
        self.sizes.show_figure(None, "")
        parts = self.found, self.table, self.sizes, self.form.native
        column(self, row(self.find_button, self.save_button), *parts)
        analysed.grains_changed.connect(self._show_grains)
        analysed.selected_changed.connect(self._show_selected)
        analysed.steps_changed.connect(self._follow_steps)
        analysed.endings.listen(analysed.session.position_changed, self._on_position)
        self.refresh()

    def refresh(self) -> None:
        """Let grains be looked for where there is a map, and saved where there are grains."""
        self.find_button.setEnabled(self.analysed.map is not None and not self.jobs.running)
        self.save_button.setEnabled(self.analysed.grains is not None)

    def find(self) -> None:
        """Find the grains of the map in a thread."""
        found = self.analysed.map
        if found is None or self.jobs.running:
            return
        self.jobs.run("Finding grains", partial(self._on_found, found), _find, found, self.form.settings())

    def _on_found(self, asked: OrientationMap, found: tuple[Grains, Columns]) -> Iterator[None]:
        self._columns = found[1]
        parts = self._put_labels, self._put_bending, self._put_boundaries
        for step in (self.analysed.put_grains, *parts, self._select_here):
            if asked.answers_as(self.analysed.map):
                step(found[0])
            yield

    def _show_grains(self) -> None:
        grains, viewer = self.analysed.grains, self.analysed.viewer
        self.table.setVisible(grains is not None)
        self.refresh()
        if grains is None:
            self.table.put((), ())
            self.found.setText("")
            self.sizes.show_figure(None, "")
            for name in (GRAINS, KERNEL, SPREAD, HALO, BOUNDARIES, SELECTED):
                if (layer := find_layer(viewer, name)) is not None:
                    take_away(viewer, layer)
            return
        self._show_sizes()

    def _show_sizes(self) -> None:
        """Show the table with sizes as the scan steps make them."""
        if (grains := self.analysed.grains) is None:
            return
        self._columns = with_sizes(self._columns, grains)
        self.table.put(self._columns.keys(), self._columns.values())
        self.table.show_line(self.analysed.selected - 1)
        self.found.setText(summary(grains))
        self.sizes.show_figure(partial(_draw_sizes, grains) if len(grains) else None, "")

    def _follow_steps(self) -> None:
        self._show_sizes()
        if (layer := find_layer(self.analysed.viewer, GRAINS)) is not None:
            layer.features = _features(self._columns)

    def _put_labels(self, grains: Grains) -> None:
        shown = grains.orientation_map
        look: dict[str, Any] = {"exploratory": shown.exploratory, "opacity": 0.5, "visible": False}
        layer = put_layer(self.analysed.viewer, GRAINS, grains.label, self.analysed.steps, "labels", **look)
        layer.features = _features(self._columns)

    def _put_bending(self, grains: Grains) -> None:
        """Show, hidden at first, how bent the crystal is at each position and in each grain, in degrees."""
        for name, values in ((KERNEL, grains.kernel), (SPREAD, grains.spread_map)):
            end = float(np.nanmax(values, initial=0.0)) or 1.0
            look: dict[str, Any] = {"colormap": "viridis", "contrast_limits": (0.0, end), "visible": False}
            shown = grains.orientation_map.exploratory
            data, steps = np.nan_to_num(values), self.analysed.steps
            title_colour_bar(put_layer(self.analysed.viewer, name, data, steps, exploratory=shown, **look))

    def _put_boundaries(self, grains: Grains) -> None:
        kinds = grains.boundaries
        parts = {
            kind: edge_lines(Neighbours(kinds.down == kind, kinds.right == kind)) for kind in KIND_COLORS
        }
        lines = np.concatenate(list(parts.values()))
        colors = np.repeat(list(KIND_COLORS.values()), [len(part) for part in parts.values()])
        viewer = self.analysed.viewer
        for name in (HALO, BOUNDARIES):  # their colours would not fit another number of lines
            if (former := find_layer(viewer, name)) is not None:
                take_away(viewer, former)
        width = WIDTH * max(1.0, max(grains.label.shape) / THINNEST * 4)
        look: dict[str, Any] = {"kind": "vectors", "vector_style": "line"}
        look["exploratory"] = grains.orientation_map.exploratory
        halo = put_layer(
            viewer, HALO, lines, self.analysed.steps, edge_width=2.2 * width, edge_color="black", **look
        )
        drawn = colors if len(lines) else "white"
        layer = put_layer(
            viewer, BOUNDARIES, lines, self.analysed.steps, edge_width=width, edge_color=drawn, **look
        )
        layer.events.visible.connect(lambda event: setattr(halo, "visible", layer.visible))

    # ---------------------------------------------------------------- one grain

    def _on_chosen(self, line: int) -> None:
        """Show a grain on the map: in the middle of the canvas, and as the inspected position."""
        grains = self.analysed.grains
        if grains is None:
            return
        self.analysed.select(line + 1)
        middle = grains.middle[line]
        self.analysed.session.move_to(*(int(each) for each in middle))
        steps = self.analysed.steps or (1.0, 1.0)
        camera = self.analysed.viewer.scene.camera
        camera.center = (*camera.center[:-2], *(middle * steps))

    def _select_here(self, *_: object) -> None:
        if self.analysed.session.position is not None:
            self._on_position(*self.analysed.session.position)

    def _on_position(self, row: int, col: int) -> None:
        grains = self.analysed.grains
        if grains is not None:
            self.analysed.select(int(grains.label[row, col]))

    def _show_selected(self) -> None:
        grains, number, viewer = self.analysed.grains, self.analysed.selected, self.analysed.viewer
        self.table.show_line(number - 1)
        layer = find_layer(viewer, SELECTED)
        if grains is None or not number:
            if layer is not None:
                layer.visible = False  # napari takes ten times as long to remove it
            return
        active = viewer.layers.selection.active
        layer = put_layer(
            viewer,
            SELECTED,
            outline(grains.label == number),
            self.analysed.steps,
            kind="vectors",
            edge_color="#ff2fd0",
            vector_style="line",
        )
        layer.edge_width = max(0.4, max(grains.label.shape) / 150)
        layer.visible = True
        viewer.layers.selection.active = active

    # ---------------------------------------------------------------- the file

    @telling
    def save(self, path: str) -> None:
        """Write the table; what goes wrong is told."""
        if self.analysed.grains is not None:
            save_grain_table(self.analysed.grains, path)


def _find(
    orientation_map: OrientationMap, settings: GrainSettings, progress: Progress
) -> tuple[Grains, Columns]:
    grains = find_grains(orientation_map, settings, progress)
    return grains, grain_columns(grains, progress)


def _features(columns: Columns) -> dict[str, list]:
    """Return what napari shows of a grain under the cursor; its first row is that of no grain."""
    shown = [name for name in columns if name not in ("grain", "row", "column")]
    return {name: [None, *columns[name]] for name in shown}


def _draw_sizes(grains: Grains, figure: Figure, color: str) -> None:
    """Draw how many grains are how large: by diameter in nm, or by positions where the scan step is unknown."""
    sizes = grains.size if grains.diameter is None else grains.diameter
    axes = figure.subplots()
    axes.hist(sizes, 20, color=color, alpha=0.7)
    unit = "positions of a grain" if grains.diameter is None else "diameter of a grain (nm)"
    axes.set(xlabel=unit, ylabel="grains")
    dress(axes, color)


def summary(grains: Grains) -> str:
    """Say how many grains and what boundaries there are."""
    if not len(grains):
        return "No grain is as large as asked."
    unit = "positions" if grains.orientation_map.steps is None else "nm"
    words = f"{len(grains):,} grains"
    if grains.diameter is not None:
        words += f", median diameter {np.median(grains.diameter):.3g} nm"
    lengths = {kind: grains.boundary_length(kind) for kind in Boundary if kind}
    colors = {1: "yellow", 2: "white", 3: "pink", 4: "blue"}
    parts = [
        f"{kind.text} {length:,.0f} {unit} ({colors[kind]})" for kind, length in lengths.items() if length
    ]
    return words + (". Boundaries: " + ", ".join(parts) if parts else "") + "."
