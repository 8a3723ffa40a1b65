"""The figures of the Calibration panel: opened by a click, computed in a thread, and right."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.rings import IRON, Q_PIXEL, disks_of, elliptical
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.distortion import ratio_and_axis
from napari_4dstem_orient.napari_plugin.panels.calibration.ellipse import cosine
from napari_4dstem_orient.napari_plugin.panels.calibration.panel import CalibrationWidget
from napari_4dstem_orient.napari_plugin.panels.shared.opening import take_disks
from napari_4dstem_orient.napari_plugin.panels.shared.plot_canvas import text_color
from napari_4dstem_orient.workflow.session import Stage

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def panel(dock):
    return dock(CalibrationWidget, show=True)


def give(panel, disks):
    """Let the panel have disks in pixels whose pixel size is known."""
    take_disks(panel.viewer, disks)
    panel.session.set_calibration(panel.session.calibration.with_(q_pixel=Q_PIXEL, q_pixel_from="typed"))


def unfold(panel, title, qtbot):
    """Click on a section's heading and wait for what it says."""
    toggle = panel.sections[title].toggle
    panel.window().resize(1280, 800)
    qtbot.mouseClick(toggle, LEFT, pos=toggle.rect().center())
    figure = panel.figures[title]
    qtbot.waitUntil(lambda: "Computing" not in figure.words.text(), timeout=60_000)
    return figure


def test_a_closed_section_computes_nothing(panel, qtbot):
    figure = panel.figures["Ellipticity"]
    give(panel, disks_of(IRON))
    qtbot.wait(50)
    assert figure.answer is None
    assert figure.words.text() == ""


def test_without_disks_the_step_is_named(panel, qtbot):
    figure = unfold(panel, "Ellipticity", qtbot)
    assert "Needs Bragg disks" in figure.words.text()
    assert not figure.canvas.isVisible()
    assert not figure.correct_button.isEnabled()


def test_ellipticity_is_shown_corrected_and_taken_back(panel, qtbot):
    give(panel, elliptical(disks_of(IRON), 1.06, 30))
    figure = unfold(panel, "Ellipticity", qtbot)
    assert figure.canvas.isVisible()
    assert "✕ poor" in figure.words.text()
    assert "Good below 1.01, poor from 1.03" in figure.words.text()
    axes = figure.canvas.figure.axes[0]
    lines = {line.get_label(): line.get_data() for line in axes.lines}
    angle, percent = lines["fit"]
    middles, median = lines["median"]
    np.testing.assert_allclose(median, 100 * cosine(figure.answer.distortion, middles), atol=1.0)
    assert angle[np.argmax(percent[:91])] == pytest.approx(30, abs=5)
    assert percent.max() == pytest.approx(100 * 0.06 / 2.06, abs=0.3)
    qtbot.mouseClick(figure.correct_button, LEFT)
    assert ratio_and_axis(panel.session.calibration.distortion) == pytest.approx((1.06, 30), abs=4)
    assert "✓ good" in figure.words.text()
    assert not figure.correct_button.isEnabled()
    qtbot.mouseClick(figure.undo_button, LEFT)
    assert panel.session.calibration.distortion == (0, 0)
    assert "✕ poor" in figure.words.text()
    assert figure.correct_button.isEnabled()
    assert not figure.undo_button.isEnabled()


def test_undo_goes_back_to_what_was_read(panel, qtbot):
    give(panel, elliptical(disks_of(IRON), 1.06, 30))
    figure = unfold(panel, "Ellipticity", qtbot)
    panel.session.set_calibration(panel.session.calibration.with_(distortion=(0.01, 0.0)))
    qtbot.mouseClick(figure.correct_button, LEFT)
    assert panel.session.calibration.distortion != (0.01, 0)
    qtbot.mouseClick(figure.undo_button, LEFT)
    assert panel.session.calibration.distortion == (0.01, 0)


