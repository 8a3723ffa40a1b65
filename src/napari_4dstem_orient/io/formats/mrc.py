"""MRC stacks, as Direct Electron and other cameras write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.source import Source, head, records
from napari_4dstem_orient.scan import Calibration

NAME = "MRC"
SUFFIXES = (".mrc", ".mrcs")

_PIXELS = {0: "u1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_HEADER_BYTES = 1024


def matches(path: Path) -> bool:
    """Whether the name is an MRC file's."""
    return path.suffix.lower() in SUFFIXES


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the stack; the lengths in an MRC header are of images, so they calibrate nothing here."""
    start = head(path, _HEADER_BYTES)
    order = "<" if 0 < int(np.frombuffer(start, "<i4", 1)[0]) < 65536 else ">"
    columns, rows, patterns, mode = (int(value) for value in np.frombuffer(start, f"{order}i4", 4))
    extended = int(np.frombuffer(start, f"{order}i4", 1, offset=92)[0])
    if min(columns, rows, patterns) < 1 or mode not in _PIXELS or extended < 0:
        raise UserError(f"{path.name} is not an MRC file of real images, or is damaged.")
    record = np.dtype([("data", order + _PIXELS[mode], (rows, columns))])
    frames = records(path, record, _HEADER_BYTES + extended, patterns)["data"]
    return [Source([frames], "", Calibration(voltage=voltage), _scan_shape(path, patterns), patterns)]


def _scan_shape(path: Path, patterns: int) -> tuple[int, int] | None:
    """Return the scan that Direct Electron's info.txt beside a movie tells."""
    if not path.stem.endswith("_movie"):
        return None
    prefix = "_".join(path.stem.split("_")[:2])
    for beside in sorted(path.parent.glob(f"{prefix}*info.txt")):
        lines = (
            line.split("=", 1) for line in beside.read_text("utf-8", "replace").splitlines() if "=" in line
        )
        told = {key.strip(): value.strip() for key, value in lines}
        region = "ROI " if told.get("Scan - ROI Enable") == "Enable" else ""
        try:
            rows, cols = int(told[f"Scan - {region}Size Y"]), int(told[f"Scan - {region}Size X"])
        except (KeyError, ValueError):
            continue
        if rows * cols == patterns:
            return rows, cols
    return None
