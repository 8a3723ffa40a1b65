"""Libraries that must not be imported by two threads at the same time, nor by the main thread."""

from __future__ import annotations

import threading
from functools import cache

import numpy as np

_lock = threading.Lock()


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

    # The first layer of a kind lets napari import and compile for more than a second.
    for kind, shape in ((Image, (2, 2)), (Labels, (2, 2)), (Points, (1, 2)), (Vectors, (1, 2, 2))):
        kind(np.zeros(shape, np.uint8), units=("nanometer", "nanometer"))
