"""The edge where files come in: whatever a file does, the user gets one sentence with its name."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil

from napari_4dstem_orient.core.errors import Cancelled, UserError, one_line

_QUOTED = 200
"""Letters of another library's complaint."""

LARGEST_PIECE = 2**29
"""Bytes that a file may keep in one compressed piece (an HDF5 chunk, say): it is unpacked whole for one pattern."""
LARGEST_PATTERN = 2**27
"""Bytes of one pattern in single precision: 5,792 × 5,792 pixels, more than detectors have that record scans."""
WORK = 28
"""Times as much as one pattern that suggesting settings and finding its disks takes, of large ones; measured."""
RESULT_BYTES = 128
"""What is at least kept in memory of each scan position: disks, a map."""
LARGEST_DESCRIPTION = 2**24
"""Bytes of what describes a scan beside or between its data."""
_KINDS = {
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


_Kind = TypeVar("_Kind")


@contextmanager
def reading(path: str | Path, what: str, folder: bool = False) -> Iterator[Path]:
    """Turn whatever happens while a file is read into one sentence with the file's name.

    Nothing is opened before the file is known to be a regular one: opening a pipe waits for ever, and a device has no
    end.

    Parameters
    ----------
    path : path
    what : str
        What it is read as, such as ``"a result file"``.
    folder : bool
        Whether it may be a folder.

    Yields
    ------
    path : Path
        With the user's home spelled out.

    Raises
    ------
    UserError
        The file is missing, empty or not a regular one; or anything but ``Cancelled`` came out of the block. One that
        came out of it stays as it is, but for a file name that it may lack.
    """
    path = Path(path).expanduser()
    with saying(path.name or str(path), f"cannot be read as {what}"):
        check_regular(path, folder)
        yield path


@contextmanager
def saying(name: str, failed: str) -> Iterator[None]:
    """Turn whatever happens to a file that is open already into a sentence that begins with ``name`` and ``failed``."""
    name = one_line(name, _QUOTED)
    try:
        yield
    except Cancelled:
        raise
    except UserError as error:
        if name in str(error):
            raise
        raise type(error)(f"{name}: {error}") from error
    except MemoryError as error:
        raise UserError(
            f"{name} asks for more memory than there is; it is damaged, or too large for this computer."
        ) from error
    except PermissionError as error:
        raise UserError(f"{name} {failed} ({_why(error)}); check its permissions.") from error
    except Exception as error:
        raise UserError(
            f"{name} {failed} ({_why(error)}); it is cut short, damaged or something else."
        ) from error


def check_regular(path: Path, folder: bool = False) -> None:
    """Refuse what is no regular file with something in it, without opening it.

    Raises
    ------
    UserError
        It does not exist, is empty, a pipe, a device, a socket, or a folder where none is wanted.
    """
    try:
        told = os.stat(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path} does not exist; check the name and the folder.") from error
    if stat.S_ISDIR(told.st_mode):
        if not folder:
            raise UserError(f"{path} is a folder; choose a file.")
    elif not stat.S_ISREG(told.st_mode):
        kind = _KINDS.get(stat.S_IFMT(told.st_mode), "something special")
        raise UserError(f"{path} is {kind}, not a regular file; copy its content into a file.")
    elif told.st_size == 0:
        raise UserError(f"{path.name} is empty (0 bytes); copy it again.")


def is_regular(path: str | Path) -> bool:
    """Tell whether something is a regular file with something in it; never raises."""
    try:
        check_regular(Path(path))
    except (UserError, OSError, ValueError):
        return False
    return True


def mapped(path: Path) -> np.ndarray:
    """Map a .npy file into memory, not reading it.

    Raises
    ------
    UserError
        The file has no room for the shape that it promises.
    ValueError
        Not one, or of Python objects.
    """
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        head = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, turned, dtype = head(file)
        offset = file.tell()
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    # In whole numbers of Python: numpy's own product runs over.
    if min(shape, default=1) < 0:
        raise ValueError(f"it promises the shape {shape}")
    if offset + math.prod(shape) * dtype.itemsize > path.stat().st_size:
        raise UserError(
            f"{path.name} is cut short: it has no room for the {dtype} of shape {shape} it promises; copy it again."
        )
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", offset, shape, "F" if turned else "C")


def beside(path: Path) -> bytes:
    """Return the content of the small file that describes a scan beside it; an empty one says nothing.

    Raises
    ------
    UserError
        It is no regular file, or larger than any description.
    """
    if path.is_file() and path.stat().st_size == 0:
        return b""
    check_regular(path)
    if path.stat().st_size > LARGEST_DESCRIPTION:
        raise UserError(f"{path.name} is larger than any description of a scan; take it out of the folder.")
    return path.read_bytes()


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file that fits in memory.

    Raises
    ------
    UserError
        It is no regular file, or larger.
    OSError
        It cannot be read.
    """
    path = Path(path)
    check_regular(path)
    check_room(path.stat().st_size, path.name)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def room() -> int:
    """Return how many bytes one thing that is read may take: half of the memory that is free."""
    return int(psutil.virtual_memory().available) // 2


def check_room(size: int, what: str) -> None:
    """Refuse, before it is allocated, what is not going to fit in memory.

    Raises
    ------
    UserError
        Naming ``what`` and its ``size`` (bytes).
    """
    if size > (there := room()):
        raise UserError(
            f"{what} would take {_gib(size)} of memory and {_gib(there)} can be had; the file is damaged, or too large "
            "for this computer."
        )


def check_scan(shape: Sequence[int], itemsize: int, together: int = 0) -> None:
    """Refuse sizes that a file declares and that no memory can hold.

    Parameters
    ----------
    shape : sequence of int
        (scan_y, scan_x, det_y, det_x), or (n, det_y, det_x).
    itemsize : int
        Bytes of a pixel.
    together : int
        Bytes that the file keeps together in one compressed piece.

    Raises
    ------
    UserError
        What is kept of each position, one pattern, or one piece is too large.
    """
    *scan, rows, cols = (int(size) for size in shape)
    positions, pixels = math.prod(scan), rows * cols
    if min(*scan, rows, cols) < 0:
        raise UserError(f"A scan cannot have the shape {tuple(shape)}; the file is damaged.")
    check_room(positions * RESULT_BYTES, f"The maps of {positions:,} scan positions")
    pattern = pixels * max(itemsize, 4)
    if pattern > LARGEST_PATTERN:
        raise UserError(
            f"Patterns of {rows:,} × {cols:,} pixels are larger than can be worked on; bin them, such as 2 × 2, and "
            "save the scan again."
        )
    check_room(WORK * pattern, f"Work on patterns of {rows:,} × {cols:,} pixels")
    if together > LARGEST_PIECE:
        raise UserError(
            f"The file keeps {_gib(together)} together in one piece, and one pattern cannot be read without it; "
            f"save it again in chunks below {_gib(LARGEST_PIECE)}."
        )


def to_json(value: Any) -> str:
    """Return the JSON text of plain values; NumPy's become Python's, anything else its text."""
    return json.dumps(value, default=lambda other: other.tolist() if hasattr(other, "tolist") else str(other))


def from_json(text: Any, kind: type[_Kind]) -> _Kind:
    """Return what a JSON text says, which must be a dict, or a list.

    Raises
    ------
    ValueError
        It is something else, or no JSON.
    """
    found = json.loads(text)
    if not isinstance(found, kind):
        raise ValueError(f"it says {type(found).__name__} where a {kind.__name__} belongs")
    return found


def _why(error: Exception) -> str:
    if isinstance(error, KeyError) and error.args and " " not in str(error.args[0]):
        return one_line(f"there is no {error.args[0]!r} in it", _QUOTED)
    return one_line(getattr(error, "strerror", None) or error, _QUOTED) or type(error).__name__


def _gib(size: int) -> str:
    return f"{size / 2**30:,.3g} GiB"
