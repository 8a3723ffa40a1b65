"""EMPAD detectors: a .raw with the .xml that describes it, or alone.

Read here: rosettasciio 0.15 needs the .xml, and gives up where the .raw was renamed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import Any
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.reading import beside
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.core.units import kilovolts, positive, reciprocal_pixel
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.source import Frames, Source

# 128 rows of pixels, then two rows of the detector's own notes.
_RECORD = np.dtype([("data", "<f4", (128, 128)), ("notes", "V1024")])


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the patterns of a .raw file, with what the .xml says where there is one."""
    if path.suffix.lower() == ".xml":
        root = _description(path)
        raw = _raw_of(path, root)
        return [replace(_source(raw, root, voltage), absent=f"copy {raw.name} again")]
    return [_source(path, _beside(path), voltage)]


def _source(raw: Path, root: Any, typed: float | None) -> Source:
    patterns = Frames(raw, _RECORD).shape[0]
    stack = root is not None and _number(root, "scan_parameters/series_count")
    shapes = [] if stack else list(_scan_shapes(raw, root))
    fitting = [shape for shape in shapes if shape[0] * shape[1] == patterns]
    scan_shape = next(iter(fitting or shapes), None)
    promised = scan_shape[0] * scan_shape[1] if scan_shape else int(stack or 0)
    if not promised and raw.stat().st_size % _RECORD.itemsize:
        raise UserError(
            f"{raw.name} is not a whole number of EMPAD patterns ({_RECORD.itemsize:,} bytes each): "
            "it is cut short, or from another detector."
        )
    told = Calibration(voltage=typed) if root is None else _calibration(root, scan_shape, typed)
    return Source(
        [Frames(raw, _RECORD, most=promised or None)], "", told, scan_shape, promised or None, "copy it again"
    )


def _description(xml: Path) -> Any:
    """Return the root of a description.

    Raises
    ------
    UserError
        Not XML, or not EMPAD's.
    """
    try:
        root = fromstring(beside(xml))
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise UserError(
            f"{xml.name} cannot be read as EMPAD ({error}); it is cut short, damaged or another format: "
            "copy it again, or open the .raw file and give the scan shape."
        ) from error
    if not _raw_name(root):
        raise UserError(f"{xml.name} is not an EMPAD description (it names no raw file); open the .raw file.")
    return root


def _raw_name(root: Any) -> str:
    """Return the name of the .raw, without the folder that it had on the microscope's computer."""
    return PureWindowsPath(_word(root, "raw_file/filename")).name


def _raw_of(xml: Path, root: Any) -> Path:
    """Return the file that a description describes: the named one, or else one of the description's own name."""
    wanted = (_raw_name(root).lower(), f"{xml.stem.lower()}.raw")
    found = [file for file in xml.parent.iterdir() if file.name.lower() in wanted and file.is_file()]
    if not found:
        raise UserError(
            f"{xml.name} names the EMPAD file {_raw_name(root)}, which is not beside it; put both into one folder, "
            f"or rename the .raw file to {xml.stem}.raw."
        )
    return min(found, key=lambda file: wanted.index(file.name.lower()))


def _beside(raw: Path) -> Any:
    """Return the description that names a raw file, or else has its name; None where there is none."""
    roots = {}
    for xml in sorted(raw.parent.iterdir()):
        if xml.suffix.lower() == ".xml" and xml.is_file():
            try:
                roots[xml] = _description(xml)
            except UserError:  # the file of another program
                continue
    naming = [root for root in roots.values() if _raw_name(root).lower() == raw.name.lower()]
    named_alike = [root for xml, root in roots.items() if xml.stem.lower() == raw.stem.lower()]
    return next(iter(naming + named_alike), None)


def _scan_shapes(raw: Path, root: Any) -> Iterator[tuple[int, int]]:
    """Yield the (rows, columns) that description and names tell, the most certain first."""
    names = [raw.name]
    if root is not None:
        yield from _pair(root, "pix_y", "pix_x")
        names.insert(0, _raw_name(root))
    for name in names:
        told = re.search(r"_x(\d+)_y(\d+)", name)
        if told and int(told[1]) and int(told[2]):
            yield int(told[2]), int(told[1])
    if root is not None:
        # There is one set for searching, one for acquiring, and nothing says which was used.
        modes = sorted(root.findall("scan_parameters"), key=lambda scan: scan.get("mode") != "acquire")
        for scan in modes:
            yield from _pair(scan, "scan_resolution_y", "scan_resolution_x")


def _pair(root: Any, rows: str, cols: str) -> list[tuple[int, int]]:
    high, wide = (int(_number(root, name) or 0) for name in (rows, cols))
    return [(high, wide)] if high and wide else []


def _calibration(root: Any, scan_shape: tuple[int, int] | None, typed: float | None) -> Calibration:
    measured = "iom_measurements/"
    voltage = typed or kilovolts(_number(root, measured + "high_voltage"))
    # Whatever metres these are, 1e9 of them make a pixel in nm⁻¹.
    q_pixel = reciprocal_pixel(1e9 * (_number(root, measured + "calibrated_pixelsize") or 0), "1/nm", voltage)
    told = "file" if q_pixel is not None else "unknown"
    return Calibration(voltage, q_pixel, _step(root, scan_shape), q_pixel_from=told)


def _step(root: Any, scan_shape: tuple[int, int] | None) -> float | None:
    """Return the scan step in nm: steps are equal, and the field of view is that of the scan's longer side."""
    sizes = {_number(scan, "scan_size") for scan in root.findall("scan_parameters")} - {None, 1.0}
    if (
        scan_shape is None or sizes
    ):  # a part of the field was scanned, and not all versions tell its size alike
        return None
    field = re.search(
        r"\(\s*([\d.eE+-]+)", _word(root, "iom_measurements/optics/get_full_scan_field_of_view")
    )
    if field:
        side = positive(field[1])
    else:
        side = _number(root, "iom_measurements/full_scan_field_of_view/x")
        factor = _number(root, "iom_measurements/full_scan_field_of_view/scale_factor")
        side = (
            side / factor if side and factor else None
        )  # the microscope's field times this is what is noted
    return side / max(scan_shape) * 1e9 if side else None


def _word(root: Any, path: str) -> str:
    """Return an element's text, or the attribute of that name of the element around it."""
    found = root.find(path)
    if found is not None and found.text and found.text.strip():
        return str(found.text).strip()
    around, _, name = path.rpartition("/")
    element = root.find(around) if around else root
    return str(element.get(name, "")).strip() if element is not None else ""


def _number(root: Any, path: str) -> float | None:
    return positive(_word(root, path))


EMPAD = ScanFormat("EMPAD", (".raw", ".xml"), read, family=(".raw", ".xml"))
