"""Panels in the window: found, opened in their place, brought to the front."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from typing import Any

import napari
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QLabel, QMainWindow, QTabBar, QToolButton, QWidget

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.resource_files import page
from napari_4dstem_orient.napari_plugin.panels.registry import PANELS, Place, titles
from napari_4dstem_orient.napari_plugin.qt.help_page import HelpPage
from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, is_open

BELOW = 0.42
"""Share of the window's height for the inspector."""
STEPS = 414
"""Pixels; so wide, the titles of the steps and of one panel more fit side by side."""
AREAS: dict[Place, tuple[str, Qt.DockWidgetArea]] = {
    "overview": ("right", Qt.DockWidgetArea.RightDockWidgetArea),
    "step": ("right", Qt.DockWidgetArea.RightDockWidgetArea),
    "tab": ("right", Qt.DockWidgetArea.RightDockWidgetArea),
    "below": ("bottom", Qt.DockWidgetArea.BottomDockWidgetArea),
}
"""Of the window, as napari and as Qt call them."""
CLOSE = "QTabBar::tab { padding: 3px 2px; margin: 0px }"
HELP = "help of a 4D-STEM panel"
"""Object name of the Help buttons."""
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
    return next((one for one in docked if _kind(one) == name), None)


def _kind(panel: QWidget) -> str:
    return f"{type(panel).__module__}:{type(panel).__qualname__}"


def step_panel(napari_viewer: napari.Viewer, title: str) -> Any:
    """Return a panel, opened among the others if it is missing."""
    viewer = bare_viewer(napari_viewer)
    return find_panel(viewer, title) or _open(viewer, title)


def open_panel(napari_viewer: napari.Viewer, title: str) -> Any:
    """Return a panel, opened if it is missing, and brought to the front."""
    panel = step_panel(napari_viewer, title)
    _make_way(napari_viewer, title)
    show_panel(panel)
    return panel


def _make_way(napari_viewer: napari.Viewer, title: str) -> None:
    """Hide the other panels that are opened on demand: the tab bar has room for one beside the steps."""
    if PANELS[title].place == "tab":
        for other in titles("tab"):
            if other != title and (there := find_panel(napari_viewer, other)) is not None:
                _dock(there).hide()


def open_steps(napari_viewer: napari.Viewer) -> dict[str, Any]:
    """Return the steps' panels that are open."""
    found = {title: find_panel(napari_viewer, title) for title in titles("step")}
    return {title: panel for title, panel in found.items() if panel is not None}


def show_panel(panel: QWidget) -> None:
    """Bring a panel's tab to the front."""
    dock = _dock(panel)
    dock.show()
    dock.raise_()


def settle(napari_viewer: napari.Viewer, panel: QWidget) -> None:
    """Put a panel that napari's menu opened where it belongs, under its short title; a second one of its kind goes."""
    viewer, dock = bare_viewer(napari_viewer), panel.parentWidget()
    title = next((title for title in PANELS if PANELS[title].python_name == _kind(panel)), None)
    if title is None or not is_open(viewer) or not isinstance(dock, QDockWidget):
        return
    if dock.windowTitle() == title or not dock.windowTitle().startswith(PANELS[title].menu):
        return  # opened here, or by a program that knows where it wants it
    if (there := find_panel(viewer, title)) is not None and there is not panel:
        viewer.window.remove_dock_widget(panel)
        show_panel(there)
        return
    dock.setWindowTitle(title)
    for label in dock.titleBarWidget().findChildren(QLabel):
        label.setText(title)
    window, area = viewer.window._qt_window, AREAS[PANELS[title].place][1]
    if window.dockWidgetArea(dock) != area:
        window.addDockWidget(area, dock)
    dock.show()
    _place(viewer, panel, title)
    if (above := find_panel(viewer, "Overview")) not in (None, panel):
        window.resizeDocks([_dock(above), dock], [1, window.height()], Qt.Orientation.Vertical)
    _show_whole_titles(window)
    _make_way(viewer, title)
    show_panel(panel)


