"""The detached window of patterns: opened by a click, follows the inspector, gone when closed."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.gui_scan import fill, made_map
from napari_4dstem_orient.napari_plugin.panels.inspector.panel import InspectorWidget
from napari_4dstem_orient.workflow.session import Stage

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def inspector(dock, knowing, silver):
    made = dock(InspectorWidget, show=True, area="bottom")
    fill(made.session, silver)
    made.session.put(Stage.MAP, made_map(silver, "template"))
    return made


def test_it_follows_the_position_and_ends_with_a_click(inspector, qtbot):
    inspector.session.move_to(2, 1)
    qtbot.mouseClick(inspector.controls.detach, LEFT)
    window = inspector._window
    qtbot.waitUntil(lambda: "row 2, column 1" in window.windowTitle(), timeout=60_000)
    views = window.views
    assert next(iter(views.values())).title.text() == "Measured"
    assert len(views) == 3
    inspector.session.move_to(1, 2)
    qtbot.waitUntil(lambda: "row 1, column 2" in window.windowTitle(), timeout=60_000)
    shown, small = views["measured"].canvas, inspector.measured.view.canvas
    np.testing.assert_array_equal(shown.picture, small.picture)
    assert shown.scale > 1.5 * small.scale  # larger
    inspector.lens.look(3.0, np.array([0.5, 0.5]))
    assert shown.lens.zoom == 3.0
    qtbot.keyClick(shown, Qt.Key.Key_Right)
    assert inspector.session.position == (1, 3)
    window.close()
    qtbot.waitUntil(lambda: inspector._window is None, timeout=10_000)
    inspector.session.move_to(2, 1)  # nobody is missed
    qtbot.waitUntil(lambda: "row 2, column 1<" in inspector.measured.words.text(), timeout=60_000)
