"""Layers of the scan, each found again by what it shows, whatever the user renames it to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Layer

from napari_4dstem_orient.napari_plugin.layers.exploratory import EXPLORATORY, badged
from napari_4dstem_orient.napari_plugin.layers.map_layers import (
    ASIDE,
    MAP,
    end_side_by_side,
    map_layers,
    other_scans,
)
from napari_4dstem_orient.napari_plugin.layers.placing import place, placement
from napari_4dstem_orient.napari_plugin.layers.removal import take_away

if TYPE_CHECKING:
    import napari

OURS = "napari-4dstem-orient"
"""Key in a layer's ``metadata``: what the layer shows, whatever the user renames it to."""


def put_layer(
    viewer: napari.Viewer,
    name: str,
    data: Any,
    steps: tuple[float, float] | None,
    kind: str = "image",
    *,
    exploratory: str = "",
    **options: Any,
) -> Layer:
    """Show data over the scan: in our layer of that name if there is one, else in a new one.

    Parameters
    ----------
    viewer : napari.Viewer
    name : str
        What the layer shows; its first name.
    data : array
        As the layer type wants it, in scan positions (row, column).
    steps : (float, float) or None
        Scan steps in nm, down the rows and along them.
    kind : str
        napari's layer type.
    exploratory : str
        Why what it shows is for a first look only; empty where it is not.
    **options
        For a new layer, as ``viewer.add_image`` takes them.
    """
    layer = find_layer(viewer, name)
    if layer is None:
        end_side_by_side(viewer)
        metadata = {OURS: name, EXPLORATORY: exploratory, **options.pop("metadata", {})}
        if kind == "image":
            options.setdefault("contrast_limits", _limits(data))
        add = getattr(viewer, f"add_{kind}")
        return add(data, name=badged(name, exploratory), metadata=metadata, **placement(steps), **options)
    if layer.name == badged(name, layer.metadata.get(EXPLORATORY, "")):  # not one that the user gave
        layer.name = badged(name, exploratory)
    layer.metadata = {**layer.metadata, EXPLORATORY: exploratory}
    other = kind == "image" and not np.array_equal(
        layer.data, data
    )  # the same keeps the contrast that it was given
    layer.data = data
    place(layer, steps)
    if other:
        layer.contrast_limits_range = layer.contrast_limits = options.get("contrast_limits", _limits(data))
    return layer


def title_colour_bar(layer: Layer) -> None:
    """Show, with a layer, its colour bar under the layer's name."""
    for overlay in (layer.name_overlay, layer.colorbar):
        overlay.position = "bottom_left"
        overlay.visible = True


def find_layer(viewer: napari.Viewer, name: str) -> Layer | None:
    """Return our layer that shows ``name``, or None."""
    return next((layer for layer in viewer.layers if layer.metadata.get(OURS) == name), None)


def scan_layers(viewer: napari.Viewer) -> list[Layer]:
    """Return all layers that lie over the scan: ours and those of maps."""
    return [layer for layer in viewer.layers if OURS in layer.metadata or MAP in layer.metadata]


def remove_layers(viewer: napari.Viewer) -> None:
    """Take away what was shown of the former scan, and the grid in which a map was shown twice."""
    methods = [layer.metadata[MAP].method for layer in map_layers(viewer)]
    beside = len(methods) > len(set(methods))
    others = other_scans(viewer)
    beside = beside or bool(others) or any(layer.metadata.pop(ASIDE, False) for layer in viewer.layers)
    with viewer.layers.batched_update():  # or napari collects garbage for each, a quarter of a second
        for layer in (*scan_layers(viewer), *others):
            take_away(viewer, layer)
    if beside:
        viewer.canvas.grid.enabled = False


def rescale(viewer: napari.Viewer, steps: tuple[float, float] | None) -> None:
    """Put all scan layers on another scan step."""
    touched = False
    for layer in scan_layers(viewer):
        touched |= place(layer, steps)
    if touched:
        viewer.reset_view()


def show_scale_bar(viewer: napari.Viewer) -> None:
    """Show napari's scale bar: in nm where the scan step is known, else in scan positions (px).

    It is never hidden: with nothing drawn after the marker's points, drawing them again ends the program where the
    processor computes OpenGL (vispy 0.17, Mesa).
    """
    viewer.canvas.overlays.scale_bar.visible = True


def _limits(data: np.ndarray) -> tuple[float, float]:
    """Return what to show as black and white: without the few brightest positions, which would hide the rest."""
    low, high = np.percentile(data, [0.2, 99.5])
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1.0)
