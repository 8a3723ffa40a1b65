"""Nothing of the former scan stays when another, smaller one comes; and what is said is what is drawn."""

import threading
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication

from helpers.gui_scan import (
    CALIBRATION,
    SHAPE,
    calibrated_disks,
    detected_disks,
    made_map,
    marked,
    numbered_scan,
    scan_of,
    truth,
)
from helpers.walk_through.hands import click_scan, mouse
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.napari_plugin.layers.cursor import MARKER
from napari_4dstem_orient.napari_plugin.layers.hover import describe_position, words_under_cursor
from napari_4dstem_orient.napari_plugin.layers.map_layers import (
    map_layers,
)
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer, put_layer, scan_layers
from napari_4dstem_orient.napari_plugin.panels.analysis.misorientation import NOTHING_YET, PICKED
from napari_4dstem_orient.napari_plugin.panels.docks import open_panel
from napari_4dstem_orient.napari_plugin.panels.inspector.pattern_figure import about, pattern_figure
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan, opening_scan, overview
from napari_4dstem_orient.napari_plugin.panels.shared.project_to_viewer import show_project
from napari_4dstem_orient.napari_plugin.panels.shared.viewer_to_project import project_of
from napari_4dstem_orient.napari_plugin.pattern_view.inspection import look
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot
from napari_4dstem_orient.workflow.project import Project
from napari_4dstem_orient.workflow.session import Session, Stage

SMALLER = (2, 3)


@pytest.fixture
def bench(knowing, bench):
    return bench


def quiet(viewer, qtbot):
    panels = viewer.window.dock_widgets.values()
    qtbot.waitUntil(lambda: not any(panel.jobs.running for panel in panels), timeout=60_000)


def work(viewer, panels, silver, qtbot):
    session, calibrated = session_for(viewer), calibrated_disks(silver)
    open_scan(viewer, scan_of(calibrated))
    quiet(viewer, qtbot)
    session.put(Stage.DISKS, detected_disks(calibrated))
    session.put(Stage.CALIBRATED, calibrated)
    for method in ("template", "transformer"):
        list(panels["Map"].showing_map(made_map(silver, method)))
        qtbot.wait(50)  # napari crashes where layers go that it has not drawn yet
    return session


def test_a_smaller_scan_is_seen_whole_and_alone(bench, qtbot, silver):
    """The marker of the former scan's far corner would take half of the view."""
    viewer, panels = bench
    session = work(viewer, panels, silver, qtbot)
    session.move_to(*(size - 1 for size in SHAPE))
    smaller = numbered_scan(SMALLER, r_pixel=2.0)
    for _ in opening_scan(viewer, smaller, overview(smaller)):
        qtbot.wait(50)
    marker = find_layer(viewer, MARKER)
    assert tuple(marker.data[0]) == session.position
    assert (marker.extent.world[1] / 2.0 < np.array(SMALLER) + 1).all()


# ---------------------------------------------------------------- what goes with a scan


def test_positions_picked_go_with_their_scan(bench, qtbot, silver, notified):
    viewer, panels = bench
    session, section = work(viewer, panels, silver, qtbot), panels["Analysis"].misorientation
    section.pick_button.setChecked(True)
    for where in ((1, 1), (3, 5)):
        click_scan(viewer, *where)
    qtbot.waitUntil(lambda: "B (row 3, column 5)" in section.words.text(), timeout=60_000)
    open_scan(viewer, numbered_scan(SMALLER))
    quiet(viewer, qtbot)
    assert (section.picked, section.words.text()) == ([], NOTHING_YET)
    assert not section.pick_button.isChecked()
    assert find_layer(viewer, PICKED) is None
    small = made_map(silver, "template", SMALLER, np.broadcast_to(np.eye(3), (*SMALLER, 3, 3)))
    for _ in range(2):  # a run, and another
        list(panels["Map"].showing_map(replace(small)))
        qtbot.wait(100)
    assert [each.message for each in notified if "IndexError" in str(each.message)] == []
    assert section.words.text() == NOTHING_YET
    assert session.position == (1, 1)


def test_positions_picked_stay_when_the_same_scan_is_mapped_again(bench, qtbot, silver):
    viewer, panels = bench
    work(viewer, panels, silver, qtbot)
    section = panels["Analysis"].misorientation
    section.pick_button.setChecked(True)
    for where in ((1, 1), (3, 5)):
        click_scan(viewer, *where)
    turned = made_map(silver, "template", rotation=np.broadcast_to(truth()[1, 1], (*SHAPE, 3, 3)))
    list(panels["Map"].showing_map(turned))
    assert section.picked == [(1, 1), (3, 5)]
    qtbot.waitUntil(lambda: " 0.0°" in section.words.text(), timeout=60_000)


