"""MRC stacks, as Direct Electron and other cameras write them."""

from __future__ import annotations

from pathlib import Path

from napari_4dstem_orient.io.formats import named
from napari_4dstem_orient.io.formats.rosettasciio import signal
from napari_4dstem_orient.io.source import Source, complete
from napari_4dstem_orient.scan import Calibration

NAME = "MRC"
SUFFIXES = (".mrc", ".mrcs")
matches = named(SUFFIXES)

_HEADER_BYTES = 1024


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the stack; the lengths in an MRC header are of images, so they calibrate nothing here.

    Direct Electron's info.txt beside a movie tells its scan; rosettasciio 0.15 makes its pixel sizes 1.
    """
    found = signal("mrc", path)
    header = found.told("std_header")
    promised = int(header["NZ"])
    record = max(1, int(header["NX"]) * int(header["NY"])) * found.data.dtype.itemsize
    patterns = min(promised, complete(path, record, _HEADER_BYTES + int(header["NEXT"]))[0])
    shape = found.data.shape
    scan_shape = (shape[0], shape[1]) if len(shape) == 4 and shape[0] * shape[1] == promised else None
    if shape[:-2] != (patterns,):
        found = signal("mrc", path, navigation_shape=(patterns,), metadata_file=None)
    return [Source([found.data], "", Calibration(voltage=voltage), scan_shape, promised)]
