"""The cursor over the scan: mouse and arrow keys move the position, the marker shows it."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.gui_scan import numbered_scan
from helpers.walk_through.hands import mouse
from napari_4dstem_orient.napari_plugin.layers import cursor
from napari_4dstem_orient.napari_plugin.layers.cursor import MARKER, install_cursor
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer, put_layer
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import Stage


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    open_scan(viewer, numbered_scan((20, 30), r_pixel=5.0))
    qtbot.wait(100)
    return viewer, session_for(viewer)


@pytest.mark.parametrize("position", [(3, 25), (17, 4)])
def test_a_click_moves_the_position_whatever_the_active_layer(opened, position):
    viewer, session = opened
    viewer.add_image(np.zeros((5, 5)), name="not ours")
    viewer.layers.selection.clear()
    mouse(viewer, "press", *position)
    mouse(viewer, "release", *position)
    assert session.position == position
    marker = find_layer(viewer, MARKER)
    np.testing.assert_array_equal(marker.data[0], position)
    np.testing.assert_allclose(marker.data_to_world(marker.data[0]), np.array(position) * 5.0)


def test_a_drag_scrubs_and_the_view_stays(opened, qtbot):
    viewer, session = opened
    visited = []
    session.position_changed.connect(lambda row, col: visited.append((row, col)))
    center = viewer.scene.camera.center
    mouse(viewer, "press", 5, 5)
    for col in range(6, 12):
        qtbot.wait(15)  # napari takes a move every 5 ms
        mouse(viewer, "move", 5, col)
    qtbot.wait(30)
    mouse(viewer, "release", 5, 11)
    assert session.position == (5, 11)
    assert len(visited) >= 4
    assert viewer.scene.camera.center == center
    assert viewer.scene.camera.mouse_pan


def test_the_marker_follows_a_drag_now_and_then_and_ends_where_it_ends(opened, qtbot, monkeypatch):
    viewer, session = opened
    monkeypatch.setattr(cursor, "REDRAWN_AFTER", 60_000)
    mouse(viewer, "press", 5, 5)
    drawn = []
    find_layer(viewer, MARKER).events.set_data.connect(lambda event: drawn.append(session.position))
    for col in range(6, 12):
        qtbot.wait(15)
        mouse(viewer, "move", 5, col)
    assert session.position == (5, 11)
    assert not drawn
    mouse(viewer, "release", 5, 11)
    np.testing.assert_array_equal(find_layer(viewer, MARKER).data[0], (5, 11))


def test_beside_the_scan_nothing_moves(opened):
    viewer, session = opened
    before = session.position
    mouse(viewer, "press", -3, 5)
    mouse(viewer, "release", -3, 5)
    assert session.position == before


def test_a_layer_that_is_drawn_on_keeps_its_clicks(opened):
    viewer, session = opened
    before = session.position
    viewer.add_shapes(ndim=2).mode = "add_rectangle"
    mouse(viewer, "press", 3, 3)
    mouse(viewer, "release", 3, 3)
    assert session.position == before


def test_arrow_keys_step_over_the_scan(opened, qtbot):
    viewer, session = opened
    session.move_to(7, 7)
    canvas = viewer.window._qt_viewer.canvas.native
    for key, expected in [
        (Qt.Key.Key_Up, (6, 7)),
        (Qt.Key.Key_Left, (6, 6)),
        (Qt.Key.Key_Down, (7, 6)),
        (Qt.Key.Key_Right, (7, 7)),
    ]:
        qtbot.keyClick(canvas, key)
        assert session.position == expected


def test_the_marker_stays_above_later_layers_and_is_never_selected(opened, qtbot):
    viewer, session = opened
    session.move_to(1, 1)
    put_layer(viewer, "later", np.eye(20, 30), (5.0, 5.0))
    qtbot.wait(50)
    assert viewer.layers[-1] is find_layer(viewer, MARKER)
    assert viewer.layers.selection.active is find_layer(viewer, "later")


def test_the_cursor_is_installed_once(opened):
    viewer, _ = opened
    count = len(viewer.mouse_drag_callbacks)
    install_cursor(viewer)
    assert len(viewer.mouse_drag_callbacks) == count


def test_a_new_scan_takes_the_place_of_the_former(opened):
    viewer, session = opened
    open_scan(viewer, numbered_scan((6, 8)))
    assert session.get(Stage.SCAN).scan_shape == (6, 8)
    assert session.position == (3, 4)
    assert {str(unit) for layer in viewer.layers for unit in layer.units} == {"pixel"}