def test_words_at_the_mouse_go_with_what_they_are_of(bench, qtbot, silver):
    viewer, panels = bench
    work(viewer, panels, silver, qtbot)
    words = words_under_cursor(viewer)
    mouse(viewer, "move", 2, 1)
    qtbot.waitUntil(lambda: "row 2, column 1" in words.toolTip(), timeout=60_000)
    for layer in map_layers(viewer):
        layer.visible = False
    assert words.text() == words.toolTip() == ""
    map_layers(viewer)[-1].visible = True
    qtbot.wait(20)
    mouse(viewer, "move", 1, 2)
    qtbot.waitUntil(lambda: "row 1, column 2" in words.toolTip(), timeout=60_000)
    open_scan(viewer, numbered_scan(SMALLER))
    assert words.text() == words.toolTip() == ""


def test_the_inspector_and_the_panels_say_and_show_nothing_of_the_former_scan(bench, qtbot, silver):
    viewer, panels = bench
    open_panel(viewer, "Virtual images")
    open_panel(viewer, "Compare")
    virtual, compare = (viewer.window.dock_widgets[title] for title in ("Virtual images", "Compare"))
    session, inspector = work(viewer, panels, silver, qtbot), panels["Inspector"]
    quiet(viewer, qtbot)
    session.move_to(3, 5)
    qtbot.waitUntil(lambda: "row 3, column 5" in inspector.measured.words.text(), timeout=60_000)
    qtbot.waitUntil(lambda: virtual.selected is not None, timeout=60_000)
    compare.compare()
    qtbot.waitUntil(lambda: compare.found is not None and not compare.jobs.running, timeout=60_000)
    panels["Calibration"].apply()
    quiet(viewer, qtbot)
    assert "Direct beam found" in panels["Calibration"].state.text()
    panels["Bragg disks"].advice.setText("⚠ spots")
    panels["Bragg disks"].advice.show()
    panels["Overview"].say("Saved: somewhere")
    seen = []
    session.replaced.connect(lambda: seen.append(inspector.measured.view.canvas.text_at(np.zeros(2))))
    open_scan(viewer, numbered_scan(SMALLER))
    assert seen == [""]
    assert inspector.predicted["template"].hypotheses.count() == 0
    assert virtual.detectors == []
    assert compare.found is None
    assert compare.table.model().rowCount() == 0
    assert panels["Calibration"].state.text() == ""
    assert panels["Bragg disks"].advice.isHidden()
    assert panels["Overview"].said.text() == ""
    qtbot.waitUntil(lambda: "row 1, column 1" in inspector.measured.words.text(), timeout=60_000)
    assert marked(inspector.predicted["template"].view, "predicted").shape == (0, 2)
    quiet(viewer, qtbot)


def test_a_calibration_from_a_project_is_not_said_in_words_of_the_former_scan(bench, qtbot, silver):
    viewer, panels = bench
    work(viewer, panels, silver, qtbot)
    panels["Calibration"].apply()
    quiet(viewer, qtbot)
    said = panels["Calibration"].state.text()
    other = Session()
    other.put(Stage.SCAN, numbered_scan(SHAPE))
    other.put(Stage.CALIBRATED, calibrated_disks(silver))
    for _ in show_project(viewer, Project(other.state)):
        qtbot.wait(20)
    assert said != "Calibrated."
    assert panels["Calibration"].state.text() == "Calibrated."


def test_an_update_ends_with_its_scan(bench, qtbot, silver, notified):
    viewer, panels = bench
    session, shown, gate = work(viewer, panels, silver, qtbot), panels["Overview"], threading.Event()
    session.set_calibration(session.calibration.with_(rotation=31.0))
    panels["Calibration"].jobs.run("Calibrating", lambda result: None, lambda progress: gate.wait(20))
    shown.update_steps()
    assert shown.updater.running
    open_scan(viewer, numbered_scan(SMALLER))
    gate.set()
    quiet(viewer, qtbot)
    qtbot.wait(50)
    assert not shown.updater.running
    assert session.get(Stage.DISKS) is None


# ---------------------------------------------------------------- one count for words and rings


