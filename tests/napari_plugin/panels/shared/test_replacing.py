"""What the window asks before it replaces a file, beside exports: projects, disks, the queue's results, models."""

from unittest.mock import create_autospec

import h5py
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QMessageBox

from helpers.gui_scan import fill, made_map
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.io.result import load_map
from napari_4dstem_orient.napari_plugin.panels.detection.panel import DisksWidget
from napari_4dstem_orient.napari_plugin.panels.overview.panel import OverviewWidget
from napari_4dstem_orient.napari_plugin.panels.queue.panel import QueueWidget, Status
from napari_4dstem_orient.napari_plugin.panels.training.model_file import existing, free_path
from napari_4dstem_orient.workflow import batch
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.project import Project, save_project
from napari_4dstem_orient.workflow.run import Results
from napari_4dstem_orient.workflow.session import MapBy, Session, Stage
from napari_4dstem_orient.workflow.session_state import files_read

LEFT = Qt.MouseButton.LeftButton
PATIENCE = 30_000


@pytest.fixture
def asked(monkeypatch):
    """Collect what is asked before files are replaced; the answer is ``asked.answer``."""

    class Asked(list):
        answer = QMessageBox.StandardButton.No

    told = Asked()
    monkeypatch.setattr(QMessageBox, "question", lambda *question: told.append(question[2]) or told.answer)
    return told


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.ones((4, 6, 16, 16), np.float32)
    return path


@pytest.fixture
def shown(dock, scan, silver):
    """Make a panel of a window in which the scan is open and something of every stage is there."""

    def show(kind):
        panel = dock(kind)
        session = panel.session
        fill(session, silver)
        disks = session.get(Stage.DISKS)
        session.put(Stage.SCAN, load(scan), Job(str(scan)))
        session.put(Stage.DISKS, disks)
        session.put(Stage.MAP, made_map(silver, "template"), Job(phases=(silver,), method="template"))
        return panel

    return show


def test_a_project_never_replaces_the_open_scan(shown, qtbot, scan, notified):
    panel, before = shown(OverviewWidget), scan.read_bytes()
    panel.save_project(str(scan))
    qtbot.waitUntil(lambda: bool(notified), timeout=PATIENCE)
    assert "scan.h5 is the input" in notified[0].message
    assert scan.read_bytes() == before


def test_a_project_is_asked_about_once_where_its_name_is_completed(
    shown, qtbot, tmp_path, asked, monkeypatch
):
    panel = shown(OverviewWidget)
    there = tmp_path / "work.4dorient.h5"
    there.write_text("mine")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "work"), ""))
    panel._ask_save()
    assert "work.4dorient.h5" in asked[0]
    assert there.read_text() == "mine"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(there), ""))
    panel._ask_save()  # the dialog has asked
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=PATIENCE)
    assert len(asked) == 1
    assert there.read_bytes().startswith(b"\x89HDF")


def test_disks_never_replace_the_open_scan_and_ask_where_the_name_is_completed(
    shown, qtbot, scan, tmp_path, asked, notified, monkeypatch
):
    panel, before = shown(DisksWidget), scan.read_bytes()
    panel.save(str(scan))
    assert "scan.h5 is the input" in notified[0].message
    assert scan.read_bytes() == before
    (tmp_path / "disks.h5").write_text("mine")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "disks"), ""))
    panel._choose_save()
    assert "disks.h5" in asked[0]
    assert (tmp_path / "disks.h5").read_text() == "mine"


def test_the_queue_asks_before_it_makes_results_anew(shown, qtbot, tmp_path, asked, monkeypatch, silver):
    calls = []

    def run(job, **options):
        calls.append(job.path)
        made = made_map(silver, "template")
        made.provenance["input"] = job.path
        return Results(map=made)

    monkeypatch.setattr(batch, "run", create_autospec(batch.run, side_effect=run))
    folder = tmp_path / "day"
    folder.mkdir()
    for name in ("a", "b"):
        np.save(folder / f"{name}.npy", np.ones((4, 6, 8, 8), np.float32))
    panel = shown(QueueWidget)

    def listed():
        panel.list_folder(str(folder))
        qtbot.waitUntil(lambda: not panel.jobs.running, timeout=PATIENCE)

    def started():
        qtbot.mouseClick(panel.start_button, LEFT)
        qtbot.waitUntil(lambda: not panel.jobs.running, timeout=PATIENCE)

    listed()
    started()
    assert [entry.status for entry in panel.entries] == [Status.DONE] * 2
    assert not asked
    listed()
    started()
    assert asked[0].splitlines()[0] == f"Replace these 2 files in {folder}?"
    assert len(calls) == 2
    assert [entry.status for entry in panel.entries] == [Status.WAITING] * 2
    asked.answer = QMessageBox.StandardButton.Yes
    started()
    assert len(calls) == 4
    assert load_map(folder / "a_orientation.h5").provenance["input"] == str(folder / "a.npy")


def test_a_model_is_not_put_beside_somebody_elses_files(tmp_path):
    assert free_path(tmp_path, "ag") == tmp_path / "ag.safetensors"
    for suffix in (".json", ".png"):
        (tmp_path / f"ag{suffix}").write_text("mine")
        assert existing(tmp_path / "ag.safetensors") == tmp_path / f"ag{suffix}"
        assert free_path(tmp_path, "ag") == tmp_path / "ag-2.safetensors"
        (tmp_path / f"ag{suffix}").unlink()
    (tmp_path / "ag.training").write_text("begun")
    assert existing(tmp_path / "ag.safetensors") is None


def test_what_a_session_was_read_from(scan, few_disks, tmp_path):
    session = Session()
    session.put(Stage.SCAN, load(scan), Job(str(scan), "/data"))
    with pytest.raises(UserError, match=r"scan\.h5 is the input"):
        save_project(Project(session.state), scan)
    session.put(Stage.PROBE, object(), Job(probe="vacuum.npy"))
    session.put(Stage.CALIBRATED, few_disks, Job("disks.h5", "/a"))
    session.put(MapBy("template"), object(), Job("map.h5"))
    assert set(files_read(session.state)) == {str(scan), f"{scan}::/data", "vacuum.npy", "disks.h5"}
