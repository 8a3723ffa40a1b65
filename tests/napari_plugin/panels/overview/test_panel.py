"""The overview: facts, steps, update, project and recovery, driven through a real window."""

import shutil
import stat
import threading
from unittest.mock import create_autospec

import pytest
from qtpy.QtCore import QEvent, QProcess, Qt
from qtpy.QtWidgets import QApplication

from helpers.gui_scan import fill, made_map, numbered_scan
from napari_4dstem_orient.napari_plugin.layers.cursor import MARKER
from napari_4dstem_orient.napari_plugin.layers.map_layers import (
    KIND,
    LOOK,
    MapViewOptions,
    map_layers,
    set_look,
    show_channel,
)
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer, scan_layers
from napari_4dstem_orient.napari_plugin.panels.analysis.grains import GRAINS
from napari_4dstem_orient.napari_plugin.panels.compare.panel import DOMAINS
from napari_4dstem_orient.napari_plugin.panels.docks import open_panel, open_steps, open_workbench
from napari_4dstem_orient.napari_plugin.panels.overview.autosave import (
    NAME,
    Autosave,
    autosave_folder,
    left_behind,
)
from napari_4dstem_orient.napari_plugin.panels.shared import project_to_viewer as projects
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.napari_plugin.panels.shared.viewer_to_project import key_of
from napari_4dstem_orient.napari_plugin.reader import get_reader
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.project import Project, load_project, save_project
from napari_4dstem_orient.workflow.session import MapBy, Session, Stage

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def bench(knowing, nothing_kept, bench):
    return bench


def test_first_it_says_what_to_do_then_what_there_is(bench, silver):
    viewer, panels = bench
    shown = panels["Overview"]
    assert "Start here" in shown.facts.text()
    assert shown.first_run.isVisible()
    assert "needs a scan" in shown.steps["Bragg disks"].text()
    fill(session_for(viewer), silver)
    assert "4 × 6 positions · 96 × 96 px" in shown.facts.text()
    assert "float32" in shown.facts.toolTip()
    assert "exploratory" in shown.facts.text()  # its pixel size was typed
    session = session_for(viewer)
    session.set_calibration(session.calibration.with_(q_pixel_from="fitted"))
    assert "pixel size fitted" in shown.facts.text()
    assert "exploratory" not in shown.facts.text()
    assert not shown.first_run.isVisible()
    assert "current" in shown.steps["Calibration"].text()
    assert "ready" in shown.steps["Map"].text()
    session.set_calibration(session.calibration.with_(q_pixel=0.031, q_pixel_from="file"))
    assert "stale" in shown.steps["Calibration"].text()
    assert "exploratory" in shown.facts.text()
    assert "not checked" in shown.facts.toolTip()


def test_clicking_a_step_brings_its_panel_to_the_front_even_if_it_was_closed(bench, qtbot):
    viewer, panels = bench
    viewer.window.remove_dock_widget(panels["Export"])
    QApplication.processEvents()
    qtbot.mouseClick(panels["Overview"].steps["Export"], LEFT)
    again = open_steps(viewer)["Export"]
    assert again is not panels["Export"]
    panels["Export"] = again
    qtbot.waitUntil(lambda: not again.visibleRegion().isEmpty(), timeout=60_000)


def test_the_update_runs_what_is_stale_and_nothing_else(bench, qtbot, silver):
    viewer, panels = bench
    session = session_for(viewer)
    qtbot.waitUntil(lambda: not panels["Bragg disks"].jobs.running, timeout=60_000)
    fill(session, silver)
    qtbot.waitUntil(lambda: session.get(Stage.PROBE) is not None, timeout=60_000)
    disks = session.get(Stage.DISKS)
    session.put(Stage.DISKS, disks)
    session.put(Stage.CALIBRATED, session.get(Stage.CALIBRATED))
    session.put(Stage.MAP, made_map(silver, "template"))
    panels["Map"].choose_phase("Ag")
    session.set_calibration(session.calibration.with_(rotation=31.0))
    assert panels["Overview"].updater.pending() == [Stage.CALIBRATED, MapBy("template")]
    qtbot.mouseClick(panels["Overview"].update_button, LEFT)
    qtbot.waitUntil(lambda: not panels["Overview"].updater.running, timeout=60_000)
    assert not any(session.is_stale(stage) for stage in Stage)
    assert session.get(Stage.DISKS) is disks
    assert session.get(MapBy("transformer")) is None
    assert session.record(Stage.CALIBRATED).job.calibration["rotation"] == 31.0


