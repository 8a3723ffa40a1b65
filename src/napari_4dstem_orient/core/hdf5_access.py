"""What lies in an HDF5 file, looked at before it is followed, opened or read."""

from __future__ import annotations

import glob
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_4dstem_orient.core import packed
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.hdf5_pieces import check_pieces
from napari_4dstem_orient.core.reading import (
    LARGEST_DESCRIPTION,
    LARGEST_PIECE,
    check_regular,
    check_room,
    is_regular,
)
from napari_4dstem_orient.core.trial import try_out
from napari_4dstem_orient.core.units import text

_LINKS = 16  # links that lead to links
_CACHE = 64 * 2**20
_NUMBERED = re.compile(r"%\d*b")  # stands for the number of a virtual dataset's part
_MOST_VIRTUAL = 1000  # datasets that are put together, one from another
_LookedAt = dict[tuple[int, int], bool]


def open_file(path: Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises
    ------
    UserError
        Not a regular file, not HDF5, cut short, or so damaged that the library does not come back from it.
    """
    import hdf5plugin  # noqa: F401  (registers the compressions that detectors use)

    check_regular(path)
    try_out(path)
    try:
        return h5py.File(path, "r", rdcc_nbytes=_CACHE, locking="best-effort")
    except OSError as error:
        if "truncated" in str(error):
            raise UserError(
                f"{path.name} is cut short (its HDF5 content is not complete); copy it again."
            ) from error
        if "open for write" in str(error):
            raise UserError(
                f"{path.name} is still being written, or the program that wrote it ended before it closed the file; "
                "close it there, or copy the file and run HDF5's h5clear --status on the copy."
            ) from error
        if not h5py.is_hdf5(path):
            raise UserError(f"{path.name} is not an HDF5 file, or its beginning is damaged.") from error
        raise


def whether(path: str | Path, look: Callable[[h5py.File], Any]) -> bool:
    """Say whether a file is HDF5 and looks so inside; False for whatever cannot be read."""
    with suppress(Exception), open_file(Path(path).expanduser()) as file:
        return bool(look(file))
    return False


def member(
    group: h5py.Group, path: str, links: int = _LINKS, looked_at: _LookedAt | None = None
) -> h5py.Group | h5py.Dataset | None:
    """Return what lies at a path; None where nothing does, or a link leads nowhere.

    Links to other files are followed to regular files only: HDF5 itself would wait at a pipe for ever.

    Parameters
    ----------
    group : Group
    path : str
    links : int
        Links that may still lead to links.
    looked_at : dict, optional
        Virtual datasets whose parts were looked at, and whether that is done.

    Raises
    ------
    UserError
        The data of a dataset lie in something that is no regular file, are put together from themselves, or would
        unpack to far more than they say.
    """
    here: Any = group.file["/"] if path.startswith("/") else group
    for key in filter(None, path.split("/")):
        try:
            link = here.get(key, getlink=True) if isinstance(here, h5py.Group) else None
            if isinstance(link, h5py.HardLink):
                here = here[key]
            elif isinstance(link, h5py.SoftLink) and links:
                here = member(here, link.path, links - 1, looked_at)
            elif isinstance(link, h5py.ExternalLink) and links:
                here = _outside(here.file.filename, link, links - 1, looked_at)
            else:
                return None
        except (KeyError, OSError, RuntimeError):
            return None
    if isinstance(here, h5py.Dataset):
        check_pieces(here)
        _check_storage(here, {} if looked_at is None else looked_at)
    return here


def subgroup(parent: h5py.Group | None, path: str) -> h5py.Group | None:
    """Return the group at a path; None where there is none.

    Never a dataset: looked into by name, h5py reads all that there is of it, or is said to be.
    """
    found = None if parent is None else member(parent, path)
    return found if isinstance(found, h5py.Group) else None


def group_at(parent: h5py.Group, path: str) -> h5py.Group:
    """Return the group at a path; ValueError where there is none."""
    if (found := subgroup(parent, path)) is None:
        raise ValueError(f"it holds no group called {path}")
    return found


def array(group: h5py.Group, path: str) -> np.ndarray:
    """Read the numbers at a path, once it is known that they fit in memory.

    Raises
    ------
    UserError
        They are too many.
    ValueError
        There are none, or far fewer than the file promises.
    """
    found = member(group, path)
    if not isinstance(found, h5py.Dataset) or found.shape is None or found.dtype.kind not in "uifb":
        raise ValueError(f"it holds no numbers called {path}")
    size = math.prod(found.shape) * found.dtype.itemsize
    piece = math.prod(found.chunks) * found.dtype.itemsize if found.chunks else 0
    check_room(max(size, 2 * piece if piece > LARGEST_PIECE else 0), f"What is stored as {path}")
    stored = found.id.get_storage_size()
    if not found.is_virtual and size > packed.DENSEST[packed.GZIP] * stored + LARGEST_DESCRIPTION:
        raise ValueError(f"it promises {size:,} bytes as {path} and holds {stored:,}")
    return np.asarray(found[()])


def words(group: h5py.Group, path: str) -> str:
    """Read the text at a path.

    Raises
    ------
    UserError
        It does not fit in memory.
    ValueError
        There is none.
    """
    found = member(group, path)
    if (
        not isinstance(found, h5py.Dataset)
        or found.shape != ()
        or h5py.check_string_dtype(found.dtype) is None
    ):
        raise ValueError(f"it holds no text called {path}")
    check_room(found.dtype.itemsize, f"What is stored as {path}")
    return str(found.asstr()[()])


def places(file: str | Path, name: str) -> Iterator[Path]:
    """Yield where HDF5 may look for a file that another one names.

    Beside the file that names it, beside what that is a link to, and in the current folder; what is not where a path
    says may lie there without its folders.
    """
    file = Path(file)
    folders = (file.parent, Path(os.path.realpath(file)).parent, Path())
    for path in dict.fromkeys(folder / each for each in (name, Path(name).name) for folder in folders):
        numbered = _NUMBERED.sub("*", glob.escape(str(path)))
        yield from map(Path, glob.glob(numbered)) if _NUMBERED.search(name) else (path,)


def virtual_parts(dataset: h5py.Dataset) -> list[tuple[str, str]]:
    """Return the files, and the names in them, of what a virtual dataset is put together from; of others nothing."""
    if not dataset.is_virtual:
        return []
    plist = dataset.id.get_create_plist()
    every = range(plist.get_virtual_count())
    names = {(plist.get_virtual_filename(each), plist.get_virtual_dsetname(each)) for each in every}
    return sorted((text(file), text(name)) for file, name in names)


def storage(dataset: h5py.Dataset) -> Iterator[str]:
    """Yield the names of the other files in which the data of a dataset lie."""
    yield from (text(name) for name, _, _ in dataset.external or ())
    yield from dict.fromkeys(file for file, _ in virtual_parts(dataset) if file != ".")


def _outside(
    file: str, link: h5py.ExternalLink, links: int, looked_at: _LookedAt | None
) -> h5py.Group | h5py.Dataset | None:
    """Follow a link to another, regular file."""
    there = next(filter(is_regular, places(file, link.filename)), None)
    return None if there is None else member(open_file(there), link.path, links, looked_at)


def _check_storage(dataset: h5py.Dataset, looked_at: _LookedAt) -> None:
    """Refuse data, and those from which they are put together, that HDF5 would wait for or end the program at.

    Raises
    ------
    UserError
        They lie in pipes or devices, or are put together from themselves, or from what a file does not hold.
    """
    for name in storage(dataset):
        for path in places(dataset.file.filename, name):
            if path.exists() and not is_regular(path):
                raise UserError(f"The data of {dataset.name} lie in {path}, which is no regular file.")
    if not (parts := virtual_parts(dataset)):
        return
    about = h5py.h5o.get_info(dataset.id)
    here = about.fileno, about.addr
    if looked_at.get(here):
        return
    if here in looked_at or len(looked_at) > _MOST_VIRTUAL:
        raise UserError(f"{dataset.name} is put together from itself; the file is damaged.")
    looked_at[here] = False
    for file, name in parts:
        if _NUMBERED.search(name):
            raise UserError(
                f"{dataset.name} is put together from datasets that are numbered ({name}), which is not read here; "
                "save it again as one."
            )
        found = filter(
            is_regular, places(dataset.file.filename, file if file != "." else dataset.file.filename)
        )
        for path in found if _NUMBERED.search(file) else islice(found, 1):
            if not isinstance(member(open_file(path), name, looked_at=looked_at), h5py.Dataset):
                raise UserError(
                    f"{path.name} does not hold {name}, from which {dataset.name} is put together."
                )
    looked_at[here] = True
