"""A viewer's whole work becomes a project."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import napari
from napari.layers import Layer

from napari_4dstem_orient.napari_plugin.layers.cursor import MARKER
from napari_4dstem_orient.napari_plugin.layers.map_layers import ASIDE, KIND, LOOK, MAP
from napari_4dstem_orient.napari_plugin.layers.scan_layers import OURS, scan_layers
from napari_4dstem_orient.napari_plugin.panels.base import StepWidget
from napari_4dstem_orient.napari_plugin.panels.docks import find_panel
from napari_4dstem_orient.napari_plugin.panels.registry import PANELS
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.project import Project, View


def project_of(viewer: napari.Viewer) -> Project:
    """Return all that a viewer's user has now; quick, to be written in another thread."""
    return Project(
        session_for(viewer).state,
        {key_of(layer): display_of(layer) for layer in scan_layers(viewer) if key_of(layer) != MARKER},
        _view_of(viewer),
    )


def _view_of(viewer: napari.Viewer) -> View:
    camera = viewer.scene.camera
    row, col = camera.center[-2:]
    opened = {title: find_panel(viewer, title) for title in PANELS}
    told = {title: panel.remember() for title, panel in opened.items() if isinstance(panel, StepWidget)}
    shown = {title: what for title, what in told.items() if what}
    return View((float(row), float(col)), float(camera.zoom), shown)


def key_of(layer: Layer) -> str:
    """Return what a layer of the scan shows, whatever the user renames it to."""
    if MAP in layer.metadata:
        return f"{layer.metadata[MAP].method} map"
    return str(layer.metadata[OURS])


def display_of(layer: Layer) -> dict[str, Any]:
    """Return how a layer is displayed, as plain JSON values."""
    visible = bool(layer.visible or layer.metadata.get(ASIDE))
    told: dict[str, Any] = {"visible": visible, "opacity": float(layer.opacity)}
    if hasattr(layer, "contrast_limits") and not getattr(layer, "rgb", False):
        told["contrast_limits"] = [float(limit) for limit in layer.contrast_limits]
        told["colormap"] = str(layer.colormap.name)
    if MAP in layer.metadata:
        told |= {"channel": layer.metadata[KIND], "look": asdict(layer.metadata[LOOK])}
    return told
