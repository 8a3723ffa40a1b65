"""Rings moved by hand: over all disks and the mean pattern, with hkl, until they are taken."""

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.rings import Q_PIXEL, disks_of, elliptical
from napari_4dstem_orient.core.distortion import ratio_and_axis
from napari_4dstem_orient.napari_plugin.panels.calibration.panel import CalibrationWidget
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan, take_disks

LEFT = Qt.MouseButton.LeftButton
FIRST = np.sqrt(3) / 3.615
"""Å⁻¹: {111} of copper."""


@pytest.fixture
def panel(dock, copper, qtbot):
    made = dock(CalibrationWidget, show=True)
    made.window().resize(1280, 800)
    take_disks(made.viewer, elliptical(disks_of(copper), 1.03, 30))
    made.session.set_calibration(made.session.calibration.with_(q_pixel=1.05 * Q_PIXEL, q_pixel_from="file"))
    made.session.choose(phases=(copper,))
    qtbot.waitUntil(lambda: bool(rings_of(made)), timeout=60_000)
    return made


def rings_of(panel):
    return [mark for mark in panel.view.canvas.marks if mark.kind == "rings"]


def slide(slider, value):
    """Move a slider as its keys do."""
    slider.slider.setFocus()
    slider.slider.setValue(round(value / slider._step))


def test_the_mapped_crystal_is_chosen_and_its_rings_are_named(panel):
    assert panel.crystal.currentText() == "Cu"
    assert rings_of(panel)[0].radius == pytest.approx(FIRST / (1.05 * Q_PIXEL), rel=1e-3)
    names = [text for _, text in panel.view.canvas.labels]
    assert names[0] == "111"
    assert "220" in names
    assert panel.use_button.text() == "In use"


def test_rings_follow_the_sliders_and_are_taken(panel, qtbot):
    slide(panel.rings.pixel, Q_PIXEL)
    slide(panel.rings.ratio, 1.03)
    slide(panel.rings.axis, 30)
    assert rings_of(panel)[0].radius == pytest.approx(FIRST / Q_PIXEL, rel=1e-3)
    assert ratio_and_axis(rings_of(panel)[0].distortion) == pytest.approx((1.03, 30), abs=1e-2)
    qtbot.waitUntil(lambda: "✓ good" in panel.rings.words.text(), timeout=60_000)
    assert "press Use it" in panel.rings.words.text()
    assert panel.session.calibration.q_pixel_from == "file"  # nothing is used yet
    qtbot.mouseClick(panel.use_button, LEFT)
    known = panel.session.calibration
    assert known.q_pixel == pytest.approx(Q_PIXEL, rel=1e-3)
    assert known.q_pixel_from == "typed"
    assert ratio_and_axis(known.distortion) == pytest.approx((1.03, 30), abs=1e-2)
    assert panel.use_button.text() == "In use"


def test_a_fit_begins_where_the_rings_lie_and_knows_the_ellipse(panel, qtbot):
    slide(panel.rings.ratio, 1.03)
    slide(panel.rings.axis, 30)
    qtbot.mouseClick(panel.fit_button, LEFT)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)
    assert panel.rings.trial.q_pixel == pytest.approx(Q_PIXEL, rel=1e-3)
    assert panel.rings.trial.q_pixel_from == "fitted"
    qtbot.mouseClick(panel.use_button, LEFT)
    assert panel.session.calibration.q_pixel_from == "fitted"
    assert ratio_and_axis(panel.session.calibration.distortion)[0] == pytest.approx(1.03, abs=1e-3)


def test_the_mean_pattern_lies_below_the_rings_too(panel, small_scan, qtbot):
    assert not panel.rings.tabs.isTabEnabled(1)
    open_scan(panel.viewer, small_scan)
    take_disks(panel.viewer, replace(disks_of(panel.rings.crystal, patterns=12), scan_shape=(3, 4)))
    panel.rings.tabs.setCurrentIndex(1)
    qtbot.waitUntil(lambda: panel.view.canvas.shape == small_scan.detector_shape, timeout=60_000)
