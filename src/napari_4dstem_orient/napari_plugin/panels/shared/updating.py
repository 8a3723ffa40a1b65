"""Re-run what is stale or missing, in order, through the panels' own methods; never what is current."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_4dstem_orient.indexing.methods import METHODS, in_words
from napari_4dstem_orient.napari_plugin.panels.docks import step_panel
from napari_4dstem_orient.napari_plugin.panels.registry import maker
from napari_4dstem_orient.napari_plugin.qt.jobs import CANCELLED
from napari_4dstem_orient.napari_plugin.state.indexers import can_map
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.napari_plugin.state.step_states import pending
from napari_4dstem_orient.workflow.job import Key, MapBy, Stage, stage_of

if TYPE_CHECKING:
    import napari

WHY = {
    Stage.PROBE: "open a scan in Data",
    Stage.DISKS: "open its scan in Data",
    Stage.CALIBRATED: "find or load disks in Bragg disks, and give the detector's pixel size in Calibration",
}
"""What to do first where a step did not begin; of a map it depends on the method."""


class Updater:
    """Takes one step after another, each when the one before is done; stops where one fails or is cancelled.

    Signals
    -------
    changed : Signal()
        It began or ended.
    progressed : Signal(int, int, str)
        As of the panel that is at work, see ``JobBar``.
    """

    changed = Signal()
    progressed = Signal(int, int, str)

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer, self._session = viewer, session_for(viewer)
        self._tried: set[Key] = set()
        self._again: tuple[Key, ...] = ()
        self._waits_for: Any = None
        self.running = False
        self.said = ""
        """Why it stopped before the end; empty where it did not."""

    def pending(self) -> list[Key]:
        """Return what is stale or missing, in order."""
        job = self._session.job
        return pending(self._session, [method for method in (job.method, *METHODS) if can_map(job, method)])

    def start(self, again: tuple[Key, ...] = ()) -> None:
        """Begin, unless it runs already; make these results too, even where they are current."""
        if not self.running:
            self._tried, self.running, self.said, self._again = set(), True, "", again
            self.changed.emit()
            self._step()

    def stop(self, why: str = "") -> None:
        """Take no further step; the one that runs goes on."""
        self._listen(None)
        if self.running:
            self.running, self.said = False, why
            self.changed.emit()

    def cancel(self) -> None:
        """Stop, and cancel the step that is under way."""
        panel = self._waits_for
        self.stop("Cancelled: what was there before is kept.")
        if panel is not None:
            panel.jobs.cancel()

    def _step(self) -> None:
        if not self.running:
            return
        due = self.pending() or [key for key in self._again if key not in self._tried]
        if not due:
            self.stop()
            return
        key = due[0]
        panel = step_panel(self._viewer, maker(stage_of(key)))
        if key in self._tried and not panel.jobs.running:
            self.stop(_why_not(key, panel.jobs.trouble))
            return
        if panel.jobs.running:  # somebody's own run: it may be just this step
            self._listen(panel)
            return
        self._tried.add(key)
        if isinstance(key, MapBy) and not can_map(self._session.job, key.method):
            self.stop(_why_not(key, _first(key)))
            return
        self._listen(panel)
        panel.make(key)
        if self._waits_for is panel and not panel.jobs.running:
            self.stop(_why_not(key, _first(key)))

    def _listen(self, panel: Any) -> None:
        former, self._waits_for = self._waits_for, panel
        if former is not None and former is not panel:
            former.jobs.running_changed.disconnect(self._on_running)
            former.jobs.progressed.disconnect(self.progressed.emit)
        if panel is not None and former is not panel:
            panel.jobs.running_changed.connect(self._on_running)
            panel.jobs.progressed.connect(self.progressed.emit)

    def _on_running(self, running: bool) -> None:
        if not running:
            QTimer.singleShot(0, self._step)  # after the panel has put its result into the session


def _first(key: Key) -> str:
    """Say what must be done before a result can be made."""
    if not isinstance(key, MapBy):
        return f"First {WHY[key]}."
    if key.method not in METHODS:
        return f"First install the package of the method {key.method}."
    return "First choose crystals in Map."


def _what(key: Key) -> str:
    words = {Stage.PROBE: "The probe was", Stage.DISKS: "The Bragg disks were"}
    if isinstance(key, MapBy):
        return f"The map by {in_words(key.method)} was"
    return words.get(key, "The calibrated disks were")


def _why_not(key: Key, trouble: str) -> str:
    """Say in words what was not made, in which panel, why, and what to do."""
    what, panel = _what(key), maker(stage_of(key))
    if not trouble:
        why = "the settings changed meanwhile; press Update stale steps again."
        return f"{what} made in {panel}, but {why}"
    if trouble == CANCELLED:
        return f"{what} not made: cancelled in {panel}. Press Update stale steps to go on."
    return f"{what} not made in {panel}: {trouble}"
