"""Write a file completely or not at all."""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from napari_4dstem_orient.errors import UserError

_WHY: dict[int | None, str] = {
    errno.EACCES: "permission denied; choose a folder you may write to",
    errno.EPERM: "permission denied; choose a folder you may write to",
    errno.EROFS: "the folder is read-only; choose a folder you may write to",
    errno.ENOSPC: "the disk is full; free some space or choose another folder",
    errno.EDQUOT: "your disk quota is used up; free some space or choose another folder",
    errno.EFBIG: "the file is larger than the file system or your limits allow; choose another folder",
    errno.EIO: "the device reports an input/output error; choose another folder",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EISDIR: "it is a folder; choose a file name",
    errno.EEXIST: "a file has this name; choose another",
    errno.ENOTDIR: "its folder does not exist; create the folder or choose another",
    errno.ENOENT: "its folder does not exist; create the folder or choose another",
}


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write to; it becomes ``path`` when the block succeeds.

    An existing file stays untouched until then, and for good when the block fails.

    Parameters
    ----------
    path : path
        Where the file shall be. Its folder must exist.

    Yields
    ------
    temporary : Path
        A path in the same folder, with the same suffix, where nothing exists yet.

    Raises
    ------
    UserError
        Folder missing or not writable, disk full, or ``path`` is a folder or write-protected.
    """
    target = Path(os.path.realpath(Path(path).expanduser()))
    temporary = target.with_name(f".{uuid.uuid4().hex[:12]}{target.suffix}")
    try:
        _refuse_early(target, temporary)
        yield temporary
        os.replace(temporary, target)
    # HDF5 reports a full disk on closing as a RuntimeError that names the errno in its text.
    except (OSError, RuntimeError) as error:
        if (why := _WHY.get(_errno(error))) is None:
            raise
        raise UserError(f"Cannot write {path}: {why}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


class _Enough(Exception):
    """Leaves ``writing`` before there is anything to write."""


def check_writable(path: str | Path) -> None:
    """Raise UserError now, rather than after the work, where ``writing`` would."""
    with suppress(_Enough), writing(path):
        raise _Enough


def make_folder(path: str | Path) -> Path:
    """Make a folder, and those above it, where they are missing.

    Raises
    ------
    UserError
        The folder cannot be made, or a file has its name.
    """
    folder = Path(path).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        if (why := _WHY.get(error.errno)) is None:
            raise
        raise UserError(f"Cannot make the folder {path}: {why}.") from error
    return folder


def _refuse_early(target: Path, temporary: Path) -> None:
    """Raise what writing would raise in the end, before anything is computed."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(target))
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "is write-protected", str(target))
    temporary.touch(exist_ok=False)
    temporary.unlink()


def _errno(error: Exception) -> int | None:
    number = getattr(error, "errno", None)
    if number is None and (told := re.search(r"errno = (\d+)", str(error))):
        number = int(told[1])
    return number
