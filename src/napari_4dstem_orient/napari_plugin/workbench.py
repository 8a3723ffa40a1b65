"""All panels in one window: the overview and, as tabs, the steps on the right; inspector and map display below."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QDockWidget, QMainWindow, QTabBar, QWidget

from napari_4dstem_orient.napari_plugin.jobs import notify
from napari_4dstem_orient.napari_plugin.latest import Latest
from napari_4dstem_orient.napari_plugin.letters import LEISURE, drawing_letters
from napari_4dstem_orient.napari_plugin.sessions import bare_viewer, is_open, session_for
from napari_4dstem_orient.napari_plugin.turns import Turns
from napari_4dstem_orient.session import Stage

if TYPE_CHECKING:
    import napari

LARGEST = (1600, 1000)
"""Size of the demo's window in pixels, where the screen has room."""
TITLES_BELOW = ("Inspector", "Map display")
BELOW = 0.42
"""Share of the window's height for the inspector."""
STEPS = 385
"""Pixels; so wide, the titles of the steps fit side by side."""
SHORT = 1100
"""Pixels; in a window less high than this the layer controls share their place with the layer list."""


def open_workbench(napari_viewer: napari.Viewer) -> dict[str, QWidget]:
    """Open every panel that is not open yet, each in its place.

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
    return {title: panels[title] for title in (*step_kinds(), *TITLES_BELOW, "Overview")}


def open_all_panels(napari_viewer: napari.Viewer) -> None:
    """Open the workbench a panel at a time, once what they need is imported: meanwhile the window answers."""
    viewer, ready = bare_viewer(napari_viewer), Latest()
    window = viewer.window._qt_window
    letters = Turns(window, notify, LEISURE)
    panels = Turns(window, notify)

    def open_them(kinds: object) -> None:
        panels.take(opening_panels(viewer, {}), lambda: letters.take(drawing_letters(viewer)))

    ready.answered.connect(open_them)
    ready.failed.connect(notify)
    window.destroyed.connect(lambda: ready.close())  # the window may be closed before they are ready
    ready.ask(panel_kinds)


def opening_panels(napari_viewer: napari.Viewer, panels: dict[str, Any]) -> Iterator[None]:
    """Do what ``open_workbench`` does in steps; each panel is put into ``panels``."""
    viewer = bare_viewer(napari_viewer)
    for title, kind in panel_kinds().items():
        if not is_open(viewer):
            return
        area = "bottom" if title in TITLES_BELOW else "right"
        panels[title] = _find_panel(viewer, kind) or _open(viewer, kind, title, area)
        yield
    _arrange(panels)


def panel_kinds() -> dict[str, type[QWidget]]:
    """Return the workbench's panels by title, in the order in which they are opened; imports them, in any thread."""
    from napari_4dstem_orient.napari_plugin.widgets.inspector import InspectorWidget
    from napari_4dstem_orient.napari_plugin.widgets.map_display import MapDisplayWidget
    from napari_4dstem_orient.napari_plugin.widgets.overview import OverviewWidget

    below: tuple[type[QWidget], ...] = (InspectorWidget, MapDisplayWidget)
    return {"Overview": OverviewWidget, **step_kinds(), **dict(zip(TITLES_BELOW, below, strict=True))}


def step_kinds() -> dict[str, type[QWidget]]:
    """Return the steps' panels by title, in the order of the job."""
    from napari_4dstem_orient.napari_plugin.widgets.analysis import AnalysisWidget
    from napari_4dstem_orient.napari_plugin.widgets.calibration import CalibrationWidget
    from napari_4dstem_orient.napari_plugin.widgets.data import DataWidget
    from napari_4dstem_orient.napari_plugin.widgets.disks import DisksWidget
    from napari_4dstem_orient.napari_plugin.widgets.export import ExportWidget
    from napari_4dstem_orient.napari_plugin.widgets.orientation import OrientationWidget

    return {
        "Data": DataWidget,
        "Bragg disks": DisksWidget,
        "Calibration": CalibrationWidget,
        "Map": OrientationWidget,
        "Analysis": AnalysisWidget,
        "Export": ExportWidget,
    }


def step_panel(napari_viewer: napari.Viewer, title: str) -> Any:
    """Return the panel of a step, opened among the others if it is missing."""
    viewer, kind = bare_viewer(napari_viewer), step_kinds()[title]
    return _find_panel(viewer, kind) or _open(viewer, kind, title, "right")


def open_steps(napari_viewer: napari.Viewer) -> dict[str, Any]:
    """Return the steps' panels that are open."""
    viewer = bare_viewer(napari_viewer)
    found = {title: _find_panel(viewer, kind) for title, kind in step_kinds().items()}
    return {title: panel for title, panel in found.items() if panel is not None}


