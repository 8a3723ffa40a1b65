"""Work that only the main thread can do, in steps between which the window answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from qtpy.QtCore import QObject, QTimer


def take_turns(
    owner: QObject,
    steps: Iterator[object],
    failed: Callable[[Exception], object],
    ended: Callable[[], object] = lambda: None,
) -> QTimer:
    """Take one step in each turn of the event loop.

    Parameters
    ----------
    owner : QObject
        With its end, steps end.
    steps : iterator
    failed : callable
        Told what a step raised; there are no more after it.
    ended : callable
        Called after the last step, and after one that failed.

    Returns
    -------
    QTimer
        Stopped, it takes no more steps.
    """
    timer = QTimer(owner)

    def take_next() -> None:
        try:
            for _ in steps:
                return
        except Exception as error:
            failed(error)
        timer.stop()
        timer.deleteLater()
        ended()

    timer.timeout.connect(take_next)
    timer.start(0)
    return timer
