"""Threads beside the main one: kept until it has heard of their end, and never in its way."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

from qtpy.QtCore import QObject

SHORT, LONG = 5, 10
"""How far, in Linux's "nice" values, short and long work stand back behind the main thread."""

at_work: set[QObject] = set()
"""For whom a thread works: a ``QObject`` must not be destroyed by that thread, so it is kept here until the main
thread has heard that the work is over."""


def start_thread(owner: QObject, function: Callable[[], None], stand_back: int) -> threading.Thread:
    """Call a function in a thread that leaves the processor to the main thread whenever that needs it.

    Without this, two threads that compute take half of a machine's two cores from the window, which then answers
    after twice the time. Threads that the function starts, such as torch's, stand back as well.

    Parameters
    ----------
    owner : QObject
        Put into ``at_work``; whoever hears of the end takes it out.
    function : callable
    stand_back : int
        ``SHORT`` or ``LONG``.
    """

    def work() -> None:
        if sys.platform == "linux":  # elsewhere it would be the whole program
            os.nice(stand_back)
        function()

    at_work.add(owner)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread
