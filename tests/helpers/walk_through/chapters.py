"""The walk, chapter by chapter: each presses what a user would press and waits for what comes of it.

Nothing is judged here; ``tests/program/test_walk_through.py`` says what a user should see after each chapter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import Qt

from helpers.walk_through.hands import (
    answer_dialog,
    choose,
    click,
    click_scan,
    drag_on,
    pick,
    press_on_scan,
    says,
    settle,
    tick_only,
    type_into,
    wait,
)
from helpers.walk_through.stalls import StallMeter
from napari_4dstem_orient.napari_plugin.layers.map_layers import KIND, map_layers
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.napari_plugin.workbench import open_all_panels
from napari_4dstem_orient.workflow.session import MapBy, Stage


@dataclass(frozen=True)
class Sample:
    """A bundled sample and where to look in it.

    Attributes
    ----------
    title, crystal : str
    places : tuple of (float, float)
        In two grains, as shares of the scan's height and width.
    """

    title: str
    crystal: str
    places: tuple[tuple[float, float], tuple[float, float]]


SILVER = Sample("Silver twins (SPED)", "Ag", ((0.53, 0.29), (0.72, 0.79)))
COPPER = Sample("Copper polycrystal (simulated)", "Cu", ((0.9, 0.2), (0.2, 0.9)))


class Walk:
    """One user's way through the program.

    Parameters
    ----------
    new_viewer : callable
        Opens an empty window.
    folder : str
        What the user types as the folder to export to.
    project : str
        Where the project goes; absolute.
    photograph : callable
        Is called with a picture's name when there is something to see.
    """

    def __init__(
        self,
        new_viewer: Callable[[], napari.Viewer],
        folder: str,
        project: str,
        photograph: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._new_viewer, self._photograph = new_viewer, photograph
        self.folder, self.project = folder, project
        self.sample = SILVER
        self.pictures: list[str] = []
        self.viewer = new_viewer()
        self.meter = StallMeter()  # after the window: a timer needs Qt's application
        self.meter.begin("open all panels")
        self.open_panels()

    def take(self, chapter: Callable[[Walk], None]) -> None:
        """Walk through a chapter."""
        self.meter.begin(f"{self.sample.crystal} {chapter.__name__}")
        chapter(self)

    def open_window(self) -> None:
        """Open a window in place of the one there is; that is napari's own work, and not measured."""
        with self.meter.paused():
            self.viewer.close()
            self.viewer = self._new_viewer()

    def open_panels(self) -> None:
        """Open all panels."""
        self.session = session_for(self.viewer)
        open_all_panels(self.viewer)
        wait("the last panel", lambda: "Map display" in self.viewer.window.dock_widgets)
        settle()

    def panel(self, title: str) -> Any:
        """Return an open panel."""
        return self.viewer.window.dock_widgets[title]

    def step(self, title: str) -> Any:
        """Go to a step by its line in the overview."""
        click(self.panel("Overview").steps[title])
        return self.panel(title)

    def idle(self) -> bool:
        """Tell whether no panel is at work."""
        panels = self.viewer.window.dock_widgets.values()
        return not any(panel.jobs.running for panel in panels if hasattr(panel, "jobs"))

    def have(self, stage: Stage) -> None:
        """Wait until there is a result, made of what there is now."""
        wait(
            f"the {stage}",
            lambda: self.session.get(stage) is not None and not self.session.is_stale(stage) and self.idle(),
        )
        settle(0.1)  # the overview hears of it a little later

    def places(self) -> list[tuple[int, int]]:
        """Return the sample's two positions in this scan."""
        shape = np.array(self.session.scan_shape)
        return [(int(row), int(col)) for row, col in (np.array(self.sample.places) * shape).astype(int)]

    def picture(self, name: str) -> None:
        """Let a picture be taken, the first time that there is something of that name to see."""
        if name not in self.pictures:
            self.pictures.append(name)
            with self.meter.paused():
                self._photograph(name)