def test_a_project_comes_back_as_it_was(bench, qtbot, silver, tmp_path, notified):
    viewer, panels = bench
    session, shown = session_for(viewer), panels["Overview"]
    fill(session, silver)
    list(panels["Map"].showing_map(made_map(silver, "template")))
    (layer,) = map_layers(viewer, "template")
    show_channel(layer, "score")
    set_look(viewer, "template", MapViewOptions(threshold=0.3, fade=0.5))
    layer.visible, layer.opacity = True, 0.4
    shown.save_project(str(tmp_path / "a.4dorient.h5"))
    qtbot.waitUntil(lambda: not shown.jobs.running, timeout=60_000)
    session.put(Stage.SCAN, session.get(Stage.SCAN))
    assert session.get(MapBy("template")) is None
    shown.open_project(str(tmp_path / "a.4dorient.h5"))
    qtbot.waitUntil(lambda: not shown.jobs.running, timeout=60_000)
    (layer,) = map_layers(viewer, "template")
    assert (layer.visible, layer.opacity, layer.metadata[KIND]) == (True, 0.4, "score")
    assert layer.metadata[LOOK] == MapViewOptions(threshold=0.3, fade=0.5)
    assert "in memory only" in shown.said.text()


def seen(viewer):
    """Return what layers show, the lowest first, and whether; without pictures of patterns, which no file holds."""
    others = MARKER, "bright field", "annular dark field"
    shown = [(key_of(layer), layer.visible) for layer in scan_layers(viewer)]
    return [(what, visible) for what, visible in shown if what not in others]


def test_a_project_has_its_order_of_layers_its_camera_its_grains_and_its_comparison_again(
    bench, qtbot, silver, tmp_path
):
    viewer, panels = bench
    session, shown, analysis = session_for(viewer), panels["Overview"], panels["Analysis"]
    fill(session, silver)
    for method in ("template", "transformer"):
        list(panels["Map"].showing_map(made_map(silver, method)))
    analysis.grains.form["threshold"].value = 7.0
    analysis.grains.find()
    quiet = lambda: not any(panel.jobs.running for panel in panels.values())  # noqa: E731
    qtbot.waitUntil(quiet, timeout=60_000)
    panels["Compare"] = compare = open_panel(viewer, "Compare")
    compare.compare()
    qtbot.waitUntil(lambda: quiet() and find_layer(viewer, DOMAINS) is not None, timeout=60_000)
    (lower,) = map_layers(viewer, "transformer")
    viewer.layers.move(viewer.layers.index(lower), 0)
    find_layer(viewer, GRAINS).visible = True
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 50.0, 30.0), 2.5
    session.move_to(3, 1)
    qtbot.wait(20)
    before = seen(viewer)
    shown.save_project(str(tmp_path / "a.4dorient.h5"))
    qtbot.waitUntil(quiet, timeout=60_000)
    open_scan(viewer, numbered_scan((4, 6)))
    qtbot.waitUntil(quiet, timeout=60_000)
    assert analysis.analysed.grains is None
    analysis.grains.form["threshold"].value = 5.0
    shown.open_project(str(tmp_path / "a.4dorient.h5"))
    qtbot.waitUntil(lambda: compare.found is not None, timeout=60_000)
    qtbot.waitUntil(lambda: quiet() and find_layer(viewer, DOMAINS) is not None, timeout=60_000)
    qtbot.wait(50)
    assert seen(viewer) == before
    assert before[0] == ("transformer map", True)
    assert (GRAINS, True) in before
    assert (viewer.scene.camera.zoom, viewer.scene.camera.center[-2:]) == (2.5, (50.0, 30.0))
    assert session.position == (3, 1)
    assert analysis.analysed.grains.settings.threshold == 7.0


