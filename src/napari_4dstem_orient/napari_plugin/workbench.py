"""All panels in one window: the overview and, as tabs, the steps on the right; inspector and map display below."""

from __future__ import annotations

import gc
from typing import Any

import napari
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QDockWidget, QWidget

from napari_4dstem_orient.napari_plugin.panels.docks import (
    find_panel,
    import_panels,
    open_workbench,
    opening_panels,
    reset_layout,
)
from napari_4dstem_orient.napari_plugin.qt.event_loop import EventLoopSteps, later
from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.qt.latest_only import LatestOnly
from napari_4dstem_orient.napari_plugin.qt.libraries import import_libraries
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer
from napari_4dstem_orient.samples.silver import silver_twins

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


def open_with_data(napari_viewer: napari.Viewer) -> None:
    """Open the workbench with the first data; later what the user has closed stays closed."""
    if find_panel(napari_viewer, "Overview") is None:
        open_all_panels(napari_viewer)


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
    """Open the workbench on the silver sample and run all."""
    from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan

    panels: dict[str, Any] = open_workbench(viewer)
    set_libraries_aside(viewer)
    open_scan(viewer, silver_twins())
    panels["Data"].run_all.choose("Ag")
    panels["Data"].run_all.start()


class _Command(QWidget):
    """What a line of napari's plugin menu does that opens no dock of its own: napari docks it, and it goes at once."""

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = bare_viewer(napari_viewer)
        later(self, self._do, 0)

    def _do(self) -> None:
        viewer = self._viewer
        if isinstance(self.parent(), QDockWidget):
            viewer.window.remove_dock_widget(self)
        self.do(viewer)
        self.deleteLater()

    def do(self, viewer: napari.Viewer) -> None:
        """Do it, with the dock gone."""


class OpenAllPanels(_Command):
    """Opens the workbench."""

    def do(self, viewer: napari.Viewer) -> None:
        """See ``open_all_panels``."""
        open_all_panels(viewer)


class ResetLayout(_Command):
    """Puts every panel back to its place."""

    def do(self, viewer: napari.Viewer) -> None:
        """See ``reset_layout``."""
        reset_layout(viewer)
