"""Pole figures and inverse pole figures of the whole map, a grain or a region drawn."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.napari_plugin.layers.analysed import Analysed
from napari_4dstem_orient.napari_plugin.layers.drawing import draw, region_of
from napari_4dstem_orient.napari_plugin.panels.base import button
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import PlotCanvas, save_figure, text_color
from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.qt.latest_only import LatestOnly

if TYPE_CHECKING:
    from napari_4dstem_orient.analysis.pole_figures import Density, Indices
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.crystals.phase import Phase

REGION = "region"


class PolesSection(QWidget):
    """Shows the distribution of orientations.

    Parameters
    ----------
    analysed : Analysed
    """

    def __init__(self, analysed: Analysed) -> None:
        super().__init__()
        self.analysed = analysed
        self.of = QComboBox()
        for text in ("whole map", "selected grain", "region drawn"):
            self.of.addItem(text)
        self.phase = QComboBox()
        self.kind = QComboBox()
        self.kind.addItems(["pole figures", "inverse pole figures"])
        self.planes = QLineEdit()
        self.planes.setToolTip(
            "Families of lattice planes, such as 1 0 0, 1 1 1; empty for those of lowest indices."
        )
        self.phase.currentIndexChanged.connect(self._on_phase)
        form = QFormLayout()
        for label, field in (
            ("Of", self.of),
            ("Phase", self.phase),
            ("Show", self.kind),
            ("Planes (hkl)", self.planes),
        ):
            form.addRow(label, field)
        regions, buttons = QHBoxLayout(), QHBoxLayout()
        for title, mode in (("Draw rectangle", "add_rectangle"), ("Draw polygon", "add_polygon")):
            regions.addWidget(
                button(
                    title,
                    "Mark a region on the map; a double click ends a polygon.",
                    partial(self._draw, mode),
                )
            )
        self.show_button = button("Show", "Compute the figures.", self.show_figures)
        self.save_button = button("Save figure…", "As PNG, PDF or SVG.", self._save)
        buttons.addWidget(self.show_button)
        buttons.addWidget(self.save_button)
        self.words = QLabel()
        self.words.setWordWrap(True)
        self.canvas = PlotCanvas(190, "Pole figures")
        self.canvas.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addLayout(regions)
        layout.addLayout(buttons)
        layout.addWidget(self.canvas)
        layout.addWidget(self.words)
        self.densities: list[Density] = []
        self._shown_phase: Phase | None = None
        self._about: Mapping[str, Any] = {}
        self._latest = LatestOnly(self._on_answer)
        analysed.map_changed.connect(self._on_map)
        self._on_map()

    def refresh(self) -> None:
        """Enable what can be done."""
        self.show_button.setEnabled(self.analysed.map is not None)
        self.save_button.setEnabled(bool(self.densities))

    def release(self) -> None:
        """Stop waiting for an answer."""
        self._latest.close()

    def _on_map(self) -> None:
        found = self.analysed.map
        self._latest.drop()
        self.densities = []
        self.canvas.hide()
        self.words.clear()
        self.phase.clear()
        self.phase.addItems([] if found is None else [phase.name for phase in found.phases])
        self.refresh()

    def _on_phase(self, number: int) -> None:
        from napari_4dstem_orient.analysis.pole_figures import default_families, write_indices

        if self.analysed.map is not None and number >= 0:
            phase = self.analysed.map.phases[number]
            self.planes.setText(", ".join(write_indices(each, phase) for each in default_families(phase)))

    def _draw(self, mode: str) -> None:
        self.of.setCurrentText("region drawn")
        step = self.analysed.session.calibration.steps
        draw(self.analysed.viewer, REGION, mode, step, self.show_figures)

    def show_figures(self) -> None:
        """Compute the figures in a thread; what is missing is told."""
        try:
            self._ask()
        except UserError as error:
            notify(error)

    def _ask(self) -> None:
        from napari_4dstem_orient.analysis.pole_figures import default_families, parse_indices

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
        self._about, self._shown_phase, count, self._inverse, self.densities = answer
        self.canvas.show()
        self._fill(self.canvas.figure, text_color(self.analysed.viewer.theme))
        self.canvas.draw_idle()
        self.words.setText(
            f"{self._shown_phase.name}, {count:,} positions, in multiples of a random distribution, smoothed by 5°. "
            "Lab x points down the rows, y along the columns, z towards the viewer."
        )
        self.refresh()

    def _fill(self, figure: Figure, color: str) -> None:
        from napari_4dstem_orient.analysis.pole_figures import draw_inverse_pole_figure, draw_pole_figure

        assert self._shown_phase is not None
        figure.clear()
        top = max(float(each.value.max()) for each in self.densities)
        plots = list(figure.subplots(1, len(self.densities), squeeze=False)[0])
        for axes, density in zip(plots, self.densities, strict=True):
            if self._inverse:
                shown = draw_inverse_pole_figure(axes, density, self._shown_phase, color)
            else:
                shown = draw_pole_figure(axes, density, color)
            shown.set_clim(0, top)
        bar = figure.colorbar(shown, ax=plots, orientation="horizontal", aspect=40, pad=0.02)
        bar.ax.tick_params(colors=color, labelsize=8)

    def _save(self) -> None:
        save_figure(self, "pole-figures.png", self.paper_figure, self._about)

    def paper_figure(self) -> Figure:
        """Return the figure as it is saved: black on white."""
        figure = Figure(figsize=(2.6 * len(self.densities), 3.3), layout="constrained", facecolor="white")
        self._fill(figure, "black")
        return figure


def _densities(
    orientation_map: OrientationMap, here: np.ndarray, phase: Phase, families: list[Indices] | None
) -> tuple[Mapping[str, Any], Phase, int, bool, list[Density]]:
    from napari_4dstem_orient.analysis.pole_figures import inverse_pole_figure, pole_figure

    rotation = orientation_map.rotation[here]
    if families is None:
        found = [inverse_pole_figure(rotation, phase, axis) for axis in ("x", "y", "z")]  # type: ignore[arg-type]
    else:
        found = [pole_figure(rotation, phase, indices) for indices in families]
    return orientation_map.provenance, phase, len(rotation), families is None, found