def put_help(panel: QWidget) -> None:
    """Put a Help button into the title bar of a panel's dock, unless it is there; napari makes bars anew at times."""
    dock = panel.parentWidget()
    bar = dock.titleBarWidget() if isinstance(dock, QDockWidget) else None
    layout = None if bar is None else bar.layout()
    if bar is None or layout is None or bar.findChild(QToolButton, HELP) is not None:
        return
    button = QToolButton(bar)
    button.setObjectName(HELP)
    button.setText("?")
    button.setToolTip("Help: the page of the documentation about this panel, and the glossary.")
    button.setAccessibleName("Help")
    button.setAutoRaise(True)
    button.clicked.connect(lambda checked=False: show_help(panel))
    layout.addWidget(button)


def show_help(panel: QWidget) -> HelpPage:
    """Show what the documentation says about a panel, and the glossary."""
    known = next((known for known in PANELS.values() if known.python_name == _kind(panel)), None)
    heading = "" if known is None else known.help or known.menu
    shown = HelpPage(panel, {"Tutorial": page("tutorial"), "Glossary": page("glossary")}, heading)
    shown.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    shown.show()
    return shown


def enlarge(panel: QWidget) -> None:
    """Let a panel float, nearly as large as the screen; one that floats goes back."""
    dock = _dock(panel)
    dock.setFloating(not dock.isFloating())
    if dock.isFloating():
        room = dock.screen().availableGeometry()
        width, height = round(0.9 * room.width()), round(0.85 * room.height())
        dock.setGeometry(room.x() + (room.width() - width) // 2, room.y() + 40, width, height)
        dock.raise_()


def reset_layout(napari_viewer: napari.Viewer) -> None:
    """Put every panel back to its place, and open what is missing of the workbench."""
    viewer = bare_viewer(napari_viewer)
    panels: dict[str, Any] = open_workbench(viewer)
    window = viewer.window._qt_window
    more = {title: panel for title in titles("tab") if (panel := find_panel(viewer, title)) is not None}
    docks = {title: _dock(panel) for title, panel in (panels | more).items()}
    for title, dock in docks.items():
        area = AREAS[PANELS[title].place][1]
        dock.setFloating(False)
        if window.dockWidgetArea(dock) != area:
            window.addDockWidget(area, dock)
        dock.show()
    tabs = [docks[title] for title in titles("step", "tab") if title in docks]
    window.splitDockWidget(docks["Overview"], tabs[0], Qt.Orientation.Vertical)
    for former, dock in pairwise(tabs):
        window.tabifyDockWidget(former, dock)
    window.splitDockWidget(*(docks[title] for title in titles("below")), Qt.Orientation.Horizontal)
    for title in more:
        docks[title].hide()
    _arrange(panels)


def _open(viewer: napari.Viewer, title: str) -> QWidget:
    """Open a panel in its place."""
    panel = PANELS[title].load()(viewer)  # type: ignore[arg-type]
    viewer.window.add_dock_widget(
        panel, name=title, area=AREAS[PANELS[title].place][0], add_vertical_stretch=False
    )
    _place(viewer, panel, title)
    return panel


def _place(viewer: napari.Viewer, panel: QWidget, title: str) -> None:
    """Put a docked panel in its place: a step as a tab beside the others, the overview above them."""
    window, dock, place = panel.window(), _dock(panel), PANELS[title].place
    if not isinstance(window, QMainWindow):
        return
    steps = (find_panel(viewer, other) for other in titles("step", "tab"))
    beside = [
        _dock(step)
        for step in steps
        if step not in (None, panel) and isinstance(step.parentWidget(), QDockWidget)
    ]
    if place == "overview" and beside:
        window.splitDockWidget(dock, beside[0], Qt.Orientation.Vertical)
    elif place in ("step", "tab") and beside:
        window.tabifyDockWidget(beside[0], dock)


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
    """Let tabs say their whole title, close together; where there are more than fit, arrows scroll them."""
    for tabs in window.findChildren(QTabBar, options=Qt.FindChildOption.FindDirectChildrenOnly):
        tabs.setStyleSheet(CLOSE)
        tabs.setElideMode(Qt.TextElideMode.ElideNone)
        tabs.setUsesScrollButtons(True)
