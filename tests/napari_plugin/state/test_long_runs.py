"""Long steps from the window: cancelled or killed they go on where they were, and workers give the same bits."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from unittest.mock import create_autospec

import numpy as np
import pytest
from qtpy.QtCore import Qt

from helpers.chunked_scan import DISKS, MAP, equal
from helpers.gui_scan import CALIBRATION, calibrated_disks, scan_of
from napari_4dstem_orient.core.errors import Cancelled
from napari_4dstem_orient.core.progress import silent
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.napari_plugin.state.long_runs import LongRun, unfinished_folder
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow import chunks, store
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.run import Results, run
from napari_4dstem_orient.workflow.session import Stage

PATIENCE = 600_000
COARSE = TemplateSettings(zone_axis_step=8.0, in_plane_step=6.0)


@pytest.fixture(autouse=True)
def rows_are_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "FEWEST", 6)
    monkeypatch.setattr(chunks, "PARTS", 4)


@pytest.fixture
def file(silver, tmp_path):
    np.save(tmp_path / "scan.npy", scan_of(calibrated_disks(silver)).data.compute())
    return tmp_path / "scan.npy"


@pytest.fixture
def job(file, silver):
    known = {name: getattr(CALIBRATION, name) for name in ("voltage", "q_pixel", "rotation", "flip")}
    return Job(
        str(file), calibration=known, phases=(silver,), method="template", settings={"template": COARSE}
    )


class Held:
    """Lets a long step stand still once so many more chunks are kept."""

    def __init__(self, monkeypatch):
        self.kept, self.gate, self._stop_at = [], threading.Event(), 0
        keep = store.Chunks.add

        def add(chunks, rows, result):
            keep(chunks, rows, result)
            self.kept.append(rows)
            if len(self.kept) == self._stop_at:
                self.gate.wait(PATIENCE / 1000)

        monkeypatch.setattr(store.Chunks, "add", create_autospec(keep, side_effect=add))

    def after(self, count):
        self.gate.clear()
        self.kept.clear()
        self._stop_at = count

    @property
    def standing(self):
        return len(self.kept) == self._stop_at


def parts():
    return list(unfinished_folder().glob("*-*"))


def test_a_cancelled_step_goes_on_where_it_was_or_begins_afresh(bench, job, file, qtbot, monkeypatch):
    viewer, panels = bench
    session, held = session_for(viewer), Held(monkeypatch)
    disks, maps = panels["Bragg disks"], panels["Map"]

    def begin(panel, button):
        qtbot.waitUntil(button.isEnabled, timeout=PATIENCE)
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: held.standing, timeout=PATIENCE)

    def end(panel, button=None):
        if button is not None:
            qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        held.gate.set()
        qtbot.waitUntil(lambda: not panel.jobs.running, timeout=PATIENCE)

    def cancelled(panel, button):
        held.after(2)
        begin(panel, button)
        end(panel, panel.jobs.cancel_button)
        assert len(parts()) == 2

    open_scan(viewer, load(file))
    session.set_calibration(session.calibration.with_(**job.calibration, q_pixel_from="typed"))
    qtbot.waitUntil(lambda: session.get(Stage.PROBE) is not None, timeout=PATIENCE)

    cancelled(disks, disks.run_button)
    assert session.get(Stage.DISKS) is None
    held.after(1)
    begin(disks, disks.run_button)
    qtbot.waitUntil(lambda: "going on from 50 % done" in disks.jobs.label.text(), timeout=PATIENCE)
    assert disks.jobs.afresh_button.isVisible()
    end(disks)
    assert held.kept == [(2, 3), (3, 4)]
    assert not parts()
    made = session.record(Stage.DISKS).job
    equal(session.get(Stage.DISKS), run(made, Stage.DISKS).disks, DISKS)

    qtbot.mouseClick(panels["Calibration"].apply_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: session.get(Stage.CALIBRATED) is not None, timeout=PATIENCE)
    qtbot.waitUntil(lambda: not panels["Calibration"].jobs.running, timeout=PATIENCE)
    maps.choose_phase("Ag")
    maps.forms["template"].set(COARSE)
    button = maps.run_buttons["template"]
    cancelled(maps, button)
    assert not session.maps
    held.after(1)
    begin(maps, button)
    end(maps)
    assert held.kept == [(2, 3), (3, 4)]
    whole = run(session.record(session.made(Stage.MAP)[0]).job).map
    equal(session.maps["template"], whole, MAP)

    cancelled(maps, button)
    held.after(1)
    begin(maps, button)
    qtbot.waitUntil(maps.jobs.afresh_button.isVisible, timeout=PATIENCE)
    held.gate.set()
    held._stop_at = 0
    qtbot.mouseClick(maps.jobs.afresh_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not maps.jobs.running and not parts(), timeout=PATIENCE)
    equal(session.maps["template"], whole, MAP)

    former = session.maps["template"]
    panels["Bragg disks"].advanced.workers.setValue(2)
    assert maps.advanced.workers.value() == 2
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: session.maps["template"] is not former, timeout=PATIENCE)
    qtbot.waitUntil(lambda: not maps.jobs.running, timeout=PATIENCE)
    assert session.maps["template"].provenance["workers"] == "2 local processes"
    equal(session.maps["template"], whole, MAP)


KILLED = """
import json, sys, time
from napari_4dstem_orient.core.progress import silent
from napari_4dstem_orient.napari_plugin.state.long_runs import LongRun
from napari_4dstem_orient.workflow import chunks, store
from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.run import NOTHING

