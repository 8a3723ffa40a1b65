"""All panels in one window: the steps as tabs on the right, the inspector and the colour key below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from napari_4dstem_orient.napari_plugin.sessions import bare_viewer, session_for
from napari_4dstem_orient.napari_plugin.snapshot import Snapshot
from napari_4dstem_orient.session import Stage

if TYPE_CHECKING:
    import napari

    from napari_4dstem_orient.disks import BraggDisks
    from napari_4dstem_orient.napari_plugin.indexers import Indexers
    from napari_4dstem_orient.orientation_map import OrientationMap
    from napari_4dstem_orient.progress import Progress
    from napari_4dstem_orient.scan import Scan

BELOW = 0.42
"""Share of the window's height for the inspector."""
NAPARI_LEFT = ("layer controls", "layer list")


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
    from napari_4dstem_orient.napari_plugin.widgets.calibration import CalibrationWidget
    from napari_4dstem_orient.napari_plugin.widgets.color_key import ColorKeyWidget
    from napari_4dstem_orient.napari_plugin.widgets.data import DataWidget
    from napari_4dstem_orient.napari_plugin.widgets.disks import DisksWidget
    from napari_4dstem_orient.napari_plugin.widgets.export import ExportWidget
    from napari_4dstem_orient.napari_plugin.widgets.inspector import InspectorWidget
    from napari_4dstem_orient.napari_plugin.widgets.orientation import OrientationWidget

    viewer = bare_viewer(napari_viewer)
    steps: dict[str, type[QWidget]] = {
        "Data": DataWidget,
        "Disks": DisksWidget,
        "Calibration": CalibrationWidget,
        "Map": OrientationWidget,
        "Export": ExportWidget,
    }
    below: dict[str, type[QWidget]] = {"Inspector": InspectorWidget, "Colour key": ColorKeyWidget}
    panels: dict[str, QWidget] = {}
    for title, kind in (steps | below).items():
        panel = next(
            (inner for inner in viewer.window.dock_widgets.values() if isinstance(inner, kind)), None
        )
        if panel is None:
            panel = kind(viewer)
            area = "right" if title in steps else "bottom"
            viewer.window.add_dock_widget(
                panel, name=title, area=area, tabify=area == "right", add_vertical_stretch=False
            )
        panels[title] = panel
    _arrange(panels)
    return panels


def show_panel(panel: QWidget) -> None:
    """Bring a panel's tab to the front."""
    dock = panel.parentWidget()
    dock.show()
    dock.raise_()


def _arrange(panels: dict[str, QWidget]) -> None:
    """Give the steps the whole height on the right, and the inspector most of the width below."""
    window = panels["Inspector"].window()
    if isinstance(window, QMainWindow):
        window.setCorner(Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea)
        below = [panels[title].parentWidget() for title in ("Inspector", "Colour key")]
        window.resizeDocks(below, [760, 240], Qt.Orientation.Horizontal)
        window.resizeDocks(below[:1], [round(BELOW * window.height())], Qt.Orientation.Vertical)
        left = [dock for dock in window.findChildren(QDockWidget) if dock.windowTitle() in NAPARI_LEFT]
        window.resizeDocks(left, [100] * len(left), Qt.Orientation.Vertical)
    show_panel(panels["Data"])


def open_demo() -> None:
    """Open napari on the silver sample, map it, and wait until the window is closed."""
    import napari

    viewer = napari.Viewer(title="napari-4dstem-orient: silver twins, derived from real patterns")
    map_silver_sample(viewer)
    napari.run()


def map_silver_sample(viewer: napari.Viewer) -> None:
    """Open the workbench on the silver sample and map it with the transformer, in the background."""
    from napari_4dstem_orient.napari_plugin.opening import open_scan
    from napari_4dstem_orient.samples.silver import silver_twins

    panels = open_workbench(viewer)
    scan = silver_twins()
    open_scan(viewer, scan)
    orientation: Any = panels["Map"]
    show_panel(orientation)

    def begin() -> None:
        if orientation.indexers.can("transformer"):
            orientation.indexers.changed.disconnect(begin)
            orientation.jobs.run("Mapping the silver sample", show, make_map, scan, orientation.indexers)

    def show(made: Made) -> None:
        session = session_for(viewer)
        session.put(Stage.DISKS, made.disks)
        session.put(Stage.CALIBRATED, made.calibrated)
        orientation.show_map(made.orientation_map)

    orientation.indexers.changed.connect(begin)  # when a model has been found for the phase
    orientation.choose_phase("Ag")


@dataclass(frozen=True, eq=False)
class Made:
    """The results of the job's steps."""

    disks: BraggDisks
    calibrated: BraggDisks
    orientation_map: OrientationMap


def make_map(scan: Scan, indexers: Indexers, progress: Progress) -> Made:
    """Detect, calibrate and map with what the program suggests."""
    from napari_4dstem_orient.pipeline import calibrated, find_disks

    disks = find_disks(scan, progress=progress)
    in_scan_frame = calibrated(disks, scan.calibration)
    snapshot = Snapshot(scan, scan.calibration, disks, in_scan_frame, {})
    return Made(disks, in_scan_frame, snapshot.map(indexers, "transformer", progress))
