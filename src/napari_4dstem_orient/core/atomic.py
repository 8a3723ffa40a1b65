"""Write a file completely or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.inputs import refuse_inputs
from napari_4dstem_orient.core.temporaries import sweep, temporary_beside

if TYPE_CHECKING:
    import h5py

_NO_FILE, _HELD = -1, -2
"""Beside the system's numbers: the path is a device, a pipe or a socket; somebody has the file open (Windows)."""
_NOT_IN_NAMES = frozenset('<>:"|?*')
"""On Windows, and on its disks."""
_WAITS = (0.1, 0.3, 1.0)
"""Seconds until a file is tried again that somebody has open: a virus scanner lets go soon."""
_PIECE = 2**20
"""Bytes copied at once."""

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
    errno.ELOOP: "its links lead in a circle; choose another name",
    _HELD: "another program has it open, or it is not yours; close it there, or choose another name",
    _NO_FILE: "it is a device, a pipe or a socket, no file; choose a file name",
}


@contextmanager
def writing(path: str | Path, private: bool = False, inputs: Iterable[str | Path] = ()) -> Iterator[Path]:
    """Give a temporary path beside ``path`` to write to; it becomes ``path`` when the block succeeds.

    An existing file stays untouched until then, and for good when the block fails. It keeps its mode, access list and,
    where the user may give files away, its owner. A file of several names (hard links) keeps them all: the new
    content, complete by then, is copied into its place. What a killed program left of the same file is removed.

    Parameters
    ----------
    path : path
        Where the file shall be. Its folder must exist.
    private : bool
        For its owner only, whatever an existing file allows; otherwise a new file is what the user's umask makes it.
    inputs : iterable of path
        What the content was made from, which is never replaced.

    Yields
    ------
    temporary : Path
        An empty file in the same folder, with the same suffix, to be written over.

    Raises
    ------
    UserError
        Folder missing or not writable, disk full, or ``path`` is write-protected, or something that is no file: a
        folder, a device, a pipe, a socket; or one of ``inputs``.
    """
    refuse_inputs(path, inputs)
    target = Path(os.path.realpath(Path(path).expanduser()))
    temporary = temporary_beside(target)
    try:
        existing = _refuse_early(Path(path).expanduser(), target)
        # While it is written nobody sees more of it than of what it replaces.
        temporary.touch(mode=0o600 if private or existing else 0o666, exist_ok=False)
        sweep(target.parent, target)
        yield temporary
        _dress(temporary, target, existing, private)
        if existing is not None and existing.st_nlink > 1:
            _copy_into(temporary, target)
        else:
            _replace(temporary, target)
    # HDF5 reports a full disk on closing as a RuntimeError that names the errno in its text.
    except (OSError, RuntimeError) as error:
        if (why := _why(error, target.name)) is None:
            raise
        raise UserError(f"Cannot write {path}: {why}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write(
    path: str | Path, content: bytes | str, private: bool = False, inputs: Iterable[str | Path] = ()
) -> None:
    """Write bytes, or a text as UTF-8, as ``writing`` does."""
    with writing(path, private, inputs) as temporary:
        temporary.write_bytes(content if isinstance(content, bytes) else content.encode())


def hdf5_in_memory() -> h5py.File:
    """Return an empty HDF5 file in memory, whose ``get_file_image`` is then written like any bytes.

    On a full disk HDF5 never recovers: it keeps the file open and complains for good. It knows files in memory by
    their names, so each has its own, and several can be made at once.
    """
    import h5py

    return h5py.File(uuid.uuid4().hex, "w", driver="core", backing_store=False)


class _Enough(Exception):
    """Leaves ``writing`` before there is anything to write."""


def check_writable(path: str | Path) -> None:
    """Raise UserError now, rather than after the work, where ``writing`` would."""
    with suppress(_Enough), writing(path):
        raise _Enough


def make_folder(path: str | Path, mode: int = 0o777) -> Path:
    """Make a folder, and those above it, where they are missing; the user's umask takes from the mode.

    Raises
    ------
    UserError
        The folder cannot be made, or a file has its name.
    """
    folder = Path(path).expanduser()
    try:
        folder.mkdir(mode, parents=True, exist_ok=True)
    except OSError as error:
        if (why := _why(error, folder.name)) is None:
            raise
        raise UserError(f"Cannot make the folder {path}: {why}.") from error
    return folder


def _refuse_early(path: Path, target: Path) -> os.stat_result | None:
    """Raise what writing would raise in the end, before anything is computed; return what the file is now, if it is.

    The path itself is asked, not only where its links lead: /dev/stdout leads to a pipe that has no path.
    """
    try:
        existing = os.stat(path)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(existing.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(target))
    if not stat.S_ISREG(existing.st_mode):
        raise OSError(_NO_FILE, "is no regular file", str(target))
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "is write-protected", str(target))
    return existing


def _dress(temporary: Path, target: Path, existing: os.stat_result | None, private: bool) -> None:
    """Give a complete file the owner, mode and attributes of the one it replaces."""
    if existing is not None:
        if hasattr(os, "chown"):
            for owner in (existing.st_uid, -1):  # the group alone, where the user may not give files away
                with suppress(OSError):
                    os.chown(temporary, owner, existing.st_gid)
                    break
        with suppress(OSError):  # some file systems know no modes
            shutil.copystat(target, temporary)
        os.utime(temporary)
    if private:
        temporary.chmod(0o600)


def _replace(temporary: Path, target: Path) -> None:
    """Put a complete file in place of another; Windows refuses while somebody has that open."""
    for wait in (*_WAITS, None):
        try:
            os.replace(temporary, target)
            return
        except PermissionError as error:
            if wait is None:
                raise OSError(_HELD, "is held", str(target)) from error
            time.sleep(wait)


def _copy_into(temporary: Path, target: Path) -> None:
    """Copy a complete file into the place of another, whose other names show the new content then too."""
    with temporary.open("r+b") as new, target.open("r+b") as old:
        os.fsync(new.fileno())
        size, former = new.seek(0, os.SEEK_END), old.seek(0, os.SEEK_END)
        try:  # the room first: what does not fit shall not begin
            for _ in range(size - former, 0, -_PIECE):
                old.write(bytes(_PIECE))
            old.flush()
            os.fsync(old.fileno())
        except OSError:
            old.truncate(former)
            raise
        new.seek(0)
        old.seek(0)
        shutil.copyfileobj(new, old, _PIECE)
        old.truncate(size)
        old.flush()
        os.fsync(old.fileno())


def _why(error: Exception, name: str) -> str | None:
    """Return in words why a file or folder of a name could not be made; None where it is nothing of that kind."""
    number = getattr(error, "errno", None)
    if number is None and (told := re.search(r"errno = (\d+)", str(error))):
        number = int(told[1])
    if number == errno.EINVAL and (wrong := "".join(sorted(_NOT_IN_NAMES & set(name)))):
        return f"names there have no {wrong}; choose another name"
    return _WHY.get(number)
