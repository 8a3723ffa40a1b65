"""Work that only the main thread can do, in steps between which the window answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qtpy.QtCore import QObject, QTimer

BREATH = 20
"""Milliseconds between two steps, in which the canvas is drawn and the mouse heard."""
ONCE_OPEN = 500
"""Milliseconds after which a new panel begins with what can wait: what imports torch would keep it from opening."""


def later(owner: QObject, call: Callable[[], object], milliseconds: int) -> QTimer:
    """Call once, later.

    Parameters
    ----------
    owner : QObject
        Nothing is called after its end.
    call : callable
    milliseconds : int

    Returns
    -------
    QTimer
        Stopped, it never calls.
    """
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.timeout.connect(call)
    timer.start(milliseconds)
    return timer


def _nothing() -> None:
    """End of steps that nobody waits for."""


class EventLoopSteps(QTimer):
    """Takes one step in each turn of the event loop; what is asked later ends what is under way.

    Parameters
    ----------
    owner : QObject
        With its end, steps end.
    failed : callable
        Told what a step raised; there are no more after it.
    """

    def __init__(self, owner: QObject, failed: Callable[[Exception], object]) -> None:
        super().__init__(owner)
        self.setInterval(BREATH)
        self._failed = failed
        self._steps: Iterator[object] = iter(())
        self._ended: Callable[[], object] = _nothing
        self._at_step = self._given_up = False
        self.timeout.connect(self._take_next)

    def take(self, steps: Iterator[object], ended: Callable[[], object] = _nothing) -> None:
        """Take these steps.

        Parameters
        ----------
        steps : iterator
        ended : callable
            Called after the last step, and after one that failed; not where steps are given up.
        """
        self._steps, self._ended, self._given_up = steps, ended, False
        self.start()

    def give_up(self) -> None:
        """Take no more steps."""
        self.stop()
        self._steps, self._ended, self._given_up = iter(()), _nothing, True

    def _take_next(self) -> None:
        if self._at_step:  # which asks the user something: the event loop goes on meanwhile
            return
        steps, ended, self._at_step = self._steps, self._ended, True
        try:
            for _ in steps:
                return
        except Exception as error:
            self._failed(error)
        finally:
            self._at_step = False
        if self._given_up:  # by the step itself or during it
            return
        if self._steps is steps:  # and no step has begun something else
            self.give_up()
        ended()
