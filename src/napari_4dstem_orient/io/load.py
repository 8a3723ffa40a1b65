"""Open a 4D-STEM file of any known format, lazily."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from napari_4dstem_orient.core.checks import check_sample
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.part import Part
from napari_4dstem_orient.core.reading import check_scan, reading
from napari_4dstem_orient.core.scan import Calibration, Opened, Scan
from napari_4dstem_orient.core.units import parse_shape, shape_text
from napari_4dstem_orient.io.formats import ScanFormat, format_of, suffixes
from napari_4dstem_orient.io.source import Source

_TYPED = {item.name for item in fields(Calibration)} - {"q_pixel_from", "rotation_from"}


@dataclass(frozen=True)
class DatasetFacts:
    """What is known of a dataset before it is loaded.

    Attributes
    ----------
    name : str
        What to give ``load`` as ``dataset``; empty where the file holds only one.
    shape : tuple of int
        (scan_y, scan_x, det_y, det_x), or (n, det_y, det_x) for a flat stack.
    dtype : str
    flat : bool
        Whether it is a flat stack, whose scan shape must be known.
    scan_shape : (int, int) or None
        Rows and columns that the file tells; None asks the user.
    suggested_shape : (int, int)
        A scan shape with that many patterns, to begin with.
    calibration : Calibration
        What the file says.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    flat: bool
    scan_shape: tuple[int, int] | None
    suggested_shape: tuple[int, int]
    calibration: Calibration

    @property
    def patterns(self) -> int:
        """Number of patterns."""
        return math.prod(self.shape[:-2])


@dataclass(frozen=True)
class FileFacts:
    """What is known of a file before it is loaded.

    Attributes
    ----------
    path : Path
    format : str
        The format's name.
    datasets : tuple of DatasetFacts
        Those to choose from: 4D ones, or flat stacks where there is no 4D one.
    """

    path: Path
    format: str
    datasets: tuple[DatasetFacts, ...]


def load(
    path: str | Path,
    dataset: str | None = None,
    scan_shape: tuple[int, int] | str | None = None,
    part: Part | None = None,
    **calibration: Any,
) -> Scan:
    """Open a scan; nothing but its header and five patterns is read.

    Parameters
    ----------
    path : path
        A file of any format in ``io.formats.FORMATS``.
    dataset : str, optional
        Path of the 4D dataset in a file that holds several.
    scan_shape : (rows, columns) or str such as "256x256", optional
        Needed for flat stacks whose file does not tell it.
    part : Part, optional
        Which positions to read: a region, or every nth; the file's scan step becomes the distance of these.
    **calibration
        Voltage (kV), q_pixel (Å⁻¹), r_pixel (nm, of the positions read), semiangle (mrad), precession and rotation
        (degrees), flip: what is given wins over what the file says; None leaves it to the file.

    Returns
    -------
    Scan
        Axes are (scan_y, scan_x, det_y, det_x) for every format.

    Raises
    ------
    UserError
        No such file, unknown or damaged format, no or several datasets, scan shape missing or impossible, or
        patterns with NaN or negative pixels.
    """
    typed = {name: value for name, value in calibration.items() if value is not None}
    if unknown := set(typed) - _TYPED:
        raise TypeError(f"load() got unknown calibration keywords: {', '.join(sorted(unknown))}")
    scan = open_scan(path, dataset, scan_shape, typed.get("voltage"), part)
    if "q_pixel" in typed:
        typed["q_pixel_from"] = "typed"
    if "rotation" in typed or "flip" in typed:
        typed["rotation_from"] = "typed"
    scan = scan.with_calibration(scan.calibration.with_(**typed))
    check_sample(scan)
    return scan


def load_frames(path: str | Path, dataset: str | None = None) -> Scan:
    """Open frames that need no place in a scan, such as those of vacuum: a scan, a stack or a single image.

    Parameters
    ----------
    path, dataset
        As ``load``.

    Returns
    -------
    Scan
        Of one row, where the file holds a stack or an image.

    Raises
    ------
    UserError
        As ``load``, but that a scan shape is never asked for.
    """
    path = Path(path).expanduser()
    kind, sources = _read(path, None)
    sources = [source.as_stack() for source in sources]
    source = _choose(_offered(path, sources) if dataset is None else sources, dataset, path)
    with reading(path, kind.name, folder=True):
        check_scan(source.shape, source.dtype.itemsize, source.together)
    scan = _scan(path, kind, source, dataset, (1, source.patterns) if source.flat else None, None)
    check_sample(scan)
    return scan


