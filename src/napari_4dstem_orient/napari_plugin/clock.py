"""How far a long step is, how fast it goes, and when it will be done."""

from __future__ import annotations

import time


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