def test_a_project_is_opened_by_file_open_while_the_window_lives(bench, qtbot, silver, tmp_path, monkeypatch):
    """The reader returns at once, however long the file takes to read."""
    viewer, panels = bench
    session, gate = Session(), threading.Event()
    session.put(Stage.MAP, made_map(silver, "template"))
    path = str(tmp_path / "a.4dorient.h5")
    save_project(Project(session.state), path)
    slow = create_autospec(load_project, side_effect=lambda *what: gate.wait(60) and load_project(*what))
    monkeypatch.setattr(projects, "load_project", slow)
    assert get_reader(path)(path) == [(None,)]
    assert panels["Overview"].jobs.running
    assert session_for(viewer).get(MapBy("template")) is None
    gate.set()
    qtbot.waitUntil(lambda: session_for(viewer).get(MapBy("template")) is not None, timeout=60_000)


def test_work_is_kept_aside_and_removed_by_an_orderly_end(bench, qtbot, silver):
    viewer, panels = bench
    autosave = panels["Overview"].autosave
    fill(session_for(viewer), silver)
    autosave.save()
    qtbot.waitUntil(autosave.path.is_file, timeout=60_000)
    assert stat.S_IMODE(autosave.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(autosave.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(autosave_folder().stat().st_mode) == 0o700
    assert left_behind() is None  # its owner is alive
    panels["Overview"].close_step()
    assert not autosave.folder.exists()


def test_a_program_that_ends_with_its_window_open_ends_quietly(qapp):
    """Then Qt's objects may be gone before Python hears of it."""
    autosave = Autosave(lambda: None)
    autosave._save_soon.deleteLater()
    qapp.sendPostedEvents(autosave._save_soon, QEvent.Type.DeferredDelete.value)
    with pytest.raises(RuntimeError):
        autosave.soon()
    autosave.close()


def test_the_work_of_a_killed_process_is_offered_again(make_napari_viewer, qtbot, silver, tmp_path):
    import sys

    shutil.rmtree(autosave_folder(), ignore_errors=True)
    folder = autosave_folder() / "crashed"
    folder.mkdir(parents=True)
    session = Session()
    session.put(Stage.MAP, made_map(silver, "template"))
    save_project(Project(session.state), folder / NAME)
    code = (
        "import sys,time; from qtpy.QtCore import QLockFile; l=QLockFile(sys.argv[1]); "
        "l.setStaleLockTime(0); assert l.tryLock(0); print('held', flush=True); time.sleep(600)"
    )
    process = QProcess()
    process.start(sys.executable, ["-c", code, str(folder / "lock")])
    qtbot.waitUntil(lambda: b"held" in bytes(process.readAllStandardOutput()), timeout=60_000)
    assert left_behind() is None
    process.kill()
    process.waitForFinished()
    for path, mode in ((autosave_folder(), 0o755), (folder, 0o755), (folder / NAME, 0o644)):
        path.chmod(mode)  # as earlier versions left them
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    panels = open_workbench(viewer)
    shown = panels["Overview"]
    for path, mode in ((autosave_folder(), 0o700), (folder, 0o700), (folder / NAME, 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
    qtbot.waitUntil(lambda: not shown.recover_button.visibleRegion().isEmpty(), timeout=60_000)
    qtbot.mouseClick(shown.recover_button, LEFT)
    qtbot.waitUntil(lambda: session_for(viewer).get(MapBy("template")) is not None, timeout=60_000)
    qtbot.waitUntil(lambda: not folder.exists(), timeout=60_000)
    for panel in panels.values():
        panel.close_step()
