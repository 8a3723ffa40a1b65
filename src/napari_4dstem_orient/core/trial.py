"""HDF5 files are tried out in a process of their own: on some damaged ones the library searches for ever, or crashes.

No thread could end that, and the window would stand still with it.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path

import psutil

from napari_4dstem_orient.core.errors import UserError

_SECONDS = 1.0
"""Of computing, not of waiting for a disk; honest files take some hundredths, and half of one at most."""
_PATIENCE = 60.0
"""Seconds until the other process is given up for whatever reason."""
_BYTES = 2**30
_EVERY = 0.1
_one_at_a_time = threading.Lock()


def try_out(path: Path) -> None:
    """Refuse an HDF5 file that the library does not come back from; each file once, until it changes.

    Raises
    ------
    UserError
        It computes for ever, fills the memory, or crashes.
    """
    told = os.stat(path)
    with _one_at_a_time:
        comes_back = _comes_back(os.path.abspath(path), told.st_size, told.st_mtime_ns, told.st_ino)
    if not comes_back:
        raise UserError(
            f"{path.name} is damaged: HDF5 does not come back from reading its structure; copy it again."
        )


@lru_cache(maxsize=1024)
def _comes_back(path: str, *_changed: int) -> bool:
    if (helper := _helper(os.getpid())) is not None and helper.poll() is not None:  # ended by somebody else
        _helper.cache_clear()
        helper = _helper(os.getpid())
    if helper is None or _ask(helper, os.fsencode(path).hex()):
        return True
    _helper.cache_clear()
    return False


@cache
def _helper(_of: int) -> subprocess.Popen[str] | None:
    """Start the other process; None where that cannot be done: then files are opened untried."""
    if not sys.executable or getattr(sys, "frozen", False):
        return None
    try:
        helper = subprocess.Popen(
            # -P: nothing is imported from the current folder, which may be somebody else's.
            [sys.executable, "-P", str(Path(__file__).with_name("look_through.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            text=True,
        )
    except OSError:
        return None
    atexit.register(_end, helper)
    return helper if _ask(helper, "") else None


def _ask(helper: subprocess.Popen[str], question: str) -> bool:
    """Return whether the other process answers; one that does not is ended."""
    answered = threading.Event()
    watching = threading.Thread(target=_watch, args=(helper, answered), daemon=True)
    watching.start()
    try:
        assert helper.stdin is not None
        assert helper.stdout is not None
        print(question, file=helper.stdin, flush=True)
        answer = helper.stdout.readline()
    except OSError:
        answer = ""
    answered.set()
    watching.join()
    if not answer:
        _end(helper)
    return bool(answer)


def _watch(helper: subprocess.Popen[str], answered: threading.Event) -> None:
    """End the other process where it computes too long, grows too large, or never answers."""
    try:
        process = psutil.Process(helper.pid)
        began = sum(process.cpu_times()[:2])
        for _ in range(int(_PATIENCE / _EVERY)):
            if answered.wait(_EVERY):
                return
            if sum(process.cpu_times()[:2]) - began > _SECONDS or process.memory_info().rss > _BYTES:
                break
    except psutil.Error:  # it has ended
        pass
    helper.kill()


def _end(helper: subprocess.Popen[str]) -> None:
    helper.kill()
    helper.wait()
    for pipe in (helper.stdin, helper.stdout):
        if pipe is not None:
            with suppress(OSError):  # what could not be sent
                pipe.close()