# ---------------------------------------------------------------- a scan


def open_silver(walk: Walk) -> None:
    """Open the silver sample from the overview; its virtual images come by themselves."""
    click(walk.panel("Overview").sample_buttons[SILVER.title])
    walk.have(Stage.PROBE)
    walk.picture("1-data")


def open_copper(walk: Walk) -> None:
    """Open the other sample in the same window, from the Data panel."""
    walk.sample = COPPER
    former = walk.session.get(Stage.SCAN).data
    pick(walk.step("Data").sample_button, COPPER.title)
    wait("another scan", lambda: walk.session.get(Stage.SCAN).data is not former)
    walk.have(Stage.PROBE)


def drag_detectors(walk: Walk) -> None:
    """Drag a disc off the direct beam, and a ring's edge outwards."""
    click(walk.panel("Data").detectors_button)
    panel = walk.panel("Virtual images")
    wait("the direct beam's detector", lambda: panel.selected is not None and walk.idle())
    choose(panel.shown, "Maximum")
    wait("the pattern", lambda: panel.view.canvas.picture is not None)
    wait("the pattern's place", lambda: not panel.view.visibleRegion().isEmpty())
    click(panel.add_buttons["spot"])
    row, col = panel.selected.center
    drag_on(panel.view, (row, col), (row - 6, col + 8))
    click(panel.add_buttons["annular"])
    row, col = panel.selected.center
    drag_on(panel.view, (row, col + panel.selected.outer), (row, col + panel.selected.outer + 6))
    wait("three images", lambda: None not in virtual_layers(walk))
    walk.picture("virtual-detectors")


def virtual_layers(walk: Walk) -> list[Any]:
    """Return the layers of the three virtual detectors, None for one that is not there yet."""
    return [find_layer(walk.viewer, f"virtual image {number}") for number in (1, 2, 3)]


def pin_positions(walk: Walk) -> None:
    """Click on two grains and press P; go back to the first by a click on its pinned pattern."""
    for place in walk.places():
        click_scan(walk.viewer, *place)
        press_on_scan(walk.viewer, Qt.Key.Key_P)
    preview = walk.step("Bragg disks").preview
    first = walk.places()[0]
    wait("the pinned pattern", lambda: first in preview.pinned.pins)
    pinned = preview.pinned
    click(pinned.viewport(), pinned.visualItemRect(pinned.pins[first]).center())


# ---------------------------------------------------------------- disks and calibration


def find_disks(walk: Walk) -> None:
    """Find all disks as suggested."""
    click(walk.step("Bragg disks").run_button)
    walk.have(Stage.DISKS)
    walk.picture("2-disks")


def cancel_midway(walk: Walk) -> None:
    """Ask for finer positions, and cancel when that is seen to take long."""
    panel = walk.step("Bragg disks")
    choose(panel.form["subpixel"].native, "multicorr")
    click(panel.run_button)
    wait("progress", lambda: panel.jobs.bar.maximum() > 0)
    click(panel.jobs.cancel_button)
    wait("the end", walk.idle)


def calibrate(walk: Walk) -> None:
    """Fit the detector pixel to the crystal's rings, use it, and apply."""
    panel = walk.step("Calibration")
    choose(panel.crystal, walk.sample.crystal)
    click(panel.fit_button)
    click(panel.use_button)
    click(panel.apply_button)
    walk.have(Stage.CALIBRATED)
    walk.picture("3-calibration")


def change_upstream(walk: Walk) -> None:
    """Type another rotation where there is a map already."""
    type_into(walk.step("Calibration").fields.inputs["rotation"].native, "5")
    wait("the stale mark", lambda: walk.session.is_stale(Stage.CALIBRATED))
    walk.step("Map")
    walk.picture("stale")


