"""Long work off the main thread: with progress, time left, cancel."""

from __future__ import annotations

import atexit
import inspect
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial, wraps
from typing import Any, ParamSpec

from napari.utils.notifications import Notification, notification_manager, show_error
from qtpy.QtCore import QObject, Signal, Slot  # type: ignore[attr-defined]
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QPushButton, QWidget

from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.napari_plugin.qt.clock import Clock
from napari_4dstem_orient.napari_plugin.qt.event_loop import EventLoopSteps
from napari_4dstem_orient.napari_plugin.qt.libraries import import_libraries
from napari_4dstem_orient.napari_plugin.qt.threads import Threaded, at_work, call_with_progress

P = ParamSpec("P")

SECONDS_BETWEEN_REPORTS = 0.05
CANCELLED = "It was cancelled."
SECONDS_TO_STOP = 10.0
"""What a job gets at the program's end to write what must not be lost."""


def notify(error: BaseException) -> None:
    """Tell the user: one sentence for what they can mend, napari's error notification for what we must."""
    if isinstance(error, UserError):
        show_error(str(error))
    else:
        notification_manager.dispatch(Notification.from_exception(error))


def telling(method: Callable[P, Any]) -> Callable[P, None]:
    """Make a function tell the user what they can mend, where it would raise that."""

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except UserError as error:
            notify(error)

    return call


class Job(Threaded):
    """One call of a core function in a thread of its own.

    Signals
    -------
    progress : Signal(int, int)
        Work done and to do, at most twenty times a second.
    finished : Signal(object)
        The function's result.
    failed : Signal(object)
        The exception it raised.
    cancelled : Signal()
        It stopped because ``cancel`` was called.
    """

    progress = Signal(int, int)
    finished = Signal(object)
    failed = Signal(object)
    cancelled = Signal()

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self._function: Callable[..., Any] | None = partial(function, *args, **kwargs)
        self._cancel = threading.Event()
        self._go = threading.Event()
        self._go.set()
        self._detached = False
        self._reported = 0.0
        self._kept: tuple[QObject, ...] = ()

    def start(self) -> None:
        """Begin; the function is called with ``progress=`` where it takes that."""
        self.call(self._run)

    def keep(self, *relays: QObject) -> None:
        """Keep what the function speaks through for as long as the job itself."""
        self._kept = relays

    def cancel(self) -> None:
        """Stop at the function's next report of progress, paused or not."""
        self._cancel.set()
        self._go.set()

    def pause(self) -> None:
        """Stand still from the function's next report of progress on."""
        self._go.clear()

    def resume(self) -> None:
        """Go on after a pause."""
        self._go.set()

    @property
    def paused(self) -> bool:
        """Whether the job stands still, or soon will."""
        return not self._go.is_set()

    def detach(self) -> None:
        """Stop, and tell nobody: whoever listened is going away."""
        self.cancel()
        self._detached = True

    def _run(self) -> Any:
        function, self._function = self._function, None  # a kept job must not keep the scan
        assert function is not None, "a job runs once"
        import_libraries()
        return call_with_progress(function, self._report)

    def _report(self, done: int, total: int) -> None:
        self._go.wait()
        if self._cancel.is_set():
            raise Cancelled
        now = time.monotonic()
        if now - self._reported >= SECONDS_BETWEEN_REPORTS or done >= total:
            self._reported = now
            if not self._detached:
                self.progress.emit(int(done), int(total))

    def ended(self, result: Any, error: BaseException | None) -> None:
        """Tell how it ended, unless nobody listens any more."""
        if self._detached:
            return
        if self._cancel.is_set() or isinstance(error, Cancelled):
            self.cancelled.emit()
        elif error is not None:
            self.failed.emit(error)
        else:
            self.finished.emit(result)


class SignalRelay(QObject):
    """Brings what a job says on its way from its thread to the main thread: call ``told.emit`` in the job.

    Signals
    -------
    told : Signal(object)
        Whatever it says.
    """

    told = Signal(object)


@atexit.register
def _stop_jobs() -> None:
    """Let jobs end by themselves: their threads would die with the program, wherever they are."""
    jobs = [job for job in at_work if isinstance(job, Job)]
    for job in jobs:
        job.cancel()
    for job in jobs:
        job.wait(SECONDS_TO_STOP)