def open_queue(napari_viewer: napari.Viewer) -> Any:
    """Open the queue, or bring it to the front."""
    from napari_4dstem_orient.napari_plugin.widgets.queue import QueueWidget

    return _open_panel(napari_viewer, QueueWidget, "Queue")


def _open(viewer: napari.Viewer, kind: Callable[[Any], QWidget], title: str, area: str) -> QWidget:
    """Open a panel; on the right as a tab, but never over the overview, which stays above."""
    from napari_4dstem_orient.napari_plugin.widgets.overview import OverviewWidget

    tabs = [panel for step in step_kinds().values() if (panel := _find_panel(viewer, step)) is not None]
    panel = kind(viewer)
    alone = kind is OverviewWidget or (not tabs and _find_panel(viewer, OverviewWidget) is not None)
    viewer.window.add_dock_widget(
        panel, name=title, area=area, tabify=area == "right" and not alone, add_vertical_stretch=False
    )
    window = panel.window()
    if tabs and area == "right" and isinstance(window, QMainWindow):
        if kind is OverviewWidget:
            window.splitDockWidget(_dock(panel), _dock(tabs[0]), Qt.Orientation.Vertical)
        elif isinstance(tabs[0].parentWidget(), QDockWidget):
            window.tabifyDockWidget(_dock(tabs[-1]), _dock(panel))
    return panel


def open_training(napari_viewer: napari.Viewer, sources: list[str]) -> None:
    """Open the training panel, or bring it to the front, with crystals (names or CIF files) ticked."""
    from napari_4dstem_orient.napari_plugin.widgets.training import TrainingWidget

    _open_panel(napari_viewer, TrainingWidget, "Train").prefill(sources)


def open_compare(napari_viewer: napari.Viewer) -> None:
    """Open the panel that compares both maps, or bring it to the front."""
    from napari_4dstem_orient.napari_plugin.widgets.compare import CompareWidget

    _open_panel(napari_viewer, CompareWidget, "Compare")


def _open_panel(napari_viewer: napari.Viewer, kind: type[QWidget], title: str) -> Any:
    """Open a panel that is not among the steps as a tab on their side, or bring it to the front."""
    viewer = bare_viewer(napari_viewer)
    panel: Any = _find_panel(viewer, kind)
    if panel is None:
        panel = _open(viewer, kind, title, "right")
    show_panel(panel)
    return panel


def open_virtual_images(napari_viewer: napari.Viewer) -> None:
    """Open the panel of virtual images, or bring it to the front."""
    from napari_4dstem_orient.napari_plugin.widgets.virtual_images import VirtualImagesWidget

    _open_panel(napari_viewer, VirtualImagesWidget, "Virtual images")


def _find_panel(viewer: napari.Viewer, kind: type[QWidget]) -> QWidget | None:
    return next((inner for inner in viewer.window.dock_widgets.values() if isinstance(inner, kind)), None)


def show_panel(panel: QWidget) -> None:
    """Bring a panel's tab to the front."""
    dock = _dock(panel)
    dock.show()
    dock.raise_()


def _dock(panel: QWidget) -> QDockWidget:
    dock = panel.parentWidget()
    assert isinstance(dock, QDockWidget), "a panel of the workbench lies in a dock"
    return dock


def _arrange(panels: dict[str, QWidget]) -> None:
    """Give the steps the whole height on the right, and the inspector most of the width below."""
    window = panels["Inspector"].window()
    if isinstance(window, QMainWindow):
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        below = [_dock(panels[title]) for title in TITLES_BELOW]
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
    from napari_4dstem_orient.napari_plugin.opening import open_scan
    from napari_4dstem_orient.samples.silver import silver_twins

    panels: dict[str, Any] = open_workbench(viewer)
    session = session_for(viewer)
    indexers = panels["Map"].indexers
    steps = {  # what there must be: whose panel makes it, and how
        Stage.DISKS: ("Bragg disks", panels["Bragg disks"].find_disks),
        Stage.CALIBRATED: ("Calibration", panels["Calibration"].apply),
        Stage.TRANSFORMER_MAP: ("Map", partial(panels["Map"].run, "transformer")),
    }

    def step() -> None:
        if any(panels[title].jobs.running for title, _ in steps.values()):
            return
        missing = [stage for stage in steps if session.get(stage) is None]
        if not missing:
            for signal in signals:
                signal.disconnect(soon)
        elif session.get(Stage.PROBE) is not None and indexers.can("transformer"):
            title, take = steps[missing[0]]
            show_panel(panels[title])
            take()

    def soon(*_: object) -> None:
        QTimer.singleShot(0, step)  # after everybody has heard of the change

    signals = [session.changed, indexers.changed]
    signals += [panels[title].jobs.running_changed for title, _ in steps.values()]
    for signal in signals:
        signal.connect(soon)
    open_scan(viewer, silver_twins())
    panels["Map"].choose_phase("Ag")