def test_correcting_makes_the_applied_calibration_stale(panel, qtbot):
    give(panel, elliptical(disks_of(IRON), 1.06, 30))
    figure = unfold(panel, "Ellipticity", qtbot)
    qtbot.mouseClick(panel.apply_button, LEFT)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)
    assert not panel.session.is_stale(Stage.CALIBRATED)
    qtbot.mouseClick(figure.correct_button, LEFT)
    assert panel.session.is_stale(Stage.CALIBRATED)


def test_what_is_not_trusted_cannot_be_corrected(panel, qtbot):
    good = disks_of(IRON)
    rng = np.random.default_rng(3)
    beam = good.offsets[:-1]
    qx, qy = rng.uniform(0, 128, (2, len(good))).astype(np.float32)
    qx[beam], qy[beam] = good.qx[beam], good.qy[beam]
    give(panel, replace(good, qx=qx, qy=qy))
    figure = unfold(panel, "Ellipticity", qtbot)
    assert "△ check" in figure.words.text()
    assert "Not to be trusted" in figure.words.text()
    assert not figure.correct_button.isEnabled()


def test_new_disks_are_judged_anew(panel, qtbot):
    give(panel, elliptical(disks_of(IRON), 1.06, 30))
    figure = unfold(panel, "Ellipticity", qtbot)
    panel.session.put(Stage.DISKS, disks_of(IRON))
    qtbot.waitUntil(lambda: "✓ good" in figure.words.text(), timeout=60_000)


def test_the_cosine_is_longest_along_its_axis():
    value = cosine((0.02 * np.cos(np.deg2rad(60)), 0.02 * np.sin(np.deg2rad(60))), np.array([30.0, 120.0]))
    np.testing.assert_allclose(value, (0.02, -0.02))


def apply(panel, qtbot):
    qtbot.mouseClick(panel.apply_button, LEFT)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)


def test_ring_residuals_follow_calibration_and_crystal(panel, copper, qtbot):
    give(panel, disks_of(copper))
    panel.crystal.setCurrentText("Cu")
    figure = unfold(panel, "Ring residuals", qtbot)
    assert "press Apply" in figure.words.text()
    apply(panel, qtbot)
    qtbot.waitUntil(lambda: "✓ good" in figure.words.text(), timeout=60_000)
    rings = len(figure.answer[1].expected)
    assert f"from {rings} rings of Cu" in figure.words.text()
    assert "Good below 0.8%" in figure.words.text()
    assert (
        f"<tr><td align='right' style='padding-right: 8px'>{figure.answer[1].expected[0]:.4f}<"
        in figure.table.text()
    )
    assert "Residual (%)" in figure.table.text()
    _above, below = figure.canvas.figure.axes
    assert below.get_ylabel() == "residual (%)"
    np.testing.assert_allclose(below.lines[0].get_ydata(), 100 * figure.answer[1].relative)
    panel.session.set_calibration(panel.session.calibration.with_(q_pixel=1.012 * Q_PIXEL))
    assert "press Apply again" in figure.words.text()
    apply(panel, qtbot)
    qtbot.waitUntil(
        lambda: "rings of Cu" in figure.words.text() and "✓" not in figure.words.text(), timeout=60_000
    )
    panel.crystal.setCurrentText("Ag")
    qtbot.waitUntil(lambda: "of Ag" in figure.words.text(), timeout=60_000)


def test_the_detectors_axes_follow_what_is_typed(panel, qtbot):
    give(panel, disks_of(IRON))
    figure = unfold(panel, "Rotation and flip", qtbot)
    assert "qx (down its rows, solid) points to 0°, its qy (dashed) to 90°" in figure.words.text()
    field = panel.fields.inputs["rotation"].native
    field.clear()
    qtbot.keyClicks(field, "30")
    assert panel.session.calibration.rotation == 0  # the field has not been left
    assert "points to 30°, its qy (dashed) to 120°" in figure.words.text()
    panel.fields.flip.click()
    assert panel.session.calibration.rotation == 30
    assert "points to 120°, its qy (dashed) to 30°" in figure.words.text()


