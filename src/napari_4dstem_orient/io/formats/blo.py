"""NanoMEGAS block files: .blo."""

from __future__ import annotations

from pathlib import Path

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.formats import named
from napari_4dstem_orient.io.formats.rosettasciio import check_length, signal
from napari_4dstem_orient.io.source import Source, head
from napari_4dstem_orient.io.units import kilovolts, reciprocal_pixel, scan_step
from napari_4dstem_orient.scan import Calibration

NAME = "NanoMEGAS block file"
SUFFIXES = (".blo",)
matches = named(SUFFIXES)


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the scan; rosettasciio gives pixels in cm on the screen, the camera length makes them angles."""
    if head(path, 6) != b"IMGBLO":  # rosettasciio would try
        raise UserError(f"{path.name} is not a NanoMEGAS block file, or is damaged.")
    found = signal("blockfile", path)
    header = found.told("blockfile_header")
    rows, cols, *detector = found.data.shape
    check_length(path, 6 + detector[0] * detector[1], rows * cols, int(header["Data_offset_2"]))
    voltage = voltage or kilovolts(header["Beam_energy"])
    q_pixel = None
    if header["SDP"] and header["Camera_length"]:
        camera_cm = float(header["Camera_length"]) / 100
        q_pixel = reciprocal_pixel(found.axes[-1][0] / camera_cm, "rad", voltage)
    told = "file" if q_pixel is not None else "unknown"
    return [
        Source([found.data], "", Calibration(voltage, q_pixel, scan_step(*found.axes[1]), q_pixel_from=told))
    ]
