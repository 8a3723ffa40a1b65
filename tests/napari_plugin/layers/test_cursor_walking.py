"""Walking over the map with keys, pins, and stepping through hypotheses, in a real window."""

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt
from scipy.spatial.transform import Rotation

from helpers.gui_scan import (
    fill,
    grabbed,
    made_map,
    marked,
    overlapping_disks,
    overlapping_map,
    truth,
)
from napari_4dstem_orient.napari_plugin.layers.cursor import install_cursor, toggle_pin
from napari_4dstem_orient.napari_plugin.panels.inspector.panel import InspectorWidget
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer
from napari_4dstem_orient.workflow.session import MapBy

SHIFT = Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def inspector(dock, qtbot, silver):
    """The inspector over a small scan with a template matching map that has a runner-up."""
    widget = dock(InspectorWidget, show=True, area="bottom")
    session = widget.session
    fill(session, silver)
    off = truth() @ Rotation.from_euler("z", 7.0, degrees=True).as_matrix()
    found = made_map(silver, "template")
    scores = np.full((4, 6, 1), 0.6, np.float32)
    session.put(
        MapBy("template"),
        replace(found, runner_up=off[:, :, None].astype(np.float32), runner_up_score=scores),
    )
    session.move_to(2, 1)
    qtbot.waitUntil(lambda: widget.predicted["template"].hypotheses.count() == 2, timeout=60_000)
    return widget


def test_arrow_keys_walk_while_a_view_has_the_focus(inspector, qtbot):
    session, view = inspector.session, inspector.measured.view.canvas
    qtbot.keyClick(view, Qt.Key.Key_Right)
    assert session.position == (2, 2)
    qtbot.keyClick(view, Qt.Key.Key_Up)
    assert session.position == (1, 2)
    qtbot.keyClick(view, Qt.Key.Key_Right, SHIFT)
    assert session.position == (1, 5)  # the scan ends there
    qtbot.keyClick(view, Qt.Key.Key_Left, SHIFT)
    assert session.position == (1, 0)


def test_a_list_keeps_its_own_arrow_keys(inspector, qtbot):
    qtbot.keyClick(inspector.predicted["template"].hypotheses, Qt.Key.Key_Down)
    assert inspector.session.position == (2, 1)
    assert inspector.predicted["template"].hypotheses.currentIndex() == 1


def test_the_canvas_knows_the_same_keys(inspector):
    viewer = bare_viewer(inspector.viewer)
    install_cursor(viewer)
    bound = {str(key): function for key, function in viewer.keymap.items()}
    session = inspector.session
    bound["Shift+Right"](viewer)
    assert session.position == (2, 5)
    bound["Left"](viewer)
    assert session.position == (2, 4)
    bound["P"](viewer)
    assert session.pins == ((2, 4),)


def test_p_pins_and_unpins_and_a_click_on_a_pin_goes_there(inspector, qtbot):
    session, view, strip = inspector.session, inspector.measured.view.canvas, inspector.pins
    assert not strip.isVisible()
    qtbot.keyClick(view, Qt.Key.Key_P)
    session.move_to(0, 4)
    qtbot.keyClick(view, Qt.Key.Key_P)
    assert session.pins == ((2, 1), (0, 4))
    assert [strip.item(n).text() for n in range(strip.count())] == ["2, 1", "0, 4"]
    qtbot.waitUntil(lambda: not strip.item(0).icon().isNull(), timeout=60_000)
    qtbot.waitUntil(strip.isVisible, timeout=60_000)
    place = strip.visualItemRect(strip.item(0)).center()
    qtbot.mouseClick(strip.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert session.position == (2, 1)
    toggle_pin(session)
    assert session.pins == ((0, 4),)


def test_choosing_a_hypothesis_shows_its_pattern_in_that_methods_view(inspector, qtbot):
    column = inspector.predicted["template"]
    assert "score 0.80" in column.hypotheses.itemText(0)
    assert "score 0.60, 7.0° away" in column.hypotheses.itemText(1)
    other = inspector.predicted["transformer"].view.canvas
    before, others = grabbed(column.view.canvas), grabbed(other)
    qtbot.keyClick(column.hypotheses, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: "score 0.60" in column.words.text(), timeout=60_000)
    assert not np.array_equal(before, grabbed(column.view.canvas))
    np.testing.assert_array_equal(others, grabbed(other))
    turned = inspector._shown.answers["template"].rotation
    assert np.rad2deg(Rotation.from_matrix(truth()[2, 1].T @ turned).magnitude()) == pytest.approx(
        7, abs=0.01
    )
    inspector.session.move_to(2, 4)  # elsewhere the first is shown again
    qtbot.waitUntil(lambda: "row 2, column 4" in inspector.measured.words.text(), timeout=60_000)
    assert column.hypotheses.currentIndex() == 0


def test_c_and_a_click_step_through_the_crystals_of_the_pattern(inspector, qtbot, silver):
    session, column = inspector.session, inspector.predicted["transformer"]
    button, seen = (
        inspector.controls.crystal,
        lambda number: len(marked(column.view, f"crystal {number}")) > 0,
    )
    assert not button.isVisible()
    fill(session, silver, overlapping_disks(silver))
    session.put(MapBy("transformer"), overlapping_map(silver))
    session.move_to(2, 1)
    qtbot.waitUntil(lambda: seen(1) and seen(2), timeout=60_000)
    assert button.isVisible()
    assert button.text() == "All 2 crystals"
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: seen(1) and not seen(2), timeout=60_000)
    assert "crystal 1 of 2: 75% of the light" in column.words.text()
    qtbot.keyClick(column.view.canvas, Qt.Key.Key_C)
    qtbot.waitUntil(lambda: seen(2) and not seen(1), timeout=60_000)
    assert (session.crystal, button.text()) == (2, "Crystal 2 of 2")
    viewer = bare_viewer(inspector.viewer)
    install_cursor(viewer)
    {str(key): function for key, function in viewer.keymap.items()}["C"](viewer)
    qtbot.waitUntil(lambda: seen(1) and seen(2), timeout=60_000)
    session.move_to(0, 1)
    qtbot.waitUntil(lambda: not button.isVisible(), timeout=60_000)
