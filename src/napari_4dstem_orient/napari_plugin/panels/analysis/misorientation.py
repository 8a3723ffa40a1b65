"""Misorientation between two positions that are clicked, and along a line."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import napari
import numpy as np
from matplotlib.figure import Figure
from qtpy.QtWidgets import QPushButton

from napari_4dstem_orient.analysis.profile import Profile, line_profile
from napari_4dstem_orient.analysis.special_boundaries import misorientation_between
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.napari_plugin.layers.analysed import Analysed
from napari_4dstem_orient.napari_plugin.layers.drawing import corners_of, draw
from napari_4dstem_orient.napari_plugin.layers.removal import take_away
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer, put_layer
from napari_4dstem_orient.napari_plugin.panels.base import button
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import Plot, dress
from napari_4dstem_orient.napari_plugin.qt.boxes import row

PICKED, LINE = "picked positions", "profile line"
NOTHING_YET = "Misorientation of two positions, or along a line."


class MisorientationSection(Plot):
    """Compares two positions, and follows a line."""

    def __init__(self, analysed: Analysed) -> None:
        super().__init__(analysed.viewer, analysed.endings, 210, "Misorientation along the line")
        self.analysed = analysed
        self.picked: list[tuple[int, int]] = []
        self.pick_button = QPushButton("Pick two positions")
        self.pick_button.setCheckable(True)
        self.pick_button.setToolTip("Click A, then B on the map; press again to stop picking.")
        self.pick_button.toggled.connect(self._on_picking)
        self.line_button = button(
            "Draw a line", "Drag over the map, from the line's start to its end.", self._draw
        )
        self.column.insertLayout(0, row(self.pick_button, self.line_button))
        self.show_figure(None, NOTHING_YET)
        self.profile: Profile | None = None
        self._latest = analysed.endings.latest(self._on_answer)
        analysed.endings.callback(self.pick_button.setChecked, False)
        analysed.map_changed.connect(self._on_map)
        analysed.steps_changed.connect(self._follow)

    def refresh(self) -> None:
        """Let positions be picked where there is a map."""
        for each in (self.pick_button, self.line_button):
            each.setEnabled(self.analysed.map is not None)

    def forget(self) -> None:
        """Let go of positions, and of the line, of the former scan."""
        self.pick_button.setChecked(False)
        self.picked, self.profile = [], None
        self._latest.drop()
        self.show_figure(None, NOTHING_YET)

    def _on_map(self) -> None:
        self.refresh()
        if self.analysed.map is None:
            self.pick_button.setChecked(False)
        self._compare()
        self._follow()

    # ---------------------------------------------------------------- two positions

    def _on_picking(self, on: bool) -> None:
        callbacks = self.analysed.viewer.mouse_drag_callbacks
        if on:
            self.picked = []
            self.words.setText("Click position A.")
            callbacks.append(self._on_press)
        elif self._on_press in callbacks:
            callbacks.remove(self._on_press)

    def _on_press(self, viewer: napari.Viewer, event: Any) -> Iterator[None]:
        where = self.analysed.position_at(event.position)
        if where is not None and event.button == 1:
            self.picked = [*self.picked, where] if len(self.picked) == 1 else [where]
            self._mark()
            self._compare()
        yield

    def _mark(self) -> None:
        viewer = self.analysed.viewer
        former, active = find_layer(viewer, PICKED), viewer.layers.selection.active
        if former is not None:
            take_away(viewer, former)
        put_layer(
            viewer,
            PICKED,
            np.array(self.picked, float),
            self.analysed.steps,
            kind="points",
            size=1.0,
            symbol="cross",
            face_color="#ff2fd0",
            text={
                "string": list("AB"[: len(self.picked)]),
                "color": "white",
                "size": 14,
                "anchor": "upper_left",
            },
        )
        viewer.layers.selection.active = active

    def _compare(self) -> None:
        if len(self.picked) == 1:
            self.words.setText(f"A is {_place(self.picked[0])}. Click position B.")
        elif len(self.picked) == 2 and self.analysed.map is not None:
            self._latest.ask(partial(compare, self.analysed.map, *self.picked))

    # ---------------------------------------------------------------- a line

    def _draw(self) -> None:
        self.pick_button.setChecked(False)
        draw(self.analysed.viewer, LINE, "add_line", self._follow)

    def _follow(self) -> None:
        ends = corners_of(self.analysed.viewer, LINE)
        if ends is not None and self.analysed.map is not None:
            self._latest.ask(partial(line_profile, self.analysed.map, *ends))

    # ---------------------------------------------------------------- answers

    def _on_answer(self, answer: str | Profile) -> None:
        if isinstance(answer, str):
            self.words.setText(answer)
            return
        self.profile = answer
        self.show_figure(
            partial(_draw, answer),
            f"Line from {_place(answer.positions[0])} to {_place(answer.positions[-1])}, "
            f"{answer.distance[-1]:.4g} {answer.unit}.",
        )


def compare(orientation_map: OrientationMap, one: tuple[int, int], other: tuple[int, int]) -> str:
    """Say how the crystals at two positions are turned against each other."""
    words = f"A ({_place(one)}) to B ({_place(other)}): "
    phases = [int(orientation_map.phase_id[where]) for where in (one, other)]
    if min(phases) < 0:
        return words + "no answer at one of the two."
    if phases[0] != phases[1]:
        names = [orientation_map.phases[number].name for number in phases]
        return words + f"two phases, {names[0]} and {names[1]}: their angle has no meaning."
    rotation = orientation_map.rotation
    return (
        words + misorientation_between(rotation[one], rotation[other], orientation_map.phases[phases[0]]).text
    )


def _place(where: Any) -> str:
    return f"row {where[0]}, column {where[1]}"


def _draw(profile: Profile, figure: Figure, color: str) -> None:
    """Draw both curves of a profile; the line's style tells them apart, too."""
    axes = figure.add_subplot()
    axes.plot(profile.distance, profile.to_start, "-", color="#E69F00", label="to the start")
    axes.plot(profile.distance, profile.to_former, ".:", color="#56B4E9", label="to the position before")
    axes.set_ylim(0, None)
    axes.set_xlabel(f"distance ({profile.unit})")
    axes.set_ylabel("misorientation (°)")
    axes.legend(framealpha=0, loc="best")
    dress(axes, color)
