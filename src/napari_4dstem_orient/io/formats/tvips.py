"""TVIPS streams: name_000.tvips, name_001.tvips, ...

Read here: rosettasciio 0.15 reads the whole stream into memory even when told to be lazy, and no stream cut short.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.reading import LARGEST_PATTERN
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.core.units import kilovolts
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.source import Frames, Source, head

_LONGEST_NOTES = 2**20  # bytes before a pattern
_HEADER = np.dtype(
    [
        ("size", "<u4"),
        ("version", "<u4"),
        ("columns", "<u4"),
        ("rows", "<u4"),
        ("bits", "<u4"),
        ("unused", "<u4", 5),
        ("voltage", "<u4"),
        ("magnification", "<u4"),
        ("frame_header", "<u4"),
    ]
)


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the frames of all parts; a stream says nothing reliable about scan shape or pixel size."""
    part = re.search(r"_(\d{3})$", path.stem)
    if part and int(part[1]):
        raise UserError(
            f"{path.name} is not the first part of a TVIPS stream; open the one ending in _000.tvips."
        )
    told = np.frombuffer(head(path, _HEADER.itemsize), _HEADER)[0]
    header = {name: int(told[name]) for name in _HEADER.names or () if name != "unused"}
    notes = 12 if header["version"] == 1 else header["frame_header"]
    if (
        header["version"] not in (1, 2)
        or header["bits"] not in (8, 16)
        or not 0 < header["rows"] * header["columns"] <= LARGEST_PATTERN
        or header["size"] < _HEADER.itemsize
        or notes > _LONGEST_NOTES
    ):
        raise UserError(f"{path.name} is not a TVIPS stream, or is damaged.")
    pixel, shape = f"<u{header['bits'] // 8}", (header["rows"], header["columns"])
    record = np.dtype([("notes", f"V{notes}"), ("data", pixel, shape)])
    files = [path, *(_further(path) if part else [])]
    offsets = [header["size"], *[0] * (len(files) - 1)]
    parts = [Frames(file, record, offset) for file, offset in zip(files, offsets, strict=True)]
    promised = sum(part.begun for part in parts)
    return [Source(parts, "", Calibration(voltage=voltage or kilovolts(header["voltage"])), None, promised)]


def _further(path: Path) -> list[Path]:
    """Return the parts after the first, in order.

    Raises
    ------
    UserError
        One is missing between others.
    """
    named = re.compile(re.escape(path.stem[:-3]) + r"(\d{3})" + re.escape(path.suffix), re.IGNORECASE)
    beside = ((named.fullmatch(file.name), file) for file in path.parent.iterdir())
    parts = {int(part[1]): file for part, file in beside if part and int(part[1]) and file.is_file()}
    if absent := sorted(set(range(1, max(parts, default=0))) - set(parts)):
        raise UserError(
            f"{path.stem[:-3]}{absent[0]:03d}{path.suffix}, a part of the stream that {path.name} begins, is missing; "
            "put it into the same folder."
        )
    return [parts[number] for number in sorted(parts)]


TVIPS = ScanFormat("TVIPS", (".tvips",), read, family=(".tvips",))
