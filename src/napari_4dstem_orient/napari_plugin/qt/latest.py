"""Previews and answers off the main thread, of which only the newest is wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]

from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.qt.threads import Threaded


class Latest(Threaded):
    """Answer requests off the main thread, one at a time; a newer request replaces the one that waits.

    Parameters
    ----------
    answered : callable
        Called with the result of a request; in the main thread, as long as its owner lives.
    failed : callable
        With the exception that a request raised.
    """

    _answered = Signal(object)
    _failed = Signal(object)

    def __init__(
        self,
        answered: Callable[[Any], object] = lambda result: None,
        failed: Callable[[Exception], object] = notify,
    ) -> None:
        super().__init__()
        self._answered.connect(answered)
        self._failed.connect(failed)
        self._waiting: Callable[[], Any] | None = None
        self._busy = self._wanted = self._closed = False

    def ask(self, function: Callable[[], Any]) -> None:
        """Call the function soon, unless something newer is asked before its turn comes."""
        if not self._closed:
            self._waiting = function
            self._call_next()

    def drop(self) -> None:
        """Forget what was asked so far; an answer under way will not be told."""
        self._waiting, self._wanted = None, False

    def close(self) -> None:
        """Tell nothing any more, whatever is under way or asked.

        Signals are not blocked for that: the end of the work must be heard, or this would be kept for ever.
        """
        self.drop()
        self._closed = True

    def _call_next(self) -> None:
        if self._waiting is not None and not self._busy:
            function, self._waiting = self._waiting, None
            self._busy = self._wanted = True
            self.call(function)

    def ended(self, result: Any, error: BaseException | None) -> None:
        """Tell the answer, and turn to what waits."""
        wanted, self._busy = self._wanted, False
        self._call_next()
        if wanted and error is None:
            self._answered.emit(result)
        elif wanted:
            self._failed.emit(error)
