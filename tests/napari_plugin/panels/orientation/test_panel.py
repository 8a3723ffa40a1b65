"""The Map panel in a real window: phases, models, devices, running, cancelling, layers, hover, colour key."""

import threading
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import create_autospec

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from helpers.gui_scan import CALIBRATION, LEFT, SHAPE, VACUUM, fill, made_map, sure_of
from napari_4dstem_orient.analysis.colours import ipf_rgb
from napari_4dstem_orient.core.certainty import AmbiguityFlag, IndexingStatus
from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.export.ebsd import bunge_angles
from napari_4dstem_orient.napari_plugin.layers.hover import (
    describe_position,
    show_answer_under_cursor,
    text_at,
    words_under_cursor,
)
from napari_4dstem_orient.napari_plugin.layers.map_layers import (
    MAP,
    add_map_layers,
    map_layers,
    show_channel,
)
from napari_4dstem_orient.napari_plugin.panels.orientation.panel import OrientationWidget
from napari_4dstem_orient.napari_plugin.qt import clock
from napari_4dstem_orient.napari_plugin.state.indexers import Indexers, fit_models
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.napari_plugin.state.snapshot import BeamConditions, Snapshot
from napari_4dstem_orient.workflow import chunks
from napari_4dstem_orient.workflow.session import MapBy, Session, Stage
from napari_4dstem_orient.workflow.steps import Indexing

MAKE, FILES = Indexing.make, Indexing.deciding_files
"""The real ones; most tests replace them by indexers that know the truth."""


@pytest.fixture
def panel(dock, knowing, qtbot, silver):
    """The panel in a viewer whose session is ready to be mapped, silver ticked."""
    widget = dock(OrientationWidget)
    widget.disks = fill(widget.session, silver)
    widget.choose_phase("Ag")
    qtbot.waitUntil(lambda: bool(widget.session.job.models), timeout=60_000)
    return widget


def press(panel, method):
    panel.run_buttons[method].click()


def wait_for(panel, stage, qtbot):
    qtbot.waitUntil(lambda: panel.session.get(stage) is not None and not panel.jobs.running, timeout=60_000)


def test_without_disks_the_panel_says_what_it_needs(dock, knowing):
    widget = dock(OrientationWidget)
    assert "Needs" in widget.needs.text()
    assert not widget.run_buttons["template"].isEnabled()
    assert not widget.run_buttons["transformer"].isEnabled()


def test_a_model_that_does_not_fit_is_grey_and_says_why(panel):
    fitting, other = panel.models.item(0), panel.models.item(1)
    assert fitting.checkState() == Qt.CheckState.Checked
    assert not other.flags() & Qt.ItemFlag.ItemIsEnabled
    assert "trained for Cu" in other.text()


def test_a_crystal_without_a_fitting_model_is_found_by_templates(panel, qtbot):
    panel.choose_phase("Cu")
    said = "By templates: Cu: none was trained for such a crystal."
    qtbot.waitUntil(lambda: panel.without_model.text() == said, timeout=60_000)
    assert not panel.without_model.isHidden()
    assert all(panel.run_buttons[method].isEnabled() for method in ("transformer", "template"))


def test_without_a_ticked_model_templates_propose(panel):
    panel.models.item(0).setCheckState(Qt.CheckState.Unchecked)
    assert panel.session.job.models == ()
    assert panel.without_model.text() == "By templates: no model is ticked."
    assert panel.run_buttons["transformer"].isEnabled()


def test_the_transformer_button_maps_the_scan_into_session_and_layers(panel, qtbot, silver):
    press(panel, "transformer")
    wait_for(panel, MapBy("transformer"), qtbot)
    found = panel.session.get(MapBy("transformer"))
    assert found.r_pixel == CALIBRATION.r_pixel
    assert found.provenance["input"] == "drawn"
    (layer,) = map_layers(panel.viewer)
    np.testing.assert_allclose(layer.data[2, 1, :3] / 255, ipf_rgb(LEFT[None], silver, "z")[0], atol=0.01)
    assert layer.data[VACUUM][3] == 0
    assert layer.data[2, 1, 3] == 255
    show_channel(layer, "ipf-x")
    np.testing.assert_allclose(layer.data[2, 1, :3] / 255, ipf_rgb(LEFT[None], silver, "x")[0], atol=0.01)
    assert "23 of 24 positions indexed" in panel.results["transformer"].text()
    assert "median reliability 100%" in panel.results["transformer"].text()


def test_a_layer_has_its_channels_name_and_the_scans_unit(make_napari_viewer, silver):
    viewer = make_napari_viewer()
    session_for(viewer).set_calibration(CALIBRATION)
    (layer,) = add_map_layers(viewer, made_map(silver, "transformer"))
    assert layer.name == "IPF-Z (out-of-plane) · transformer"
    show_channel(layer, "reliability")
    assert layer.name == "reliability · transformer"
    assert layer.visible
    assert tuple(layer.scale) == (20.0, 20.0)
    assert [str(unit) for unit in layer.units] == ["nanometer", "nanometer"]


