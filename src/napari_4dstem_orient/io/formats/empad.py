"""EMPAD detectors: .xml with its .raw, through rosettasciio; a .raw alone, which rosettasciio cannot open."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.formats import named
from napari_4dstem_orient.io.formats.axes import from_axes
from napari_4dstem_orient.io.formats.rosettasciio import check_length, signal
from napari_4dstem_orient.io.source import Source, records
from napari_4dstem_orient.io.units import kilovolts
from napari_4dstem_orient.scan import Calibration

NAME = "EMPAD"
SUFFIXES = (".raw", ".xml")
matches = named(SUFFIXES)

# 128 rows of pixels, then two rows of the detector's own notes.
_RECORD = np.dtype([("data", "<f4", (128, 128)), ("notes", "V1024")])


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the patterns of a .raw file, with what the .xml says where there is one."""
    xml = path if path.suffix.lower() == ".xml" else _beside(path)
    return [_described(xml, voltage) if xml else _bare(path, voltage)]


def _beside(raw: Path) -> Path | None:
    """Return the description that names a raw file."""
    found = (xml for xml in sorted(raw.parent.glob("*.xml")) if raw.name in xml.read_text("utf-8", "replace"))
    return next(found, None)


def _described(xml: Path, typed: float | None) -> Source:
    found = signal("empad", xml)
    raw = xml.parent / found.told("root", "raw_file", "filename")
    if not raw.is_file():
        raise UserError(f"{xml.name} names no EMPAD .raw file beside it; put both into one folder.")
    check_length(raw, _RECORD.itemsize, int(np.prod(found.data.shape[:-2])))
    voltage = typed or kilovolts(found.told("root", "iom_measurements", "high_voltage"))
    return Source([found.data], "", from_axes(found.axes, voltage))


def _bare(raw: Path, voltage: float | None) -> Source:
    """Return a raw file's stack; its name may tell the scan shape, as scan_x256_y256.raw."""
    frames = records(raw, _RECORD)["data"]
    named = re.search(r"_x(\d+)_y(\d+)", raw.name)
    if named:
        scan_shape = int(named[2]), int(named[1])
        promised = scan_shape[0] * scan_shape[1]
        return Source([frames[:promised]], "", Calibration(voltage=voltage), scan_shape, promised)
    if raw.stat().st_size % _RECORD.itemsize:
        raise UserError(
            f"{raw.name} is not a whole number of EMPAD patterns ({_RECORD.itemsize:,} bytes each): "
            "it is cut short, or from another detector."
        )
    return Source([frames], "", Calibration(voltage=voltage))
