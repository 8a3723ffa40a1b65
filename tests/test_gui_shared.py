"""What the dock widgets share: one session a viewer, jobs, forms, layers, and the cursor over the scan."""

import gc
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.napari_plugin.clock import Clock, duration
from napari_4dstem_orient.napari_plugin.cursor import MARKER, install_cursor
from napari_4dstem_orient.napari_plugin.forms import form_for
from napari_4dstem_orient.napari_plugin.jobs import JobBar, Latest
from napari_4dstem_orient.napari_plugin.layers import find_layer, put_layer, rescale
from napari_4dstem_orient.napari_plugin.opening import open_scan, overview
from napari_4dstem_orient.napari_plugin.sessions import session_for
from napari_4dstem_orient.parameters import parameter
from napari_4dstem_orient.scan import Calibration, Scan
from napari_4dstem_orient.session import Stage


@pytest.fixture
def notified(monkeypatch):
    """Collect what the user is told."""
    told = []
    monkeypatch.setattr(notification_manager, "dispatch", told.append)
    return told


# ---------------------------------------------------------------- sessions


def test_the_proxy_and_the_viewer_share_one_session(make_napari_viewer_proxy):
    proxy = make_napari_viewer_proxy()
    assert session_for(proxy) is session_for(proxy.__wrapped__)


def test_each_viewer_has_its_own_session(make_napari_viewer):
    assert session_for(make_napari_viewer()) is not session_for(make_napari_viewer())


def test_the_session_goes_when_its_viewer_goes(small_scan, qapp):
    # A viewer model without a window: windows are kept by napari and Qt beyond our reach.
    from napari.components import ViewerModel

    viewer = ViewerModel()
    open_scan(viewer, small_scan)
    gone = weakref.ref(session_for(viewer))
    QApplication.processEvents()
    del viewer
    gc.collect()
    assert gone() is None


# ---------------------------------------------------------------- jobs


def steps(count, until=None, progress=None):
    for done in range(count):
        progress(done, count)
        if until is not None:
            until.wait(5)
        time.sleep(0.002)
    return count