@pytest.mark.parametrize("off", [0.0, 0.04])
def test_what_is_said_to_be_explained_is_what_is_drawn(silver, off):
    """Disks moved off their places are explained neither in words nor in rings, whatever the map had counted."""
    session, calibrated = Session(), calibrated_disks(silver)
    moved = np.where(np.arange(len(calibrated)) % 3 == 0, np.float32(off * 5), np.float32(0))
    moved = np.where(np.hypot(calibrated.qx, calibrated.qy) > 0.1, moved, np.float32(0))
    session.put(Stage.SCAN, scan_of(calibrated))
    session.put(Stage.CALIBRATED, replace(calibrated, qx=calibrated.qx + moved))
    session.put(Stage.MAP, made_map(silver, "template"))
    snapshot = Snapshot.of(session)
    position = look(snapshot, 2, 1)
    answer = position.answers["template"]
    seen = position.marks(answer.spots)
    explained, count = int(seen.explained.sum()), len(seen.disks)
    assert (explained == count) == (off == 0)
    assert explained != 12  # what the map had counted
    words = f"explains {explained} of {count} disks"
    assert words in describe_position(snapshot.maps["template"], 2, 1, snapshot)
    figure = pattern_figure(position, position.answers)
    assert words in figure.axes[1].get_xlabel()
    rings = {each.get_gid(): len(each.get_offsets()) for each in figure.axes[1].collections}
    assert (rings["measured"], rings["unexplained"]) == (explained, count - explained)
    assert about(position, position.answers, snapshot)["answers"]["template"]["explained"] == explained


def test_the_inspector_counts_the_rings_it_draws_in_every_physics(bench, qtbot, silver):
    viewer, panels = bench
    session, inspector = work(viewer, panels, silver, qtbot), panels["Inspector"]
    session.move_to(2, 1)
    column = inspector.predicted["template"]
    for physics in ("kinematic", "two-beam", "Bloch waves"):
        inspector.controls.physics.setCurrentText(physics)
        qtbot.waitUntil(lambda: not inspector._drawer._busy and not inspector._reader._busy, timeout=60_000)
        qtbot.waitUntil(lambda: "explains" in column.words.text(), timeout=60_000)
        explained, missed = (len(marked(column.view, kind)) for kind in ("measured", "unexplained"))
        assert f"explains {explained} of {explained + missed} disks" in column.words.text()


# ---------------------------------------------------------------- scale bars


def test_there_is_no_reciprocal_scale_bar_where_the_pixel_size_is_unknown(bench, qtbot, silver):
    viewer, panels = bench
    session, inspector = session_for(viewer), panels["Inspector"]
    calibrated = calibrated_disks(silver)
    scan = scan_of(calibrated).with_calibration(Calibration(voltage=200.0))
    open_scan(viewer, scan)
    session.put(Stage.DISKS, detected_disks(calibrated))
    qtbot.waitUntil(lambda: "row 2" in inspector.measured.words.text(), timeout=60_000)
    qtbot.waitUntil(lambda: len(marked(inspector.measured.view, "measured")) > 5, timeout=60_000)
    assert {column.view.canvas.q_pixel for column in inspector.columns} == {0.0}
    text = inspector.measured.pane.text_at(marked(inspector.measured.view, "measured")[0])
    assert text.endswith("px from the direct beam")
    figure = pattern_figure(look(Snapshot.of(session), 2, 1), {})
    assert not [line for axes in figure.axes for line in axes.lines if line.get_gid() == "scale bar"]
    session.set_calibration(session.calibration.with_(q_pixel=0.03, q_pixel_from="typed"))
    qtbot.waitUntil(lambda: inspector.measured.view.canvas.q_pixel == 0.03, timeout=60_000)
    figure = pattern_figure(look(Snapshot.of(session), 2, 1), {})
    assert [line for axes in figure.axes for line in axes.lines if line.get_gid() == "scale bar"]
    quiet(viewer, qtbot)


def test_the_scale_bar_of_the_map_is_in_positions_where_the_scan_step_is_unknown(bench, qtbot):
    viewer, _ = bench
    bar, session = viewer.canvas.overlays.scale_bar, session_for(viewer)
    for steps, unit in ((5.0, "nanometer"), (None, "pixel"), (3.0, "nanometer")):
        if unit == "nanometer" and session.scan_shape:
            session.set_calibration(session.calibration.with_(r_pixel=steps))
        else:
            open_scan(viewer, numbered_scan((4, 4), r_pixel=steps))
        assert bar.visible
        assert {str(unit) for layer in scan_layers(viewer) for unit in layer.units} == {unit}
    quiet(viewer, qtbot)


# ---------------------------------------------------------------- the marker


def marker_shown(viewer):
    marker = find_layer(viewer, MARKER)
    return marker is not None and marker.visible and viewer.layers[-1] is marker


def choose_beside(display, key, qtbot):
    display.beside.setCurrentIndex(display.beside.findData(key))
    display.beside.activated.emit(display.beside.currentIndex())
    qtbot.waitUntil(lambda: not display.turns.isActive(), timeout=60_000)