class JobBar(QWidget):
    """Progress, time left and a Cancel button for the one job a step may run at a time; hidden when idle.

    ``pause_button`` is there for steps that take so long that they show it.

    Signals
    -------
    running_changed : Signal(bool)
        A job began or ended.
    progressed : Signal(int, int, str)
        Work done and to do, and in words: what it is and how long it will still take.
    """

    running_changed = Signal(bool)
    progressed = Signal(int, int, str)

    def __init__(self) -> None:
        super().__init__()
        self.job: Job | None = None
        self.trouble = ""
        """Why the last job brought nothing, in a sentence; empty where it brought its result."""
        self._done: Callable[[Any], Iterator[None] | None] | None = None
        self._turns = EventLoopSteps(self, self._say)
        self._title = ""
        self.clock = Clock()
        self.label = QLabel()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.clicked.connect(self.cancel)
        self.pause_button = QPushButton("Pause")
        self.pause_button.clicked.connect(self.pause_or_resume)
        self.pause_button.hide()
        self.afresh_button = QPushButton("Start afresh")
        self.afresh_button.setToolTip("Forget what an earlier run has done of this, and begin again.")
        self.afresh_button.clicked.connect(self.start_afresh)
        self._again: Callable[[], Any] | None = None
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 8, 0)
        layout.addWidget(self.label, 0, 0, 1, 4)
        layout.addWidget(self.bar, 1, 0)
        layout.addWidget(self.pause_button, 1, 1)
        layout.addWidget(self.afresh_button, 1, 2)
        layout.addWidget(self.cancel_button, 1, 3)
        self.hide()

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self.job is not None

    @property
    def showing(self) -> bool:
        """Whether the job's result is being taken, step by step."""
        return self._turns.isActive()

    def run(
        self,
        title: str,
        done: Callable[[Any], Iterator[None] | None],
        function: Callable[..., Any],
        *args: Any,
        **kwargs: Any,
    ) -> Job:
        """Run ``function(*args, **kwargs)`` as a ``Job`` in a thread, ``done(result)`` in the main thread.

        Errors become notifications and ``done`` is not called: what was there before stays. Where ``done`` is a
        generator, it takes a step in each turn of the event loop, and the job is under way until its last.
        """
        if self.job is not None:
            raise RuntimeError("a step runs one job at a time")
        self._title, self._done, self.clock, self.trouble = title, done, Clock(), ""
        self._again = None
        self.afresh_button.hide()
        job = self.job = Job(function, *args, **kwargs)
        job.progress.connect(self._on_progress)
        job.finished.connect(self._on_finished)
        job.failed.connect(self._on_failed)
        job.cancelled.connect(self._on_cancelled)
        self.label.setText(f"{title} …")
        self.bar.setRange(0, 0)
        self.cancel_button.setEnabled(True)
        self._show_paused(False)
        self.show()
        self.running_changed.emit(True)
        job.start()
        return job

    def cancel(self) -> None:
        """Ask the running job to stop."""
        if self.job is not None:
            self.cancel_button.setEnabled(False)
            self.pause_button.setEnabled(False)
            self.label.setText(f"{self._title}: stopping …")
            self.job.cancel()

    def going_on(self, share: float, again: Callable[[], Any]) -> None:
        """Say which share of the job an earlier run has done, and offer to begin ``again`` instead."""
        if self.job is not None:
            self._title += f", going on from {100 * share:.0f} % done"
            self.label.setText(f"{self._title} …")
            self._again = again
            self.afresh_button.setEnabled(True)
            self.afresh_button.show()

    def start_afresh(self) -> None:
        """Stop, and begin again."""
        if self.job is not None and self._again is not None:
            self.afresh_button.setEnabled(False)
            self.job.cancelled.connect(self._again)
            self.cancel()

    def pause_or_resume(self) -> None:
        """Let the running job stand still, or go on."""
        if self.job is None:
            return
        if self.job.paused:
            self.clock = Clock()  # the pause shall not count
            self.job.resume()
        else:
            self.job.pause()
        self._show_paused(self.job.paused)

    def _show_paused(self, paused: bool) -> None:
        self.pause_button.setEnabled(True)
        self.pause_button.setText("Resume" if paused else "Pause")
        if paused:
            self.label.setText(f"{self._title}: paused")

    def abandon(self) -> None:
        """Cancel without waiting and without hearing from the job again."""
        self._turns.give_up()
        if self.detach_job():
            self._end()

    def detach_job(self) -> bool:
        """Stop hearing from the running job, if there is one; touches nothing of Qt, which may be gone."""
        job, self.job, self._done = self.job, None, None
        if job is not None:
            job.detach()
        return job is not None

    @Slot(int, int)
    def _on_progress(self, done: int, total: int) -> None:
        if self.job is None or self.job.paused or not self.cancel_button.isEnabled():
            return
        self.bar.setRange(0, total)
        self.bar.setValue(done)
        self.label.setText(f"{self._title}: {self.clock.text(done, total)}")
        self.progressed.emit(done, total, self.label.text())

    @Slot(object)
    def _on_finished(self, result: Any) -> None:
        done = self._done
        if done is not None and inspect.isgeneratorfunction(done):
            self.cancel_button.setEnabled(False)
            self._turns.take(done(result), self._end)
            return
        self._end()
        if done is not None:
            try:
                done(result)
            except UserError as error:
                self._say(error)

    @Slot(object)
    def _on_failed(self, error: BaseException) -> None:
        self.trouble = str(error)
        self._end()
        notify(error)

    def _say(self, error: BaseException) -> None:
        self.trouble = str(error)
        notify(error)

    @Slot()
    def _on_cancelled(self) -> None:
        self.trouble = CANCELLED
        self._end()

    def _end(self) -> None:
        self.job = self._done = None
        self.hide()
        self.running_changed.emit(False)
