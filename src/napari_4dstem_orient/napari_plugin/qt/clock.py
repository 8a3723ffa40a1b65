"""How far a long step is, how fast it goes, when it will be done, and how often its result is drawn meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from napari_4dstem_orient.core.progress import Glimpse

SECONDS_BETWEEN_GLIMPSES, DRAWN_IN_A_SECOND = 1.0, 50_000
"""A growing map is drawn no more often than this, and takes no more than half of the window's time; positions."""


class Clock:
    """How far a job is and how long it will still take, in words."""

    def __init__(self) -> None:
        self._start: tuple[float, int, int] | None = None
        self.speed: float | None = None
        """Work done in a second; None until it can be told."""

    def text(self, done: int, total: int) -> str:
        """Return, for example, "37 %, 12 s left"."""
        now = time.monotonic()
        percent = f"{100 * done // max(total, 1)} %"
        if self._start is None or self._start[2] != total:  # before, something else was counted
            self._start = now, done, total
            return percent
        elapsed, since = now - self._start[0], done - self._start[1]
        if elapsed < 0.5 or since <= 0:
            return percent
        self.speed = since / elapsed
        return f"{percent}, {duration((total - done) / self.speed)} left"


def duration(seconds: float) -> str:
    """Return a length of time as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def now_and_then(see: Callable[[Any], None], positions: int) -> Glimpse:
    """Let a result over so many scan positions be seen while it grows, large ones more rarely."""
    pause = max(SECONDS_BETWEEN_GLIMPSES, positions / DRAWN_IN_A_SECOND)
    seen = time.monotonic()

    def glimpse(so_far: Callable[[], Any]) -> None:
        nonlocal seen
        if time.monotonic() - seen >= pause:
            see(so_far())
            seen = time.monotonic()

    return glimpse
