"""A long scan: every nth position for a first look, a region, and the whole again."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.walk_through.hands import choose
from napari_4dstem_orient.core.part import Part
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer
from napari_4dstem_orient.napari_plugin.panels.data import part as parts
from napari_4dstem_orient.napari_plugin.panels.data.panel import DataWidget
from napari_4dstem_orient.workflow.session import Stage

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def panel(dock, tmp_path, qtbot, monkeypatch):
    monkeypatch.setattr(parts, "LONG", 100)
    rows, cols = np.indices((12, 16))
    patterns = np.broadcast_to((100 * rows + cols + 1)[..., None, None], (12, 16, 8, 8))
    np.save(tmp_path / "long.npy", patterns.astype(np.uint16))
    made = dock(DataWidget, show=True)
    made.open_path(str(tmp_path / "long.npy"))
    wait(made, qtbot, (12, 16))
    return made


def wait(panel, qtbot, shape):
    qtbot.waitUntil(lambda: panel.session.scan_shape == shape and not panel.jobs.running, timeout=60_000)


def test_every_nth_position_a_region_of_them_and_all_again(panel, qtbot):
    assert panel.part.isVisible()
    assert not panel.part.whole_button.isVisible()
    choose(panel.part.every, "Every 4th position")
    wait(panel, qtbot, (3, 4))
    assert "every 4th position" in panel.facts.text()
    qtbot.mouseClick(panel.part.region_button, LEFT)
    drawn = find_layer(panel.viewer, parts.REGION)
    drawn.add_rectangles(np.array([[0.6, 0.6], [0.6, 3.4], [2.4, 3.4], [2.4, 0.6]]))
    wait(panel, qtbot, (2, 3))
    scan = panel.session.get(Stage.SCAN)
    assert scan.reopens.arguments["part"] == Part((4, 9), (4, 13), 4)
    np.testing.assert_array_equal(scan.data[:, :, 0, 0], [[405, 409, 413], [805, 809, 813]])
    assert panel.part.every.currentText() == "Every 4th position"
    qtbot.mouseClick(panel.part.whole_button, LEFT)
    wait(panel, qtbot, (12, 16))
