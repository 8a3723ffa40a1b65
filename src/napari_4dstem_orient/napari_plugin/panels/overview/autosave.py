"""Work is kept aside some seconds after each finished step, and offered again after a crash.

Each window has a folder of its own below ``autosave_folder()`` with a project file in it, and a lock (Qt's, which
notices that its owner is gone). A window that is closed in an orderly way takes its folder away; one whose lock
nobody holds was left behind by a crash. Nobody but the user may look into any of it.
"""

from __future__ import annotations

import shutil
import threading
import uuid
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from qtpy.QtCore import QLockFile, QObject
from superqt.utils import qdebounced

from napari_4dstem_orient.core.atomic import make_folder
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.napari_plugin.qt.jobs import Job, notify
from napari_4dstem_orient.napari_plugin.state.preferences import state_folder
from napari_4dstem_orient.workflow.project import SUFFIX, Project, save_project

DELAY = 5000
"""Milliseconds from the last finished step to saving."""
NAME, LOCK = f"work{SUFFIX}", "lock"


def autosave_folder() -> Path:
    """Return where the work of windows is kept aside."""
    return state_folder() / "autosave"


class LeftBehind:
    """A crashed window's work, held so that no other window takes it up too.

    Attributes
    ----------
    path : Path
        The project file.
    """

    def __init__(self, folder: Path, lock: QLockFile) -> None:
        self.path = folder / NAME
        self._lock = lock

    def discard(self) -> None:
        """Remove it."""
        self._lock.unlock()
        shutil.rmtree(self.path.parent, ignore_errors=True)

    def release(self) -> None:
        """Leave it for another time."""
        self._lock.unlock()


def left_behind() -> LeftBehind | None:
    """Return the newest work that a crash left behind, or None; folders without any are swept away."""
    _for_the_owner_only(autosave_folder())
    found: list[LeftBehind] = []
    for folder in sorted(path for path in autosave_folder().glob("*") if path.is_dir()):
        lock = _lock(folder)
        if not lock.tryLock(0):
            continue
        if (folder / NAME).is_file():
            found.append(LeftBehind(folder, lock))
        else:
            lock.unlock()
            shutil.rmtree(folder, ignore_errors=True)
    found.sort(key=lambda work: work.path.stat().st_mtime)
    for work in found[:-1]:
        work.release()
    return found[-1] if found else None


def _for_the_owner_only(folder: Path) -> None:
    """Close a folder, with all in it that an earlier version left open, to everybody else."""
    for path in (folder, *folder.rglob("*")):
        with suppress(OSError):
            if not path.is_symlink():
                path.chmod(0o700 if path.is_dir() else 0o600)


def _lock(folder: Path) -> QLockFile:
    lock = QLockFile(str(folder / LOCK))
    lock.setStaleLockTime(0)  # however long ago: only a process that is gone has left it behind
    return lock


class Autosave(QObject):
    """Saves one window's work.

    Parameters
    ----------
    collect : callable
        Returns the project to save; called in the main thread.
    """

    def __init__(self, collect: Callable[[], Project]) -> None:
        super().__init__()
        self._collect = collect
        self.folder = autosave_folder() / uuid.uuid4().hex
        self._lock: QLockFile | None = None
        self._job: Job | None = None
        self._due = False
        self._over = threading.Event()
        self._save_soon = qdebounced(self.save, timeout=DELAY, parent=self)
        # A program that ends by itself is no crash, whoever forgets to close its windows.
        self._end = weakref.finalize(self, _remove, self.folder, self._over)

    @property
    def path(self) -> Path:
        """The project file."""
        return self.folder / NAME

    def soon(self) -> None:
        """Save when nothing has happened for some seconds."""
        if not self._over.is_set():
            self._save_soon()

    def save(self) -> None:
        """Save now, in another thread; after the one that is under way."""
        if self._over.is_set():
            return
        if self._job is not None:
            self._due = True
            return
        try:
            make_folder(autosave_folder(), 0o700)
            make_folder(self.folder, 0o700)
            if self._lock is None:
                self._lock = _lock(self.folder)
                self._lock.tryLock(0)
        except UserError as error:
            notify(error)
            return
        self._job = job = Job(_save, self._collect(), self.path, self._over)
        job.finished.connect(self._on_ended)
        job.cancelled.connect(self._on_ended)
        job.failed.connect(self._on_failed)
        job.start()

    def save_finally(self) -> None:
        """Save what there is now, and nothing that comes later."""
        self._save_soon.cancel()
        project = self._collect()
        self._collect = lambda: project
        self.save()

    def after_save(self, call: Callable[[], None]) -> None:
        """Call this once the save under way has succeeded."""
        if self._job is not None:
            self._job.finished.connect(lambda result: call())

    def close(self) -> None:
        """Remove what was saved: the work was ended in an orderly way."""
        self._over.set()
        self._save_soon.cancel()
        if self._job is not None:
            self._job.detach()
            self._job = None
        if self._lock is not None:
            self._lock.unlock()
        self._end()

    discard = close

    def _on_ended(self, result: Any = None) -> None:
        self._job = None
        if self._due:
            self._due = False
            self.soon()

    def _on_failed(self, error: BaseException) -> None:
        self._on_ended()
        notify(error)


def _save(project: Project, path: Path, over: threading.Event, progress: Progress) -> None:
    try:
        save_project(project, path, progress, private=True)
    finally:
        if over.is_set():
            shutil.rmtree(path.parent, ignore_errors=True)


def _remove(folder: Path, over: threading.Event) -> None:
    over.set()
    shutil.rmtree(folder, ignore_errors=True)
