"""Quantum Detectors Merlin: .mib, with the .hdr beside it where there is one."""

from __future__ import annotations

from pathlib import Path

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.formats import named
from napari_4dstem_orient.io.formats.rosettasciio import signal
from napari_4dstem_orient.io.source import Source, complete, head
from napari_4dstem_orient.scan import Calibration

NAME = "Merlin MIB"
SUFFIXES = (".mib",)
matches = named(SUFFIXES)


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the stack of patterns; their number comes from the file's length, never from timestamps."""
    start = head(path, 384).split(b",")
    if not start[0].startswith(b"MQ"):
        raise UserError(f"{path.name} is not a MIB file (no Merlin header), or is damaged.")
    if start[6] not in (b"U08", b"U16", b"U32"):  # rosettasciio would take U64 for float64
        raise UserError(
            f"{path.name} was saved in Merlin's raw mode or with 64 bits ({start[6].decode()}), which neither "
            "rosettasciio nor py4DSTEM can decode; save it without raw mode as U08, U16 or U32."
        )
    if path.suffix != ".mib":  # rosettasciio would take the file for its own .hdr
        raise UserError(f"{path.name} must end in .mib in small letters; rename it, and its .hdr too.")
    first = signal("quantumdetector", path, navigation_shape=(1,))
    facts, told = first.told("mib_properties"), first.told("hdr_file") or {}
    rows, cols = facts["merlin_size"]
    record = facts["head_size"] + rows * cols * first.data.dtype.itemsize
    patterns, begun = complete(path, record)
    scan_shape = _scan_shape(told)
    if scan_shape and patterns > scan_shape[0] * scan_shape[1]:
        scan_shape = None  # frames of the flyback, or several scans: the user knows
    promised = scan_shape[0] * scan_shape[1] if scan_shape else begun
    stack = signal("quantumdetector", path, navigation_shape=(patterns,))
    return [
        Source(
            [stack.data],
            calibration=Calibration(voltage=voltage),
            scan_shape=scan_shape,
            promised=promised,
            metadata={"merlin": told, "timestamp": facts["timestamp"]},
        )
    ]


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