def update(walk: Walk) -> None:
    """Let everything stale be made anew."""
    overview = walk.panel("Overview")
    click(overview.update_button)
    wait("the update", lambda: not overview.updater.running and walk.idle())


# ---------------------------------------------------------------- the map


def map_orientations(walk: Walk) -> None:
    """Tick the crystal alone and run the transformer."""
    panel = walk.step("Map")
    tick_only(panel.phases, walk.sample.crystal)
    click(panel.run_buttons["transformer"])
    walk.have(MapBy("transformer"))
    wait("the map's layer", partial(map_layers, walk.viewer))
    look_at(walk, walk.places()[1])
    walk.picture("4-map")


def look_at(walk: Walk, place: tuple[int, int]) -> None:
    """Click on a position and wait until both methods have answered there, or beside it where positions are small."""
    inspector = walk.panel("Inspector")
    click_scan(walk.viewer, *place)
    assert walk.session.position is not None
    shown = "row {}, column {}<".format(*walk.session.position)
    wait(f"both answers at {place}", lambda: says(inspector, shown) and says(inspector, "differ by"))


def inspect(walk: Walk) -> None:
    """Click on both grains in the colours of another direction."""
    display = walk.panel("Map display")
    choose(display.channel, "ipf-x")
    wait("IPF-X", lambda: any(layer.metadata[KIND] == "ipf-x" for layer in map_layers(walk.viewer)))
    for place, name in zip(reversed(walk.places()), ("5-inspector", "overview"), strict=True):
        look_at(walk, place)
        if name == "overview":
            choose(display.beside, "ipf-x")  # and IPF-Z in its place
            wait("both channels", lambda: not display.turns.isActive())
        walk.picture(name)


def find_grains(walk: Walk) -> None:
    """Find the grains of the map, seen alone again."""
    display = walk.panel("Map display")
    choose(display.beside, "nothing")
    wait("one channel", lambda: not display.turns.isActive())
    choose(display.channel, "ipf-x")
    panel = walk.step("Analysis")
    click(panel.grains.find_button)
    wait("the grains", lambda: panel.grains.save_button.isEnabled() and walk.idle())
    walk.picture("grains")


def compare(walk: Walk) -> None:
    """Run template matching beside the transformer, and go to where they differ most."""
    click(walk.step("Analysis").compare_button)
    panel = walk.panel("Compare")
    click(panel.run_buttons["template"])
    walk.have(MapBy("template"))
    click(panel.compare_button)
    wait("the comparison", lambda: panel.found is not None and walk.idle())
    choose(panel.order, "Largest misorientation")
    click(panel.next)
    walk.picture("compare")


# ---------------------------------------------------------------- files


def export_all(walk: Walk) -> None:
    """Export the map in every format."""
    panel = walk.step("Export")
    type_into(panel.folder, walk.folder)
    for box in panel.formats.values():
        if not box.isChecked():
            click(box)
    click(panel.export_button)
    wait("the files", lambda: "Written to" in panel.written.text() and walk.idle())
    walk.picture("6-export")


def save_project(walk: Walk) -> None:
    """Save everything as a project."""
    answer_dialog(walk.panel("Overview").save_button, walk.project)
    wait("the project file", lambda: says(walk.panel("Overview"), "Saved"))


def reopen_project(walk: Walk) -> None:
    """Close the window, and open the project in a new one."""
    walk.open_window()
    walk.open_panels()
    answer_dialog(walk.panel("Overview").project_button, walk.project)
    walk.have(MapBy("transformer"))
    wait("the map's layer", partial(map_layers, walk.viewer))


STORY = (
    *(open_silver, pin_positions, find_disks, calibrate, map_orientations, inspect, find_grains, export_all),
    *(compare, save_project, reopen_project),
    *(open_copper, drag_detectors, find_disks, cancel_midway, calibrate, map_orientations),
    *(change_upstream, update),
)
"""All chapters: the silver sample until it is exported, saved and opened again; then the copper sample."""
