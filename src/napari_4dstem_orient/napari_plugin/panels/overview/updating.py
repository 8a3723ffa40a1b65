"""Re-run what is stale or missing, in order, through the panels' own methods; never what is current."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from psygnal import Signal
from qtpy.QtCore import QTimer

from napari_4dstem_orient.napari_plugin.panels.shared.docks import step_panel
from napari_4dstem_orient.napari_plugin.qt.jobs import CANCELLED
from napari_4dstem_orient.napari_plugin.state.indexers import STAGES, can_map
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.napari_plugin.state.step_states import pending
from napari_4dstem_orient.workflow.session import Stage

if TYPE_CHECKING:
    import napari

WHOSE = {
    Stage.PROBE: "Bragg disks",
    Stage.DISKS: "Bragg disks",
    Stage.CALIBRATED: "Calibration",
    Stage.TRANSFORMER_MAP: "Map",
    Stage.TEMPLATE_MAP: "Map",
}
WHAT = {
    Stage.PROBE: "The probe was",
    Stage.DISKS: "The Bragg disks were",
    Stage.CALIBRATED: "The calibrated disks were",
    Stage.TRANSFORMER_MAP: "The transformer's map was",
    Stage.TEMPLATE_MAP: "The map of template matching was",
}
WHY = {
    Stage.PROBE: "open a scan in Data",
    Stage.DISKS: "open its scan in Data",
    Stage.CALIBRATED: "find or load disks in Bragg disks, and give the detector's pixel size in Calibration",
    Stage.TRANSFORMER_MAP: "choose crystals and a model in Map",
    Stage.TEMPLATE_MAP: "choose crystals in Map",
}


class Updater:
    """Takes one step after another, each when the one before is done; stops where one fails or is cancelled.

    Signals
    -------
    changed : Signal()
        It began or ended.
    """

    changed = Signal()

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer, self._session = viewer, session_for(viewer)
        self._tried: set[Stage] = set()
        self._waits_for: Any = None
        self.running = False
        self.said = ""
        """Why it stopped before the end; empty where it did not."""

    def pending(self) -> list[Stage]:
        """Return what is stale or missing, in order."""
        return pending(self._session, self._can_map())

    def start(self) -> None:
        """Begin, unless it runs already."""
        if not self.running:
            self._tried, self.running, self.said = set(), True, ""
            self.changed.emit()
            self._step()

    def stop(self, why: str = "") -> None:
        """Take no further step; the one that runs goes on."""
        self._listen(None)
        if self.running:
            self.running, self.said = False, why
            self.changed.emit()

    def _can_map(self) -> dict[Stage, bool]:
        return {stage: can_map(self._session.job, method) for method, stage in STAGES.items()}

    def _step(self) -> None:
        if not self.running:
            return
        due = self.pending()
        if not due:
            self.stop()
            return
        stage = due[0]
        panel = step_panel(self._viewer, WHOSE[stage])
        if stage in self._tried and not panel.jobs.running:
            self.stop(_why_not(stage, panel.jobs.trouble))
            return
        if panel.jobs.running:  # somebody's own run: it may be just this step
            self._listen(panel)
            return
        self._tried.add(stage)
        if stage in STAGES.values() and not self._can_map()[stage]:
            self.stop(_why_not(stage, f"First {WHY[stage]}."))
            return
        self._listen(panel)
        self._take(stage, panel)()
        if self._waits_for is panel and not panel.jobs.running:
            self.stop(_why_not(stage, f"First {WHY[stage]}."))

    def _take(self, stage: Stage, panel: Any) -> Callable[[], Any]:
        if stage is Stage.PROBE:
            return panel.suggest  # type: ignore[no-any-return]
        if stage is Stage.DISKS:
            return panel.find_disks  # type: ignore[no-any-return]
        if stage is Stage.CALIBRATED:
            return panel.apply  # type: ignore[no-any-return]
        return partial(panel.run, next(method for method, made in STAGES.items() if made is stage))

    def _listen(self, panel: Any) -> None:
        former, self._waits_for = self._waits_for, panel
        if former is not None and former is not panel:
            former.jobs.running_changed.disconnect(self._on_running)
        if panel is not None and former is not panel:
            panel.jobs.running_changed.connect(self._on_running)

    def _on_running(self, running: bool) -> None:
        if not running:
            QTimer.singleShot(0, self._step)  # after the panel has put its result into the session


def _why_not(stage: Stage, trouble: str) -> str:
    """Say in words what was not made, in which panel, why, and what to do."""
    if not trouble:
        why = "the settings changed meanwhile; press Update stale steps again."
        return f"{WHAT[stage]} made in {WHOSE[stage]}, but {why}"
    if trouble == CANCELLED:
        return f"{WHAT[stage]} not made: cancelled in {WHOSE[stage]}. Press Update stale steps to go on."
    return f"{WHAT[stage]} not made in {WHOSE[stage]}: {trouble}"
