"""MRC stacks, as Direct Electron and other cameras write them.

Read here: rosettasciio 0.15 knows the smaller half of the modes and one byte order.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.reading import beside
from napari_4dstem_orient.core.units import decoded
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.formats.axes import Axes, from_axes
from napari_4dstem_orient.io.source import Frames, Source, head, why_unfit

_HEADER_BYTES = 1024
_MODES = {0: "u1", 1: "i2", 2: "f4", 4: "c8", 6: "u2", 7: "i4", 12: "f2"}
_IMOD = b"IMOD"  # in its files bytes are signed where the first flag is set


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the stack; the lengths in an MRC header are of images, so they calibrate nothing here."""
    header = head(path, _HEADER_BYTES)
    order = _byte_order(header)
    cols, rows, patterns, mode = np.frombuffer(header, f"{order}i4", 4).tolist()
    extended = int(np.frombuffer(header, f"{order}i4", 1, 92)[0])
    if min(cols, rows, patterns) < 1 or extended < 0 or not 0 <= mode < 256:
        raise UserError(f"{path.name} is not an MRC file (its header tells no sizes), or is damaged.")
    if mode not in _MODES:
        raise UserError(
            f"{path.name} cannot be read as MRC (its pixels are of mode {mode}, which is not decoded here); "
            "save it as 16-bit integers or as floats."
        )
    signed = header[152:156] in (_IMOD, _IMOD[::-1]) and header[156 if order == "<" else 159] & 1
    dtype = np.dtype("i1") if mode == 0 and signed else np.dtype(order + _MODES[mode])
    offset = _HEADER_BYTES + extended
    frames = Frames(path, np.dtype([("data", dtype, (rows, cols))]), offset, patterns)
    told = _info(path)
    scan_shape = _scan_shape(told, path)
    if scan_shape and scan_shape[0] * scan_shape[1] != patterns:
        scan_shape = None
    unfit = why_unfit(frames.shape, dtype)
    return [Source([frames], "", from_axes(_axes(told), voltage), scan_shape, patterns, unfit=unfit)]


def _byte_order(header: bytes) -> str:
    """Return what the machine stamp tells, or else the order in which a row is no longer than a detector."""
    stamp = header[212:214]
    if stamp in (b"\x11\x11", b"\x44\x44", b"\x44\x41"):
        return ">" if stamp == b"\x11\x11" else "<"
    return "<" if int.from_bytes(header[:4], "little") < 2**16 else ">"


def _info(path: Path) -> dict[str, str]:
    """Return the lines of the info.txt that Direct Electron's program writes beside a movie."""
    movie = re.fullmatch(r"(\d{8}_\d+_).*movie\.mrcs?", path.name, re.IGNORECASE)
    notes = [] if movie is None else sorted(path.parent.glob(f"{movie[1]}*info.txt"))
    lines = decoded(beside(notes[0])).splitlines() if notes else []
    split = (line.partition("=") for line in lines)
    return {key.strip(): value.strip() for key, between, value in split if between}


def _scan_shape(told: dict[str, str], path: Path) -> tuple[int, int] | None:
    if told.get("Scan - Enable") != "Enable":
        return None
    if told.get("Scan - Type", "Raster") != "Raster":
        raise UserError(
            f"{path.name} was not scanned line by line (its info.txt tells {told['Scan - Type']!r}); sort its patterns "
            "into lines, for example with rosettasciio, and save them as .hspy."
        )
    part = "ROI " if told.get("Scan - ROI Enable") == "Enable" else ""
    try:
        rows, cols = (int(told[f"Scan - {part}Size {axis}"]) for axis in "YX")
    except (KeyError, ValueError):
        return None
    return (rows, cols) if rows > 0 and cols > 0 else None


def _axes(told: dict[str, str]) -> Axes:
    """Return the scan steps; the unit of the pixels on the detector is not told."""
    steps: Axes = [(told.get(f"Specimen Pixel Size {axis} (nanometers)"), "nm") for axis in "YX"]
    return [*steps, (None, ""), (None, "")]


MRC = ScanFormat("MRC", (".mrc", ".mrcs"), read)
