"""NanoMEGAS block files: .blo.

Read here, so that the rest of a file that was cut short can be read too, which rosettasciio 0.15 refuses lazily.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.units import kilovolts
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.formats.axes import from_axes
from napari_4dstem_orient.io.source import Frames, Source, head

_HEADER = np.dtype(
    [
        ("name", "S6"),
        ("magic", "<u2"),
        ("image_at", "<u4"),
        ("patterns_at", "<u4"),
        ("flags", "<u4"),
        ("side", "<u2"),
        ("turn", "<u2"),
        ("columns", "<u2"),
        ("rows", "<u2"),
        ("scan_turn", "<u2"),
        ("step_x", "<f8"),  # nm
        ("step_y", "<f8"),
        ("voltage", "<u4"),  # V
        ("pixels", "<u2"),  # a hundredth of a pixel per cm on the screen
        ("camera", "<u4"),  # a tenth of a mm
    ]
)
_FRAME_HEADER = 6  # bytes


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the scan; pixels are in cm on the screen, the camera length makes them angles."""
    if head(path, 6) != b"IMGBLO":
        raise UserError(f"{path.name} is not a NanoMEGAS block file, or is damaged.")
    header = np.frombuffer(head(path, _HEADER.itemsize), _HEADER)[0]
    rows, cols, side = (int(header[name]) for name in ("rows", "columns", "side"))
    if int(header["patterns_at"]) < _HEADER.itemsize:
        raise UserError(f"{path.name} is damaged: its patterns begin within its header; copy it again.")
    if not rows * cols * side:
        raise UserError(f"{path.name} holds no patterns: its header tells {rows} × {cols} of {side} pixels.")
    record = np.dtype([("notes", f"V{_FRAME_HEADER}"), ("data", "u1", (side, side))])
    offset = int(header["patterns_at"])
    frames = Frames(path, record, offset, rows * cols)
    voltage = voltage or kilovolts(header["voltage"])
    angle = None
    if header["pixels"] and header["camera"]:
        angle = 100 / float(header["pixels"]) / (float(header["camera"]) / 100), "rad"
    axes = [(header["step_y"], "nm"), (header["step_x"], "nm"), angle or (None, ""), angle or (None, "")]
    return [Source([frames], "", from_axes(axes, voltage), (rows, cols), rows * cols)]


BLO = ScanFormat("NanoMEGAS block file", (".blo",), read)
