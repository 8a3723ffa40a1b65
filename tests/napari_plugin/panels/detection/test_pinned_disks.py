"""The histogram of the Bragg disks panel, dragged with the mouse, and its pinned patterns."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from napari_4dstem_orient.detection.detect import detect_candidates
from napari_4dstem_orient.napari_plugin.panels.detection.panel import DisksWidget
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
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


def strengths(panel):
    """Return how strong the candidates at the cursor are, the strongest first."""
    scan, probe = panel.session.get(Stage.SCAN), panel.session.get(Stage.PROBE)
    pattern = scan.pattern(*panel.session.position)
    return np.sort(detect_candidates(pattern, probe, panel.form.settings())[0][:, 2])[::-1]


def drag(histogram, qtbot, name, x):
    """Drag a line to ``x``, a few pixels at a time; return the values on the way."""
    values = []
    histogram.moved.connect(lambda field, value: values.append((field, value)))
    start = round(histogram.line_at(name))
    qtbot.mousePress(histogram, LEFT, pos=QPoint(start, 50))
    for here in np.linspace(start, x, 6)[1:]:
        qtbot.mouseMove(histogram, QPoint(round(here), 50))
    qtbot.mouseRelease(histogram, LEFT, pos=QPoint(x, 50))
    return values


def test_a_dragged_line_is_the_weakest_disk_of_the_settings(ready, qtbot):
    histogram, field = histogram_of(ready), ready.form["min_intensity"]
    ready.form["min_relative_intensity"].value = 0.0
    strength = strengths(ready)
    between = float(np.sqrt(strength[2] * strength[3]))
    values = drag(histogram, qtbot, "min_intensity", histogram.x_of(between))
    assert [name for name, _ in values] == ["min_intensity"] * 5
    assert values == sorted(values)
    assert field.value == values[-1][1] == pytest.approx(between, rel=0.05)
    qtbot.waitUntil(lambda: "3 disks" in ready.preview.count.text(), timeout=20_000)
    qtbot.mouseMove(histogram, QPoint(20, 50))
    assert len(values) == 5


def test_the_field_moves_the_line_and_the_dashed_one_is_relative(ready, qtbot):
    histogram = histogram_of(ready)
    ready.form["min_intensity"].value = 15.0
    assert histogram.line_at("min_intensity") == pytest.approx(histogram.x_of(15.0), abs=0.5)
    ready.form["min_relative_intensity"].value = 0.05
    drag(histogram, qtbot, "min_relative_intensity", histogram.x_of(0.5 * strengths(ready)[0]))
    assert ready.form["min_relative_intensity"].value == pytest.approx(0.5, rel=0.05)
    assert ready.form["min_intensity"].value == 15.0
    qtbot.waitUntil(lambda: "1 disks" in ready.preview.count.text(), timeout=20_000)


def test_arrow_keys_move_the_line_and_the_left_end_is_no_floor(ready, qtbot):
    histogram, field = histogram_of(ready), ready.form["min_intensity"]
    ready.form["min_relative_intensity"].value = 0.0
    field.value = 30.0
    qtbot.keyClick(histogram, Qt.Key.Key_Right)
    assert field.value == pytest.approx(31.5)
    drag(histogram, qtbot, "min_intensity", 0)
    assert field.value == 0.0


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
    buttons = preview.pinned.buttons

    def said(count):
        return [button.text() for button in buttons.values()] == [
            f"0, 0\n{count} disks",
            f"2, 3\n{count} disks",
        ]

    qtbot.waitUntil(lambda: said(5), timeout=20_000)
    first, second = buttons.values()
    assert first.isVisible()
    assert first.y() == second.y()
    assert first.x() < second.x()
    before = first.icon().pixmap(80, 80).toImage()
    qtbot.waitUntil(lambda: preview.histogram.candidates > 2 * alone, timeout=20_000)
    ready.form["min_relative_intensity"].value = 0.5
    qtbot.waitUntil(lambda: said(1), timeout=20_000)
    assert first.icon().pixmap(80, 80).toImage() != before
    qtbot.mouseClick(second, LEFT)
    assert session.position == (2, 3)
    qtbot.mouseClick(preview.pin_button, LEFT)
    assert session.pins == ((0, 0),)
    assert list(preview.pinned.buttons) == [(0, 0)]
    session.set_pins(())
    assert not preview.pinned.isVisible()


def test_the_vector_map_has_neither_pins_nor_histogram(ready):
    ready.session.set_pins([(0, 0)])
    assert ready.preview.pinned.isVisible()
    ready.preview.tabs.setCurrentIndex(1)
    for widget in (ready.preview.pinned, ready.preview.histogram, ready.preview.pin_button):
        assert not widget.isVisible()
