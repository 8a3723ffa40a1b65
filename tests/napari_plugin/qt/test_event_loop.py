"""What keeps the window answering: steps one a turn, threads that stand back, libraries set aside."""

import gc
import os
import subprocess
import sys
import weakref

import pytest
from qtpy.QtCore import QObject
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

from napari_4dstem_orient.napari_plugin.qt.event_loop import EventLoopSteps, later
from napari_4dstem_orient.napari_plugin.qt.jobs import JobBar
from napari_4dstem_orient.napari_plugin.qt.latest_only import LatestOnly
from napari_4dstem_orient.napari_plugin.qt.threads import STAND_BACK
from napari_4dstem_orient.napari_plugin.workbench import set_libraries_aside


def counting(seen, count):
    for number in range(count):
        seen.append(number)
        yield


def test_steps_are_taken_one_a_turn_and_their_end_is_told(qtbot):
    owner, seen, ended = QObject(), [], []
    EventLoopSteps(owner, pytest.fail).take(counting(seen, 3), lambda: ended.append(list(seen)))
    assert seen == []
    qtbot.waitUntil(lambda: seen == [0], timeout=60_000)
    assert not ended
    qtbot.waitUntil(lambda: bool(ended), timeout=60_000)
    assert ended == [[0, 1, 2]]


def test_what_is_asked_later_ends_what_is_under_way(qtbot):
    owner, former, newer, ended = QObject(), [], [], []
    turns = EventLoopSteps(owner, pytest.fail)
    turns.take(counting(former, 1000), lambda: ended.append("former"))
    qtbot.waitUntil(lambda: len(former) == 2, timeout=60_000)
    turns.take(counting(newer, 2), lambda: ended.append("newer"))
    qtbot.waitUntil(lambda: bool(ended), timeout=60_000)
    assert (ended, len(former), newer, turns.isActive()) == (["newer"], 2, [0, 1], False)


def test_an_end_may_begin_something_else(qtbot):
    owner, seen = QObject(), []
    turns = EventLoopSteps(owner, pytest.fail)
    turns.take(counting([], 1), lambda: turns.take(counting(seen, 2)))
    qtbot.waitUntil(lambda: seen == [0, 1], timeout=60_000)
    qtbot.waitUntil(lambda: not turns.isActive(), timeout=60_000)


def test_a_step_that_fails_is_told_and_is_the_last(qtbot):
    def steps():
        yield
        raise ValueError("broken")

    owner, told, ended = QObject(), [], []
    EventLoopSteps(owner, told.append).take(steps(), lambda: ended.append(1))
    qtbot.waitUntil(lambda: bool(ended), timeout=60_000)
    assert [str(error) for error in told] == ["broken"]


def test_steps_given_up_end_and_say_nothing(qtbot):
    owner, seen, ended = QObject(), [], []
    turns = EventLoopSteps(owner, pytest.fail)
    turns.take(counting(seen, 1000), lambda: ended.append(1))
    qtbot.waitUntil(lambda: len(seen) == 2, timeout=60_000)
    turns.give_up()
    QTest.qWait(100)
    assert (len(seen), ended) == (2, [])


def test_steps_and_calls_end_with_their_owner(qtbot):
    owner, seen = QWidget(), []
    EventLoopSteps(owner, pytest.fail).take(counting(seen, 1000))
    later(owner, lambda: seen.append("later"), 50)
    owner.deleteLater()
    QTest.qWait(150)
    assert "later" not in seen
    taken = len(seen)
    QTest.qWait(100)
    assert len(seen) == taken


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a priority of their own on Linux only")
def test_work_beside_the_window_stands_back_behind_it(qtbot):
    bar, told = JobBar(), []
    qtbot.addWidget(bar)
    bar.run("Telling", told.append, lambda progress: os.getpriority(os.PRIO_PROCESS, 0))
    latest = LatestOnly(told.append)
    latest.ask(lambda: os.getpriority(os.PRIO_PROCESS, 0))
    qtbot.waitUntil(lambda: len(told) == 2, timeout=60000)
    mine = os.getpriority(os.PRIO_PROCESS, 0)
    assert told == 2 * [min(mine + STAND_BACK, 19)]


def test_libraries_are_set_aside_from_a_windows_start_to_its_end(make_napari_viewer, qtbot):
    class Knot:
        pass

    gc.unfreeze()
    viewer = make_napari_viewer()
    knot = Knot()
    knot.self, gone = knot, weakref.ref(knot)
    set_libraries_aside(viewer)
    qtbot.waitUntil(lambda: gc.get_freeze_count() > 0, timeout=60_000)
    del knot
    gc.collect()
    assert gone() is not None, "it was not set aside"
    viewer.close()
    qtbot.waitUntil(lambda: gc.get_freeze_count() == 0, timeout=60_000)
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("start", ["import napari_4dstem_orient", "import napari_4dstem_orient.cli"])
def test_an_import_changes_nothing_of_the_process(start):
    """How threads wait, say those who start a program: not a library that is imported."""
    code = f"import os; before = dict(os.environ); {start}; assert dict(os.environ) == before"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
