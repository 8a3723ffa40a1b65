"""The Map display panel in a real window: channels, threshold, fading, the key and its mark."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from helpers.gui_scan import SECOND, SHAPE, fill, made_map, overlapping_map
from helpers.walk_through.hands import mouse
from napari_4dstem_orient.analysis import channels
from napari_4dstem_orient.analysis.channels import channel_colors
from napari_4dstem_orient.core.certainty import IndexingStatus
from napari_4dstem_orient.napari_plugin.layers.cursor import install_cursor
from napari_4dstem_orient.napari_plugin.layers.hover import show_answer_under_cursor, words_under_cursor
from napari_4dstem_orient.napari_plugin.layers.map_layers import (
    CRYSTAL,
    KIND,
    MAP,
    add_map_layers,
    map_layers,
    showing_beside,
)
from napari_4dstem_orient.napari_plugin.layers.scan_layers import put_layer
from napari_4dstem_orient.napari_plugin.panels.map_display.panel import MapDisplayWidget
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer
from napari_4dstem_orient.workflow.session import MapBy, Stage

DOUBTFUL = (2, 4)


@pytest.fixture
def panel(dock, silver, copper):
    """The panel with a map of two phases; one position is less sure than the others."""
    widget = dock(MapDisplayWidget, show=True, area="bottom")
    session = widget.session
    fill(session, silver)
    found = replace(made_map(silver, "transformer"), phases=(silver, copper))
    found.certainty.reliability[DOUBTFUL] = 0.4
    session.put(Stage.MAP, found)
    add_map_layers(widget.viewer, found)
    widget.refresh()
    return widget


def choose(box, key):
    box.setCurrentIndex(box.findData(key))
    box.activated.emit(box.currentIndex())


def choose_beside(panel, key, qtbot):
    choose(panel.beside, key)
    qtbot.waitUntil(lambda: not panel.turns.isActive(), timeout=60_000)


def layer_of(panel):
    return map_layers(panel.viewer)[-1]


def test_every_channel_is_shown_by_the_one_layer(panel, qtbot):
    found = panel.session.get(MapBy("transformer"))
    for key in channels.channels_of(found):
        choose(panel.channel, key)
        qtbot.waitUntil(lambda key=key: layer_of(panel).metadata[KIND] == key, timeout=60_000)
        np.testing.assert_array_equal(layer_of(panel).data, channel_colors(found, key))
        assert len(map_layers(panel.viewer)) == 1


def test_the_threshold_hides_without_painting_again(panel, monkeypatch):
    monkeypatch.setattr(channels, "_paint", None)
    panel.threshold.setValue(50)
    alpha = layer_of(panel).data[..., 3]
    assert alpha[DOUBTFUL] == 0
    assert (alpha > 0).sum() == np.prod(SHAPE) - 1
    assert "96% of 24 positions shown" in panel.share.text()
    panel.threshold.setValue(0)
    assert (layer_of(panel).data[..., 3] == 255).all()
    panel.fade.setValue(100)
    assert layer_of(panel).data[DOUBTFUL][3] == round(255 * 0.4)


def test_apply_refuses_what_is_hidden_and_at_nothing_takes_it_back(panel):
    whole = panel.session.get(MapBy("transformer"))
    panel.threshold.setValue(50)
    panel.apply_button.click()
    refused = panel.session.get(MapBy("transformer"))
    assert refused.status[DOUBTFUL] == IndexingStatus.UNRELIABLE
    assert layer_of(panel).metadata[MAP] is refused
    panel.threshold.setValue(0)
    panel.apply_button.click()
    assert panel.session.get(MapBy("transformer")) is whole


def test_what_is_hidden_can_be_taken_back_after_another_scan_step(panel):
    install_cursor(panel.viewer)
    panel.threshold.setValue(50)
    panel.apply_button.click()
    panel.session.set_calibration(panel.session.calibration.with_(r_pixel=7.0))
    kept = panel.session.get(MapBy("transformer"))
    assert kept.status[DOUBTFUL] == IndexingStatus.UNRELIABLE
    assert layer_of(panel).metadata[MAP] is kept
    panel.threshold.setValue(0)
    assert panel.apply_button.isEnabled()
    panel.apply_button.click()
    whole = panel.session.get(MapBy("transformer"))
    assert whole.status[DOUBTFUL] == IndexingStatus.INDEXED
    assert whole.r_pixel == 7.0


def test_the_key_has_the_maps_colour_under_its_mark(panel):
    panel._on_move(panel.viewer, SimpleNamespace(position=(40.0, 20.0)))
    picture, other = panel.keys.pictures
    assert other.marked is None
    image = picture._whole.toImage()
    x, y = picture.marked * (image.width(), image.height())
    seen = image.pixelColor(int(x), int(y)).getRgb()[:3]
    np.testing.assert_allclose(seen, layer_of(panel).data[2, 1, :3], atol=12)


def test_a_second_channel_stands_beside_the_first(panel, qtbot):
    choose_beside(panel, "ipf-x", qtbot)
    assert [layer.metadata[KIND] for layer in map_layers(panel.viewer)] == ["ipf-x", "ipf-z"]
    assert panel.viewer.canvas.grid.enabled
    choose_beside(panel, "nothing", qtbot)
    assert len(map_layers(panel.viewer)) == 1
    choose(panel.channel, "ipf-x")  # while the other layer is still there
    qtbot.waitUntil(lambda: layer_of(panel).metadata[KIND] == "ipf-x", timeout=60_000)
    assert layer_of(panel).name == "IPF-X (in-plane, down) · transformer"
    assert not panel.viewer.canvas.grid.enabled


def test_a_layer_that_comes_ends_the_side_by_side(panel, qtbot):
    choose_beside(panel, "ipf-x", qtbot)
    put_layer(
        panel.viewer, "Difference", np.zeros(SHAPE), (10.0, 10.0)
    )  # would get a place of its own in the grid
    assert not panel.viewer.canvas.grid.enabled
    assert len(map_layers(panel.viewer)) == 1
    qtbot.waitUntil(lambda: len(panel.viewer.layers) == 2, timeout=60_000)
    qtbot.waitUntil(lambda: panel.beside.currentData() == "nothing", timeout=60_000)


def test_a_layer_that_comes_while_a_channel_is_put_beside_ends_that(panel, qtbot):
    for _ in showing_beside(panel.viewer, "ipf-x"):
        if len(map_layers(panel.viewer)) == 2:
            put_layer(panel.viewer, "Difference", np.zeros(SHAPE), (10.0, 10.0))
    assert not panel.viewer.canvas.grid.enabled
    assert len(map_layers(panel.viewer)) == 1


def test_a_map_that_goes_while_a_channel_is_put_beside_it_ends_that(panel):
    steps = showing_beside(panel.viewer, "ipf-x")
    next(steps)
    panel.viewer.layers.clear()
    assert list(steps) == [None]
    assert not panel.viewer.canvas.grid.enabled


def test_the_users_own_grid_is_left_alone(panel):
    panel.viewer.canvas.grid.enabled = True
    put_layer(panel.viewer, "Difference", np.zeros(SHAPE), (10.0, 10.0))
    assert panel.viewer.canvas.grid.enabled


# ---------------------------------------------------------------- several crystals in a pattern


@pytest.fixture
def several(panel, silver):
    """The panel with a map whose patterns hold a second crystal at ``SECOND``."""
    found = panel.session.put(Stage.MAP, overlapping_map(silver))
    add_map_layers(panel.viewer, found)
    panel.refresh()
    return panel


def choose_crystal(panel, qtbot, number):
    panel.crystal.setCurrentIndex(number - 1)
    panel.crystal.activated.emit(number - 1)
    seen = number if number > 1 else 0
    qtbot.waitUntil(lambda: layer_of(panel).metadata[CRYSTAL] == seen, timeout=60_000)
    qtbot.waitUntil(lambda: panel.crystal.currentIndex() == number - 1, timeout=60_000)


def test_crystals_are_offered_only_where_patterns_hold_several(panel, silver):
    assert not panel.crystal.isVisible()
    add_map_layers(panel.viewer, panel.session.put(Stage.MAP, overlapping_map(silver)))
    panel.refresh()
    assert panel.crystal.isVisible()
    assert [panel.crystal.itemText(number) for number in range(panel.crystal.count())] == ["first", "second"]


def test_the_second_crystal_is_shown_where_there_is_one_and_the_session_keeps_the_whole_map(several, qtbot):
    whole, first = several.session.get(MapBy("transformer")), layer_of(several).data.copy()
    choose_crystal(several, qtbot, 2)
    layer = layer_of(several)
    there = np.zeros(SHAPE, bool)
    there[SECOND] = True
    np.testing.assert_array_equal(layer.data[..., 3] > 0, there)
    np.testing.assert_array_equal(layer.data[1, 1], first[1, 5])  # it is turned as the other grain
    assert "crystal 2" in layer.name
    assert "25% of 24 positions shown" in several.share.text()
    assert several.session.get(MapBy("transformer")) is layer.metadata[MAP] is whole
    choose_crystal(several, qtbot, 1)
    np.testing.assert_array_equal(layer_of(several).data, first)
    assert "crystal" not in layer.name


def test_channel_and_threshold_are_those_of_the_crystal_shown(several, qtbot):
    choose(several.channel, "crystals")
    qtbot.waitUntil(lambda: layer_of(several).metadata[KIND] == "crystals", timeout=60_000)
    choose_crystal(several, qtbot, 2)
    assert layer_of(several).metadata[KIND] == "ipf-z"  # the second crystal's map counts none
    choose(several.channel, "reliability")
    qtbot.waitUntil(lambda: layer_of(several).metadata[KIND] == "reliability", timeout=60_000)
    second = several.session.get(MapBy("transformer")).of_crystal(2)
    np.testing.assert_array_equal(layer_of(several).data, channel_colors(second, "reliability"))
    several.threshold.setValue(70)
    assert not layer_of(several).data[..., 3].any()


def test_the_words_under_the_mouse_are_of_the_crystal_shown(several, qtbot):
    viewer = bare_viewer(several.viewer)
    install_cursor(viewer)
    show_answer_under_cursor(viewer)
    choose_crystal(several, qtbot, 2)
    mouse(viewer, "move", 2, 1)
    words = words_under_cursor(viewer)
    qtbot.waitUntil(lambda: "row 2, column 1" in words.toolTip(), timeout=60_000)
    assert "crystal 2 · 25% of the light" in words.toolTip()
    assert "reliability 60%" in words.toolTip()
    mouse(viewer, "move", 0, 1)
    qtbot.waitUntil(lambda: "no further crystal in this pattern" in words.toolTip(), timeout=60_000)


def test_a_channel_beside_follows_the_crystal(several, qtbot):
    choose_beside(several, "ipf-x", qtbot)
    choose_crystal(several, qtbot, 2)
    side, main = map_layers(several.viewer)
    for layer in (side, main):
        assert layer.metadata[CRYSTAL] == 2
        assert (layer.data[..., 3] > 0).sum() == 6
    assert side.metadata[KIND] != main.metadata[KIND]
