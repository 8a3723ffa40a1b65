"""Libraries that must not be imported by two threads at the same time, nor by the main thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache

import numpy as np
import pint
from qtpy.QtCore import QObject, QTimer

ONCE_OPEN = 500
"""Milliseconds after which a new panel begins with what can wait."""

_lock = threading.Lock()

# The first use fills pint's registry. In a thread it would show the main thread, where napari looks units up too, a
# registry that is half full.
pint.Unit("pixel")


def import_libraries() -> None:
    """Import what takes seconds and imports itself in circles; later calls cost nothing.

    Two threads that import py4DSTEM at once can stop each other (``_DeadlockError``), so whatever works beside
    the main thread and needs it comes through here first.
    """
    with _lock:
        _import_all()


@cache
def _import_all() -> None:
    import py4DSTEM.process.diffraction  # noqa: F401
    from napari.layers import Image, Labels, Points, Vectors
    from napari.utils.colormaps import DirectLabelColormap

    # The first layer of a kind lets napari import and compile for more than a second.
    for kind, shape in ((Image, (2, 2)), (Points, (1, 2)), (Vectors, (1, 2, 2))):
        kind(np.zeros(shape, np.float32), units=("nanometer", "nanometer"))
    for colours in (None, DirectLabelColormap(color_dict={None: "transparent"})):
        Labels(np.zeros((2, 2), np.int32), colormap=colours)


def once_open(owner: QObject, call: Callable[[], object]) -> QTimer:
    """Call a little later than now: what starts by importing torch shall not keep a panel from opening.

    Parameters
    ----------
    owner : QObject
        Nothing is called after its end.
    call : callable

    Returns
    -------
    QTimer
        Stopped, it never calls.
    """
    timer = QTimer(owner)
    timer.setSingleShot(True)
    timer.timeout.connect(call)
    timer.start(ONCE_OPEN)
    return timer
