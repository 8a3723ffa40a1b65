"""Threads beside the main one: kept until it has heard of their end, and never in its way."""

from __future__ import annotations

import inspect
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal, Slot  # type: ignore[attr-defined]

from napari_4dstem_orient.core.progress import Progress

STAND_BACK = 5
"""Linux's "nice" value of a thread; without it, drawing beside two threads that compute takes 1.6 times as long."""

at_work: set[Threaded] = set()
"""For whom a thread works: a ``QObject`` must not be destroyed by that thread, so it is kept here until the main
thread has heard that the work is over."""


class Threaded(QObject):
    """Calls functions in a thread each; subclasses say in ``ended`` what becomes of the result.

    superqt's workers share one pool of as many threads as there are processors, where previews would wait for jobs;
    each changes the whole process's warnings while it works, and a program that ends meanwhile crashes.
    """

    _over = Signal(object, object)

    def __init__(self) -> None:
        super().__init__()
        self._thread: threading.Thread | None = None
        self._under_way = 0
        self._over.connect(self._on_over)  # queued: from the thread to the main loop

    def call(self, function: Callable[[], Any]) -> None:
        """Call a function in a thread; threads that it starts, such as torch's, stand back as well."""
        at_work.add(self)
        self._under_way += 1
        self._thread = threading.Thread(target=self._work, args=(function,), daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Wait for the thread to end."""
        if self._thread is not None:
            self._thread.join(seconds)

    @property
    def running(self) -> bool:
        """Whether the thread is still at work."""
        return self._thread is not None and self._thread.is_alive()

    def ended(self, result: Any, error: BaseException | None) -> None:
        """Hear, in the main thread, what the function returned, or what it raised."""

    def _work(self, function: Callable[[], Any]) -> None:
        if sys.platform == "linux":  # elsewhere it would be the whole program
            os.nice(STAND_BACK)
        self._over.emit(*attempt(function))

    @Slot(object, object)
    def _on_over(self, result: Any, error: BaseException | None) -> None:
        self._under_way -= 1
        if not self._under_way:
            at_work.discard(self)
        self.ended(result, error)


def call_with_progress(function: Callable[..., Any], progress: Progress) -> Any:
    """Call a function, with ``progress=`` where it takes that."""
    takes = "progress" in inspect.signature(function).parameters
    return function(progress=progress) if takes else function()


def attempt(function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
    """Return what a function returns, or what it raises: handed to the main thread, whatever it is."""
    try:
        return function(), None
    except BaseException as error:
        return None, error