@pytest.mark.parametrize("ending", ["the user takes it away", "another scan", "nothing beside it"])
def test_the_marker_is_back_when_a_map_is_shown_once_again(bench, qtbot, silver, ending):
    viewer, panels = bench
    session = work(viewer, panels, silver, qtbot)
    mine = viewer.add_points([[1, 1]], name="mine", visible=False)
    session.move_to(1, 1)
    qtbot.waitUntil(lambda: marker_shown(viewer), timeout=60_000)
    choose_beside(panels["Map display"], "ipf-x", qtbot)
    assert viewer.canvas.grid.enabled
    assert not find_layer(viewer, MARKER).visible
    qtbot.wait(300)
    if ending == "another scan":
        open_scan(viewer, numbered_scan(SMALLER, r_pixel=2.0))
    elif ending == "nothing beside it":
        choose_beside(panels["Map display"], "nothing", qtbot)
    else:
        viewer.layers.remove(map_layers(viewer, "transformer")[0])
    qtbot.waitUntil(lambda: marker_shown(viewer), timeout=60_000)
    assert not viewer.canvas.grid.enabled
    assert not mine.visible  # it was hidden by the user
    click_scan(viewer, 1, 2)
    np.testing.assert_array_equal(find_layer(viewer, MARKER).data[0], (1, 2))
    quiet(viewer, qtbot)


def test_the_marker_of_a_project_is_shown_though_it_was_saved_with_two_maps_beside_each_other(
    bench, qtbot, silver, make_napari_viewer
):
    viewer, panels = bench
    work(viewer, panels, silver, qtbot)
    lines = put_layer(viewer, "grain boundaries", np.zeros((1, 2, 2)), (20.0, 20.0), kind="vectors")
    choose_beside(panels["Map display"], "ipf-x", qtbot)
    assert not lines.visible
    project = project_of(viewer)
    assert MARKER not in project.layers
    assert project.layers["grain boundaries"]["visible"]
    old = replace(project, layers={**project.layers, MARKER: {"visible": False, "opacity": 1.0}})
    other = make_napari_viewer(show=True)
    for _ in show_project(other, old):
        QApplication.processEvents()  # the window lives between the steps
    qtbot.waitUntil(lambda: marker_shown(other), timeout=60_000)
    quiet(other, qtbot)
    for panel in list(other.window.dock_widgets.values()):
        panel.close_step()


# ---------------------------------------------------------------- why an update stops


def test_an_update_that_stops_says_what_where_and_what_to_do(bench, qtbot, silver, notified):
    viewer, panels = bench
    shown, calibrated = panels["Overview"], calibrated_disks(silver)
    session = session_for(viewer)
    open_scan(viewer, scan_of(calibrated).with_calibration(CALIBRATION.with_(q_pixel=None)))
    qtbot.waitUntil(lambda: session.get(Stage.PROBE) is not None, timeout=60_000)
    quiet(viewer, qtbot)
    session.put(Stage.DISKS, detected_disks(calibrated))
    shown.update_steps()
    qtbot.waitUntil(lambda: not shown.updater.running, timeout=60_000)
    assert shown.said.text() == (
        "The calibrated disks were not made in Calibration: The size of a detector pixel is not known, so the disks "
        "cannot be calibrated; type it in Å⁻¹ (q_pixel), or fit it to the rings of a known crystal."
    )


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        (
            "cancelled",
            "The calibrated disks were not made: cancelled in Calibration. Press Update stale steps to go on.",
        ),
        (
            "changed meanwhile",
            "The calibrated disks were made in Calibration, but the settings changed meanwhile; "
            "press Update stale steps again.",
        ),
    ],
)
def test_an_update_says_that_it_was_cancelled_or_overtaken(
    bench, qtbot, silver, notified, ends, said, monkeypatch
):
    viewer, panels = bench
    session, shown, panel = work(viewer, panels, silver, qtbot), panels["Overview"], panels["Calibration"]
    qtbot.waitUntil(lambda: session.get(Stage.PROBE) is not None, timeout=60_000)
    quiet(viewer, qtbot)
    calibrated, gate = session.get(Stage.CALIBRATED), threading.Event()
    session.put(Stage.DISKS, session.get(Stage.DISKS))

    def slowly(progress):
        while not gate.wait(0.01):
            progress(0, 1)
        return calibrated

    def take(result):
        session.put(Stage.CALIBRATED, result)
        session.set_calibration(session.calibration.with_(rotation=12.0))

    monkeypatch.setattr(panel, "apply", lambda crystal=None: panel.jobs.run("Calibrating", take, slowly))
    shown.update_steps()
    qtbot.waitUntil(lambda: panel.jobs.running, timeout=60_000)
    if ends == "cancelled":
        panel.jobs.cancel_button.click()
    gate.set()
    qtbot.waitUntil(lambda: not shown.updater.running, timeout=60_000)
    assert shown.said.text() == said