def test_a_job_reports_progress_and_hands_its_result_to_the_main_thread(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    results, seen = [], []
    job = bar.run("Counting", lambda result: results.append((result, threading.current_thread())), steps, 100)
    job.progress.connect(lambda done, total: seen.append((done, total)))
    assert bar.isVisibleTo(bar.parentWidget()) or bar.isVisible()
    qtbot.waitUntil(lambda: bool(results), timeout=20000)
    assert results == [(100, threading.main_thread())]
    assert seen
    assert seen[-1][1] == 100
    assert not bar.running
    assert not bar.isVisible()


def test_cancel_stops_a_job_and_its_result_is_not_taken(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    taken, gate = [], threading.Event()
    job = bar.run("Counting", taken.append, steps, 10_000, gate)
    qtbot.mouseClick(bar.cancel_button, Qt.MouseButton.LeftButton)
    gate.set()
    qtbot.waitUntil(lambda: not bar.running, timeout=20000)
    job.wait(5)
    assert taken == []


def test_a_paused_job_stands_still_until_it_goes_on(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    counted, taken = [], []

    def count(progress):
        for done in range(1000):
            progress(done, 1000)
            counted.append(done)
            time.sleep(0.001)
        return "all"

    bar.pause_button.show()
    bar.run("Counting", taken.append, count)
    qtbot.waitUntil(lambda: bool(counted), timeout=20000)
    qtbot.mouseClick(bar.pause_button, Qt.MouseButton.LeftButton)
    assert (bar.label.text(), bar.pause_button.text()) == ("Counting: paused", "Resume")
    qtbot.wait(50)  # the step under way ends
    before = len(counted)
    qtbot.wait(100)
    assert len(counted) == before < 1000
    qtbot.mouseClick(bar.pause_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: taken == ["all"], timeout=20000)


def test_a_paused_job_can_be_cancelled(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    job = bar.run("Counting", lambda result: None, steps, 10_000)
    bar.pause_or_resume()
    qtbot.mouseClick(bar.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not bar.running, timeout=20000)
    job.wait(5)
    assert not job.running


def test_a_job_may_end_by_itself_when_the_program_does():
    """What it writes on being cancelled is written, although its thread would die with the program."""
    code = """
import threading, time
from qtpy.QtWidgets import QApplication
from napari_4dstem_orient.napari_plugin import jobs
from napari_4dstem_orient.errors import Cancelled

jobs.import_libraries = lambda: None  # takes seconds

began = threading.Event()

def work(progress):
    try:
        while True:
            began.set()
            progress(0, 1)
    except Cancelled:
        time.sleep(0.2)
        print("saved", flush=True)
        raise

app = QApplication([])
job = jobs.Job(work)
job.start()
job.pause()
began.wait()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout == "saved\n"
    assert done.returncode == 0, done.stderr


def fail(error, progress=None):
    raise error


def test_what_the_user_can_mend_is_one_sentence(qtbot, notified):
    bar = JobBar()
    qtbot.addWidget(bar)
    taken = []
    bar.run("Failing", taken.append, fail, UserError("The file is empty; choose another."))
    qtbot.waitUntil(lambda: bool(notified), timeout=20000)
    assert notified[0].message == "The file is empty; choose another."
    assert taken == []
    assert not bar.running


def test_an_unexpected_error_reaches_naparis_own_notification(qtbot, notified):
    bar = JobBar()
    qtbot.addWidget(bar)
    bar.run("Failing", lambda result: None, fail, ZeroDivisionError("ours"))
    qtbot.waitUntil(lambda: bool(notified), timeout=20000)
    assert isinstance(notified[0].exception, ZeroDivisionError)


def test_an_abandoned_job_is_cancelled_and_not_heard_of_again(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    taken, gate = [], threading.Event()
    job = bar.run("Counting", taken.append, steps, 10_000, gate)
    bar.abandon()
    gate.set()
    job.wait(5)
    assert not job.running
    qtbot.wait(50)
    assert taken == []


def test_the_newest_request_wins(qtbot):
    latest, answers, gate, asked = Latest(), [], threading.Event(), []
    latest.answered.connect(answers.append)

    def answer(number):
        asked.append(number)
        gate.wait(5)
        return number

    for number in range(20):
        latest.ask(lambda number=number: answer(number))
        if number == 0:
            qtbot.waitUntil(lambda: asked == [0], timeout=20000)
    gate.set()
    qtbot.waitUntil(lambda: answers == [0, 19], timeout=20000)
    assert asked == [0, 19]


def test_a_dropped_request_is_not_answered(qtbot):
    latest, answers, gate = Latest(), [], threading.Event()
    latest.answered.connect(answers.append)
    latest.ask(lambda: gate.wait(5))
    latest.drop()
    gate.set()
    latest.ask(lambda: "after")
    qtbot.waitUntil(lambda: answers == ["after"], timeout=20000)


def test_time_left_in_words(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = Clock()
    assert clock.text(0, 200) == "0 %"
    now[0] += 10
    assert clock.text(74, 200) == "37 %, 17 s left"
    assert [duration(s) for s in (0.2, 89, 600, 7200)] == ["1 s", "89 s", "10 min", "2.0 h"]


# ---------------------------------------------------------------- forms


@dataclass(frozen=True)
class Settings:
    small: Annotated[float, parameter("Small", "A small number.", min=0.0, max=1.0, step=0.1)] = 0.5
    maybe: Annotated[float | None, parameter("Maybe", "May be unknown.", unit="kV", min=0)] = None
    count: Annotated[int, parameter("Count", "How many.", min=1, max=50)] = 5
    kind: Annotated[Literal["poly", "multicorr"], parameter("Kind", "Which.")] = "poly"
    switch: Annotated[bool, parameter("Switch", "On or off.")] = False


def test_a_form_shows_what_the_settings_say(qtbot):
    form = form_for(Settings)
    qtbot.addWidget(form.native)
    assert form.settings() == Settings()
    assert form["maybe"].label == "Maybe (kV)"
    assert form["count"].tooltip == "How many."
    assert (form["count"].min, form["count"].max) == (1, 50)


def test_a_form_gives_back_what_was_typed_and_set(qtbot):
    form = form_for(Settings(count=7))
    qtbot.addWidget(form.native)
    changes = []
    form.changed.connect(lambda: changes.append(form.settings()))
    qtbot.keyClicks(form["maybe"].native, "3e2")
    assert form.settings() == Settings(count=7, maybe=300.0)
    assert changes
    other = Settings(small=0.00137, maybe=80.0, kind="multicorr", switch=True)
    changes.clear()
    form.set(other)
    assert form.settings() == other
    assert changes == [other]
    form.set(Settings())
    assert form.settings().maybe is None


# ---------------------------------------------------------------- layers and cursor


def test_a_layer_of_ours_is_updated_in_place_even_renamed(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    layer = put_layer(viewer, "disk count", np.eye(3), 2.0)
    layer.name = "my name"
    viewer.add_image(np.zeros((3, 3)), name="disk count")
    put_layer(viewer, "disk count", np.ones((4, 5)), 2.0)
    assert len(viewer.layers) == 2
    assert viewer.layers["my name"].data.shape == (4, 5)


def test_all_scan_layers_change_to_one_unit(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    put_layer(viewer, "a", np.eye(3), None)
    rescale(viewer, 2.5)
    layer = put_layer(viewer, "b", np.eye(3), 2.5)
    for layer in viewer.layers:
        assert tuple(layer.scale) == (2.5, 2.5)
        assert [str(unit) for unit in layer.units] == ["nanometer", "nanometer"]


def scan_of(shape, **calibration):
    import dask.array as da

    data = np.zeros((*shape, 4, 4), np.uint16)
    data[...] = np.arange(shape[0] * shape[1]).reshape(*shape, 1, 1)
    return Scan(da.from_array(data, chunks=(1, 8, 4, 4)), Calibration(**calibration))


def test_the_overview_shows_a_large_scan_from_few_patterns(monkeypatch):
    monkeypatch.setattr("napari_4dstem_orient.napari_plugin.opening.OVERVIEW_SECONDS", 600.0)
    scan = scan_of((100, 70))
    image = overview(scan)
    assert image.shape == (100, 70)
    exact = np.arange(7000).reshape(100, 70) * 16
    assert np.abs(image - exact).max() <= 16 * (70 * 2 + 2)


def canvas_point(viewer, row, col):
    """Return where a scan position lies on the canvas, in the widget's pixels."""
    step = session_for(viewer).calibration.r_pixel or 1.0
    camera = viewer.scene.camera
    height, width = viewer.canvas.size
    y = (row * step - camera.center[-2]) * camera.zoom + height / 2
    x = (col * step - camera.center[-1]) * camera.zoom + width / 2
    return x, y


def mouse(viewer, kind, row, col, modifiers=()):
    """Send a mouse event through the canvas, as vispy does."""
    from qtpy.QtCore import QEvent, QPointF
    from qtpy.QtGui import QMouseEvent

    canvas = viewer.window._qt_viewer.canvas.native
    kinds = {
        "press": QEvent.Type.MouseButtonPress,
        "move": QEvent.Type.MouseMove,
        "release": QEvent.Type.MouseButtonRelease,
    }
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    point = QPointF(*canvas_point(viewer, row, col))
    keys = Qt.KeyboardModifier.ShiftModifier if "Shift" in modifiers else Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(
        kinds[kind],
        point,
        canvas.mapToGlobal(point),
        none if kind == "move" else left,
        none if kind == "release" else left,
        keys,
    )
    QApplication.sendEvent(canvas, event)
    QApplication.processEvents()


@pytest.fixture
def opened(make_napari_viewer, qtbot):
    viewer = make_napari_viewer(show=True)
    open_scan(viewer, scan_of((20, 30), r_pixel=5.0))
    qtbot.wait(100)
    return viewer, session_for(viewer)


@pytest.mark.parametrize("position", [(3, 25), (17, 4)])
def test_a_click_moves_the_position_whatever_the_active_layer(opened, position):
    viewer, session = opened
    viewer.add_image(np.zeros((5, 5)), name="not ours")
    viewer.layers.selection.clear()
    mouse(viewer, "press", *position)
    mouse(viewer, "release", *position)
    assert session.position == position
    marker = find_layer(viewer, MARKER)
    np.testing.assert_array_equal(marker.data[0], position)
    np.testing.assert_allclose(marker.data_to_world(marker.data[0]), np.array(position) * 5.0)


def test_a_drag_scrubs_and_the_view_stays(opened, qtbot):
    viewer, session = opened
    visited = []
    session.position_changed.connect(lambda row, col: visited.append((row, col)))
    center = viewer.scene.camera.center
    mouse(viewer, "press", 5, 5)
    for col in range(6, 12):
        qtbot.wait(15)  # napari takes a move every 5 ms
        mouse(viewer, "move", 5, col)
    qtbot.wait(30)
    mouse(viewer, "release", 5, 11)
    assert session.position == (5, 11)
    assert len(visited) >= 4
    assert viewer.scene.camera.center == center
    assert viewer.scene.camera.mouse_pan


def test_beside_the_scan_nothing_moves(opened):
    viewer, session = opened
    before = session.position
    mouse(viewer, "press", -3, 5)
    mouse(viewer, "release", -3, 5)
    assert session.position == before


def test_a_layer_that_is_drawn_on_keeps_its_clicks(opened):
    viewer, session = opened
    before = session.position
    viewer.add_shapes(ndim=2).mode = "add_rectangle"
    mouse(viewer, "press", 3, 3)
    mouse(viewer, "release", 3, 3)
    assert session.position == before


def test_arrow_keys_step_over_the_scan(opened, qtbot):
    viewer, session = opened
    session.move_to(7, 7)
    canvas = viewer.window._qt_viewer.canvas.native
    for key, expected in [
        (Qt.Key.Key_Up, (6, 7)),
        (Qt.Key.Key_Left, (6, 6)),
        (Qt.Key.Key_Down, (7, 6)),
        (Qt.Key.Key_Right, (7, 7)),
    ]:
        qtbot.keyClick(canvas, key)
        assert session.position == expected


def test_the_marker_stays_above_later_layers_and_is_never_selected(opened, qtbot):
    viewer, session = opened
    session.move_to(1, 1)
    put_layer(viewer, "later", np.eye(20, 30), 5.0)
    qtbot.wait(50)
    assert viewer.layers[-1] is find_layer(viewer, MARKER)
    assert viewer.layers.selection.active is find_layer(viewer, "later")


def test_the_cursor_is_installed_once(opened):
    viewer, _ = opened
    count = len(viewer.mouse_drag_callbacks)
    install_cursor(viewer)
    assert len(viewer.mouse_drag_callbacks) == count


def test_a_new_scan_takes_the_place_of_the_former(opened):
    viewer, session = opened
    open_scan(viewer, scan_of((6, 8)))
    assert session.get(Stage.SCAN).scan_shape == (6, 8)
    assert session.position == (3, 4)
    assert {str(unit) for layer in viewer.layers for unit in layer.units} == {"pixel"}
