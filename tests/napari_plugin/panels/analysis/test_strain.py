"""Strain in the analysis panel, in a real window: measured with a click, seen on the map, kept with it."""

from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.gui_scan import SHAPE, calibrated_disks, fill, made_map
from napari_4dstem_orient.napari_plugin.layers.map_layers import KIND, MAP, map_layers
from napari_4dstem_orient.napari_plugin.panels.analysis.panel import AnalysisWidget
from napari_4dstem_orient.napari_plugin.panels.analysis.strain import AXES, REFERENCES
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import MapBy, Stage

STRETCH = 0.01
RIGHT = np.indices(SHAPE)[1] >= 3


@pytest.fixture
def panel(make_napari_viewer, silver):
    """The panel on a map of two grains; the right one is stretched by 1 % along x, down the rows."""
    viewer = make_napari_viewer(show=True)
    session = session_for(viewer)
    disks = calibrated_disks(silver)
    stretched = RIGHT.ravel()[disks.owner]
    disks = replace(disks, qx=np.where(stretched, disks.qx / (1 + STRETCH), disks.qx).astype(np.float32))
    fill(session, silver, disks)
    made = made_map(silver, "transformer", disks=disks)
    session.put(Stage.MAP, replace(made, provenance={"calibration": {"voltage": 200.0}}))
    widget = AnalysisWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Analysis")
    widget.sections["Strain"].toggle.setChecked(True)
    yield widget
    widget.close_step()


def choose(box, text):
    box.setCurrentIndex(box.findText(text))


def measure(panel, qtbot):
    qtbot.mouseClick(panel.strain.measure_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.analysed.map.strain is not None and not panel.jobs.running, timeout=60_000)
    return panel.analysed.map.strain


def against(key):
    return next(words for words, each in REFERENCES.items() if each == key)


def test_a_click_measures_the_strain_against_a_painted_region_and_shows_it(panel, qtbot):
    viewer = panel.viewer
    viewer.add_labels((~RIGHT).astype(np.uint8), name="left", scale=(20.0, 20.0))
    panel.analysed.session.move_to(2, 1)
    choose(panel.strain.reference, against("region"))
    found = measure(panel, qtbot)
    np.testing.assert_allclose(np.nanmedian(found.of("xx")[RIGHT]), STRETCH, atol=5e-4)
    np.testing.assert_allclose(np.nanmedian(found.of("yy")[RIGHT]), 0, atol=5e-4)
    np.testing.assert_allclose(np.nanmedian(found.of("xx")[~RIGHT]), 0, atol=5e-4)
    (layer,) = map_layers(viewer)
    assert layer.metadata[KIND] == "strain-xx"
    assert layer.metadata[MAP].strain is found
    kept = panel.analysed.session.get(MapBy("transformer"))
    assert kept.strain is found
    assert not panel.analysed.session.is_stale(MapBy("transformer"))
    assert "Strain at 23 of 24 positions" in panel.strain.found.text()


def test_each_grains_mean_has_no_strain(panel, qtbot):
    choose(panel.strain.reference, against("grain"))
    choose(panel.strain.axes, next(words for words, each in AXES.items() if each == "grain"))
    found = measure(panel, qtbot)
    assert np.nanmax(np.abs(found.values[..., :3])) < 1e-3
    assert "mean of each grain" in panel.strain.found.text()


def test_without_a_region_it_says_how_to_get_one(panel, qtbot, notified):
    choose(panel.strain.reference, against("region"))
    qtbot.mouseClick(panel.strain.measure_button, Qt.MouseButton.LeftButton)
    assert any("paint one in a labels layer" in said.message for said in notified)
    assert panel.analysed.map.strain is None


def test_what_is_no_direction_is_told(panel, qtbot, notified):
    panel.strain.axes.setEditText("1,1")
    qtbot.mouseClick(panel.strain.measure_button, Qt.MouseButton.LeftButton)
    assert any("nor a crystal direction such as 1,1,0" in said.message for said in notified)
    panel.strain.axes.setEditText("[1 1 0]")
    assert "[1 1 0]" in measure(panel, qtbot).axes or "110" in panel.analysed.map.strain.axes


def test_a_stale_map_or_none_cannot_be_measured(panel, silver):
    assert panel.strain.measure_button.isEnabled()
    panel.analysed.session.put(Stage.CALIBRATED, calibrated_disks(silver))
    assert not panel.strain.measure_button.isEnabled()
