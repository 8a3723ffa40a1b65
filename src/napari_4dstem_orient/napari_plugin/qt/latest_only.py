"""Previews and answers off the main thread, of which only the newest is wanted."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from qtpy.QtCore import Signal, Slot  # type: ignore[attr-defined]

from napari_4dstem_orient.core.errors import Cancelled
from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.qt.threads import Threaded, attempt, call_with_progress


class LatestOnly(Threaded):
    """Answer requests off the main thread, one at a time; a newer request replaces the one that waits.

    What is under way is cancelled, where it takes ``progress=``, when it is not wanted any more.

    Parameters
    ----------
    answered : callable
        Called with the result of a request; in the main thread, as long as its owner lives.
    failed : callable
        With the exception that a request raised.
    """

    _answered = Signal(object)
    _failed = Signal(object)
    _told = Signal(int, object, object)

    def __init__(
        self,
        answered: Callable[[Any], object] = lambda result: None,
        failed: Callable[[Exception], object] = notify,
    ) -> None:
        super().__init__()
        self._answered.connect(answered)
        self._failed.connect(failed)
        self._told.connect(self._on_told)
        self._lock = threading.Lock()
        self._waiting: tuple[int, Callable[..., Any]] | None = None
        self._asked = self._dropped = 0
        self._busy = self._closed = False

    def ask(self, function: Callable[..., Any]) -> None:
        """Call the function soon, unless something newer is asked before its turn comes."""
        if self._closed:
            return
        with self._lock:
            self._asked += 1
            self._waiting = self._asked, function
            begins, self._busy = not self._busy, True
        if begins:
            self.call(self._answer_all)

    def drop(self) -> None:
        """Forget what was asked so far; an answer under way will not be told."""
        with self._lock:
            self._dropped, self._waiting = self._asked, None

    def close(self) -> None:
        """Tell nothing any more, whatever is under way or asked.

        Signals are not blocked for that: the end of the work must be heard, or this would be kept for ever.
        """
        self.drop()
        self._closed = True

    def _answer_all(self) -> None:
        """Answer in one thread as long as anything waits: for each new one, torch makes its own threads anew."""
        while (request := self._next()) is not None:
            number, function = request
            result, error = attempt(partial(call_with_progress, function, partial(self._go_on, number)))
            if not isinstance(error, Cancelled):
                self._told.emit(number, result, error)

    def _go_on(self, number: int, done: int, total: int) -> None:
        if number < self._asked or number <= self._dropped:
            raise Cancelled

    def _next(self) -> tuple[int, Callable[..., Any]] | None:
        with self._lock:
            request, self._waiting = self._waiting, None
            self._busy = request is not None
            return request

    @Slot(int, object, object)
    def _on_told(self, number: int, result: Any, error: BaseException | None) -> None:
        if number <= self._dropped:
            return
        if error is None:
            self._answered.emit(result)
        else:
            self._failed.emit(error)
