"""Names for files that are not finished yet: they tell whose they are, so that what a killed program left is found.

Such a file lies beside the one it shall become, as ``.NAME.HOST-PID-RANDOM.part.SUFFIX``.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

_NAME = re.compile(r"\.(.*)\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.part(\..*)?", re.DOTALL)
_LONGEST_NAME, _LONGEST_SUFFIX = 120, 24
"""Bytes of the target's name that go into the temporary one; file systems take 255 in all."""
_ABANDONED = 24 * 3600
"""Seconds; what another machine has not touched for so long is no longer being written."""


def temporary_beside(target: Path) -> Path:
    """Return a new name in the same folder, with the same suffix."""
    suffix = target.suffix if len(os.fsencode(target.suffix)) <= _LONGEST_SUFFIX else ""
    unique = f"{_host()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return target.with_name(f".{_short(target.name)}.{unique}.part{suffix}")


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """Provide a folder for files that come and go, named as an unfinished file is; a killed program's goes first."""
    sweep(beside.parent, beside)
    folder = temporary_beside(beside)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path, target: Path | None = None) -> None:
    """Remove what killed programs left of a target, or of all there; not what another may still be writing."""
    for path, name, host, pid in _unfinished(folder):
        if target is not None and name != _short(target.name):
            continue
        with suppress(OSError):
            age = time.time() - path.stat().st_mtime
            if not psutil.pid_exists(pid) if host == _host() else age > _ABANDONED:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _unfinished(folder: Path) -> Iterator[tuple[Path, str, str, int]]:
    """Yield path, target's name, host and process of each unfinished file of a folder."""
    try:
        with os.scandir(folder) as entries:
            found = [(entry.path, _NAME.fullmatch(entry.name)) for entry in entries]
    except OSError:
        return
    for path, parts in found:
        if parts is not None:
            yield Path(path), parts[1], parts[2], int(parts[3])


def _short(name: str) -> str:
    return os.fsencode(name)[:_LONGEST_NAME].decode("utf-8", "ignore")


def _host() -> str:
    """Return what tells where a process number means something: the machine, and the container on it."""
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]
