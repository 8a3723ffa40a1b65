"""A layer that the user deletes, and a result that another takes the place of, come back."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.gui_scan import SHAPE, fill, made_map
from helpers.walk_through.hands import click, press_on_scan
from napari_4dstem_orient.napari_plugin.layers.map_layers import MAP, add_map_layers, map_layers
from napari_4dstem_orient.napari_plugin.layers.scan_layers import remove_layers
from napari_4dstem_orient.napari_plugin.panels.overview.panel import OverviewWidget
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer
from napari_4dstem_orient.workflow.session import MapBy, Stage


@pytest.fixture
def overview(dock, nothing_kept):
    return dock(OverviewWidget, show=True)


def test_a_deleted_layer_comes_back_where_it_was(overview, silver, qtbot):
    viewer, session = overview.viewer, overview.session
    fill(session, silver)
    session.put(Stage.MAP, made_map(silver, "template"))
    (layer,) = add_map_layers(viewer, session.get(MapBy("template")))
    drawn = viewer.add_shapes(name="mine")
    qtbot.waitUntil(lambda: not overview.undo_button.isEnabled(), timeout=60_000)
    viewer.layers.selection = {layer, drawn}
    order = list(viewer.layers)
    viewer.layers.remove_selected()
    qtbot.waitUntil(overview.undo_button.isEnabled, timeout=60_000)
    for _ in range(2):
        click(overview.undo_button)
    assert list(viewer.layers) == order
    qtbot.waitUntil(lambda: not overview.undo_button.isEnabled(), timeout=60_000)


def test_a_replaced_map_comes_back_with_its_record_and_its_layer(overview, silver, qtbot):
    viewer, session = overview.viewer, overview.session
    fill(session, silver)
    session.put(Stage.MAP, made_map(silver, "template"))
    former, record = session.get(MapBy("template")), session.record(MapBy("template"))
    (layer,) = add_map_layers(viewer, former)
    turned = made_map(silver, "template", rotation=np.broadcast_to(np.eye(3), (*SHAPE, 3, 3)))
    add_map_layers(viewer, session.put(Stage.MAP, turned))
    assert "former template map" in overview.undo.words
    press_on_scan(bare_viewer(viewer), Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert session.get(MapBy("template")) is former
    assert session.record(MapBy("template")) is record
    assert layer.metadata[MAP] is former
    assert map_layers(viewer) == [layer]
    assert overview.undo.words == ""


def test_what_the_program_takes_away_is_not_offered_and_another_scan_ends_it(overview, silver, qtbot):
    viewer, session = overview.viewer, overview.session
    fill(session, silver)
    viewer.layers.remove(viewer.add_image(np.ones(SHAPE), name="mine"))
    assert overview.undo.words == "the layer mine"
    session.put(Stage.SCAN, session.get(Stage.SCAN))
    assert overview.undo.words == ""
    remove_layers(viewer)
    assert overview.undo.words == ""
