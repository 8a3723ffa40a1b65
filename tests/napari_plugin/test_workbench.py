"""All panels in one window: opened once, in their places, closed quietly; and the demo from scan to map."""

from unittest.mock import Mock, call, create_autospec

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMainWindow

from helpers.gui_scan import calibrated_disks, fill, let_know, made_map, scan_of, shows
from napari_4dstem_orient.napari_plugin import workbench
from napari_4dstem_orient.napari_plugin.layers.map_layers import add_map_layers, map_layers
from napari_4dstem_orient.napari_plugin.panels import docks
from napari_4dstem_orient.napari_plugin.panels.base import behind_a_tab
from napari_4dstem_orient.napari_plugin.panels.docks import open_workbench, show_panel
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.napari_plugin.workbench import map_silver_sample, open_all_panels
from napari_4dstem_orient.workflow.session import MapBy, Stage

TITLES = [
    "Data",
    "Bragg disks",
    "Calibration",
    "Map",
    "Analysis",
    "Export",
    "Inspector",
    "Map display",
    "Overview",
]


def test_every_panel_opens_once(bench):
    viewer, panels = bench
    assert list(panels) == TITLES
    again = open_workbench(viewer)
    assert again == panels
    assert len(viewer.window.dock_widgets) == len(TITLES)


