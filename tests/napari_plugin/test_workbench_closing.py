"""Windows closed at every stage, alone and beside another: nothing that comes late writes to what is gone.

pytest-qt fails a test in whose time a slot raised anything.
"""

import threading

import pytest
from qtpy.QtWidgets import QApplication

from helpers.gui_scan import calibrated_disks, detected_disks, let_know, scan_of
from napari_4dstem_orient.napari_plugin import workbench
from napari_4dstem_orient.napari_plugin.panels.docks import open_workbench
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.napari_plugin.qt import threads
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.napari_plugin.workbench import open_all_panels
from napari_4dstem_orient.workflow.session import MapBy, Stage


def quiet(qtbot):
    qtbot.waitUntil(lambda: not threads.at_work, timeout=60_000)
    qtbot.wait(100)


def test_a_window_closed_before_its_panels_are_ready_gets_none(make_napari_viewer, qtbot, monkeypatch):
    gate, importing = threading.Event(), workbench.import_panels
    monkeypatch.setattr(workbench, "import_panels", lambda: gate.wait(20) and importing())
    first, second = make_napari_viewer(show=True), make_napari_viewer(show=True)
    for viewer in (first, second):
        open_all_panels(viewer)
    second.close()
    qtbot.wait(50)
    gate.set()
    qtbot.waitUntil(lambda: "Map display" in first.window.dock_widgets, timeout=60_000)
    quiet(qtbot)
    for panel in list(first.window.dock_widgets.values()):
        panel.close_step()


@pytest.mark.parametrize("panels_open", [1, 4, 8])
def test_a_window_may_be_closed_between_its_panels(make_napari_viewer, qtbot, panels_open):
    first, second = make_napari_viewer(show=True), make_napari_viewer(show=True)
    open_all_panels(second)
    qtbot.waitUntil(lambda: len(second.window.dock_widgets) >= panels_open, timeout=60_000)
    second.close()
    quiet(qtbot)
    open_scan(first, scan_of_silver())
    assert session_for(first).get(Stage.SCAN) is not None


def scan_of_silver():
    from napari_4dstem_orient.crystals.library import find_phase

    return scan_of(calibrated_disks(find_phase("Ag")))


@pytest.mark.parametrize("wait", [0, 30, 300])
def test_a_window_may_be_closed_while_everything_is_at_work(
    make_napari_viewer, qtbot, monkeypatch, silver, wait
):
    """Jobs, previews, steps and timers are under way in the window that closes, and in the one that stays."""
    let_know(monkeypatch, silver)
    benches = []
    for _ in range(2):
        viewer = make_napari_viewer(show=True)
        panels, calibrated = open_workbench(viewer), calibrated_disks(silver)
        session = session_for(viewer)
        open_scan(viewer, scan_of(calibrated))
        session.put(Stage.DISKS, detected_disks(calibrated))
        session.put(Stage.CALIBRATED, calibrated)
        panels["Map"].choose_phase("Ag")
        panels["Calibration"].apply()
        panels["Overview"].autosave.save()
        session.move_to(1, 1)
        benches.append((viewer, panels, session))
    (stays, panels, session), (goes, gone, _) = benches
    held = list(gone.values())  # Python may well hold what Qt has destroyed
    gone["Map"].run("template")
    if wait:
        qtbot.wait(wait)
    goes.close()
    QApplication.processEvents()
    goes_on = session_for(goes)
    quiet(qtbot)
    goes_on.move_to(2, 2)  # nobody listens any more
    goes_on.set_calibration(goes_on.calibration.with_(rotation=5.0))
    panels["Map"].run("template")
    qtbot.waitUntil(lambda: session.get(MapBy("template")) is not None, timeout=60_000)
    quiet(qtbot)
    assert len(held) == len(panels)
    for panel in panels.values():
        panel.close_step()
    assert stays.layers
