"""The diffraction view: what is drawn where, in which units."""

import numpy as np
import pytest

from napari_4dstem_orient.napari_plugin.pattern_view import PatternView, contrast_limits

PATTERN = np.zeros((64, 64), np.float32)
PATTERN[16, 40] = 100.0


@pytest.fixture
def view(make_napari_viewer_proxy, qtbot):
    """A view in a dock of a shown window."""
    viewer = make_napari_viewer_proxy(show=True)
    view = PatternView(size=(256, 256))
    viewer.window.add_dock_widget(view, name="view", area="right")
    qtbot.wait(50)
    yield view
    view.close_view()
    viewer.window.remove_dock_widget(view)
    view.deleteLater()
    qtbot.wait(20)


def pixels(view, qtbot):
    """Return the canvas as an image."""
    qtbot.wait(80)
    image = view.qt_viewer.canvas.screenshot()
    from napari._qt.utils import QImg2array

    return QImg2array(image)


def where(image, color):
    """Return row and column of all pixels of a colour, as shares of the canvas."""
    near = np.abs(image[..., :3].astype(int) - color).max(axis=-1) < 60
    return np.argwhere(near) / image.shape[:2]


def test_the_first_axis_points_down_and_the_second_to_the_right(view, qtbot):
    view.show_pattern(PATTERN, (0, 1))
    bright = where(pixels(view, qtbot), (255, 255, 255))
    bright = bright[(bright[:, 0] < 0.45) & (bright[:, 1] > 0.5)]  # the scale bar is white too
    row, col = bright.mean(axis=0)
    assert row < 0.4
    assert col > 0.55


def test_circles_lie_around_their_positions(view, qtbot):
    view.show_pattern(np.zeros((64, 64), np.float32), (0, 1))
    view.show_circles("disks", np.array([[32.0, 32.0]]), 12.0, "#00ff00")
    ring = where(pixels(view, qtbot), (0, 255, 0))
    assert len(ring) > 20
    np.testing.assert_allclose(ring.mean(axis=0), 0.5, atol=0.03)
    assert len(ring) < 3000  # hollow


def test_circles_are_drawn_on_a_view_that_was_cleared_before_it_was_shown(make_napari_viewer_proxy, qtbot):
    # Removing a layer from a canvas never shown leaves points undrawn for good (napari 0.9.2).
    viewer = make_napari_viewer_proxy(show=True)
    view = PatternView(size=(256, 256))
    view.show_pattern(PATTERN)
    view.clear("nothing yet")
    viewer.window.add_dock_widget(view, name="view", area="right")
    qtbot.wait(50)
    view.show_pattern(np.zeros((64, 64), np.float32), (0, 1))
    view.show_circles("disks", np.array([[32.0, 32.0]]), 12.0, "#00ff00")
    assert len(where(pixels(view, qtbot), (0, 255, 0))) > 20
    view.close_view()
    viewer.window.remove_dock_widget(view)


def test_the_frame_is_in_reciprocal_nanometres_around_the_direct_beam(view):
    view.show_pattern(PATTERN)
    view.show_circles("disks", np.array([[16.0, 40.0]]), 2.0)
    view.set_frame(0.05, (31.0, 33.0))
    for layer in view.model.layers:
        assert [str(unit) for unit in layer.units] == ["1 / nanometer", "1 / nanometer"]
        # 0.05 Å⁻¹ = 0.5 nm⁻¹ a pixel; the disk lies 15 px above and 7 px right of the beam.
        np.testing.assert_allclose(layer.data_to_world((16, 40)), (-7.5, 3.5))
    view.set_frame(None)
    assert str(view.model.layers[0].units[0]) == "pixel"


def test_marks_are_replaced_and_hidden_in_place(view):
    view.show_pattern(PATTERN)
    view.show_circles("disks", np.zeros((3, 2)), 2.0)
    layer = view.model.layers["disks"]
    view.show_circles("disks", np.ones((5, 2)), 3.0)
    assert view.model.layers["disks"] is layer
    np.testing.assert_array_equal(layer.size, 6.0)
    view.show_circles("disks", np.zeros((0, 2)), 3.0)
    assert len(layer.data) == 0
    view.remove("disks")
    assert not layer.visible
    view.show_circles("disks", np.ones((1, 2)), [4.0])
    assert layer.visible


def test_weak_disks_show_beside_a_strong_beam():
    pattern = np.random.default_rng(0).poisson(2, (64, 64)).astype(np.float32)
    pattern[:3, :3] = 1e6
    low, high = contrast_limits(pattern)
    assert low < 3
    assert high < 20
    assert contrast_limits(np.full((4, 4), np.nan)) == (0.0, 1.0)
    flat = contrast_limits(np.ones((4, 4)))
    assert flat[1] > flat[0]