def test_the_axes_are_drawn_with_x_down(panel, qtbot):
    give(panel, disks_of(IRON))
    panel.session.set_calibration(panel.session.calibration.with_(rotation=90.0))
    figure = unfold(panel, "Rotation and flip", qtbot)
    axes = figure.canvas.figure.axes[0]
    bottom, top = axes.get_ylim()
    assert bottom > top  # larger is lower
    ends = {text.get_text(): text.get_position() for text in axes.texts}
    assert ends["qx"][0] > 0.7  # scan y is to the right
    assert ends["qy"][1] < -0.7  # against scan x, upwards
    assert ends["scan x, down its rows"][1] > 1


def wandering(drift, lost=()):
    """Disks of 6 × 8 patterns whose direct beam moves by ``drift`` px (rows: along the detector's axes) over it."""
    lists = []
    for row, col in np.ndindex(6, 8):
        beam = np.array([64.0, 60.0]) + np.array(drift) @ (row / 5 - 0.5, col / 7 - 0.5)
        others = beam + np.array([[20, 0], [-20, 0], [0, 20], [0, -20]])
        rows = np.c_[np.r_[[beam], others], [9, 1, 1, 1, 1]]
        lists.append(rows[1:] if (row, col) in lost else rows)
    return BraggDisks.from_lists((6, 8), lists, detector_shape=(128, 128))


def test_the_shift_is_mapped_and_judged(panel, qtbot):
    give(panel, wandering([[2, 0], [0, -3]], lost={(1, 2)}))
    figure = unfold(panel, "Direct-beam shift", qtbot)
    assert "△ check" in figure.words.text()
    assert "radius is not known" in figure.words.text()
    panel.session.put(Stage.PROBE, SimpleNamespace(radius=3.0))
    panel.session.put(Stage.DISKS, wandering([[2, 0], [0, -3]], lost={(1, 2)}))
    qtbot.waitUntil(lambda: "✓ good" in figure.words.text(), timeout=60_000)
    assert "0.30 and 0.90 px" in figure.words.text()
    assert "Grey: not found" in figure.words.text()
    measured_y, _, residual_y, measured_x = (axes.images[0] for axes in figure.canvas.figure.axes[:4])
    assert measured_y.get_array().mask[1, 2]
    np.testing.assert_allclose(measured_y.get_array()[:, 0], np.linspace(-1, 1, 6), atol=0.02)
    np.testing.assert_allclose(measured_x.get_array()[0], np.linspace(1.5, -1.5, 8), atol=0.02)
    assert np.abs(residual_y.get_array()).max() < 0.01
    for image in (measured_y, residual_y, measured_x):
        low, high = image.get_clim()
        assert low == -high
    panel.form["surface"].value = "constant"
    qtbot.waitUntil(lambda: "from one place for all" in figure.words.text(), timeout=60_000)
    assert "✓" not in figure.words.text()


def test_closing_while_it_computes_is_quiet(panel, qtbot):
    give(panel, disks_of(IRON))
    toggle = panel.sections["Ellipticity"].toggle
    qtbot.mouseClick(toggle, LEFT, pos=toggle.rect().center())
    panel.close_step()
    qtbot.wait(300)
    assert panel.figures["Ellipticity"].answer is None


def test_letters_are_readable_in_a_new_theme(panel, qtbot):
    give(panel, disks_of(IRON))
    figure = unfold(panel, "Rotation and flip", qtbot)

    def letters():
        return next(
            text for text in figure.canvas.figure.axes[0].texts if text.get_text() == "scan y"
        ).get_color()

    color = letters()
    panel.viewer.theme = "light" if panel.viewer.theme == "dark" else "dark"
    assert letters() == text_color(panel.viewer.theme) != color
