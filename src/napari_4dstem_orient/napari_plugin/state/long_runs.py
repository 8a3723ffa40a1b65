"""How the window takes the job's long steps: by whom, and where what is done outlasts a cancelled or killed run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_4dstem_orient.core.progress import Progress
from napari_4dstem_orient.napari_plugin.state.preferences import state_folder
from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.run import Observer, Results, run
from napari_4dstem_orient.workflow.session import Session

MOST_KEPT, LONGEST_KEPT = 4 * 2**30, 30 * 24 * 3600
"""Bytes, and seconds: what is older, or too much, goes when the next long step begins."""


def unfinished_folder() -> Path:
    """Return where the done parts of unfinished runs lie."""
    return state_folder() / "unfinished"


@dataclass(frozen=True)
class LongRun:
    """Takes one long step; to be called in a thread.

    Attributes
    ----------
    workers : int
        Processes of this machine; 1 is the program itself.
    cluster : str
        Address of a Dask scheduler whose workers do it instead; empty for none.
    afresh : bool
        Take up nothing of an earlier run.
    resumed : callable
        See ``Observer``.
    """

    workers: int = 1
    cluster: str = ""
    afresh: bool = False
    resumed: Callable[[float], None] = lambda share: None

    def __call__(
        self,
        job: Job,
        until: Stage | None,
        have: Results,
        progress: Progress,
        see: Callable[[Callable[[], Any]], None],
    ) -> Results:
        """Do a job up to a long step; ``see(so_far)`` as its result grows. Raises what ``run`` and ``workers`` do."""
        from napari_4dstem_orient.workflow.cluster import workers
        from napari_4dstem_orient.workflow.store import Store

        store = Store(unfinished_folder(), self.afresh)
        store.trim(MOST_KEPT, LONGEST_KEPT)
        observer = Observer(lambda step: progress, lambda stage, so_far: see(so_far), self.resumed)
        local = self.workers if self.workers > 1 and not self.cluster else None
        with workers(local, self.cluster or None) as runner:
            done = run(job, until, runner=runner, store=store, observer=observer, have=have)
        store.remove()
        return done


class Workforce:
    """Who does the long steps of a session, as its user chose.

    Signals
    -------
    changed : Signal()
        Somebody else is chosen.
    """

    changed = Signal()

    def __init__(self) -> None:
        self.long_run = LongRun()

    def choose(self, **fields: Any) -> None:
        """Replace ``workers`` or ``cluster``."""
        chosen = replace(self.long_run, **fields)
        if chosen != self.long_run:
            self.long_run = chosen
            self.changed.emit()


_of_session: WeakKeyDictionary[Session, Workforce] = WeakKeyDictionary()


def workforce_for(session: Session) -> Workforce:
    """Return who does the long steps of a session."""
    return _of_session.setdefault(session, Workforce())
