"""Gatan Digital Micrograph: .dm3 and .dm4, through rosettasciio's lazy arrays."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.units import kilovolts
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.formats.axes import Axes, detector_first, from_axes
from napari_4dstem_orient.io.source import Source, Transposed, why_unfit

if TYPE_CHECKING:
    import dask.array as da


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the file's scans and stacks, and what is none.

    Raises
    ------
    ValueError
        Whatever rosettasciio stumbled over; ``load`` makes a sentence of it.
    """
    from rsciio.digitalmicrograph import file_reader

    failure = ""
    with _quiet():
        try:
            found = file_reader(str(path), lazy=True)
        except Exception as error:
            failure = str(error) or type(error).__name__
    if failure:  # raised only here: chained, rosettasciio's error would keep the file open
        raise ValueError(failure)
    return [_source(one, voltage) for one in found]


def _source(found: dict[str, Any], typed: float | None) -> Source:
    data: Any = _Unread(found["data"])
    axes: Axes = [(axis["scale"], axis["units"]) for axis in found["axes"]]
    if detector_first(axes):
        data, axes = Transposed(data, (2, 3, 0, 1)), [*axes[2:], *axes[:2]]
    if unfit := why_unfit(data.shape, data.dtype):
        return Source([data], unfit=unfit)
    voltage = typed or kilovolts(_told(found, "Microscope Info", "Voltage"))
    # NCEM's TitanX notes the scan shape beside its flat stacks.
    rows, cols = (_told(found, "4D STEM Tags", f"Scan shape {axis}") for axis in "YX")
    told = from_axes(axes, voltage, shape=data.shape)
    return Source([data], "", told, (int(rows), int(cols)) if rows and cols else None)


def _told(found: dict[str, Any], *keys: str) -> Any:
    """Return an entry of the image's own tags, or None."""
    value: Any = found["original_metadata"]
    for key in ("ImageList", "TagGroup0", "ImageTags", *keys):
        value = value.get(key) if isinstance(value, dict) else None
    return value


class _Unread:
    """rosettasciio's lazy array behind plain NumPy slicing, which reads only what is asked for."""

    def __init__(self, array: da.Array) -> None:
        self._array = array
        self.shape = tuple(int(size) for size in array.shape)
        self.dtype = np.dtype(array.dtype)

    def __getitem__(self, key: Any) -> np.ndarray:
        return np.asarray(self._array[key].compute(scheduler="synchronous"))


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


DM = ScanFormat("Digital Micrograph", (".dm3", ".dm4"), read)