def open_scan(
    path: str | Path,
    dataset: str | None,
    scan_shape: tuple[int, int] | str | None,
    voltage: float | None,
    part: Part | None = None,
) -> Scan:
    """Open a scan as the file describes it; nothing but its header is read. For the arguments see ``load``."""
    path = Path(path).expanduser()
    kind, sources = _read(path, voltage)
    source = _choose(_offered(path, sources) if dataset is None else sources, dataset, path)
    typed = parse_shape(scan_shape) if scan_shape is not None else None
    return _scan(path, kind, source, dataset, typed, voltage, part)


def _scan(
    path: Path,
    kind: ScanFormat,
    source: Source,
    dataset: str | None,
    typed: tuple[int, int] | None,
    voltage: float | None,
    part: Part | None = None,
) -> Scan:
    shape = _scan_shape(source, typed, path)
    with reading(path, kind.name, folder=True):
        array = source.array(shape, path)
    known, whole = source.calibration, part in (None, Part())
    if part is not None:
        array, known = part.of(array), part.steps(known)
    # Another process may run in another folder.
    arguments = {
        "path": str(path.absolute()),
        "dataset": dataset,
        "scan_shape": shape,
        "voltage": voltage,
        "part": None if whole else part,
    }
    return Scan(
        array,
        known,
        str(path) + (f"::{source.name}" if source.name else ""),
        source.metadata,
        Opened(array, open_scan, arguments, (0, array.shape[0])),
        source.stored if whole and shape == source.shape[:2] else (1, 1),
    )


def inspect(path: str | Path) -> FileFacts:
    """Tell what a file holds without loading it.

    Raises
    ------
    UserError
        No such file, unknown or damaged format, or nothing in it that could be a scan.
    """
    path = Path(path).expanduser()
    kind, sources = _read(path, None)
    return FileFacts(path, kind.name, tuple(_facts(source) for source in _offered(path, sources)))


def _read(path: Path, voltage: float | None) -> tuple[ScanFormat, list[Source]]:
    from napari_4dstem_orient.io.result import is_map_file

    with reading(path, "a scan", folder=True):
        if (kind := format_of(path)) is None:
            known = ", ".join(suffixes())
            raise UserError(
                f"{path.name or path} is {_what(path)} that no reader here knows; supported are {known}."
            )
    if is_map_file(path):
        raise UserError(
            f"{path.name} holds an orientation map, not patterns; open it in napari, or with OrientationMap.load."
        )
    with reading(path, kind.name, folder=True):
        sources = kind.read(path, voltage)
        for source in sources:
            if source.unfit:
                continue
            check_scan(source.shape, source.dtype.itemsize, source.together)
        return kind, sources


def _what(path: Path) -> str:
    return "a folder" if path.is_dir() else f"a {path.suffix} file" if path.suffix else "a file"


def _offered(path: Path, sources: list[Source]) -> list[Source]:
    """Return the datasets to choose from: 4D ones, or flat stacks where there is no 4D one."""
    fit = [source for source in sources if not source.unfit]
    offered = [source for source in fit if not source.flat] or fit
    if offered:
        once: dict[Any, Source] = {}
        for source in offered:
            once.setdefault(source.stored_at or id(source), source)
        return list(once.values())
    from napari_4dstem_orient.io.bragg_peaks import is_disk_file

    if is_disk_file(path):
        raise UserError(
            f"{path.name} holds Bragg disks, not patterns; give it to map, or to load_disks in Python."
        )
    if not sources:
        raise UserError(f"{path.name} holds no scan: no 4D dataset and no stack of patterns.")
    largest = max(sources, key=lambda source: math.prod(source.shape))
    raise UserError(f"{path.name} holds no scan: {largest.name or 'its array'} {largest.unfit}.")


