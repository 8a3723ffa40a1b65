"""Long work off the main thread: progress, cancel, pause, errors, previews where the newest request wins."""

import subprocess
import sys
import threading
import time

import pytest
from qtpy.QtCore import Qt, QTimer

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.napari_plugin.qt.clock import Clock, duration
from napari_4dstem_orient.napari_plugin.qt.jobs import JobBar
from napari_4dstem_orient.napari_plugin.qt.latest_only import LatestOnly


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
    qtbot.waitUntil(lambda: bool(results), timeout=60_000)
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
    qtbot.waitUntil(lambda: not bar.running, timeout=60_000)
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
    qtbot.waitUntil(lambda: bool(counted), timeout=60_000)
    qtbot.mouseClick(bar.pause_button, Qt.MouseButton.LeftButton)
    assert (bar.label.text(), bar.pause_button.text()) == ("Counting: paused", "Resume")
    qtbot.wait(50)  # the step under way ends
    before = len(counted)
    qtbot.wait(100)
    assert len(counted) == before < 1000
    qtbot.mouseClick(bar.pause_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: taken == ["all"], timeout=60_000)


def test_a_paused_job_can_be_cancelled(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    job = bar.run("Counting", lambda result: None, steps, 10_000)
    bar.pause_or_resume()
    qtbot.mouseClick(bar.cancel_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: not bar.running, timeout=60_000)
    job.wait(5)
    assert not job.running


def test_a_job_may_end_by_itself_when_the_program_does():
    """What it writes on being cancelled is written, although its thread would die with the program."""
    code = """
import threading, time
from qtpy.QtWidgets import QApplication
from napari_4dstem_orient.napari_plugin.qt import jobs
from napari_4dstem_orient.core.errors import Cancelled

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
    qtbot.waitUntil(lambda: bool(notified), timeout=60_000)
    assert notified[0].message == "The file is empty; choose another."
    assert taken == []
    assert not bar.running


def test_an_unexpected_error_reaches_naparis_own_notification(qtbot, notified):
    bar = JobBar()
    qtbot.addWidget(bar)
    bar.run("Failing", lambda result: None, fail, ZeroDivisionError("ours"))
    qtbot.waitUntil(lambda: bool(notified), timeout=60_000)
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


def test_a_result_may_be_taken_step_by_step_while_the_window_answers(qtbot):
    bar, said, turns, clock = JobBar(), [], [], QTimer()
    qtbot.addWidget(bar)
    clock.timeout.connect(lambda: turns.append(len(said)))
    clock.start(0)

    def take(result):
        for number in range(3):
            said.append((number, result, bar.running))
            yield

    bar.running_changed.connect(lambda running: said.append(running))
    bar.run("Counting", take, steps, 2)
    qtbot.waitUntil(lambda: not bar.running, timeout=60_000)
    clock.stop()
    assert said == [True, (0, 2, True), (1, 2, True), (2, 2, True), False]
    assert {2, 3, 4} <= set(turns)


@pytest.mark.parametrize("error", [UserError("mend it"), ValueError("a defect")])
def test_a_step_that_fails_is_the_last_and_told(qtbot, notified, error):
    bar, said = JobBar(), []
    qtbot.addWidget(bar)

    def take(result):
        said.append(result)
        yield
        raise error

    bar.run("Counting", take, steps, 2)
    qtbot.waitUntil(lambda: not bar.running, timeout=60_000)
    assert said == [2]
    assert str(error) in str(notified[0].message)


def test_an_abandoned_result_takes_no_more_steps(qtbot):
    bar, said = JobBar(), []
    qtbot.addWidget(bar)

    def take(result):
        while True:
            said.append(result)
            yield

    bar.run("Counting", take, steps, 2)
    qtbot.waitUntil(lambda: len(said) > 2, timeout=60_000)
    bar.abandon()
    before = len(said)
    qtbot.wait(50)
    assert len(said) == before
    assert not bar.running


def test_the_newest_request_wins(qtbot):
    answers, gate, asked = [], threading.Event(), []
    latest = LatestOnly(answers.append)

    def answer(number):
        asked.append(number)
        gate.wait(5)
        return number

    for number in range(20):
        latest.ask(lambda number=number: answer(number))
        if number == 0:
            qtbot.waitUntil(lambda: asked == [0], timeout=60_000)
    gate.set()
    qtbot.waitUntil(lambda: answers == [0, 19], timeout=60_000)
    assert asked == [0, 19]


def test_a_dropped_request_is_not_answered(qtbot):
    answers, gate = [], threading.Event()
    latest = LatestOnly(answers.append)
    latest.ask(lambda: gate.wait(5))
    latest.drop()
    gate.set()
    latest.ask(lambda: "after")
    qtbot.waitUntil(lambda: answers == ["after"], timeout=60_000)


def test_what_is_not_wanted_any_more_stops_where_it_tells_its_progress(qtbot):
    answers, failures, gate, begun = [], [], threading.Event(), threading.Event()
    latest = LatestOnly(answers.append, failures.append)

    def endless(progress):
        begun.set()
        gate.wait(5)
        while True:
            progress(0, 1)

    for stop in (lambda: latest.ask(lambda: "newer"), latest.drop):
        latest.ask(endless)
        assert begun.wait(20)
        stop()
        gate.set()
        latest.wait(20)
        assert not latest.running
        qtbot.waitUntil(lambda: answers == ["newer"], timeout=60_000)
        gate.clear()
        begun.clear()
    assert failures == []


def test_a_job_that_tells_no_progress_is_run_all_the_same(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    results = []
    bar.run("Adding", results.append, sum, (1, 2))
    qtbot.waitUntil(lambda: results == [3], timeout=60_000)


def test_time_left_in_words(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    clock = Clock()
    assert clock.text(0, 200) == "0 %"
    now[0] += 10
    assert clock.text(74, 200) == "37 %, 17 s left"
    assert [duration(s) for s in (0.2, 89, 600, 7200)] == ["1 s", "89 s", "10 min", "2.0 h"]
