"""File > Open and drag and drop: 4D-STEM scans, files of Bragg disks, and saved orientation maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari
from napari.types import LayerData

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.reading import mapped, reading
from napari_4dstem_orient.io.bragg_peaks import is_disk_file, open_disks
from napari_4dstem_orient.io.formats import FORMATS, suffixes
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.io.result import is_map_file
from napari_4dstem_orient.napari_plugin.panels.data.panel import DataWidget
from napari_4dstem_orient.napari_plugin.panels.docks import open_panel, open_workbench
from napari_4dstem_orient.napari_plugin.panels.shared.opening import as_layer, take_disks, take_map
from napari_4dstem_orient.napari_plugin.qt.jobs import notify
from napari_4dstem_orient.napari_plugin.workbench import open_with_data
from napari_4dstem_orient.workflow.project import is_project_file

Reader = Callable[[str], "list[LayerData]"]

NOTHING = [(None,)]
"""What a napari reader returns when it has done its work and there is no layer to add."""


def get_reader(path: str | list[str]) -> Reader | None:
    """Return the function that reads this path, or None where it is not ours."""
    if not isinstance(path, str):
        return None
    name = path.lower()
    if name.endswith(FORMATS["hdf5"].suffixes):
        return _saying_errors(_hdf5_reader(path))
    # An array of another kind is an image for napari itself.
    if name.endswith(suffixes()) and (not name.endswith(".npy") or _dimensions(path) in (3, 4)):
        return _saying_errors(read_scan)
    return None


def read_scan(path: str) -> list[LayerData]:
    """Open a scan in the current viewer, or return its overview as a layer where there is none.

    The Data panel reads it off the main thread, and asks what the file leaves open (which dataset, which scan shape).
    """
    viewer = napari.current_viewer()
    if viewer is None:
        return [as_layer(load(path))]
    data: DataWidget = open_panel(viewer, "Data")
    data.open_path(path)
    open_with_data(viewer)
    return NOTHING


def read_disks(path: str) -> list[LayerData]:
    """Read Bragg disks into the current viewer's session."""
    viewer = _window(f"{path} holds Bragg disks", "load_disks in Python")
    take_disks(viewer, *open_disks(path))
    return NOTHING


def read_map(path: str) -> list[LayerData]:
    """Read a saved orientation map into the current viewer."""
    viewer = _window(f"{path} holds an orientation map", "OrientationMap.load")
    take_map(viewer, OrientationMap.load(path), path)
    return NOTHING


def read_project(path: str) -> list[LayerData]:
    """Open a project in the current viewer: the overview reads it off the main thread, so there is nothing yet."""
    viewer = _window(f"{path} is a project", "load_project in Python")
    shown: Any = open_workbench(viewer)["Overview"]
    if shown.jobs.running:
        raise UserError(f"The overview is still at work; open {path} when it has finished.")
    shown.open_project(path)
    return NOTHING


def _window(what: str, otherwise: str) -> napari.Viewer:
    """Return the current viewer, or raise UserError saying what opens the file without one."""
    viewer = napari.current_viewer()
    if viewer is None:
        raise UserError(f"{what}; open it in a napari window, or with {otherwise}.")
    return viewer


def _hdf5_reader(path: str) -> Reader:
    if is_project_file(path):
        return read_project
    if is_map_file(path):
        return read_map
    return read_disks if is_disk_file(path) else read_scan  # which says what is wrong with the file


def _dimensions(path: str) -> int:
    try:
        with reading(path, "a scan") as file:
            return mapped(file).ndim
    except UserError:
        return 0


def _saying_errors(reader: Reader) -> Reader:
    """Turn what the user can mend into one notification, where there is a window to show it."""

    def read(path: str) -> list[LayerData]:
        try:
            return reader(path)
        except UserError as error:
            if napari.current_viewer() is None:
                raise
            notify(error)
            return NOTHING

    return read
