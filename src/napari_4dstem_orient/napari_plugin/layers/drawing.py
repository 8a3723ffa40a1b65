"""Lines and regions that the user draws over the scan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari
import numpy as np
from napari.layers import Shapes
from qtpy.QtCore import QTimer

from napari_4dstem_orient.napari_plugin.layers.removal import take_away
from napari_4dstem_orient.napari_plugin.layers.scan_layers import find_layer, put_layer
from napari_4dstem_orient.napari_plugin.state.sessions import session_for


def draw(viewer: napari.Viewer, name: str, mode: str, drawn: Callable[[], Any]) -> None:
    """Let the user draw one shape, in place of the former; then the mouse is free again.

    Parameters
    ----------
    viewer : napari.Viewer
    name : str
        Of the layer.
    mode : str
        napari's: ``"add_line"``, ``"add_rectangle"``, ``"add_polygon"``.
    drawn : callable
        Called when the shape is complete.
    """
    layer = find_layer(viewer, name)
    if layer is not None:
        take_away(viewer, layer)
    steps, colours = (
        session_for(viewer).calibration.steps,
        {"edge_color": "#ff2fd0", "face_color": "transparent"},
    )
    layer = put_layer(viewer, name, [], steps, kind="shapes", ndim=2, **colours)
    assert isinstance(layer, Shapes)
    viewer.layers.selection.active = layer
    layer.mode = mode

    def on_data(event: Any) -> None:
        # "added" comes when the shape is complete, be it by a release of the mouse or by a double click.
        if str(event.action.value) == "added" and layer.nshapes and str(layer.mode) == mode:
            QTimer.singleShot(0, finish)  # not at once: napari is still finishing the shape

    def finish() -> None:
        if layer in viewer.layers and str(layer.mode) == mode:
            layer.mode = "pan_zoom"
            drawn()

    layer.events.data.connect(on_data)


def corners_of(viewer: napari.Viewer, name: str) -> np.ndarray | None:
    """Return the corners (row, column) of what was drawn, of a line its ends, shape (n, 2); None without it."""
    layer = find_layer(viewer, name)
    return None if layer is None or not layer.data else np.asarray(layer.data[-1])[:, -2:]


def rectangle_of(viewer: napari.Viewer, name: str) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Return rows and columns, first and one past the last, of the positions whose centres a rectangle holds."""
    corners = corners_of(viewer, name)
    if corners is None:
        return None
    low, high = np.ceil(corners.min(axis=0)).astype(int), np.floor(corners.max(axis=0)).astype(int)
    low = np.maximum(low, 0)
    rows, cols = ((int(first), max(int(last) + 1, 0)) for first, last in zip(low, high, strict=True))
    return rows, cols


def region_of(viewer: napari.Viewer, name: str, shape: tuple[int, int]) -> np.ndarray | None:
    """Return which positions the region drawn holds, bool, of the scan's shape; None without one."""
    from matplotlib.path import Path

    corners = corners_of(viewer, name)
    if corners is None:
        return None
    positions = np.indices(shape).reshape(2, -1).T
    return Path(corners).contains_points(positions).reshape(shape)
