"""Panels in the window: found, opened in their place, brought to the front."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import napari
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QTabBar, QWidget

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.napari_plugin.panels.registry import PANELS, titles
from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, is_open

BELOW = 0.42
"""Share of the window's height for the inspector."""
STEPS = 385
"""Pixels; so wide, the titles of the steps fit side by side."""
SHORT = 1100
"""Pixels; in a window less high than this the layer controls share their place with the layer list."""


def open_workbench(napari_viewer: napari.Viewer) -> dict[str, QWidget]:
    """Open every panel of the workbench that is not open yet, each in its place.

    Parameters
    ----------
    napari_viewer : napari.Viewer

    Returns
    -------
    dict
        The panels by title, in the order of the job.
    """
    panels: dict[str, QWidget] = {}
    for _ in opening_panels(napari_viewer, panels):
        pass
    return {
        title: panels[title]
        for place in ("step", "below", "overview")
        for title in titles(place)
        if title in panels
    }


def opening_panels(napari_viewer: napari.Viewer, panels: dict[str, Any]) -> Iterator[None]:
    """Do what ``open_workbench`` does in steps; each panel is put into ``panels``."""
    viewer = bare_viewer(napari_viewer)
    for title in titles("overview", "step", "below"):
        if not is_open(viewer):
            return
        try:
            panels[title] = find_panel(viewer, title) or _open(viewer, title)
        except Exception as error:  # one panel, perhaps of another package, shall not keep the others away
            notify(UserError(f"The panel {title} cannot be opened ({type(error).__name__}: {error})."))
        yield
    _arrange(panels)


def import_panels() -> None:
    """Import the workbench's panels, in any thread."""
    for title in titles("overview", "step", "below"):
        with suppress(Exception):  # which comes again when it is opened
            PANELS[title].load()


def find_panel(napari_viewer: napari.Viewer, title: str) -> Any | None:
    """Return a panel if it is open."""
    name = PANELS[title].python_name  # imported only if it is open
    docked = bare_viewer(napari_viewer).window.dock_widgets.values()
    return next((one for one in docked if f"{type(one).__module__}:{type(one).__qualname__}" == name), None)


def step_panel(napari_viewer: napari.Viewer, title: str) -> Any:
    """Return a panel, opened among the others if it is missing."""
    viewer = bare_viewer(napari_viewer)
    return find_panel(viewer, title) or _open(viewer, title)


def open_panel(napari_viewer: napari.Viewer, title: str) -> Any:
    """Return a panel, opened if it is missing, and brought to the front."""
    panel = step_panel(napari_viewer, title)
    show_panel(panel)
    return panel


def open_steps(napari_viewer: napari.Viewer) -> dict[str, Any]:
    """Return the steps' panels that are open."""
    found = {title: find_panel(napari_viewer, title) for title in titles("step")}
    return {title: panel for title, panel in found.items() if panel is not None}


def show_panel(panel: QWidget) -> None:
    """Bring a panel's tab to the front."""
    dock = _dock(panel)
    dock.show()
    dock.raise_()


def _open(viewer: napari.Viewer, title: str) -> QWidget:
    """Open a panel; on the right as a tab, but never over the overview, which stays above."""
    place = PANELS[title].place
    area = "bottom" if place == "below" else "right"
    tabs = list(open_steps(viewer).values())
    panel = PANELS[title].load()(viewer)  # type: ignore[arg-type]
    alone = place == "overview" or (not tabs and find_panel(viewer, "Overview") is not None)
    viewer.window.add_dock_widget(
        panel, name=title, area=area, tabify=area == "right" and not alone, add_vertical_stretch=False
    )
    window = panel.window()
    if tabs and area == "right" and isinstance(window, QMainWindow):
        if place == "overview":
            window.splitDockWidget(_dock(panel), _dock(tabs[0]), Qt.Orientation.Vertical)
        elif isinstance(tabs[0].parentWidget(), QDockWidget):
            window.tabifyDockWidget(_dock(tabs[-1]), _dock(panel))
    return panel


def _dock(panel: QWidget) -> QDockWidget:
    dock = panel.parentWidget()
    assert isinstance(dock, QDockWidget), "a panel of the workbench lies in a dock"
    return dock


def _arrange(panels: dict[str, QWidget]) -> None:
    """Give the steps the whole height on the right, and the inspector most of the width below."""
    window = panels["Inspector"].window()
    if isinstance(window, QMainWindow):
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        below = [_dock(panels[title]) for title in titles("below")]
        right = [_dock(panels[title]) for title in ("Overview", "Data")]
        window.resizeDocks(right, [1, window.height()], Qt.Orientation.Vertical)
        window.resizeDocks(right, [STEPS, STEPS], Qt.Orientation.Horizontal)
        _show_whole_titles(window)
        window.resizeDocks(below, [790, 210], Qt.Orientation.Horizontal)
        if window.height() < SHORT:  # napari's own docks would leave the inspector no height
            left = {dock.windowTitle(): dock for dock in window.findChildren(QDockWidget)}
            window.tabifyDockWidget(left["layer controls"], left["layer list"])
        window.resizeDocks(below[:1], [round(BELOW * window.height())], Qt.Orientation.Vertical)
    show_panel(panels["Data"])


def _show_whole_titles(window: QMainWindow) -> None:
    """Let tabs say their whole title; where there are more than fit, arrows scroll them."""
    for tabs in window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
        tabs.setElideMode(Qt.TextElideMode.ElideNone)
        tabs.setUsesScrollButtons(True)
