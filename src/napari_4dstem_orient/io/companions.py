"""Which files a scan is read from, beside the one that was named."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import h5py

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.hdf5_access import open_file, places, storage
from napari_4dstem_orient.core.inputs import file_of
from napari_4dstem_orient.core.reading import is_regular
from napari_4dstem_orient.io.formats import FORMATS

_MASTER = "_master"
_LONGEST_DESCRIPTION = 2**20
_CROWDED = 2000
"""Members of a group: files with more in one keep a group for each scan position."""
_MANY = 1000
"""Files of one scan that are looked into."""


def files_of(given: str | Path) -> list[Path]:
    """Return every file, or the folder, that a scan or a file of disks is read from, as far as names and links tell.

    Parameters
    ----------
    given : path
        May have a ``::/dataset`` after it.
    """
    path = file_of(given)
    if os.path.isdir(path):
        return [path] if path.suffix else []  # no scan: not everything in it is an input
    if not is_regular(path):
        return []
    try:
        return list(dict.fromkeys([path, *_beside(path), *_linked(path)]))
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, UserError):
        return [path]  # damaged: whoever reads it says so


def _beside(path: Path) -> Iterator[Path]:
    """Yield files of the same scan by their names, and the two of an EMPAD detector by their contents."""
    suffix, key = path.suffix.lower(), _key(path)
    family = next((one.family for one in FORMATS.values() if suffix in one.family), ())
    for other in path.parent.iterdir() if family else ():
        if other.suffix.lower() in family and (_key(other) == key or _describes(path, other)):
            yield other
    if path.stem.endswith(_MASTER):
        name = path.stem.removesuffix(_MASTER)
        yield path.with_name(f"{name}{path.suffix}")
        yield from path.parent.glob(f"{name}_data_*{path.suffix}")


def _key(path: Path) -> str:
    return path.stem.rstrip("0123456789").rstrip("_- ").lower()


def _describes(one: Path, other: Path) -> bool:
    """Tell whether one of two files is a description that names the other."""
    for text, named in ((one, other), (other, one)):
        if text.suffix.lower() == ".xml" and is_regular(text):
            with text.open("rb") as file:
                if named.name.lower().encode() in file.read(_LONGEST_DESCRIPTION).lower():
                    return True
    return False


def _linked(path: Path) -> Iterator[Path]:
    """Yield the files that an HDF5 file refers to, and those that they refer to, as far as they can be read."""
    files, seen = [path], set[Path]()
    for file in files:
        if (real := file.resolve()) in seen or len(seen) == _MANY or not is_regular(file):
            continue
        seen.add(real)
        with suppress(OSError, RuntimeError, ValueError, KeyError, TypeError, UserError):
            for found in _named(file) if h5py.is_hdf5(file) else ():
                yield found
                files.append(found)


def _named(path: Path) -> Iterator[Path]:
    """Yield the files that an HDF5 file names: in external links, virtual datasets, external storage."""
    with open_file(path) as file:
        groups, seen = [file], set[int]()
        for group in groups:
            address = h5py.h5o.get_info(group.id).addr
            if len(group) > _CROWDED or address in seen:
                continue
            seen.add(address)
            for key in group:
                link = group.get(key, getlink=True)
                if isinstance(link, h5py.ExternalLink):
                    yield from places(path, link.filename)
                elif isinstance(link, h5py.HardLink):
                    member = group[key]
                    if isinstance(member, h5py.Group):
                        groups.append(member)
                    elif isinstance(member, h5py.Dataset):
                        for name in storage(member):
                            yield from places(path, name)
