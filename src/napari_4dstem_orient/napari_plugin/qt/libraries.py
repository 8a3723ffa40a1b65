"""Libraries that must not be imported by two threads at the same time, nor by the main thread."""

from __future__ import annotations

import importlib
import threading
from functools import cache

import numpy as np
import pint

LIBRARIES = ("torch", "orix.crystal_map")

_lock = threading.Lock()

# The first use fills pint's registry. In a thread it would show the main thread, where napari looks units up too, a
# registry that is half full.
pint.Unit("pixel")


def import_libraries() -> None:
    """Import what takes seconds and imports itself in circles; later calls cost nothing.

    Two threads that import such a library at once can stop each other (``_DeadlockError``), so whatever works beside
    the main thread and needs one comes through here first.
    """
    with _lock:
        _import_all()


@cache
def _import_all() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)
    _make_layers()


def _make_layers() -> None:
    """Make a layer of each kind: the first lets napari import and compile for more than a second."""
    from napari.layers import Image, Labels, Points, Vectors
    from napari.utils.colormaps import DirectLabelColormap

    for kind, shape in ((Image, (2, 2)), (Points, (1, 2)), (Vectors, (1, 2, 2))):
        kind(np.zeros(shape, np.float32), units=("nanometer", "nanometer"))
    for colours in (None, DirectLabelColormap(color_dict={None: "transparent"})):
        Labels(np.zeros((2, 2), np.int32), colormap=colours)
