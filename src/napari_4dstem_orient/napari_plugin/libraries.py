"""Libraries that must not be imported by two threads at the same time."""

from __future__ import annotations

import threading

_lock = threading.Lock()


def import_libraries() -> None:
    """Import what takes seconds and imports itself in circles; later calls cost nothing.

    Two threads that import py4DSTEM at once can stop each other (``_DeadlockError``), so whatever works beside
    the main thread and needs it comes through here first.
    """
    with _lock:
        import py4DSTEM.process.diffraction  # noqa: F401
