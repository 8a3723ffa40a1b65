"""How long the window does not answer: the gaps between the ticks of a timer in the main thread."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from qtpy.QtCore import QObject, Qt, QTimer

TICK = 10
"""Milliseconds."""
NOTICED = 0.1
"""Seconds from which on a user notices."""
LOOK = 0.02
"""Seconds between two looks at what the main thread is doing."""
OURS = "napari_4dstem_orient"


@dataclass
class Stalls:
    """What happened in one chapter.

    Attributes
    ----------
    count : int
        Gaps that a user notices.
    longest, cpu : float
        Seconds of the longest gap, and what the main thread computed meanwhile; the rest it waited, for a lock or
        for its turn on a busy machine.
    where : str
        The function of ours that it was mostly in; of others where it was in none of ours.
    """

    count: int = 0
    longest: float = 0.0
    cpu: float = 0.0
    where: str = ""


@dataclass
class _Marks:
    """When, and at how much computing, the last tick was."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.thread_time)


class StallMeter(QObject):
    """Measures from its making until ``close``, chapter by chapter."""

    def __init__(self) -> None:
        super().__init__()
        self.chapters: dict[str, Stalls] = {}
        self._now = Stalls()
        self._last = _Marks()
        self._paused = False
        self._seen: Counter[str] = Counter()
        self._closed = threading.Event()
        self._main = threading.get_ident()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start(TICK)
        threading.Thread(target=self._watch, daemon=True).start()

    def begin(self, chapter: str) -> None:
        """Count what follows for this chapter."""
        self._now = self.chapters.setdefault(chapter, Stalls())
        self._restart()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count what no user would do, such as taking a picture."""
        self._tick()
        self._paused = True
        try:
            yield
        finally:
            self._paused = False
            self._restart()

    def close(self) -> None:
        """Stop measuring."""
        self._timer.stop()
        self._closed.set()

    def table(self) -> str:
        """Return a line for each chapter."""
        lines = [f"{'chapter':<22} {'> 100 ms':>8} {'longest':>9} {'computing':>10}  in"]
        for name, stalls in self.chapters.items():
            longest, cpu = f"{1e3 * stalls.longest:,.0f} ms", f"{1e3 * stalls.cpu:,.0f} ms"
            lines.append(f"{name:<22} {stalls.count:>8} {longest:>9} {cpu:>10}  {stalls.where}")
        return "\n".join(lines)

    def _tick(self) -> None:
        if self._paused:
            return
        now, last = _Marks(), self._last
        gap = now.wall - last.wall
        if gap > NOTICED:
            self._now.count += 1
        if gap > self._now.longest:
            seen = self._seen.most_common(1)
            self._now.longest, self._now.cpu = gap, now.cpu - last.cpu
            self._now.where = seen[0][0] if seen else ""
        self._restart()

    def _restart(self) -> None:
        self._last, self._seen = _Marks(), Counter()

    def _watch(self) -> None:
        """See, from another thread, what the main thread is at while it does not tick."""
        while not self._closed.wait(LOOK):
            if not self._paused and time.perf_counter() - self._last.wall > NOTICED:
                self._seen[_place(sys._current_frames().get(self._main))] += 1


def _place(frame: FrameType | None) -> str:
    """Name the innermost function of ours, or the innermost of all."""
    innermost = frame
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(OURS):
            return f"{module.removeprefix(OURS + '.')}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "" if innermost is None else f"({innermost.f_globals.get('__name__')}.{innermost.f_code.co_name})"
