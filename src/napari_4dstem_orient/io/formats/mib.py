"""Quantum Detectors Merlin: .mib, with the .hdr beside it where there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.source import Source, begun, records
from napari_4dstem_orient.scan import Calibration

NAME = "Merlin MIB"
SUFFIXES = (".mib",)

_PIXELS = {"U08": ">u1", "U16": ">u2", "U32": ">u4", "U64": ">u8"}


def matches(path: Path) -> bool:
    """Whether the name is Merlin's."""
    return path.suffix.lower() in SUFFIXES


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the stack of patterns; Merlin stores the detector's lowest row first, so rows are turned round.

    rosettasciio and pyxem do the same, py4DSTEM 0.14 does not.
    """
    header = _header(path)
    offset, width, height, pixel = int(header[2]), int(header[4]), int(header[5]), header[6]
    if pixel not in _PIXELS:
        raise UserError(
            f"{path.name} was saved in Merlin's raw mode ({pixel}), which rosettasciio and py4DSTEM "
            "cannot decode either; save it without raw mode."
        )
    record = np.dtype([("header", f"V{offset}"), ("data", _PIXELS[pixel], (height, width))])
    frames = records(path, record)["data"][:, ::-1]
    told = _told(path)
    scan_shape = _scan_shape(told)
    if scan_shape and len(frames) > scan_shape[0] * scan_shape[1]:
        scan_shape = None  # frames of the flyback, or several scans: the user knows
    promised = scan_shape[0] * scan_shape[1] if scan_shape else begun(path, record)
    return [
        Source(
            [frames],
            calibration=Calibration(voltage=voltage),
            scan_shape=scan_shape,
            promised=promised,
            metadata={"merlin": told, "timestamp": header[9] if len(header) > 9 else ""},
        )
    ]


def _header(path: Path) -> list[str]:
    with path.open("rb") as file:
        header = file.read(384).decode("ascii", "replace").split(",")
    if len(header) < 8 or not header[0].startswith("MQ"):
        raise UserError(f"{path.name} is not a MIB file (no Merlin header), or is damaged.")
    return header


def _told(path: Path) -> dict[str, str]:
    """Return the entries of the .hdr file, if there is one."""
    for suffix in (".hdr", ".HDR"):
        beside = path.with_suffix(suffix)
        if beside.exists():
            lines = beside.read_text("utf-8", "replace").splitlines()
            entries = (line.split("\t", 1) for line in lines if "\t" in line)
            return {key.rstrip(":").strip(): value.strip() for key, value in entries}
    return {}


def _scan_shape(told: dict[str, str]) -> tuple[int, int] | None:
    """Return (rows, columns): a trigger is a scan line, or the scan generator's own size."""
    for row_key, col_key in (
        ("ScanY", "ScanX"),
        ("Frames in Acquisition (Number)", "Frames per Trigger (Number)"),
    ):
        try:
            rows, cols = int(told[row_key]), int(told[col_key])
        except (KeyError, ValueError):
            continue
        if row_key.startswith("Frames"):
            rows = rows // cols if cols > 1 and rows % cols == 0 else 0
        if rows > 0 and cols > 0:
            return rows, cols
    return None
