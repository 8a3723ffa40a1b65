"""A microscope is saved after a calibration, and offered by one click for the next scan."""

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QInputDialog

from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.napari_plugin.panels.data.panel import DataWidget
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.workflow.instruments import find_instrument, names

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def panel(dock, tmp_path, monkeypatch):
    monkeypatch.setattr("typer.get_app_dir", lambda name: str(tmp_path / name))
    return dock(DataWidget, show=True)


def test_what_was_saved_is_offered_for_the_next_scan(panel, small_scan, monkeypatch, qtbot):
    open_scan(panel.viewer, small_scan)
    assert not panel.instrument.use_button.isVisible()
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **more: ("Titan", True))
    menu = panel.instrument.menu_button.choices
    menu.aboutToShow.emit()
    menu.actions()[-1].trigger()
    assert names() == ["Titan"]
    assert find_instrument("Titan").detector_shape == small_scan.detector_shape

    open_scan(panel.viewer, small_scan.with_calibration(Calibration(r_pixel=3.0)))
    assert panel.session.calibration.voltage is None  # nothing was set
    assert "Titan: voltage 300 kV, pixel 0.05 Å⁻¹, semiangle 3 mrad" in panel.instrument.says.text()
    qtbot.mouseClick(panel.instrument.use_button, LEFT)
    known = panel.session.calibration
    assert (known.voltage, known.q_pixel, known.r_pixel) == (300, 0.05, 3.0)
    assert known.q_pixel_from == "instrument"
    assert panel.calibration.origins["q_pixel"].text() == "instrument"
    assert not panel.instrument.use_button.isVisible()


def test_another_microscope_is_not_offered(panel, small_scan, monkeypatch):
    open_scan(panel.viewer, small_scan.with_calibration(small_scan.calibration.with_(rotation=30.0)))
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **more: ("Titan", True))
    panel.instrument.menu_button.choices.aboutToShow.emit()
    panel.instrument.menu_button.choices.actions()[-1].trigger()
    open_scan(panel.viewer, small_scan.with_calibration(Calibration(voltage=80.0)))
    assert not panel.instrument.use_button.isVisible()
