"""Quantum Detectors Merlin: .mib, with the .hdr beside it where there is one.

Read here: rosettasciio 0.15 knows headers of 384 and 768 bytes only, wants an ISO time stamp in them, and gives up
where a line of the .hdr is not as it expects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.reading import beside
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.core.units import decoded
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.source import Frames, Source, head, records

_FIELDS = 160  # bytes that the fields read here fit in
_FRAMES = "Frames in Acquisition (Number)"
_DEPTHS = {b"U08": ">u1", b"U16": ">u2", b"U32": ">u4", b"U64": ">u8"}


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the stack of patterns; their number comes from the files' lengths, never from timestamps."""
    first = _header(path)
    files = _series(path, first)
    told = _told(path)
    parts = [_Frames(file, first.record) for file in files]
    _check_second(path, first.record)
    patterns, begun = sum(part.shape[0] for part in parts), sum(part.begun for part in parts)
    scan_shape = _scan_shape(told)
    if scan_shape and patterns > scan_shape[0] * scan_shape[1]:
        scan_shape = None  # frames of the flyback, or several scans: the user knows
    announced = scan_shape[0] * scan_shape[1] if scan_shape else _number(told, _FRAMES)
    absent = "copy it again with all files of the scan (name1.mib, name2.mib, ...)"
    return [
        Source(
            parts,
            calibration=Calibration(voltage=voltage),
            scan_shape=scan_shape,
            promised=announced if scan_shape else max(begun, announced),
            absent=absent if patterns == begun else "",
            metadata={"merlin": told, "timestamp": first.timestamp},
        )
    ]


@dataclass(frozen=True)
class _Header:
    """What stands before a file's first pattern."""

    number: int
    record: np.dtype
    timestamp: str


def _header(path: Path) -> _Header:
    fields = head(path, _FIELDS).split(b",")
    try:
        if not fields[0].startswith(b"MQ"):
            raise ValueError
        number, length, cols, rows = (int(fields[place]) for place in (1, 2, 4, 5))
        if length < _FIELDS or cols < 1 or rows < 1:
            raise ValueError
        depth, timestamp = fields[6].strip(), decoded(fields[9]).strip()
    except (ValueError, IndexError):
        raise UserError(f"{path.name} is not a MIB file (no Merlin header), or is damaged.") from None
    if depth not in _DEPTHS:
        raise UserError(
            f"{path.name} was saved in Merlin's raw mode ({decoded(depth)}), which is not decoded here; "
            "save it without raw mode, as U08, U16 or U32."
        )
    record = np.dtype([("header", f"V{length}"), ("data", _DEPTHS[depth], (rows, cols))])
    return _Header(number, record, timestamp)


def _check_second(path: Path, record: np.dtype) -> None:
    """Refuse a file whose second pattern does not begin where the first header says."""
    start = records(path, record)["header"][1:2].tobytes()[:2]
    if start.strip(b"\0") and start != b"MQ":
        raise UserError(
            f"{path.name} is damaged: its second pattern does not begin where the first header's sizes put it; "
            "copy it again."
        )


class _Frames(Frames):
    """Patterns that are stored from the lowest row up."""

    def __getitem__(self, wanted: Any) -> np.ndarray:
        return super().__getitem__(wanted)[..., ::-1, :]


def _series(path: Path, first: _Header) -> list[Path]:
    """Return the files of a scan that Merlin spread over several, name1.mib, name2.mib, ...: their counts go on."""
    prefix = path.stem.rstrip("0123456789")
    beside = re.compile(re.escape(prefix) + r"\d+\.mib", re.IGNORECASE)
    files = [file for file in path.parent.iterdir() if beside.fullmatch(file.name) and file.is_file()]
    if path not in files or len(files) < 2:
        return [path]
    try:
        headers = {file: _header(file) for file in files}
    except UserError:
        return [path]
    files.sort(key=lambda file: headers[file].number)
    following = headers[files[0]].number
    if following > 1:  # the first patterns are elsewhere
        return [path]
    for file in files:
        if headers[file].record != first.record or headers[file].number != following:
            return [path]
        following += file.stat().st_size // first.record.itemsize
    return files


def _told(path: Path) -> dict[str, str]:
    """Return the lines of the .hdr beside a file, or of that beside its series."""
    stems = {path.stem.lower(), path.stem.rstrip("0123456789").lower().rstrip("_- ")}
    hdrs = (
        file for file in path.parent.iterdir() if file.suffix.lower() == ".hdr" and file.stem.lower() in stems
    )
    # The file's own comes before the series'.
    headers = sorted(hdrs, key=lambda file: -len(file.stem))
    return dict(_lines(headers[0])) if headers else {}


def _lines(header: Path) -> Iterator[tuple[str, str]]:
    for line in decoded(beside(header)).splitlines():
        key, between, value = line.partition("\t" if "\t" in line else ":")
        if between and value.strip():
            yield key.strip().rstrip(":"), value.strip()


def _number(told: dict[str, str], key: str) -> int:
    """Return a whole number above 0, or 0 where the header does not say one."""
    found = re.match(r"\d+", told.get(key, ""))
    return int(found[0]) if found else 0


def _scan_shape(told: dict[str, str]) -> tuple[int, int] | None:
    """Return (rows, columns): the scan generator's own size, or a trigger is a scan line."""
    rows, cols = _number(told, "ScanY"), _number(told, "ScanX")
    if rows and cols:
        return rows, cols
    frames = _number(told, _FRAMES)
    line = _number(told, "Frames per Trigger (Number)")
    # One trigger for each pattern, or one for all, says nothing about lines.
    return (frames // line, line) if 1 < line < frames and frames % line == 0 else None


MIB = ScanFormat("Merlin MIB", (".mib",), read, family=(".mib", ".hdr"))
