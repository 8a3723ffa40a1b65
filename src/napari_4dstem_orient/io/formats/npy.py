"""NumPy's .npy, mapped into memory."""

from __future__ import annotations

from pathlib import Path

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.reading import mapped
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.source import Source, why_unfit


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the array, unread."""
    with path.open("rb") as file:
        if file.read(6) != b"\x93NUMPY":
            raise UserError(f"{path.name} is not a NumPy .npy file; save it with numpy.save.")
    array = mapped(path)
    return [Source([array], "", Calibration(voltage=voltage), unfit=why_unfit(array.shape, array.dtype))]


NPY = ScanFormat("NumPy array", (".npy",), read)
