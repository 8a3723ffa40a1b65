"""A scan by reference: where its patterns are, how they are read, and how to tell that they are still the same."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.core.part import Part
from napari_4dstem_orient.core.reading import check_regular
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.workflow.job import Job

PIECE = 2**16
"""Bytes of a file that are read at one place."""
PIECES = 16
"""Places, evenly spread from the beginning to the end."""


@dataclass(frozen=True)
class Reference:
    """What a reference may say; see ``reference_of`` and ``with_fingerprint``."""

    path: str | None = None
    dataset: str | None = None
    scan_shape: tuple[int, int] | None = None
    part: Part | None = None
    voltage: float | None = None
    sample: str | None = None
    seal: dict[str, float | str] | None = None
    relative: str | None = None


def reference_of(scan: Scan) -> dict[str, Any]:
    """Return how to open a scan again, as plain JSON values.

    Returns
    -------
    dict
        Of a file ``path`` (absolute), ``dataset``, ``scan_shape``, ``voltage`` (kV) and ``part`` as
        ``io.load.open_scan`` takes them; of a sample ``sample``, its name; empty where the patterns are in memory only.
    """
    from napari_4dstem_orient.samples.library import SAMPLES

    if (opened := scan.reopens) is not None:
        shape = opened.arguments["scan_shape"]
        part = opened.arguments["part"]
        told = {"scan_shape": list(shape) if shape else None, "part": asdict(part) if part else None}
        return {**opened.arguments, **told}
    title = scan.metadata.get("title")
    return {"sample": title} if scan.source.startswith("sample:") and title in SAMPLES else {}


def job_of(scan: Scan) -> Job:
    """Return the job that loads a scan; an empty one where its patterns are in memory only."""
    told = from_plain(Reference, reference_of(scan))
    calibration = {"voltage": told.voltage} if told.voltage is not None else {}
    return Job(told.path, told.dataset, told.scan_shape, told.part, told.sample, calibration)


def fingerprint_of(path: str | Path) -> dict[str, Any]:
    """Return what tells a file from its next version, without reading all of it.

    Returns
    -------
    dict
        ``size`` in bytes; ``modified``, seconds since 1970; ``sha256``, the hash of the size and of 16 pieces of
        64 KiB, the first at the beginning, the last at the end (up to 1 MiB: of everything). Of a folder: of the
        names and sizes of all its files, and of the beginning of 16 of them. A change that keeps the size and
        lies between the pieces goes unnoticed.

    Raises
    ------
    OSError
        It cannot be read.
    UserError
        It is neither a regular file with something in it nor a folder.
    """
    path = Path(path)
    check_regular(path, folder=True)
    told, size, digest = path.stat(), 0, hashlib.sha256()
    if os.path.isdir(path):
        files = sorted(member for member in path.rglob("*") if member.is_file())
        for member in files:
            size += member.stat().st_size
            digest.update(f"{member.relative_to(path).as_posix()}:{member.stat().st_size};".encode())
        for member in files[:: -(-len(files) // PIECES) or 1]:
            with member.open("rb") as file:
                digest.update(file.read(PIECE))
    else:
        size = told.st_size
        digest.update(str(size).encode())
        with path.open("rb") as file:
            for index in range(PIECES):
                file.seek(max(0, size - PIECE) * index // (PIECES - 1))
                digest.update(file.read(PIECE))
    return {"size": size, "modified": told.st_mtime, "sha256": digest.hexdigest()}


def with_fingerprint(reference: Mapping[str, Any], beside: Path) -> dict[str, Any]:
    """Return a reference that knows its file's seal, and the way there from the folder ``beside``."""
    if "path" not in reference:
        return dict(reference)
    path, found = Path(reference["path"]), dict(reference)
    with suppress(OSError, UserError):  # gone meanwhile
        found["seal"] = fingerprint_of(path)
    with suppress(ValueError):  # on another drive
        found["relative"] = Path(os.path.relpath(path, beside)).as_posix()
    return found


def open_reference(reference: Mapping[str, Any], beside: Path) -> Scan:
    """Open the scan of a reference: where it was, or on the same way from ``beside``, or in that folder.

    Parameters
    ----------
    reference : dict
        As ``with_fingerprint`` made it.
    beside : Path
        The folder of the file that the reference was read from.

    Raises
    ------
    UserError
        It was in memory only, is not there, is another version, or cannot be read; saying what to do.
    """
    if "sample" in reference:
        from napari_4dstem_orient.samples.library import find_sample

        return find_sample(str(reference["sample"]))
    if "path" not in reference:
        raise UserError("The scan was in memory only and is not kept; disks and maps are.")
    from napari_4dstem_orient.io.load import open_scan

    path = _find(reference, beside)
    told = from_plain(Reference, reference)
    return open_scan(path, told.dataset, told.scan_shape, told.voltage, told.part)


def _find(reference: Mapping[str, Any], beside: Path) -> Path:
    """Return where the file is now; the same version of it wherever there is one."""
    told, known = Path(str(reference["path"])), reference.get("seal", {})
    ways = [
        told,
        *([beside / reference["relative"]] if reference.get("relative") else []),
        beside / PureWindowsPath(told).name,  # of a path of any system
    ]
    there = [path for path in ways if os.path.exists(path)]
    if not there:
        raise UserError(
            f"The scan {told} is not there; put it beside the project file and open the project again, to see patterns."
        )
    for path in there:
        try:
            if not known or fingerprint_of(path)["sha256"] == known["sha256"]:
                return path
        except OSError as error:
            raise UserError(
                f"The scan {path} cannot be read ({error.strerror}); check its permissions."
            ) from error
    raise UserError(
        f"The scan {there[0]} is not the file that the project was made with: its content has changed. "
        "It stays closed; open it in Data to work on it as a new scan."
    )
