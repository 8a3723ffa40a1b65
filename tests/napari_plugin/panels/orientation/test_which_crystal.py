"""Which crystal is here, in a real window: what is offered, where one looks, the answer, and its way to the map."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.gui_scan import fill
from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.napari_plugin.layers.regions import region_at
from napari_4dstem_orient.napari_plugin.panels.orientation import which_crystal
from napari_4dstem_orient.napari_plugin.panels.orientation.panel import OrientationWidget
from napari_4dstem_orient.napari_plugin.panels.orientation.which_crystal import HERE, REGION
from napari_4dstem_orient.workflow.session import Stage


@pytest.fixture
def panel(dock, knowing, silver):
    """The Map panel, of a session with calibrated disks of silver, its part opened by a click."""
    widget = dock(OrientationWidget, show=True)
    widget.disks = fill(widget.session, silver)
    return widget


@pytest.fixture
def which(panel, qtbot):
    qtbot.waitUntil(panel.which.toggle.isVisible, timeout=60_000)
    qtbot.mouseClick(panel.which.toggle, Qt.MouseButton.LeftButton)
    assert panel.which.compare_button.isVisible()
    return panel.which


@pytest.fixture
def cifs(tmp_path):
    """Silver, copper, and a file that is no crystal."""
    for name in ("Ag", "Cu"):
        (tmp_path / f"{name}.cif").write_text((resource("crystals") / f"{name}.cif").read_text())
    (tmp_path / "broken.cif").write_text("nothing")
    return tmp_path


def compare(panel, qtbot):
    qtbot.mouseClick(panel.which.compare_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=120_000)
    assert not panel.jobs.trouble
    return panel.which.compared.found


def column(table, number):
    model = table.model()
    return [model.index(row, number).data() for row in range(model.rowCount())]


def only_files(which, cifs):
    which.with_bundled.click()
    which.add([cifs])


def test_the_crystals_of_a_folder_are_ranked_and_the_best_goes_to_the_map(panel, which, cifs, qtbot):
    only_files(which, cifs)
    found = compare(panel, qtbot)
    assert len(found.positions) == 23  # all but the one in vacuum
    assert column(which.table, 0) == ["Ag", "Cu"]
    assert column(which.table, 2) == ["23", "0"]
    assert column(which.table, 3)[1] == "–"
    assert which.words.text() == f"Ag explains {found.evidence[0].share:.0%} of 23 positions."
    assert "broken.cif is not a CIF" in which.left_out.text()
    assert not which.left_out.isHidden()
    qtbot.mouseClick(which.use_button, Qt.MouseButton.LeftButton)
    assert [phase.name for phase in panel.session.job.phases] == ["Ag"]
    assert panel.phases.sources() == [str(cifs / "Ag.cif")]
    which.table.selectRow(1)
    qtbot.mouseClick(which.use_button, Qt.MouseButton.LeftButton)
    assert {phase.name for phase in panel.session.job.phases} == {"Ag", "Cu"}


def test_the_selected_position_or_the_region_there_is_asked(panel, which, cifs, qtbot, notified):
    only_files(which, cifs)
    panel.session.move_to(2, 1)
    which.where.setCurrentText(HERE)
    assert compare(panel, qtbot).positions.tolist() == [2 * 6 + 1]
    assert which.words.text().startswith("It is Ag (")
    which.where.setCurrentText(REGION)
    qtbot.mouseClick(which.compare_button, Qt.MouseButton.LeftButton)
    assert not panel.jobs.running
    assert "No region lies at the selected position" in notified[-1].message
    grain = np.zeros((4, 6), int)
    grain[1:3, :2] = 7
    panel.viewer.add_labels(grain, scale=(20, 20))
    assert compare(panel, qtbot).positions.tolist() == [6, 7, 12, 13]


def test_it_says_what_is_compared(which, cifs):
    assert which.listed.text() == "20 of the program"
    which.with_bundled.click()
    assert which.listed.text().startswith("No crystal yet")
    assert not which.compare_button.isEnabled()
    which.add([f"{name}.cif" for name in "abcde"])
    which.add(["a.cif"])
    assert which.listed.text() == "a.cif, b.cif, c.cif, 2 more"
    assert which.compare_button.isEnabled()
    which.clear_button.click()
    assert which.listed.text().startswith("No crystal yet")


def test_of_several_labels_layers_the_selected_one_is_asked_first(panel):
    one, other = np.zeros((4, 6), int), np.zeros((4, 6), int)
    one[0], other[:, 0] = 1, 2
    below = panel.viewer.add_labels(one)
    panel.viewer.add_labels(other)
    panel.viewer.add_labels(np.ones((3, 3), int))
    assert len(region_at(panel.viewer, (0, 0), (4, 6))) == 4
    panel.viewer.layers.selection.active = below
    assert region_at(panel.viewer, (0, 0), (4, 6)).tolist() == [[0, col] for col in range(6)]
    assert len(region_at(panel.viewer, (1, 0), (4, 6))) == 4
    assert len(region_at(panel.viewer, (1, 1), (4, 6))) == 0


def test_it_can_be_cancelled_and_keeps_what_was_found(panel, which, cifs, qtbot, monkeypatch):
    only_files(which, cifs)
    found, gate = compare(panel, qtbot), threading.Event()
    real = which_crystal.identify

    def slow(*args):
        gate.wait(20)
        return real(*args)

    monkeypatch.setattr(which_crystal, "identify", slow)
    qtbot.mouseClick(which.compare_button, Qt.MouseButton.LeftButton)
    assert not which.compare_button.isEnabled()
    qtbot.mouseClick(panel.jobs.cancel_button, Qt.MouseButton.LeftButton)
    gate.set()
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=60_000)
    assert which.compared.found is found
    assert which.compare_button.isEnabled()


def test_a_scan_is_enough_and_another_one_forgets(dock, knowing, qtbot, silver, cifs, copper):
    panel = dock(OrientationWidget)
    assert not panel.which.compare_button.isEnabled()
    fill(panel.session, silver)
    scan = panel.session.get(Stage.SCAN)
    panel.session.put(Stage.SCAN, replace(scan, source="another"))
    assert panel.session.get(Stage.CALIBRATED) is None
    panel.which.with_bundled.setChecked(False)
    panel.which.add([cifs / "Ag.cif", cifs / "Cu.cif"])
    found = compare(panel, qtbot)
    assert found.evidence[0].phase.name == "Ag"
    assert panel.session.get(Stage.DISKS) is None  # nothing of it is kept
    panel.session.put(Stage.SCAN, replace(scan, source="a third"))
    assert panel.which.compared is None
    assert panel.which.words.isHidden()


def test_what_is_not_known_is_said(panel, which, notified):
    panel.session.set_calibration(panel.session.calibration.with_(voltage=None))
    which.compare_button.click()
    assert "voltage is not known" in notified[-1].message
    assert not panel.jobs.running
