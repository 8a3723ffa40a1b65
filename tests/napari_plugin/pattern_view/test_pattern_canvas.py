"""The inspector's view: every mark where and how it should be painted, zoom and drag with a real mouse."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QToolTip

from helpers.gui_scan import grabbed
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import (
    CRYSTALS,
    STYLES,
    MarkSet,
    Shape,
    scale_bar,
)
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import Lens, PatternCanvas
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import grey_levels, raw_picture

SIDE, ORIGIN, Q_PIXEL = 64, np.array([30.0, 34.0]), 0.02


@pytest.fixture
def view(qtbot):
    """A view of black patterns on the screen."""
    made = PatternCanvas("title", (256, 256), Lens())
    qtbot.addWidget(made)
    made.canvas.setFixedSize(256, 256)  # four screen pixels for each of the detector's
    made.set_frame((SIDE, SIDE), Q_PIXEL, ORIGIN)
    with qtbot.waitExposed(made, timeout=60_000):
        made.show()
    return made


def at(view, kind):
    """Return row and column, from the direct beam, of the pixels that have the colour of these marks."""
    red, green, blue = (int(STYLES[kind].screen[i : i + 2], 16) for i in (1, 3, 5))
    image = grabbed(view.canvas)
    found = np.argwhere(np.abs(image - [red, green, blue]).max(axis=2) < 60)
    return (found + 0.5 - [view.canvas.height() / 2, view.canvas.width() / 2]) / view.canvas.scale + (
        view.canvas.lens.centre * SIDE - 0.5 - ORIGIN
    )


def lit(view):
    """Return row and column, from the direct beam, of all pixels that are not black; the scale bar left out."""
    found = np.argwhere(grabbed(view.canvas)[:-32].max(axis=2) > 90)
    return (found + 0.5) / view.canvas.scale - 0.5 - ORIGIN


def paint(view, *marks, picture=None):
    view.show_sheet(picture, list(marks))


def test_the_first_axis_points_down_and_the_second_to_the_right(view):
    picture = np.zeros((SIDE, SIDE), np.uint8)
    picture[10, 50] = 255
    paint(view, picture=picture)
    bright = np.argwhere(grabbed(view.canvas).min(axis=2) > 150)
    x, y = view.canvas.to_screen(np.array([10, 50]) - ORIGIN)
    near = np.abs(bright - [y, x]).max(axis=1) < 4
    assert near.any()
    np.testing.assert_allclose(bright[near].mean(axis=0), [y - 0.5, x - 0.5], atol=0.6)


def test_rings_lie_around_their_disks_and_leave_them_visible(view):
    place = np.array([[-12.0, 8.0]])
    paint(view, MarkSet("measured", place, 6.0))
    found = at(view, "measured")
    apart = np.hypot(*(found - place).T)
    np.testing.assert_allclose(found.mean(axis=0), place[0], atol=0.2)
    np.testing.assert_allclose(apart, 6.0, atol=0.6)


def test_a_disk_that_is_not_explained_has_gaps_in_its_ring(view):
    place = np.array([[0.0, 0.0]])
    paint(view, MarkSet("measured", place, 8.0))
    whole = len(at(view, "measured"))
    paint(view, MarkSet("unexplained", place, 8.0))
    found = at(view, "unexplained")
    angles = np.sort(np.degrees(np.arctan2(*found.T)))
    assert len(found) < 0.75 * whole
    assert (np.diff(angles) > 5).sum() >= 6


def test_a_cross_is_no_plus(view):
    paint(view, MarkSet("missing", np.array([[5.0, -9.0]]), 4.0))
    down, right = (at(view, "missing") - [5.0, -9.0]).T
    assert len(down) > 20
    np.testing.assert_allclose(np.abs(down), np.abs(right), atol=0.6)
    assert np.abs(down).max() == pytest.approx(4.0, abs=0.6)


def test_an_arrow_points_at_its_end(view):
    start, end = np.array([[0.0, 0.0]]), np.array([[0.0, 12.0]])
    paint(view, MarkSet("residuals", start, 2.0, ends=end))
    down, right = lit(view).T
    assert right.min() == pytest.approx(0, abs=0.6)
    assert right.max() == pytest.approx(12, abs=0.6)
    head = right > 10.5
    assert np.ptp(down[head]) > 2 * np.ptp(down[~head & (right < 8)])


def test_stronger_reflections_are_brighter_and_hide_the_weaker(view):
    places = np.array([[-10.0, 0.0], [10.0, 0.0], [10.0, 1.0]])
    paint(view, MarkSet("predicted", places, 3.0, strength=np.array([0.25, 1.0, 0.04])))
    image = grabbed(view.canvas)
    for place, grey in ((places[0], 128), (places[1], 255)):
        x, y = view.canvas.to_screen(place).astype(int)
        np.testing.assert_allclose(image[y, x], grey, atol=3)


def test_attention_makes_rings_thicker_not_only_yellower(view):
    places = np.array([[-14.0, 0.0], [10.0, 0.0]])
    paint(view, MarkSet("measured", places, 7.0, strength=np.array([0.05, 1.0])))
    rows = lit(view)[:, 0]
    assert (rows > 0).sum() > 2 * (rows < 0).sum() > 100


def test_a_label_at_the_edge_is_written_inside(view):
    view.show_sheet(None, [], [(np.array([-29.0, 0.0]), "204")])
    inside = lit(view)
    view.show_sheet(None, [], [(np.array([0.0, 0.0]), "204")])
    assert len(inside) == len(lit(view)) > 20


def test_every_mark_has_a_shape_of_its_own():
    shapes = [style.shape for style in (STYLES | CRYSTALS).values()]
    assert sorted(shapes) == sorted(Shape)
    for styles in (STYLES, CRYSTALS):
        assert len({style.screen for style in styles.values()}) == len(styles)


def test_the_scale_bar_is_as_long_as_it_says(view):
    paint(view)
    length = scale_bar(SIDE * Q_PIXEL)
    assert length == 0.2
    image = grabbed(view.canvas)[-14:].min(axis=2) > 250
    assert image.sum(axis=1).max() == pytest.approx(length / Q_PIXEL * view.canvas.scale, abs=2)


def test_a_drag_moves_and_a_double_click_shows_all(view, qtbot):
    canvas = view.canvas
    qtbot.keyClick(canvas, Qt.Key.Key_Plus)
    qtbot.keyClick(canvas, Qt.Key.Key_Plus)
    zoom, place = canvas.lens.zoom, np.array([3.0, 2.0])
    assert zoom > 1.5
    before = canvas.to_screen(place)
    qtbot.mousePress(canvas, Qt.MouseButton.LeftButton, pos=QPoint(120, 120))
    qtbot.mouseMove(canvas, QPoint(130, 105))
    qtbot.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=QPoint(130, 105))
    np.testing.assert_allclose(canvas.to_screen(place) - before, [10, -15], atol=1e-6)
    qtbot.mouseDClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(100, 100))
    assert canvas.lens.zoom == 1
    np.testing.assert_array_equal(canvas.lens.centre, 0.5)


def test_the_pattern_cannot_be_dragged_out_of_sight(view):
    view.canvas.lens.look(2.0, np.array([-3.0, 7.0]))
    np.testing.assert_allclose(view.canvas.lens.centre, [0.25, 0.75])


def test_another_detector_is_seen_whole(view):
    view.canvas.lens.look(3.0, np.array([0.4, 0.6]))
    view.set_frame((SIDE, SIDE), Q_PIXEL, ORIGIN)
    assert view.canvas.lens.zoom == 3
    view.set_frame((SIDE, 2 * SIDE), Q_PIXEL, ORIGIN)
    assert view.canvas.lens.zoom == 1


def test_what_is_grabbed_follows_the_mouse_and_the_pattern_stays(view, qtbot):
    held = []
    view.on_grab(lambda place: held.append if np.hypot(*place) < 3 else None)
    view.canvas.lens.look(2.0, np.array([0.5, 0.5]))
    seen = view.canvas.lens.centre
    start, stop = (
        QPoint(*np.rint(view.canvas.to_screen(place)).astype(int)) for place in ([0, 0], [5.0, -4.0])
    )
    qtbot.mousePress(view.canvas, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(view.canvas, stop)
    qtbot.mouseRelease(view.canvas, Qt.MouseButton.LeftButton, pos=stop)
    np.testing.assert_allclose(held, [[5.0, -4.0]], atol=0.1)
    qtbot.mouseMove(view.canvas, start)
    assert len(held) == 1
    np.testing.assert_array_equal(view.canvas.lens.centre, seen)
    qtbot.mousePress(view.canvas, Qt.MouseButton.LeftButton, pos=stop)
    qtbot.mouseMove(view.canvas, start)
    assert len(held) == 1
    assert not np.array_equal(view.canvas.lens.centre, seen)


def test_a_measured_pattern_has_its_own_contrast_and_tells_its_counts(view, qtbot):
    pattern = np.random.default_rng(0).poisson(2, (32, 32)).astype(np.float32)
    pattern[20, 7] = 1e6
    view.show_pattern(pattern, None, [])
    assert view.canvas.picture[20, 7] == 255
    assert np.median(view.canvas.picture) > 100  # weak disks show beside the beam
    x, y = view.canvas.to_screen(np.array([20.0, 7.0]))
    qtbot.mouseMove(view.canvas, QPoint(round(x), round(y)))
    qtbot.waitUntil(QToolTip.isVisible, timeout=60_000)
    assert QToolTip.text() == "row 20, column 7: 1e+06"
    view.clear("nothing")
    qtbot.mouseMove(view.canvas, QPoint(round(x) + 9, round(y)))
    qtbot.waitUntil(lambda: not QToolTip.isVisible() or not QToolTip.text(), timeout=60_000)
    assert view.canvas.picture is None
    assert view.message == "nothing"


@pytest.mark.parametrize("value", [np.nan, 1.0])
def test_a_pattern_without_contrast_is_black(value):
    np.testing.assert_array_equal(grey_levels(raw_picture(np.full((4, 4), value))), 0)


def test_the_mouse_is_told_what_lies_there(view, qtbot):
    asked = []
    view.on_hover(lambda place: asked.append(place) or "a disk")
    x, y = view.canvas.to_screen(np.array([4.0, -6.0]))
    qtbot.mouseMove(view.canvas, QPoint(round(x), round(y)))
    qtbot.waitUntil(QToolTip.isVisible, timeout=60_000)
    assert QToolTip.text() == "a disk"
    np.testing.assert_allclose(asked[-1], [4.0, -6.0], atol=0.2)


def test_a_message_is_readable_over_a_pattern_not_yet_there(qtbot):
    empty = PatternCanvas("title", (256, 256), Lens())
    qtbot.addWidget(empty)
    empty.say("Open a scan")
    assert (grabbed(empty.canvas).min(axis=2) > 200).sum() > 50
