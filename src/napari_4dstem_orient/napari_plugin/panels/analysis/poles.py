"""Pole figures and inverse pole figures of the whole map, a grain or a region drawn."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from qtpy.QtWidgets import QComboBox, QLineEdit

from napari_4dstem_orient.analysis.pole_figures import (
    Density,
    Indices,
    default_families,
    draw_inverse_pole_figure,
    draw_pole_figure,
    inverse_pole_figure,
    parse_indices,
    pole_figure,
    write_indices,
)
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.napari_plugin.layers.analysed import Analysed
from napari_4dstem_orient.napari_plugin.layers.drawing import draw, region_of
from napari_4dstem_orient.napari_plugin.panels.base import button
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import SavedPlot, dress
from napari_4dstem_orient.napari_plugin.qt.boxes import choices, form, row
from napari_4dstem_orient.napari_plugin.qt.jobs import telling

REGION = "region"


class PolesSection(SavedPlot):
    """Shows the distribution of orientations."""

    def __init__(self, analysed: Analysed) -> None:
        super().__init__(analysed.viewer, analysed.endings, 190, "Pole figures", "pole-figures.png")
        self.analysed = analysed
        self.of = choices("", ("whole map", "selected grain", "region drawn"))
        self.phase = QComboBox()
        self.kind = choices("", ("pole figures", "inverse pole figures"))
        self.planes = QLineEdit()
        self.planes.setToolTip(
            "Families of lattice planes, such as 1 0 0, 1 1 1; empty for those of lowest indices."
        )
        self.phase.currentIndexChanged.connect(self._on_phase)
        marks = "Mark a region on the map; a double click ends a polygon."
        self.show_button = button("Show", "Compute the figures.", self.show_figures)
        fields = {"Of": self.of, "Phase": self.phase, "Show": self.kind, "Planes (hkl)": self.planes}
        rectangle = button("Draw rectangle", marks, partial(self._draw, "add_rectangle"))
        polygon = button("Draw polygon", marks, partial(self._draw, "add_polygon"))
        for place, part in enumerate(
            (form(fields), row(rectangle, polygon), row(self.show_button, self.save_button))
        ):
            self.column.insertLayout(place, part)
        self._latest = analysed.endings.latest(self._on_answer)
        analysed.map_changed.connect(self._on_map)
        self._on_map()

    def refresh(self) -> None:
        """Let pole figures be drawn where there is a map."""
        self.show_button.setEnabled(self.analysed.map is not None)

    def _on_map(self) -> None:
        found = self.analysed.map
        self._latest.drop()
        self.show_figure(None, "")
        self.phase.clear()
        self.phase.addItems([] if found is None else [phase.name for phase in found.phases])
        self.refresh()

    def _on_phase(self, number: int) -> None:
        if self.analysed.map is not None and number >= 0:
            phase = self.analysed.map.phases[number]
            self.planes.setText(", ".join(write_indices(each, phase) for each in default_families(phase)))

    def _draw(self, mode: str) -> None:
        self.of.setCurrentText("region drawn")
        draw(self.analysed.viewer, REGION, mode, self.show_figures)

    @telling
    def show_figures(self) -> None:
        """Compute the figures in a thread; what is missing is told."""
        found = self.analysed.map
        if found is None:
            return
        phase = found.phases[self.phase.currentIndex()]
        here = self._inside(found.scan_shape) & (found.phase_id == self.phase.currentIndex())
        if not here.any():
            raise UserError(
                f"There is no {phase.name} in the {self.of.currentText()}; choose another region or phase."
            )
        text = self.planes.text().strip()
        families = parse_indices(text, phase) if text else default_families(phase)
        inverse = self.kind.currentIndex() == 1
        self._latest.ask(partial(_densities, found, here, phase, None if inverse else families))

    def _inside(self, shape: tuple[int, int]) -> np.ndarray:
        if self.of.currentIndex() == 0:
            return np.ones(shape, bool)
        if self.of.currentIndex() == 1:
            if self.analysed.grains is None or not self.analysed.selected:
                raise UserError("No grain is selected; find grains and click on one.")
            return np.asarray(self.analysed.grains.label == self.analysed.selected)
        region = region_of(self.analysed.viewer, REGION, shape)
        if region is None:
            raise UserError("No region is drawn; press Draw rectangle or Draw polygon and drag over the map.")
        return region

    def _on_answer(self, answer: tuple[Mapping[str, Any], Phase, int, bool, list[Density]]) -> None:
        self.about, phase, count, inverse, densities = answer
        self.paper = 2.6 * len(densities), 3.3
        self.show_figure(
            partial(_fill, phase, inverse, densities),
            f"{phase.name}, {count:,} positions, in multiples of a random distribution, smoothed by 5°. "
            "Lab x points down the rows, y along the columns, z towards the viewer.",
        )


def _fill(phase: Phase, inverse: bool, densities: list[Density], figure: Figure, color: str) -> None:
    top = max(float(each.value.max()) for each in densities)
    plots = list(figure.subplots(1, len(densities), squeeze=False)[0])
    for axes, density in zip(plots, densities, strict=True):
        if inverse:
            shown = draw_inverse_pole_figure(axes, density, phase, color)
        else:
            shown = draw_pole_figure(axes, density, color)
        shown.set_clim(0, top)
    bar = figure.colorbar(shown, ax=plots, orientation="horizontal", aspect=40, pad=0.02)
    dress(bar.ax, color)


def _densities(
    orientation_map: OrientationMap, here: np.ndarray, phase: Phase, families: list[Indices] | None
) -> tuple[Mapping[str, Any], Phase, int, bool, list[Density]]:
    rotation = orientation_map.rotation[here]
    if families is None:
        found = [inverse_pole_figure(rotation, phase, axis) for axis in ("x", "y", "z")]  # type: ignore[arg-type]
    else:
        found = [pole_figure(rotation, phase, indices) for indices in families]
    return orientation_map.provenance, phase, len(rotation), families is None, found