def _choose(sources: list[Source], dataset: str | None, path: Path) -> Source:
    offered = [source for source in sources if not source.unfit] or sources
    named = "; ".join(f"{source.name} ({shape_text(source.shape)})" for source in offered[:8])
    if dataset is None:
        if len(sources) == 1:
            return sources[0]
        raise UserError(f"{path.name} holds {len(sources)} datasets, choose one: {named}.")
    wanted = "/" + dataset.strip("/")
    found = [source for source in sources if source.name == wanted]
    found = found or [source for source in sources if source.name.startswith(wanted + "/")]
    found = [source for source in found if not source.unfit] or found
    if len(found) == 1 and found[0].unfit:
        raise UserError(f"{path.name}::{found[0].name} {found[0].unfit}.")
    if len(found) == 1:
        return found[0]
    if not any(source.name for source in sources):
        raise UserError(f"{path.name} holds one dataset only; leave out the dataset {dataset}.")
    raise UserError(f"{path.name} has no 4D dataset {dataset}; it has: {named}.")


def _scan_shape(source: Source, typed: tuple[int, int] | None, path: Path) -> tuple[int, int]:
    """Return the scan shape: typed, else the file's; it must fit the patterns there are."""
    if 0 in source.shape:
        raise UserError(f"{path.name} holds no patterns: its shape is {shape_text(source.shape)}.")
    patterns = source.patterns
    told = source.scan_shape if source.flat else source.shape[:2]
    cut_short = source.promised is not None and source.promised > patterns
    if cut_short and not (typed and typed[0] * typed[1] <= patterns):
        raise UserError(_too_few(source, (typed or told or suggest_scan_shape(patterns))[1], path))
    shape = typed or told
    if shape is None:
        rows, cols = suggest_scan_shape(patterns)
        raise UserError(
            f"{path.name} holds {patterns:,} patterns in a flat stack; "
            f"give the scan shape, for example {rows}x{cols}."
        )
    if shape[0] * shape[1] != patterns and not cut_short:
        rows, cols = suggest_scan_shape(patterns)
        raise UserError(
            f"The scan shape {shape[0]}x{shape[1]} needs {shape[0] * shape[1]:,} patterns, but {path.name} "
            f"holds {patterns:,}; give a shape with that many, for example {rows}x{cols}."
        )
    return int(shape[0]), int(shape[1])


def _too_few(source: Source, cols: int, path: Path) -> str:
    """Say that patterns are missing, and which shape reads the complete rows of those there are."""
    patterns = source.patterns
    shape = f"{patterns // cols}x{cols}" if patterns >= cols else f"1x{patterns}"
    part = "the complete rows" if patterns >= cols else "them"
    if source.absent:
        state, remedy = f"holds {patterns:,} of the {source.promised:,} patterns announced", source.absent
    else:
        state = f"is cut short: {patterns:,} of {source.promised:,} patterns are complete"
        remedy = "copy it again"
    return f"{path.name} {state}; {remedy}, or give the scan shape {shape} to read {part}."


def suggest_scan_shape(patterns: int) -> tuple[int, int]:
    """Return the (rows, columns) nearest to a square that hold exactly so many patterns."""
    return likely_scan_shapes(patterns)[0]


def likely_scan_shapes(patterns: int, most: int = 5) -> list[tuple[int, int]]:
    """Return the (rows, columns) that hold exactly so many patterns, those nearest to a square first."""
    low = [rows for rows in range(math.isqrt(patterns), 0, -1) if patterns % rows == 0]
    shapes = [shape for rows in low for shape in ((rows, patterns // rows), (patterns // rows, rows))]
    return list(dict.fromkeys(shapes))[:most]


def _facts(source: Source) -> DatasetFacts:
    told = source.scan_shape if source.flat else (int(source.shape[0]), int(source.shape[1]))
    return DatasetFacts(
        source.name,
        source.shape,
        str(source.dtype),
        source.flat,
        told,
        told or suggest_scan_shape(max(1, source.patterns)),
        source.calibration,
    )
