"""All panels in one window: the overview and, as tabs, the steps on the right; inspector and map display below."""

from __future__ import annotations

import gc
from typing import Any

import napari
from qtpy.QtCore import QTimer
from qtpy.QtGui import QGuiApplication

from napari_4dstem_orient.napari_plugin.panels.registry import maker
from napari_4dstem_orient.napari_plugin.panels.shared.docks import (
    import_panels,
    open_workbench,
    opening_panels,
    show_panel,
)
from napari_4dstem_orient.napari_plugin.qt.event_loop import EventLoopSteps
from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.qt.latest_only import LatestOnly
from napari_4dstem_orient.napari_plugin.qt.libraries import import_libraries
from napari_4dstem_orient.napari_plugin.state.indexers import can_map
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, session_for
from napari_4dstem_orient.samples.silver import silver_twins
from napari_4dstem_orient.workflow.job import MapBy, Stage, stage_of

LARGEST = (1600, 1000)
"""Size of the demo's window in pixels, where the screen has room."""


def open_all_panels(napari_viewer: napari.Viewer) -> None:
    """Open the workbench a panel at a time, once what they need is imported: meanwhile the window answers."""
    viewer = bare_viewer(napari_viewer)
    window = viewer.window._qt_window
    panels = EventLoopSteps(window, notify)

    def open_them(imported: object) -> None:
        panels.take(opening_panels(viewer, {}), lambda: set_libraries_aside(viewer))

    ready = LatestOnly(open_them)
    window.destroyed.connect(lambda: ready.close())  # the window may be closed before they are ready
    ready.ask(import_panels)


def set_libraries_aside(viewer: napari.Viewer) -> None:
    """Let the garbage collector pass by what libraries hold, from their import until the window closes.

    It takes 0.4 s to look through their half million objects, and napari lets it whenever a layer goes.
    """
    ready, window = LatestOnly(lambda imported: gc.freeze()), viewer.window._qt_window
    window.destroyed.connect(lambda: ready.close())
    window.destroyed.connect(lambda: gc.unfreeze())
    ready.ask(import_libraries)


def open_demo() -> None:
    """Open napari on the silver sample, map it, and wait until the window is closed."""
    import napari

    viewer = napari.Viewer(title="napari-4dstem-orient: silver twins, derived from real patterns")
    room = QGuiApplication.primaryScreen().availableSize()
    viewer.window.resize(
        min(LARGEST[0], round(0.95 * room.width())), min(LARGEST[1], round(0.95 * room.height()))
    )
    map_silver_sample(viewer)
    napari.run()


def map_silver_sample(viewer: napari.Viewer) -> None:
    """Open the workbench on the silver sample and take each step of the job as a user would, up to the map."""
    from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan

    panels: dict[str, Any] = open_workbench(viewer)
    set_libraries_aside(viewer)
    session = session_for(viewer)
    wanted = MapBy("transformer")
    steps = {key: panels[maker(stage_of(key))] for key in (Stage.DISKS, Stage.CALIBRATED, wanted)}

    def step() -> None:
        if any(panel.jobs.running for panel in steps.values()):
            return
        missing = [key for key in steps if session.get(key) is None]
        if not missing:
            for signal in signals:
                signal.disconnect(soon)
        elif session.get(Stage.PROBE) is not None and can_map(session.job, wanted.method):
            show_panel(steps[missing[0]])
            steps[missing[0]].make(missing[0])

    def soon(*_: object) -> None:
        QTimer.singleShot(0, step)  # after everybody has heard of the change

    signals = [session.changed, session.job_changed]
    signals += [panel.jobs.running_changed for panel in steps.values()]
    for signal in signals:
        signal.connect(soon)
    open_scan(viewer, silver_twins())
    panels["Map"].choose_phase("Ag")
