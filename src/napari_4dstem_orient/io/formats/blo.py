"""NanoMEGAS block files: .blo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.source import Source, head, records
from napari_4dstem_orient.io.units import kilovolts, reciprocal_pixel
from napari_4dstem_orient.scan import Calibration

NAME = "NanoMEGAS block file"
SUFFIXES = (".blo",)

_HEADER = np.dtype(
    [
        ("id", "S6"),
        ("magic", "<u2"),
        ("image_offset", "<u4"),
        ("pattern_offset", "<u4"),
        ("flags", "<u4"),
        ("size", "<u2"),
        ("pattern_rotation", "<u2"),
        ("columns", "<u2"),
        ("rows", "<u2"),
        ("scan_rotation", "<u2"),
        ("step_x", "<f8"),  # nm
        ("step_y", "<f8"),
        ("volts", "<u4"),
        ("screen_scale", "<u2"),  # 100 × pixels per cm of the screen
        ("camera_length", "<u4"),  # tenths of a mm
    ]
)


def matches(path: Path) -> bool:
    """Whether the name is a block file's."""
    return path.suffix.lower() in SUFFIXES


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the scan; each pattern follows six bytes of its own."""
    header = np.frombuffer(head(path, _HEADER.itemsize), _HEADER)[0]
    if header["id"] != b"IMGBLO":
        raise UserError(f"{path.name} is not a NanoMEGAS block file, or is damaged.")
    size, scan_shape = int(header["size"]), (int(header["rows"]), int(header["columns"]))
    promised = scan_shape[0] * scan_shape[1]
    if not size or not promised:
        raise UserError(f"{path.name} says that it holds no patterns; record it again.")
    record = np.dtype([("mark", "V6"), ("data", "u1", (size, size))])
    frames = records(path, record, int(header["pattern_offset"]), promised)["data"]
    return [Source([frames], "", _calibration(header, voltage), scan_shape, promised)]


def _calibration(header: np.void, typed: float | None) -> Calibration:
    voltage = typed or kilovolts(header["volts"])
    q_pixel = None
    if header["screen_scale"] and header["camera_length"]:
        pixel_mm = 1000.0 / float(header["screen_scale"])
        q_pixel = reciprocal_pixel(pixel_mm / (float(header["camera_length"]) / 10), "rad", voltage)
    step = float(header["step_x"])
    return Calibration(
        voltage,
        q_pixel,
        step if step > 0 else None,
        q_pixel_from="file" if q_pixel is not None else "unknown",
    )
