"""Crystals of a user's own files in the window's lists: one, several in a file, odd ones, none."""

import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt

from helpers.cif_files import OTHER, SALT, written
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.napari_plugin.panels.calibration.panel import CrystalChooser
from napari_4dstem_orient.napari_plugin.panels.shared.phase_list import PhaseList


@pytest.fixture
def told(monkeypatch):
    """What the user is told."""
    said = []
    monkeypatch.setattr(
        notification_manager, "dispatch", lambda notification: said.append(notification.message)
    )
    return said


@pytest.fixture
def phases(qtbot):
    listed = PhaseList()
    qtbot.addWidget(listed)
    ticked = []
    listed.ticked.connect(lambda found: ticked.append([phase.name for phase in found]))
    listed.seen = ticked
    return listed


def test_a_crystal_of_a_file_is_ticked_and_its_oddity_said_once(phases, told, tmp_path):
    path = str(written(tmp_path, SALT))
    phases.offer(path)
    assert phases.sources() == [path]
    phases.choose("Cu")
    assert phases.seen == [["NaCl"], ["Cu", "NaCl"]]
    assert told == ["Note on c: It lists no symmetry operations; those of F m -3 m were used."]


def test_of_several_crystals_in_a_file_the_user_ticks_one(phases, told, tmp_path):
    path = str(written(tmp_path, SALT + OTHER))
    before = phases.count()
    phases.offer(path)
    phases.offer(path)
    assert phases.count() == before + 2
    assert phases.sources() == []
    assert "holds 2 crystals" in told[0]
    item = phases.item(before + 1)
    assert item.text() == "c other"
    item.setCheckState(Qt.CheckState.Checked)
    assert phases.sources() == [f"{path}::other"]
    assert phases.seen == [["MgO"]]


def test_what_is_no_crystal_is_told_and_not_listed(phases, told, tmp_path):
    before = phases.count()
    phases.offer(str(written(tmp_path, "nothing")))
    assert (phases.count(), phases.sources()) == (before, [])
    assert "not a CIF" in told[0]


def test_the_calibration_offers_each_crystal_of_a_file(qtbot, tmp_path):
    chooser = CrystalChooser()
    qtbot.addWidget(chooser)
    chooser.add_file(str(written(tmp_path, SALT + OTHER)))
    assert find_phase(chooser.choice).name == "NaCl"
    chooser.setCurrentIndex(chooser.currentIndex() + 1)
    assert (chooser.currentText(), find_phase(chooser.choice).name) == ("c other", "MgO")
