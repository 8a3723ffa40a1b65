"""The queue: a folder's scans one after another, a damaged one among them, cancelled and gone on with."""

import threading
from dataclasses import replace
from unittest.mock import create_autospec

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.gui_scan import fill, made_map
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.io.result import load_map
from napari_4dstem_orient.napari_plugin.panels.queue.panel import QueueWidget, Status
from napari_4dstem_orient.workflow import batch
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.run import Results
from napari_4dstem_orient.workflow.session import Stage

LEFT = Qt.MouseButton.LeftButton
PATIENCE = 30_000


@pytest.fixture
def gate():
    """Closed, it holds up every file under way."""
    opened = threading.Event()
    opened.set()
    return opened


@pytest.fixture
def panel(dock, silver, monkeypatch, gate):
    """The queue of a window whose scan was mapped by template matching; mapping reads the file, then knows."""

    def run(job, *, store, observer, have):
        load(job.path, job.dataset, job.scan_shape).pattern(0, 0)
        for done in range(1000):
            observer.report("Mapping orientations")(done, 1000)
            if gate.wait(0.01):
                break
        return Results(map=replace(made_map(silver, "template"), provenance={"input": job.path}))

    monkeypatch.setattr(batch, "run", create_autospec(batch.run, side_effect=run))
    widget = dock(QueueWidget)
    fill(widget.session, silver)
    widget.session.put(Stage.MAP, made_map(silver, "template"), Job(phases=(silver,), method="template"))
    yield widget
    gate.set()


def scans(folder, *names):
    folder.mkdir()
    for name in names:
        np.save(folder / name, np.ones((4, 6, 8, 8), np.float32))
    return folder


def list_in(panel, qtbot, folder):
    panel.folder.setText(str(folder))
    qtbot.keyClick(panel.folder, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=PATIENCE)


def run(panel, qtbot):
    qtbot.mouseClick(panel.start_button, LEFT)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=PATIENCE)


def states(panel):
    return [entry.status for entry in panel.entries]


def test_a_damaged_scan_is_reported_and_does_not_stop_the_others(panel, qtbot, tmp_path):
    folder = scans(tmp_path / "day", "a.npy", "c.npy")
    (folder / "b.npy").write_bytes(b"\x93NUMPY damaged")
    list_in(panel, qtbot, folder)
    assert states(panel) == [Status.WAITING] * 3
    run(panel, qtbot)
    assert states(panel) == [Status.DONE, Status.FAILED, Status.DONE]
    assert "b.npy" in panel.entries[1].item.text(2)
    assert panel.count.text() == "2 of 3 done, 1 failed."
    assert load_map(folder / "c_orientation.h5").scan_shape == (4, 6)
    np.save(folder / "b.npy", np.ones((4, 6, 8, 8), np.float32))  # mended: only it is tried again
    (folder / "a_orientation.h5").unlink()
    run(panel, qtbot)
    assert states(panel) == [Status.DONE] * 3
    assert (folder / "b_orientation.h5").exists()
    assert not (folder / "a_orientation.h5").exists()


def test_a_cancelled_queue_stops_there_and_goes_on_later(panel, qtbot, tmp_path, gate):
    list_in(panel, qtbot, scans(tmp_path / "day", "a.npy", "b.npy"))
    gate.clear()
    qtbot.mouseClick(panel.start_button, LEFT)
    qtbot.waitUntil(lambda: "%" in panel.jobs.label.text(), timeout=PATIENCE)
    assert states(panel) == [Status.RUNNING, Status.WAITING]
    qtbot.mouseClick(panel.jobs.cancel_button, LEFT)
    qtbot.waitUntil(lambda: not panel.jobs.running, timeout=PATIENCE)
    assert states(panel) == [Status.WAITING, Status.WAITING]
    assert "cancelled" in panel.entries[0].item.text(2)
    gate.set()
    run(panel, qtbot)
    assert states(panel) == [Status.DONE, Status.DONE]


def test_scans_of_one_name_from_two_folders_keep_their_results(panel, qtbot, tmp_path):
    panel.output.setText(str(tmp_path / "results"))
    for folder in ("monday", "tuesday"):
        list_in(panel, qtbot, scans(tmp_path / folder, "a.npy"))
        run(panel, qtbot)
        assert states(panel) == [Status.DONE]
    found = {load_map(path).provenance["input"] for path in (tmp_path / "results").glob("*.h5")}
    assert found == {str(tmp_path / folder / "a.npy") for folder in ("monday", "tuesday")}


def test_it_says_what_it_needs(panel, qtbot, tmp_path):
    panel.session.put(Stage.SCAN, panel.session.get(Stage.SCAN))
    assert "no map was made here" in panel.needs.text()
    list_in(panel, qtbot, scans(tmp_path / "day", "a.npy"))
    assert not panel.start_button.isEnabled()
    (tmp_path / "empty").mkdir()
    list_in(panel, qtbot, tmp_path / "empty")
    assert panel.count.text() == "No scan in this folder."
