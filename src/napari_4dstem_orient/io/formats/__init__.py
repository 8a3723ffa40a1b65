"""4D-STEM files: what a format is, and which there are, each in a module of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_4dstem_orient.core.registry import Registry

if TYPE_CHECKING:
    from napari_4dstem_orient.io.source import Source


@dataclass(frozen=True)
class ScanFormat:
    """A family of files that hold scans.

    Attributes
    ----------
    name : str
        What the user is told.
    suffixes : tuple of str
        Endings of its files' names, in lower case.
    read : callable
        ``read(path, voltage)`` returns the datasets of a file, opened but not read; ``voltage`` (kV or None) is what
        the user typed, for files that store detector pixels as angles.
    holds : callable, optional
        ``holds(path)`` tells by the content of a file, of whatever name, that it is of this format.
    folders : bool
        Whether a folder may be such a "file".
    family : tuple of str
        Suffixes of the files that belong to one scan where their names differ by a number at most.
    last : bool
        Whether files that another format knows are left to that one.
    """

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[Path, float | None], list[Source]]
    holds: Callable[[Path], bool] | None = None
    folders: bool = False
    family: tuple[str, ...] = ()
    last: bool = False

    def names(self, path: Path) -> bool:
        """Tell whether a file, or a folder, is of this format by its name."""
        return path.name.lower().endswith(self.suffixes) and (self.folders or not path.is_dir())

    def matches(self, path: Path) -> bool:
        """Tell whether a file is of this format by its name or its content."""
        return self.names(path) or (self.holds is not None and not path.is_dir() and self.holds(path))


_HERE = "napari_4dstem_orient.io.formats"

FORMATS: Registry[ScanFormat] = Registry(
    "napari_4dstem_orient.formats",
    ScanFormat,
    {
        "arina": f"{_HERE}.arina:ARINA",
        "hyperspy": f"{_HERE}.hyperspy:HYPERSPY",
        "mib": f"{_HERE}.mib:MIB",
        "blo": f"{_HERE}.blo:BLO",
        "dm": f"{_HERE}.dm:DM",
        "empad": f"{_HERE}.empad:EMPAD",
        "tvips": f"{_HERE}.tvips:TVIPS",
        "mrc": f"{_HERE}.mrc:MRC",
        "npy": f"{_HERE}.npy:NPY",
        "hdf5": f"{_HERE}.hdf5:HDF5",
    },
)
"""Tried in this order: the first whose ``matches`` says yes reads the file."""


def format_of(path: Path) -> ScanFormat | None:
    """Return the format that a file is read as; None where there is none."""
    return next(
        (one for one in sorted(FORMATS.values(), key=lambda one: one.last) if one.matches(path)), None
    )


def suffixes() -> tuple[str, ...]:
    """Return every ending of file names that ``load`` knows."""
    return tuple(dict.fromkeys(suffix for one in FORMATS.values() for suffix in one.suffixes))
