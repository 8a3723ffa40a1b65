"""Several scans in one window: each keeps its results, choices, position and layers, whichever is looked at."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.gui_scan import calibrated_disks, detected_disks, made_map, numbered_scan, scan_of
from helpers.walk_through.hands import choose
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.napari_plugin.layers.cursor import MARKER
from napari_4dstem_orient.napari_plugin.layers.map_layers import map_layers, other_scans, show_channel
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer, scan_layers
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.napari_plugin.panels.shared.viewer_to_project import key_of
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import MapBy, Stage

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def bench(knowing, nothing_kept, bench):
    return bench


def quiet(panels, qtbot):
    def idle():
        return not any(panel.jobs.running or panel.turns.isActive() for panel in panels.values())

    qtbot.waitUntil(idle, timeout=60_000)
    qtbot.wait(50)  # napari crashes where layers go that it has not drawn yet


def seen(viewer):
    """Return what the layers show, the lowest first, and whether."""
    shown = [(key_of(layer), layer.visible) for layer in scan_layers(viewer)]
    return [(what, visible) for what, visible in shown if what != MARKER]


def mapped_scan(viewer, panels, silver, qtbot):
    """Open a scan with a map, chosen so that all may be told from another scan's."""
    session, calibrated = session_for(viewer), calibrated_disks(silver)
    open_scan(viewer, scan_of(calibrated))
    quiet(panels, qtbot)
    session.put(Stage.DISKS, detected_disks(calibrated))
    session.put(Stage.CALIBRATED, calibrated)
    list(panels["Map"].showing_map(made_map(silver, "template")))
    panels["Map"].phases.choose_only(["Ag"])
    session.move_to(3, 1)
    session.set_pins([(0, 5)])
    (layer,) = map_layers(viewer, "template")
    show_channel(layer, "score")
    quiet(panels, qtbot)


def test_each_scan_keeps_what_is_its_own_whichever_is_looked_at(bench, qtbot, silver):
    viewer, panels = bench
    session, scans = session_for(viewer), panels["Overview"].scans
    mapped_scan(viewer, panels, silver, qtbot)
    first, made, layers = session.get(Stage.SCAN), session.get(MapBy("template")), seen(viewer)
    assert not scans.isVisible()
    qtbot.mouseClick(scans.another_button, LEFT)
    assert session.scan_shape is None
    assert seen(viewer) == []
    assert panels["Overview"].first_run.isVisible()
    other = numbered_scan((5, 7), voltage=80.0)
    open_scan(viewer, other)
    quiet(panels, qtbot)
    panels["Map"].phases.choose_only(["Au"])
    session.move_to(4, 6)
    assert [scans.box.itemText(index) for index in range(scans.box.count())] == ["memory", "drawn"]
    narrow = scans.box.minimumSizeHint().width()
    scans.box.addItem(80 * "long ")
    assert scans.box.minimumSizeHint().width() == narrow  # or the window outgrows a small screen
    choose(scans.box, "drawn")
    quiet(panels, qtbot)
    assert session.get(Stage.SCAN) is first
    assert session.get(MapBy("template")) is made
    assert [phase.name for phase in session.job.phases] == ["Ag"]
    assert panels["Map"].phases.sources() == ["Ag"]
    assert (session.position, session.pins, session.calibration.voltage) == ((3, 1), ((0, 5),), 200.0)
    assert seen(viewer) == layers
    assert scans.box.currentText() == "drawn"
    choose(scans.box, "memory")
    quiet(panels, qtbot)
    assert session.get(Stage.SCAN) is other
    assert not session.maps
    assert session.job.phases[0].same_crystal(find_phase("Au"))
    assert (session.position, session.pins, session.calibration.voltage) == ((4, 6), (), 80.0)


def test_scans_are_shown_side_by_side_and_one_is_closed(bench, qtbot, silver):
    viewer, panels = bench
    session, scans = session_for(viewer), panels["Overview"].scans
    mapped_scan(viewer, panels, silver, qtbot)
    colours = map_layers(viewer, "template")[0].data
    qtbot.mouseClick(scans.another_button, LEFT)
    open_scan(viewer, numbered_scan((5, 7)))
    qtbot.waitUntil(lambda: find_layer(viewer, "bright field") is not None, timeout=60_000)
    quiet(panels, qtbot)
    qtbot.mouseClick(scans.beside_button, LEFT)
    quiet(panels, qtbot)
    (picture,) = other_scans(viewer)
    assert picture.name.startswith("drawn: score")
    np.testing.assert_array_equal(picture.data, colours)
    assert viewer.canvas.grid.enabled
    assert len([layer for layer in viewer.layers if layer.visible]) == 2
    qtbot.mouseClick(scans.beside_button, LEFT)
    qtbot.waitUntil(lambda: not other_scans(viewer), timeout=60_000)
    assert not viewer.canvas.grid.enabled
    qtbot.wait(300)
    qtbot.mouseClick(scans.close_button, LEFT)
    quiet(panels, qtbot)
    assert session.get(MapBy("template")) is not None
    assert not scans.isVisible()