def test_mapping_again_refreshes_the_layer_and_keeps_what_the_user_chose(make_napari_viewer, silver):
    viewer = make_napari_viewer()
    (layer,) = add_map_layers(viewer, made_map(silver, "transformer"))
    show_channel(layer, "ipf-x")
    turned = made_map(silver, "transformer", rotation=np.broadcast_to(np.eye(3), (*SHAPE, 3, 3)))
    assert add_map_layers(viewer, turned) == [layer]
    assert layer.metadata["orientation_layer"] == "ipf-x"
    np.testing.assert_allclose(layer.data[1, 1, :3], [255, 0, 0], atol=5)  # [001] is red
    show_channel(layer, "reliability")
    add_map_layers(viewer, replace(turned, certainty=None))  # it does not know its reliability
    assert layer.metadata["orientation_layer"] == "ipf-z"
    add_map_layers(viewer, made_map(silver, "template"))
    assert len(viewer.layers) == 2


def test_a_cancelled_run_keeps_the_former_map(panel, qtbot, knowing):
    press(panel, "template")
    wait_for(panel, MapBy("template"), qtbot)
    before = panel.session.get(MapBy("template"))
    knowing["template"].gate = threading.Event()
    press(panel, "template")
    assert not panel.run_buttons["transformer"].isEnabled()
    panel.jobs.cancel_button.click()
    knowing["template"].gate.set()
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)
    assert panel.session.get(MapBy("template")) is before
    assert panel.run_buttons["template"].isEnabled()


def test_a_map_is_seen_while_it_grows_and_goes_where_it_is_not_finished(panel, qtbot, knowing, monkeypatch):
    monkeypatch.setattr(clock, "SECONDS_BETWEEN_GLIMPSES", 0.0)
    monkeypatch.setattr(clock, "DRAWN_IN_A_SECOND", 1e9)
    monkeypatch.setattr(chunks, "FEWEST", 6)  # two chunks: of one there is nothing to see before the end
    monkeypatch.setattr(chunks, "PARTS", 4)
    knowing["template"].gate, knowing["template"].free = threading.Event(), 1
    picture = panel.viewer.add_image(np.ones(SHAPE))
    press(panel, "template")
    qtbot.waitUntil(lambda: bool(map_layers(panel.viewer, "template")), timeout=60_000)
    (layer,) = map_layers(panel.viewer, "template")
    seen = layer.metadata[MAP]
    np.testing.assert_array_equal(seen.status == IndexingStatus.NOT_RUN, np.indices(SHAPE)[0] > 0)
    assert "pixel size" in seen.exploratory
    assert panel.jobs.running
    assert not picture.visible
    assert panel.session.get(MapBy("template")) is None
    panel.jobs.cancel_button.click()
    knowing["template"].gate.set()
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)
    assert not map_layers(panel.viewer, "template")
    assert picture.visible
    press(panel, "template")
    wait_for(panel, MapBy("template"), qtbot)
    shown = {id(layer.metadata[MAP]) for layer in map_layers(panel.viewer, "template")}
    assert shown == {id(panel.session.get(MapBy("template")))}


def test_closing_the_dock_while_a_job_runs_is_quiet(panel, qtbot, knowing, notified):
    knowing["template"].gate = threading.Event()
    press(panel, "template")
    job = panel.jobs.job
    panel.viewer.window.remove_dock_widget(panel)
    knowing["template"].gate.set()
    job.wait(5)
    QApplication.processEvents()
    assert panel.session.get(MapBy("template")) is None
    assert not notified


def test_new_disks_make_the_map_stale_and_the_panel_says_so(panel, qtbot):
    press(panel, "transformer")
    wait_for(panel, MapBy("transformer"), qtbot)
    panel.session.put(Stage.CALIBRATED, replace(panel.disks))
    assert "Stale" in panel.results["transformer"].text()


def test_a_new_scan_takes_the_old_map_away(panel, qtbot):
    press(panel, "transformer")
    qtbot.waitUntil(lambda: bool(map_layers(panel.viewer)), timeout=60_000)
    panel.session.put(Stage.SCAN, panel.session.get(Stage.SCAN))
    assert not map_layers(panel.viewer)


def test_a_cif_that_is_none_is_told_and_not_ticked(panel, notified, tmp_path):
    broken = tmp_path / "broken.cif"
    broken.write_text("this is no crystal")
    panel.choose_phase(broken)
    assert len(notified) == 1
    item = panel.phases.item(panel.phases.count() - 1)
    assert item.checkState() == Qt.CheckState.Unchecked
    assert [phase.name for phase in panel.session.job.phases] == ["Ag"]


def test_a_model_file_that_is_none_is_told(panel, qtbot, notified, tmp_path, monkeypatch):
    monkeypatch.setattr("napari_4dstem_orient.napari_plugin.panels.orientation.panel.fit_models", fit_models)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"nothing")
    panel.add_model(broken)
    qtbot.waitUntil(lambda: bool(notified), timeout=60_000)
    assert "broken.safetensors" in notified[0].message
    assert not panel.indexers.more_models  # it must not spoil the comparison of the others


