"""Vendors' files through rosettasciio: its lazy arrays, axes and metadata in this project's terms."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.io.formats.axes import Axes

if TYPE_CHECKING:
    import dask.array as da


@dataclass(frozen=True, eq=False)
class Signal:
    """One dataset as rosettasciio tells it.

    Attributes
    ----------
    data : array-like
        Of shape (scan_y, scan_x, det_y, det_x), or a flat stack (n, det_y, det_x); unread.
    axes : list of (step, units)
        Slowest first.
    original : dict
        The file's own header or tags.
    """

    data: Unread
    axes: Axes
    original: dict[str, Any]

    def told(self, *keys: str) -> Any:
        """Return an entry of the file's own tags, or None."""
        value: Any = self.original
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value


class Unread:
    """rosettasciio's lazy array behind plain NumPy slicing, which reads only what is asked for."""

    def __init__(self, array: da.Array) -> None:
        self._array = array
        self.shape = tuple(int(size) for size in array.shape)
        self.dtype = np.dtype(array.dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(self._array[key].compute(scheduler="synchronous"))


def signals(plugin: str, path: Path, **options: Any) -> list[Signal]:
    """Open a file with ``rsciio.<plugin>`` and return its arrays, images among them.

    Raises
    ------
    ValueError
        Whatever rosettasciio stumbled over; ``load`` makes a sentence of it.
    """
    reader = import_module(f"rsciio.{plugin}").file_reader
    failure = ""
    with _quiet():
        try:
            found = reader(str(path), lazy=True, **options)
        except Exception as error:
            failure = str(error) or type(error).__name__
    if failure:  # raised only here: chained, rosettasciio's error would keep the file open
        raise ValueError(failure)
    return [
        Signal(
            Unread(one["data"]),
            [(axis["scale"], axis["units"]) for axis in one["axes"]],
            one["original_metadata"],
        )
        for one in found
    ]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep rosettasciio from printing that a file has no units; this project says so itself."""
    logger = logging.getLogger("rsciio")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
