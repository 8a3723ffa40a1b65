"""EMPAD detectors: .raw, with the .xml beside it where there is one."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.source import Source, begun, records
from napari_4dstem_orient.io.units import kilovolts
from napari_4dstem_orient.scan import Calibration

NAME = "EMPAD"
SUFFIXES = (".raw", ".xml")

# 128 rows of pixels, then two rows of the detector's own notes.
_RECORD = np.dtype([("data", "<f4", (128, 128)), ("notes", "V1024")])


def matches(path: Path) -> bool:
    """Whether the name may be EMPAD's."""
    return path.suffix.lower() in SUFFIXES


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the patterns of a .raw file.

    Scan shape and calibration come from the .xml, else the shape from the name's _x256_y256.
    """
    described, raw = _pair(path)
    scan_shape = _scan_shape(described, raw)
    if path.suffix.lower() == ".raw" and scan_shape is None and raw.stat().st_size % _RECORD.itemsize:
        raise UserError(
            f"{raw.name} is not a whole number of EMPAD patterns ({_RECORD.itemsize:,} bytes each): "
            "it is cut short, or from another detector."
        )
    frames = records(raw, _RECORD)["data"]
    promised = scan_shape[0] * scan_shape[1] if scan_shape else begun(raw, _RECORD)
    told = _calibration(described, scan_shape, voltage)
    return [Source([frames[:promised]], "", told, scan_shape, promised)]


def _pair(path: Path) -> tuple[ElementTree.Element | None, Path]:
    """Return the description and the raw file, whichever of the two was named."""
    if path.suffix.lower() == ".xml":
        described = _parse(path)
        name = described.find(".//raw_file")
        raw = path.parent / (name.get("filename", "") if name is not None else "")
        if name is None or not raw.is_file():
            raise UserError(f"{path.name} names no EMPAD .raw file beside it; put both into one folder.")
        return described, raw
    for beside in sorted(path.parent.glob("*.xml")):
        if path.name in beside.read_text("utf-8", "replace"):
            return _parse(beside), path
    return None, path


def _parse(path: Path) -> ElementTree.Element:
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{path.name} is not complete XML ({error}); copy it again.") from error


def _scan_shape(described: ElementTree.Element | None, raw: Path) -> tuple[int, int] | None:
    if described is not None:
        cols, rows = described.find("pix_x"), described.find("pix_y")
        if cols is not None and rows is not None:
            return int(rows.text or 0), int(cols.text or 0)
        if described.find(".//series_count") is not None:
            return None
    named = re.search(r"_x(\d+)_y(\d+)", raw.name)
    return (int(named[2]), int(named[1])) if named else None


def _calibration(
    described: ElementTree.Element | None, scan_shape: tuple[int, int] | None, typed: float | None
) -> Calibration:
    if described is None:
        return Calibration(voltage=typed)
    q_pixel = _number(described, "calibrated_pixelsize")  # times 1e9: 1/nm, as rosettasciio has it
    voltage = typed or kilovolts(_number(described, "high_voltage") or _number(described, "voltage"))
    return Calibration(
        voltage,
        q_pixel * 1e8 if q_pixel else None,
        _step(described, scan_shape),
        q_pixel_from="file" if q_pixel else "unknown",
    )


def _step(described: ElementTree.Element, scan_shape: tuple[int, int] | None) -> float | None:
    """Return the scan step in nm from the field of view in m."""
    field = described.find(".//get_full_scan_field_of_view")
    if scan_shape is None:
        return None
    if field is not None and field.text:
        return float(ast.literal_eval(field.text.strip())[0]) / scan_shape[1] * 1e9
    width = _number(described, "full_scan_field_of_view/x")
    scale = _number(described, "full_scan_field_of_view/scale_factor")
    return width / scale / max(scan_shape) * 1e9 if width and scale else None


def _number(described: ElementTree.Element, name: str) -> float | None:
    found = described.find(f".//{name}")
    try:
        return abs(float(found.text)) if found is not None and found.text else None
    except ValueError:
        return None