chunks.FEWEST, chunks.PARTS = 6, 4
keep, kept = store.Chunks.add, []

def add(chunks, rows, result):
    keep(chunks, rows, result)
    kept.append(rows)
    if len(kept) == 3:
        print("kept", flush=True)
        time.sleep(600)

store.Chunks.add = add
LongRun()(Job.from_dict(json.loads(sys.argv[1])), Stage.DISKS, NOTHING, silent, lambda so_far: None)
"""


def test_what_a_killed_program_has_done_is_taken_up(job):
    told = json.dumps(job.to_dict())
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, told], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "kept\n"
        child.send_signal(signal.SIGKILL)
    assert len(parts()) == 3
    shares, seen = [], []
    done = LongRun(resumed=shares.append)(
        job, Stage.DISKS, run(job, Stage.SCAN), lambda done, total: seen.append(done), lambda so_far: None
    )
    assert shares == [0.75]
    assert seen[0] == 18
    equal(done.disks, run(job, Stage.DISKS).disks, DISKS)
    assert not parts()


def test_what_is_kept_is_bounded(tmp_path):
    kept = store.Store(tmp_path)
    for age, name in ((100, "disks-old-1.npz"), (50, "disks-new-1.npz"), (10, "map-new-1.h5")):
        (tmp_path / name).write_bytes(bytes(10))
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    kept.trim(1000, 80)
    assert {path.name for path in tmp_path.iterdir()} == {"disks-new-1.npz", "map-new-1.h5"}
    kept.trim(15, 80)
    assert {path.name for path in tmp_path.iterdir()} == {"map-new-1.h5"}


def test_a_chunk_that_cannot_be_kept_ends_no_run_of_the_window(job, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(
        "napari_4dstem_orient.napari_plugin.state.long_runs.unfinished_folder",
        lambda: tmp_path / "file" / "unfinished",
    )
    done = LongRun()(job, Stage.DISKS, run(job, Stage.SCAN), lambda *_: None, lambda so_far: None)
    assert len(done.disks)


def test_a_map_goes_on_whatever_models_were_ticked_meanwhile_and_workers_give_the_same(job, silver):
    have, shares = Results(calibrated=calibrated_disks(silver), calibration=CALIBRATION), []

    def stop(done, total):
        if done > 12:
            raise Cancelled

    with pytest.raises(Cancelled):
        LongRun()(job, None, have, stop, lambda so_far: None)
    assert len(parts()) == 2
    ticked = replace(job, models=("Ag.safetensors",))
    found = LongRun(workers=2, resumed=shares.append)(ticked, None, have, silent, lambda so_far: None).map
    assert shares == [0.5]
    assert found.provenance["workers"] == "2 local processes"
    equal(found, run(job, have=have).map, MAP)
    assert not parts()
