"""The inspector's controls, clicked and typed: thickness, width, labels, residuals, attention."""

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt

from helpers.gui_scan import fill, grabbed, made_map
from napari_4dstem_orient.napari_plugin.panels.inspector.controls import InspectorControls
from napari_4dstem_orient.napari_plugin.panels.inspector.panel import InspectorWidget
from napari_4dstem_orient.workflow.session import Stage


@pytest.fixture
def inspector(dock, qtbot, silver):
    """The inspector over a small scan with a template matching map."""
    widget = dock(InspectorWidget, show=True, area="bottom")
    session = widget.session
    fill(session, silver)
    session.put(Stage.MAP, made_map(silver, "template"))
    session.move_to(2, 1)
    qtbot.waitUntil(lambda: "zone axis" in widget.predicted["template"].words.text(), timeout=60_000)
    return widget


def tick(qtbot, box):
    """Click on the square of a check box."""
    qtbot.mouseClick(box, Qt.MouseButton.LeftButton, pos=QPoint(8, box.height() // 2))


def strengths(inspector):
    marks = {each.kind: each for each in inspector.predicted["template"].pane.marks}
    return marks["predicted"].strength


def test_every_control_says_what_it_does_and_in_which_unit(qtbot):
    controls = InspectorControls()
    qtbot.addWidget(controls)
    for widget in (controls.physics, controls.labels, controls.residuals, controls.attention):
        assert widget.toolTip()
    assert controls.sliders["thickness"].words.text() == "Thickness: 300 Å"
    assert controls.sliders["excitation_width"].words.text() == "Width: 0.02 Å⁻¹"
    for slider in controls.sliders.values():
        assert slider.slider.toolTip()


def test_a_slider_acts_on_the_physics_that_knows_it(qtbot):
    controls = InspectorControls()
    qtbot.addWidget(controls)
    thickness, width = (controls.sliders[name].slider for name in ("thickness", "excitation_width"))
    assert width.isEnabled()
    assert not thickness.isEnabled()
    qtbot.keyClick(controls.physics, Qt.Key.Key_Down)
    assert controls.look.prediction.physics == "two-beam"
    assert thickness.isEnabled()
    assert not width.isEnabled()
    with qtbot.waitSignal(controls.changed, timeout=60_000):
        qtbot.keyClick(thickness, Qt.Key.Key_Right)
    assert controls.look.prediction.thickness == 310
    assert controls.sliders["thickness"].words.text() == "Thickness: 310 Å"


def test_the_prediction_follows_the_sliders(inspector, qtbot):
    controls, usual = inspector.controls, strengths(inspector)
    width = controls.sliders["excitation_width"].slider
    for _ in range(3):
        qtbot.keyClick(width, Qt.Key.Key_PageUp)
    qtbot.waitUntil(lambda: len(strengths(inspector)) > len(usual), timeout=60_000)
    qtbot.keyClick(controls.physics, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: inspector._shown.look.prediction.physics == "two-beam", timeout=60_000)
    thin = np.sort(strengths(inspector))
    for _ in range(2):
        qtbot.keyClick(controls.sliders["thickness"].slider, Qt.Key.Key_PageUp)
    qtbot.waitUntil(lambda: inspector._shown.look == controls.look, timeout=60_000)
    assert not np.array_equal(np.sort(strengths(inspector)), thin)
    inspector.session.move_to(2, 4)  # the next position is predicted alike
    qtbot.waitUntil(lambda: inspector._shown.position.where == (2, 4), timeout=60_000)
    assert inspector._shown.look == controls.look


def test_labels_and_residuals_come_and_go(inspector, qtbot):
    view = inspector.predicted["template"].view.canvas
    bare = grabbed(view)
    for box, there in (
        (inspector.controls.labels, lambda: bool(view.labels)),
        (inspector.controls.residuals, lambda: any(each.kind == "residuals" for each in view.marks)),
    ):
        tick(qtbot, box)
        qtbot.waitUntil(there, timeout=60_000)
        assert not np.array_equal(grabbed(view), bare)
        tick(qtbot, box)
        qtbot.waitUntil(lambda there=there: not there(), timeout=60_000)
    np.testing.assert_array_equal(grabbed(view), bare)


def test_attention_that_cannot_be_had_is_told_in_words(inspector, qtbot):
    tick(qtbot, inspector.controls.attention)
    words = inspector.measured.words
    qtbot.waitUntil(lambda: "No crystal phase is chosen" in words.text(), timeout=60_000)
