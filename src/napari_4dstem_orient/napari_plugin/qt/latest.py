"""Previews and answers off the main thread, of which only the newest is wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal, Slot  # type: ignore[attr-defined]

from napari_4dstem_orient.napari_plugin.qt.threads import SHORT, at_work, start_thread


class Latest(QObject):
    """Answer requests off the main thread, one at a time; a newer request replaces the one that waits.

    Signals
    -------
    answered : Signal(object)
        The result of a request.
    failed : Signal(object)
        The exception that a request raised.
    """

    answered = Signal(object)
    failed = Signal(object)
    _done = Signal(int, object, object)
    _idle = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._waiting: tuple[int, Callable[[], Any]] | None = None
        self._asked = self._dropped = 0
        self._busy = self._closed = False
        self._done.connect(self._on_done)
        self._idle.connect(self._on_idle)

    def ask(self, function: Callable[[], Any]) -> None:
        """Call the function soon, unless something newer is asked before its turn comes."""
        if self._closed:
            return
        with self._lock:
            self._asked += 1
            self._waiting = self._asked, function
            if self._busy:
                return
            self._busy = True
        start_thread(self, self._work, SHORT)

    def drop(self) -> None:
        """Forget what was asked so far; an answer under way will not be told."""
        with self._lock:
            self._dropped = self._asked
            self._waiting = None

    def close(self) -> None:
        """Tell nothing any more, whatever is under way or asked.

        Signals are not blocked for that: the end of the work must be heard, or this would be kept for ever.
        """
        self.drop()
        self._closed = True

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._waiting is None:
                    self._busy = False
                    break
                number, function = self._waiting
                self._waiting = None
            outcome: tuple[Any, BaseException | None]
            try:
                outcome = function(), None
            except BaseException as error:  # handed to the main thread, whatever it is
                outcome = None, error
            self._done.emit(number, *outcome)
        self._idle.emit()

    @Slot(int, object, object)
    def _on_done(self, number: int, result: Any, error: BaseException | None) -> None:
        if number <= self._dropped:
            return
        if error is None:
            self.answered.emit(result)
        else:
            self.failed.emit(error)

    @Slot()
    def _on_idle(self) -> None:
        if not self._busy:
            at_work.discard(self)
