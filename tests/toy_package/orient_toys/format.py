"""Files of 16-bit counts after a line of five numbers: rows and columns of the scan, of the detector, and kV."""

from pathlib import Path

import numpy as np

from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.source import Source


def read(path: Path, voltage: float | None) -> list[Source]:
    with path.open("rb") as file:
        line = file.readline(80)
    *shape, told = (int(word) for word in line.split())
    counts = np.memmap(path, "<u2", "r", len(line), tuple(shape))
    return [Source([counts], calibration=Calibration(voltage=voltage or told))]


TOY = ScanFormat("Toy file", (".toy",), read)
