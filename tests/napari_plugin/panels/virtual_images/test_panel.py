"""The Virtual images panel in a real window: detectors dragged on the canvas, images that equal the sums."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.gui_scan import (
    detected_disks,
    marked,
    overlapping_disks,
    overlapping_map,
    scan_of,
    shows,
)
from helpers.walk_through.hands import drag_on
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.napari_plugin.panels.virtual_images import panel as virtual_images
from napari_4dstem_orient.napari_plugin.panels.virtual_images.panel import RECTANGLE, VirtualImagesWidget
from napari_4dstem_orient.workflow.session import Stage


@pytest.fixture
def panel(dock):
    return dock(VirtualImagesWidget, show=True)


@pytest.fixture(params=["live", "streamed"])
def ready(panel, qtbot, small_scan, request, monkeypatch):
    if request.param == "streamed":
        monkeypatch.setattr(virtual_images, "AUTOMATIC_BYTES", 0)
    open_scan(panel.viewer, small_scan)
    qtbot.waitUntil(lambda: panel.selected is not None and not panel.jobs.running, timeout=60_000)
    qtbot.waitUntil(lambda: panel.view.canvas.picture is not None, timeout=60_000)
    qtbot.wait(200)
    return panel


def wait_for_sum(panel, qtbot, scan, number=1):
    mask = panel.selected.mask((64, 64))
    expected = scan.data.compute()[..., mask].sum(-1, dtype=float)

    def shown():
        layer = find_layer(panel.viewer, f"virtual image {number}")
        return layer is not None and np.allclose(layer.data, expected)

    qtbot.waitUntil(shown, timeout=60_000)


def test_the_bright_field_comes_by_itself_and_is_the_sum(ready, qtbot, small_scan):
    assert np.abs(np.array(ready.selected.center) - (31, 33)).max() < 0.5
    wait_for_sum(ready, qtbot, small_scan)
    assert "Bright field" in ready.choice.currentText()


def test_a_disc_dragged_along_the_first_axis_moves_along_it(ready, qtbot, small_scan):
    before = ready.selected
    drag_on(ready.view, (31, 33), (42, 33))
    after = ready.selected
    assert after.center[0] - before.center[0] == pytest.approx(11, abs=0.7)
    assert after.center[1] == pytest.approx(before.center[1], abs=0.5)
    assert after.outer == before.outer
    wait_for_sum(ready, qtbot, small_scan)
    assert "Dark field" in find_layer(ready.viewer, "virtual image 1").name


def test_an_edge_dragged_changes_the_radius_alone(ready, qtbot, small_scan):
    before = ready.selected
    row, col = before.center
    drag_on(ready.view, (row, col + before.outer), (row, col + 12))
    assert ready.selected.center == before.center
    assert ready.selected.outer == pytest.approx(12, abs=0.7)
    wait_for_sum(ready, qtbot, small_scan)


def test_an_image_that_waits_is_not_forgotten_for_another(ready, qtbot, small_scan):
    """The first and second detector's images stay asked for, though a third is asked before they come."""
    qtbot.mouseClick(ready.add_buttons["annular"], Qt.MouseButton.LeftButton)
    qtbot.mouseClick(ready.add_buttons["spot"], Qt.MouseButton.LeftButton)
    expected = [
        small_scan.data.compute()[..., each.mask((64, 64))].sum(-1, dtype=float) for each in ready.detectors
    ]

    def all_shown():
        layers = [find_layer(ready.viewer, f"virtual image {number}") for number in (1, 2, 3)]
        return None not in layers and all(
            np.allclose(layer.data, image) for layer, image in zip(layers, expected, strict=True)
        )

    qtbot.waitUntil(all_shown, timeout=60_000)


def test_fields_and_buttons_are_the_exact_way(ready, qtbot, small_scan):
    qtbot.mouseClick(ready.add_buttons["annular"], Qt.MouseButton.LeftButton)
    assert ready.selected.inner > 0
    ready.unit.setCurrentText("Å⁻¹")
    ready.fields["outer"].setValue(1.0)
    ready.fields["row"].setValue(0.1)
    assert ready.selected.outer == pytest.approx(20.0, abs=1e-3)
    assert ready.selected.center[0] - ready.beam.center[0] == pytest.approx(2.0, abs=1e-3)
    wait_for_sum(ready, qtbot, small_scan, 2)