def test_the_command_opens_a_panel_at_a_time_and_arranges_them(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    open_all_panels(viewer)
    assert len(viewer.window.dock_widgets) <= 1
    turns, clock = [], QTimer()
    clock.timeout.connect(lambda: turns.append(1))
    clock.start(0)
    qtbot.waitUntil(lambda: set(viewer.window.dock_widgets) >= set(TITLES), timeout=60_000)
    assert len(turns) >= len(TITLES) - 1  # the window answered between any two
    clock.stop()
    data = viewer.window.dock_widgets["Data"]
    qtbot.waitUntil(lambda: data.isVisible() and not behind_a_tab(data), timeout=60_000)
    for panel in viewer.window.dock_widgets.values():
        panel.close_step()


def test_a_window_closed_while_panels_open_gets_no_more(make_napari_viewer, qtbot, monkeypatch):
    viewer, opened, open_one = make_napari_viewer(show=True), [], docks._open
    monkeypatch.setattr(docks, "_open", lambda *what: opened.append(what[1]) or open_one(*what))
    open_all_panels(viewer)
    qtbot.waitUntil(lambda: len(opened) > 0, timeout=60_000)
    viewer.close()
    before = len(opened)
    qtbot.wait(200)
    assert len(opened) == before < len(TITLES)


def test_a_panel_opened_from_the_menu_is_not_opened_again(make_napari_viewer):
    viewer = make_napari_viewer()
    _, widget = viewer.window.add_plugin_dock_widget("napari-4dstem-orient", "7 Export")
    panels = open_workbench(viewer)
    assert panels["Export"] is widget
    assert len(viewer.window.dock_widgets) == len(TITLES)
    for panel in panels.values():
        panel.close_step()


def test_the_steps_are_tabs_on_the_right_and_the_inspector_is_below(bench, qtbot):
    _, panels = bench
    window = panels["Data"].window()
    assert isinstance(window, QMainWindow)
    steps = [panels[title].parentWidget() for title in TITLES[:6]]
    assert set(window.tabifiedDockWidgets(steps[0])) == set(steps[1:])
    inspector, key = (panels[title].parentWidget() for title in TITLES[6:8])
    assert inspector.y() > window.height() / 2
    assert key.y() == inspector.y()
    assert key.x() > inspector.x()
    show_panel(panels["Map"])
    qtbot.waitUntil(lambda: not panels["Map"].visibleRegion().isEmpty(), timeout=60_000)
    assert panels["Data"].visibleRegion().isEmpty()
    assert panels["Map"].mapTo(window, panels["Map"].rect().bottomLeft()).y() > 0.85 * window.height()


def test_a_closed_panel_can_be_opened_again(bench):
    viewer, panels = bench
    viewer.window.remove_dock_widget(panels["Export"])
    QApplication.processEvents()
    again = open_workbench(viewer)
    assert again["Export"] is not panels["Export"]
    panels["Export"] = again["Export"]


def test_closing_everything_leaves_no_listener(bench, silver, notified):
    viewer, panels = bench
    session = session_for(viewer)
    fill(session, silver)
    for panel in panels.values():
        viewer.window.remove_dock_widget(panel)
    QApplication.processEvents()
    session.put(Stage.MAP, made_map(silver, "template"))
    session.move_to(0, 1)
    QApplication.processEvents()
    assert not notified


def test_the_map_on_the_screen_has_the_colours_of_the_answer(bench, silver):
    """A screenshot's pixels: IPF colour where indexed, background where not."""
    viewer, _ = bench
    red = np.broadcast_to(np.eye(3, dtype=np.float32), (4, 6, 3, 3))  # [001]
    found = made_map(silver, "transformer", rotation=red)
    found.phase_id[:, :3], found.status[:, :3] = -1, 1
    add_map_layers(viewer, found)
    viewer.reset_view()
    QApplication.processEvents()
    shot = viewer.screenshot(canvas_only=True, flash=False)
    height, width = shot.shape[:2]
    np.testing.assert_allclose(shot[height // 2, int(0.6 * width), :3], [255, 0, 0], atol=30)
    assert shot[height // 2, int(0.4 * width), :3].max() < 60


def test_the_demo_goes_from_the_sample_to_a_map(make_napari_viewer, qtbot, silver, monkeypatch):
    let_know(monkeypatch, silver)
    scan = scan_of(calibrated_disks(silver))
    monkeypatch.setattr("napari_4dstem_orient.napari_plugin.workbench.silver_twins", lambda: scan)
    viewer = make_napari_viewer()
    map_silver_sample(viewer)
    qtbot.waitUntil(lambda: bool(map_layers(viewer)), timeout=60000)
    session = session_for(viewer)
    assert session.get(MapBy("transformer")).provenance["input"] == "drawn"
    assert not any(session.is_stale(stage) for stage in Stage)
    for panel in viewer.window.dock_widgets.values():
        panel.close_step()


def test_a_panel_behind_another_tab_follows_when_it_is_shown(bench, qtbot, silver):
    viewer, panels = bench
    session = session_for(viewer)
    fill(session, silver)
    preview, scan = panels["Bragg disks"].preview, session.get(Stage.SCAN)

    def shows_the_position():
        return shows(preview.view, scan.pattern(*session.position))

    show_panel(panels["Bragg disks"])
    qtbot.waitUntil(shows_the_position, timeout=60_000)
    show_panel(panels["Map"])
    qtbot.waitUntil(lambda: behind_a_tab(preview), timeout=60_000)
    session.move_to(2, 1)
    show_panel(panels["Bragg disks"])
    qtbot.waitUntil(shows_the_position, timeout=60_000)


def test_the_demo_opens_a_window_that_fits_the_screen(monkeypatch, make_napari_viewer):
    """``open_demo`` with the mapping left out: the window is as large as the screen allows, and napari runs."""
    import napari

    viewer, did = make_napari_viewer(), Mock()
    monkeypatch.setattr(napari, "Viewer", lambda title: viewer)
    for place, name in ((napari, "run"), (workbench, "map_silver_sample")):
        fake = create_autospec(getattr(place, name))
        did.attach_mock(fake, name)
        monkeypatch.setattr(place, name, fake)
    workbench.open_demo()
    assert did.mock_calls == [call.map_silver_sample(viewer), call.run()]
    room = QApplication.primaryScreen().availableSize()
    _, _, width, height = viewer.window.geometry()
    assert 0.8 * min(room.width(), 1600) < width <= room.width()
    assert 0.8 * min(room.height(), 1000) < height <= room.height()
