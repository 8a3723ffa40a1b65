"""The histogram of the Bragg disks panel, dragged with the mouse, and its pinned patterns."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QImage, QPainter

from napari_4dstem_orient.detection.detect import detect_one
from napari_4dstem_orient.napari_plugin.panels.detection.panel import DisksWidget
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.napari_plugin.pattern_view.overlay_painter import paint_marks
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import MarkSet
from napari_4dstem_orient.workflow.session import Stage

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def ready(dock, qtbot, small_scan):
    panel = dock(DisksWidget, show=True)
    open_scan(panel.viewer, small_scan)
    qtbot.waitUntil(lambda: panel.session.get(Stage.PROBE) is not None, timeout=60_000)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)
    qtbot.waitUntil(lambda: histogram_of(panel).candidates > 5, timeout=60_000)
    return panel


def histogram_of(panel):
    return panel.preview.histogram


def disks_here(panel):
    scan, probe = panel.session.get(Stage.SCAN), panel.session.get(Stage.PROBE)
    return detect_one(scan.pattern(*panel.session.position), probe, panel.form.settings())


def drag(histogram, qtbot, start, x):
    """Drag the line from ``start`` to ``x``, a few pixels at a time; return the values on the way."""
    values = []
    histogram.moved.connect(values.append)
    qtbot.mousePress(histogram, LEFT, pos=QPoint(start, 50))
    for here in np.linspace(start, x, 6)[1:]:
        qtbot.mouseMove(histogram, QPoint(round(here), 50))
    qtbot.mouseRelease(histogram, LEFT, pos=QPoint(x, 50))
    return values


def test_a_dragged_line_is_the_least_signal_to_noise_of_the_settings(ready, qtbot):
    histogram, field = histogram_of(ready), ready.form["min_signal_to_noise"]
    snr = np.sort(disks_here(ready).snr)[::-1]
    between = float(np.sqrt(snr[4] * snr[5]))  # five disks, then noise
    assert snr[4] > 3 > snr[5]
    assert f"5 disks, and {len(snr) - 5} that may be some at row" in ready.preview.count.text()
    values = drag(histogram, qtbot, histogram.x_of(field.value), histogram.x_of(between))
    assert values == sorted(values)
    assert field.value == values[-1] == pytest.approx(between, rel=0.05)
    qtbot.waitUntil(lambda: "5 disks at row" in ready.preview.count.text(), timeout=60_000)
    moved = len(values)
    qtbot.mouseMove(histogram, QPoint(20, 50))
    assert len(values) == moved


def test_arrow_keys_move_the_line_and_the_left_end_is_no_demand(ready, qtbot):
    histogram, field = histogram_of(ready), ready.form["min_signal_to_noise"]
    field.value = 4.0
    qtbot.keyClick(histogram, Qt.Key.Key_Right)
    assert field.value == pytest.approx(4.2)
    drag(histogram, qtbot, histogram.x_of(4.2), 0)
    assert field.value == 0.0


def test_the_less_sure_a_disk_the_fainter_its_circle(ready, qtbot):
    disks = disks_here(ready)
    qtbot.waitUntil(lambda: len(marks_of(ready).where) == len(disks), timeout=60_000)
    marks = marks_of(ready)
    assert (marks.opacity[disks.snr >= 3] == 1).all()
    weak = disks.snr < 3
    np.testing.assert_allclose(marks.opacity[weak], disks.snr[weak] / 3, rtol=1e-5)
    assert marks.opacity.min() < 0.7
    painted = QImage(64, 64, QImage.Format.Format_RGB32)
    red = []
    for opacity in (1.0, 0.3):
        painted.fill(Qt.GlobalColor.black)
        painter = QPainter(painted)
        one = MarkSet("measured", np.array([[32.0, 32.0]]), 10.0, opacity=np.array([opacity]))
        paint_marks(painter, [one], lambda places: places[:, ::-1], 1.0)
        painter.end()
        red.append(painted.pixelColor(42, 32).red())
    assert red[0] > 150
    assert red[1] == pytest.approx(0.3 * red[0], abs=4)


def marks_of(panel):
    return next(marks for marks in panel.preview.view.canvas.marks if marks.kind == "measured")


def test_pinned_patterns_stay_beside_and_follow_the_settings(ready, qtbot):
    ready.form["min_relative_intensity"].value = 0.05
    preview, session = ready.preview, ready.session
    assert preview.pin_button.text() == "Pin"
    assert not preview.pinned.isVisible()
    alone = preview.histogram.candidates
    for place in ((0, 0), (2, 3)):
        session.move_to(*place)
        qtbot.mouseClick(preview.pin_button, LEFT)
        assert preview.pin_button.text() == "Unpin"
    session.move_to(1, 1)
    assert session.pins == ((0, 0), (2, 3))
    pinned = preview.pinned

    def said(count):
        return [item.text() for item in pinned.pins.values()] == [
            f"0, 0\n{count} disks",
            f"2, 3\n{count} disks",
        ]

    qtbot.waitUntil(lambda: said(5), timeout=60_000)
    first, second = pinned.pins.values()
    assert pinned.isVisible()
    places = [pinned.visualItemRect(item) for item in (first, second)]
    assert all(pinned.viewport().rect().contains(place) for place in places)
    assert places[0].y() == places[1].y()
    assert places[0].x() < places[1].x()
    before = first.icon().pixmap(80, 80).toImage()
    qtbot.waitUntil(lambda: preview.histogram.candidates > 2 * alone, timeout=60_000)
    ready.form["min_relative_intensity"].value = 0.5
    qtbot.waitUntil(lambda: said(1), timeout=60_000)
    assert first.icon().pixmap(80, 80).toImage() != before
    qtbot.mouseClick(pinned.viewport(), LEFT, pos=places[1].center())
    assert session.position == (2, 3)
    qtbot.mouseClick(preview.pin_button, LEFT)
    assert session.pins == ((0, 0),)
    assert list(pinned.pins) == [(0, 0)]
    session.set_pins(())
    assert not preview.pinned.isVisible()


def test_the_vector_map_has_neither_pins_nor_histogram(ready):
    ready.session.set_pins([(0, 0)])
    assert ready.preview.pinned.isVisible()
    ready.preview.tabs.setCurrentIndex(1)
    for widget in (ready.preview.pinned, ready.preview.histogram, ready.preview.pin_button):
        assert not widget.isVisible()
