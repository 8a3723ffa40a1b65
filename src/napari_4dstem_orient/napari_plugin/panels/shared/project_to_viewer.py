"""A project becomes a viewer's work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import napari
import numpy as np
from napari.layers import Layer
from napari.utils.notifications import show_warning
from qtpy.QtCore import QTimer

from napari_4dstem_orient.analysis.channels import paint_first
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.detection.vector_map import bragg_vector_map
from napari_4dstem_orient.napari_plugin.layers.cursor import MARKER, install_cursor
from napari_4dstem_orient.napari_plugin.layers.map_layers import (
    MAP,
    TITLES,
    MapViewOptions,
    add_map_layers,
    set_look,
    show_channel,
)
from napari_4dstem_orient.napari_plugin.layers.scan_layers import (
    OURS,
    put_layer,
    remove_layers,
    scan_layers,
    show_scale_bar,
)
from napari_4dstem_orient.napari_plugin.panels.docks import import_panels, opening_panels, step_panel
from napari_4dstem_orient.napari_plugin.panels.registry import PANELS
from napari_4dstem_orient.napari_plugin.panels.shared.opening import (
    DISK_COUNT,
    OVERVIEW,
    overview,
    show_disk_count,
)
from napari_4dstem_orient.napari_plugin.panels.shared.scans import KeptScan, scans_for
from napari_4dstem_orient.napari_plugin.panels.shared.unsaved import are_in_files
from napari_4dstem_orient.napari_plugin.panels.shared.viewer_to_project import key_of
from napari_4dstem_orient.napari_plugin.state.indexers import indexers_for
from napari_4dstem_orient.napari_plugin.state.preferences import preferences
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, session_for
from napari_4dstem_orient.workflow.project import Project, View, load_project
from napari_4dstem_orient.workflow.session import MapBy, Session, Stage


def read_project(path: str | Path, progress: Progress = silent) -> tuple[Project, np.ndarray | None]:
    """Read a project and make its scan's overview; for a thread.

    Raises
    ------
    UserError
        As ``load_project``, or the scan cannot be read.
    """
    import_panels()
    project = load_project(path, [preferences().models_folder])
    for key, result in project.state.results.items():
        if isinstance(key, MapBy):
            paint_first(result)
    if Stage.CALIBRATED in project.state.results:
        bragg_vector_map(project.state.results[Stage.CALIBRATED])  # kept for the Calibration panel
    scan = project.state.results.get(Stage.SCAN)
    return project, overview(scan) if scan is not None else None


def show_project(viewer: napari.Viewer, project: Project, image: np.ndarray | None = None) -> Iterator[None]:
    """Make a project what the viewer works on, with all panels, in steps; say what could not be opened."""
    viewer = bare_viewer(viewer)
    panels: dict[str, Any] = {}
    yield from opening_panels(viewer, panels)
    yield
    are_in_files(project.state.results.values())
    yield from taking_up(viewer, project, _drawing(viewer, project, image))
    for warning in project.warnings:
        show_warning(warning)


def switching(viewer: napari.Viewer, kept: KeptScan) -> Iterator[None]:
    """Work on a scan that waited, in steps; what the viewer works on now must be kept before, or it is lost."""
    viewer = bare_viewer(viewer)
    scans_for(viewer).take_back(kept)
    yield from taking_up(viewer, kept.project, _putting_back(viewer, kept))


def _putting_back(viewer: napari.Viewer, kept: KeptScan) -> Iterator[None]:
    for layer in kept.layers:
        if key_of(layer) not in map(key_of, scan_layers(viewer)):  # a panel may have made it again meanwhile
            viewer.add_layer(layer)
        yield


def taking_up(viewer: napari.Viewer, project: Project, drawing: Iterator[None]) -> Iterator[None]:
    """Make a project what the viewer works on, in steps; ``drawing`` puts its layers there."""
    session = session_for(viewer)
    remove_layers(viewer)
    yield
    session.restore(project.state)
    yield
    install_cursor(viewer)
    yield
    _show_choice(viewer, session, project)
    yield
    yield from drawing
    _display_as_told(viewer, session, project.layers)
    show_scale_bar(viewer)
    viewer.reset_view()
    yield
    _look(viewer, project.view)


def _drawing(viewer: napari.Viewer, project: Project, image: np.ndarray | None) -> Iterator[None]:
    state, told = project.state, project.layers
    if image is not None:
        put_layer(viewer, OVERVIEW, image, state.calibration.steps)
        yield
    found = Stage.DISKS in state.results or Stage.CALIBRATED in state.results
    if found and (DISK_COUNT in told or not told):
        shown = state.results.get(Stage.DISKS, state.results.get(Stage.CALIBRATED))
        show_disk_count(viewer, shown.sure().counts)
        yield
    for orientation_map in session_for(viewer).maps.values():
        add_map_layers(viewer, orientation_map)
        yield


def _look(viewer: napari.Viewer, view: View) -> None:
    """Point the camera where it was, and let panels show again what they showed."""
    if view.center is not None:
        camera = viewer.scene.camera
        camera.center, camera.zoom = (*camera.center[:-2], *view.center), view.zoom
    for title, told in view.panels.items():
        if title in PANELS:
            with suppress(ValueError):  # of another version
                step_panel(viewer, title).recall(told)


def _show_choice(viewer: napari.Viewer, session: Session, project: Project) -> None:
    """Let the panels show the settings that made what there is, and what is chosen for the next map."""
    panels = {title: step_panel(viewer, title) for title in ("Bragg disks", "Calibration", "Map")}
    disks, calibrated = session.record(Stage.DISKS), session.record(Stage.CALIBRATED)
    if disks is not None and disks.job.detection is not None:
        panels["Bragg disks"].form.set(disks.job.detection)
    if calibrated is not None and calibrated.job.centring is not None:
        panels["Calibration"].form.set(calibrated.job.centring)
    maps, indexers, job = panels["Map"], indexers_for(session), project.state.job
    for name, settings in {**job.settings, "acceptance": job.acceptance}.items():
        if settings is not None:
            maps.forms[name].set(settings)
    for model in map(Path, job.models or ()):
        if model not in indexers.more_models:
            indexers.add_model(model)
    maps.phases.choose_crystals(job.phases)
    maps.parents.choose(job.parents)
    session.choose(method=job.method)


def set_display(viewer: napari.Viewer, layer: Layer, told: Mapping[str, Any]) -> None:
    """Display a layer as another was; a colour map or channel that is not known here is left out."""
    from napari.utils.colormaps import AVAILABLE_COLORMAPS

    layer.visible, layer.opacity = bool(told["visible"]), float(told["opacity"])
    if "contrast_limits" in told and hasattr(layer, "contrast_limits"):
        low, high = told["contrast_limits"]
        known = layer.contrast_limits_range
        layer.contrast_limits_range = min(low, known[0]), max(high, known[1])
        layer.contrast_limits = low, high
        if told["colormap"] in AVAILABLE_COLORMAPS:
            layer.colormap = told["colormap"]
    if MAP in layer.metadata and told.get("channel") in TITLES:
        show_channel(layer, told["channel"])
        set_look(viewer, layer.metadata[MAP].method, MapViewOptions(**told["look"]))


def arrange(viewer: napari.Viewer, order: Sequence[str]) -> None:
    """Put layers of the scan into an order, told from the bottom to the top by what they show."""
    known = [layer for layer in scan_layers(viewer) if key_of(layer) in order]
    wanted = sorted(known, key=lambda layer: order.index(key_of(layer)))
    if wanted != known:
        for layer in wanted:
            viewer.layers.move(viewer.layers.index(layer), len(viewer.layers))


def _display_as_told(viewer: napari.Viewer, session: Session, told: Mapping[str, Mapping[str, Any]]) -> None:
    """Display each layer as it was, those too that come later, such as virtual images; until the next scan."""
    layers, order = viewer.layers, [name for name in told if name != MARKER]  # earlier versions kept it
    left = {name: told[name] for name in order}

    def show(layer: Layer) -> None:
        if layer in layers and (display := left.pop(key_of(layer), None)) is not None:
            set_display(viewer, layer, display)
            arrange(viewer, order)

    def on_inserted(event: Any) -> None:
        if OURS in event.value.metadata:
            QTimer.singleShot(0, partial(show, event.value))  # napari is still inserting

    def end() -> None:
        layers.events.inserted.disconnect(on_inserted)
        session.replaced.disconnect(end)

    for layer in scan_layers(viewer):
        show(layer)
    layers.events.inserted.connect(on_inserted)
    session.replaced.connect(end)
