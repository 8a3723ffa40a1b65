"""The Calibration panel, driven through a real window."""

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.napari_plugin.panels.calibration.panel import CalibrationWidget
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan, take_disks
from napari_4dstem_orient.workflow.session import Stage

LEFT = Qt.MouseButton.LeftButton
Q_PIXEL = 0.05
BEAM = np.array([31.0, 33.0])


@pytest.fixture
def copper_disks(copper):
    """Disks of 12 turned copper patterns in pixels, to 1.3 Å⁻¹, the direct beam wandering a little."""
    rng = np.random.default_rng(2)
    reflections = copper.reflections(1.3)
    lists = []
    for position in range(12):
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        g = reflections.g @ turn
        near = np.abs(g[:, 2]) < 0.08
        q = np.concatenate([[[0, 0]], g[near, :2]]) / Q_PIXEL
        strength = np.concatenate([[1000], np.sqrt(reflections.intensity[near])])
        q += BEAM + np.array([0.1 * (position // 4), 0]) + rng.normal(scale=0.05, size=q.shape)
        lists.append(np.column_stack([q, strength]))
    return BraggDisks.from_lists((3, 4), lists, detector_shape=(64, 64))


@pytest.fixture
def panel(dock):
    return dock(CalibrationWidget, show=True)


@pytest.fixture
def ready(panel, small_scan, copper_disks):
    unknown = small_scan.calibration.with_(q_pixel=None, q_pixel_from="unknown")
    open_scan(panel.viewer, small_scan.with_calibration(unknown))
    take_disks(panel.viewer, copper_disks)
    return panel


def press(button, panel, qtbot):
    qtbot.mouseClick(button, LEFT)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)


def type_into(field, text, qtbot):
    field.native.clear()
    qtbot.keyClicks(field.native, text)
    qtbot.keyClick(field.native, Qt.Key.Key_Return)


def test_each_missing_step_is_named_in_turn(panel, small_scan):
    assert panel.needs.text() == "Needs: a scan (open one in Data)."
    assert not panel.apply_button.isEnabled()
    open_scan(panel.viewer, small_scan)
    assert "a probe" in panel.needs.text()
    panel.session.put(Stage.PROBE, "probe")
    assert "Bragg disks" in panel.needs.text()


def test_an_unknown_pixel_is_said_and_nothing_can_be_applied(ready):
    assert "the detector pixel is unknown" in ready.state.text()
    assert not ready.apply_button.isEnabled()


def test_a_typed_pixel_calibrates_and_the_residual_is_judged(ready, qtbot):
    type_into(ready.fields.inputs["q_pixel"], "0.05", qtbot)
    assert "press Apply" in ready.state.text()
    press(ready.apply_button, ready, qtbot)
    calibrated = ready.session.get(Stage.CALIBRATED)
    assert calibrated.calibrated
    length = np.hypot(calibrated.qx, calibrated.qy)
    assert np.sort(length)[:12].max() < 0.02
    assert np.abs(length[(length > 0.4) & (length < 0.52)] - np.sqrt(3) / 3.615).max() < 0.02
    assert "Direct beam found in 100% of the patterns" in ready.state.text()
    assert "Å⁻¹" in ready.state.text()


def test_the_pixel_is_fitted_to_copper_and_used(ready, qtbot):
    ready.crystal.setCurrentText("Cu")
    press(ready.fit_button, ready, qtbot)
    assert ready.plot.isVisible()
    assert "rings of Cu" in ready.plot.words.text()
    (axes,) = ready.plot.canvas.figure.axes
    assert min(line.get_xdata()[0] for line in axes.lines[:-1]) == pytest.approx(np.sqrt(3) / 3.615, rel=0.01)
    press(ready.use_button, ready, qtbot)
    assert ready.session.calibration.q_pixel == pytest.approx(Q_PIXEL, rel=0.01)
    assert ready.session.calibration.q_pixel_from == "fitted"
    assert ready.fields.origins["q_pixel"].text() == "fitted"
    assert not ready.use_button.isEnabled()
    press(ready.apply_button, ready, qtbot)
    innermost = min(ring.radius for ring in ready.view.canvas.marks if ring.kind == "rings")
    assert innermost * ready.view.canvas.q_pixel == pytest.approx(
        np.sqrt(3) / 3.615, rel=0.01
    )  # {111} in Å⁻¹


def test_rotation_and_flip_turn_the_disks(ready, qtbot):
    type_into(ready.fields.inputs["q_pixel"], "0.05", qtbot)
    press(ready.apply_button, ready, qtbot)
    plain = ready.session.get(Stage.CALIBRATED)
    type_into(ready.fields.inputs["rotation"], "90", qtbot)
    assert ready.session.is_stale(Stage.CALIBRATED)
    assert "press Apply again" in ready.state.text()
    press(ready.apply_button, ready, qtbot)
    turned = ready.session.get(Stage.CALIBRATED)
    np.testing.assert_allclose(turned.qx, -plain.qy, atol=1e-6)
    np.testing.assert_allclose(turned.qy, plain.qx, atol=1e-6)
    type_into(ready.fields.inputs["rotation"], "0", qtbot)
    ready.fields.flip.click()
    press(ready.apply_button, ready, qtbot)
    flipped = ready.session.get(Stage.CALIBRATED)
    np.testing.assert_allclose(flipped.qx, plain.qy, atol=1e-6)
    np.testing.assert_allclose(flipped.qy, plain.qx, atol=1e-6)


def test_a_pixel_in_the_wrong_unit_is_doubted(ready, qtbot):
    type_into(ready.fields.inputs["q_pixel"], "0.5", qtbot)
    press(ready.apply_button, ready, qtbot)
    assert "another unit" in ready.state.text()


def test_a_crystal_comes_from_a_cif_and_a_bad_one_is_refused(ready, monkeypatch, tmp_path, notified):
    from napari_4dstem_orient.crystals.library import bundled

    last = ready.crystal.count() - 1
    bad = tmp_path / "bad.cif"
    bad.write_text("no crystal here")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(bad), ""))
    ready.crystal.activated.emit(last)
    assert "bad.cif" in notified[0].message
    assert ready.crystal.count() - 1 == last
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *args: (str(bundled()["Ag"]), ""))
    ready.crystal.activated.emit(last)
    assert ready.crystal.choice == str(bundled()["Ag"])


def test_calibrated_disks_from_a_file_need_nothing(panel, few_disks):
    take_disks(panel.viewer, few_disks)
    assert not panel.needs.isVisible()
    assert panel.state.text() == "Calibrated."
    assert panel.view.canvas.picture is not None