def test_arrow_keys_move_it_by_a_pixel(ready, qtbot):
    row, col = ready.selected.center
    qtbot.keyClick(ready.view.canvas, Qt.Key.Key_Down)
    assert ready.selected.center == pytest.approx((row + 1, col))


def test_a_rectangle_on_the_scan_shows_its_mean_pattern_and_follows(ready, qtbot, small_scan):
    data = small_scan.data.compute().astype(float)

    qtbot.mouseClick(ready.draw_button, Qt.MouseButton.LeftButton)
    layer = find_layer(ready.viewer, RECTANGLE)
    assert str(layer.mode) == "add_rectangle"
    layer.add_rectangles(np.array([[-0.4, 0.6], [-0.4, 2.4], [1.3, 2.4], [1.3, 0.6]]))
    qtbot.waitUntil(lambda: shows(ready.view, data[:2, 1:3].mean((0, 1))), timeout=60_000)
    assert ready.shown.currentText() == "Mean of the rectangle"
    assert str(layer.mode) == "pan_zoom"
    layer.data = [np.array([[1.6, 2.6], [1.6, 3.4], [2.4, 3.4], [2.4, 2.6]])]
    qtbot.waitUntil(lambda: shows(ready.view, data[2, 3]), timeout=60_000)
    ready.viewer.layers.remove(layer)
    qtbot.waitUntil(lambda: "Draw a rectangle" in ready.view.message, timeout=60_000)


@pytest.fixture
def mapped(panel, qtbot, silver):
    """The panel over a scan whose map has a second crystal, the other grain's, at ``SECOND``."""
    disks = overlapping_disks(silver)
    open_scan(panel.viewer, scan_of(disks))
    qtbot.waitUntil(lambda: panel.selected is not None and not panel.jobs.running, timeout=60_000)
    assert not panel.crystal_button.isEnabled()
    for stage, made in (
        (Stage.DISKS, detected_disks(disks)),
        (Stage.CALIBRATED, disks),
        (Stage.MAP, overlapping_map(silver)),
    ):
        panel.session.put(stage, made)
    panel.session.move_to(2, 1)
    return panel


def test_one_click_is_the_dark_field_of_the_crystal_that_is_looked_at(mapped, qtbot):
    session = mapped.session
    assert mapped.crystal_button.text() == "+ Dark field of crystal 1"
    session.look_at_crystal(2)
    assert mapped.crystal_button.text() == "+ Dark field of crystal 2"
    qtbot.mouseClick(mapped.crystal_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(mapped.detectors) == 2, timeout=60_000)
    qtbot.waitUntil(lambda: find_layer(mapped.viewer, "virtual image 2") is not None, timeout=60_000)
    layer = find_layer(mapped.viewer, "virtual image 2")
    assert layer.name == "Dark field of Ag, crystal 2, at row 2, column 1"
    mask = mapped.selected.mask((96, 96))
    expected = session.get(Stage.SCAN).data.compute()[..., mask].sum(-1, dtype=float)
    qtbot.waitUntil(lambda: np.allclose(layer.data, expected), timeout=60_000)
    assert layer.data[0, 4:].min() > 20 * layer.data[0, 1:3].max()  # it is the grain on the right
    assert layer.data[1:3, 1:3].min() > 5 * layer.data[0, 1:3].max()  # that reaches over the left one
    np.testing.assert_allclose(marked(mapped.view, "detector"), mapped.selected.centers)
    assert [field.isEnabled() for field in mapped.fields.values()] == [False, False, False, True]
    mapped.fields["outer"].setValue(2 * mapped.fields["outer"].value())
    assert mapped.selected.mask((96, 96)).sum() > 2 * mask.sum()


def test_a_crystal_that_is_not_there_is_told(mapped, qtbot, notified):
    mapped.session.look_at_crystal(2)
    mapped.session.move_to(0, 1)
    qtbot.mouseClick(mapped.crystal_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: len(notified) > 0, timeout=60_000)
    assert "knows no crystal 2 at row 0, column 1" in notified[-1].message
    assert len(mapped.detectors) == 1