@pytest.mark.py4dstem
def test_settings_reach_the_indexers(panel, silver, monkeypatch):
    panel.forms["template"]["zone_axis_step"].value = 4.0
    panel.forms["template"]["engine"].value = "py4DSTEM"
    panel.forms["transformer"]["refinement_iterations"].value = 1
    panel.forms["acceptance"]["min_score"].value = 0.6
    panel.forms["acceptance"]["min_reliability"].value = 0.7
    job = panel.session.job
    assert job.settings["template"].zone_axis_step == 4.0
    assert job.settings["template"].engine == "py4DSTEM"
    assert job.settings["transformer"].refinement_iterations == 1
    panel.session.choose(models=(str(resource("models", "fcc.safetensors")),))
    monkeypatch.setattr(Indexing, "make", MAKE)
    monkeypatch.setattr(Indexing, "deciding_files", FILES)
    for method in ("transformer", "template"):
        made = panel.indexers.get(method, Snapshot.of(panel.session))
        assert made.settings == job.settings[method]
        assert made.acceptance.min_score == 0.6
        assert made.acceptance.min_reliability == 0.7


def test_the_automatic_device_says_what_it_is(panel, qtbot):
    qtbot.waitUntil(lambda: panel.devices.itemText(0).startswith("Automatic: "), timeout=60_000)
    panel.devices.setCurrentIndex(panel.devices.findData("cpu"))
    panel.devices.activated.emit(panel.devices.currentIndex())
    assert panel.session.job.device == "cpu"


def test_without_voltage_no_model_is_claimed_to_fit(silver):
    assert fit_models((silver,), None).chosen == ()
    assert "tick" in fit_models((), BeamConditions(200.0, 1.4)).without.lower()


def test_indexers_are_made_once_and_again_when_the_job_changes(monkeypatch, silver):
    made = create_autospec(Indexing.make, side_effect=lambda step: object())
    monkeypatch.setattr(Indexing, "make", made)
    session, shelf = Session(), Indexers()
    fill(session, silver)
    session.choose(phases=(silver,))

    def get():
        return shelf.get("template", Snapshot.of(session))

    assert get() is get()
    session.set_calibration(CALIBRATION.with_(voltage=300.0))
    get()
    assert made.call_count == 2
    session.choose(device="cpu")
    get()
    assert made.call_count == 3
    session.choose(memory=999)  # decides nothing
    get()
    assert made.call_count == 3


# ---------------------------------------------------------------- hover and colour key


def test_hovering_says_the_answer_or_why_there_is_none(make_napari_viewer, silver, qtbot):
    viewer = make_napari_viewer()
    session_for(viewer).set_calibration(CALIBRATION)
    found = made_map(silver, "transformer")
    found.phase_id[VACUUM], found.status[VACUUM] = -1, IndexingStatus.TOO_FEW_DISKS
    found.certainty.reliability[VACUUM] = 0
    add_map_layers(viewer, found)
    indexed = text_at(viewer, (2 * 20.0, 1 * 20.0))
    assert "row 2, column 1" in indexed
    assert "zone axis [" in indexed
    assert "Ag" in indexed
    assert "score 0.80 · reliability 93%" in indexed
    angles = ", ".join(f"{angle:.1f}°" for angle in np.rad2deg(bunge_angles(LEFT)))
    assert f"Euler angles (Bunge) {angles}" in indexed
    assert indexed.endswith("explains 12 disks")  # no doubt
    assert text_at(viewer, (0.0, 0.0)).endswith("too few disks")
    assert text_at(viewer, (-100.0, 0.0)) == ""
    show_answer_under_cursor(viewer)
    move = viewer.mouse_move_callbacks[-1]
    move(viewer, SimpleNamespace(position=(40.0, 20.0), is_dragging=False))
    assert words_under_cursor(viewer).toolTip() == indexed
    move(viewer, SimpleNamespace(position=(40.0, 20.0), is_dragging=True))
    assert not words_under_cursor(viewer).text()  # the inspector follows a drag
    move(viewer, SimpleNamespace(position=(40.0, 20.0), is_dragging=False))
    assert words_under_cursor(viewer).text()
    for layer in viewer.layers:
        layer.visible = False
    move(viewer, SimpleNamespace(position=(40.0, 20.0), is_dragging=False))
    assert not words_under_cursor(viewer).text()


def test_hovering_says_what_is_doubtful_where_there_is_no_answer_too(silver):
    doubt = AmbiguityFlag.HALF_TURN | AmbiguityFlag.OUT_OF_RANGE
    found = made_map(silver, "transformer")
    found = replace(found, certainty=sure_of(found.indexed, doubt))
    assert describe_position(found, 2, 1).split("\n")[-3:] == [
        "score 0.80 · reliability 93% · explains 12 disks",
        *doubt.texts,
    ]
    assert "180°" in doubt.text
    assert "none of these crystals" in doubt.text
    found.phase_id[2, 1], found.status[2, 1] = -1, IndexingStatus.UNRELIABLE
    said = describe_position(found, 2, 1).split("\n")
    assert said[1:] == [IndexingStatus.UNRELIABLE.text, "reliability 93%", *doubt.texts]
    assert describe_position(made_map(silver, "template"), 2, 1).endswith("score 0.80 · explains 12 disks")
