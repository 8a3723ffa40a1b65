"""Orientation maps as napari layers: IPF colours, phase, certainty and score, updated in place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_4dstem_orient.orientation_map import Reason

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

    from napari_4dstem_orient.orientation_map import OrientationMap

MAP = "orientation_map"
"""Key in a layer's ``metadata``: the ``OrientationMap`` that the layer shows."""
KIND = "orientation_layer"
"""Key in a layer's ``metadata``: which of its faces the layer shows, a key of ``TITLES``."""

TITLES = {
    "score": "score",
    "phase-margin": "phase margin",
    "reliability": "reliability",
    "phase": "phase",
    "ipf-x": "IPF-X (in-plane)",
    "ipf-z": "IPF-Z (out-of-plane)",
}
"""From the bottom of the layer list to its top."""

EXPLORATORY = " · exploratory"
"""What the layer names of a map end in that was made with an unchecked calibration."""

PHASE_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe and Ito's palette, told apart with every colour vision."""


def add_map_layers(viewer: napari.Viewer, orientation_map: OrientationMap) -> list[Layer]:
    """Show a map as layers, or refresh those that show the same method's former map.

    Parameters
    ----------
    viewer : napari.Viewer
    orientation_map : OrientationMap

    Returns
    -------
    list of Layer
        Score, where known phase margin (of several phases) and reliability, phase, IPF-X (in-plane) and IPF-Z
        (out-of-plane), bottom first. Only IPF-Z is made visible.
    """
    kinds = [kind for kind in TITLES if _has(orientation_map, kind)]
    for layer in map_layers(viewer, orientation_map.method):
        if layer.metadata[KIND] not in kinds:
            viewer.layers.remove(layer)
    return [_refresh(viewer, orientation_map, kind) for kind in kinds]


def _has(orientation_map: OrientationMap, kind: str) -> bool:
    if kind == "phase-margin":
        return orientation_map.certainty is not None and len(orientation_map.phases) > 1
    return kind != "reliability" or orientation_map.certainty is not None


def map_layers(viewer: napari.Viewer, method: str | None = None, kind: str | None = None) -> list[Layer]:
    """Return the viewer's layers that show a map, bottom first, of one method and of one kind where asked."""
    return [
        layer
        for layer in viewer.layers
        if MAP in layer.metadata
        and method in (None, layer.metadata[MAP].method)
        and kind in (None, layer.metadata[KIND])
    ]


def shown_map(viewer: napari.Viewer) -> OrientationMap | None:
    """Return the map of the topmost visible map layer, or None."""
    visible = [layer for layer in map_layers(viewer) if layer.visible]
    return visible[-1].metadata[MAP] if visible else None


def show_side_by_side(viewer: napari.Viewer, side_by_side: bool) -> None:
    """Show IPF-X and IPF-Z beside each other under their names; or IPF-Z with the inspected position."""
    maps = map_layers(viewer)
    if not maps:
        return
    rows, cols = maps[-1].metadata[MAP].scan_shape
    viewer.canvas.grid.shape = (-1, 1) if cols > rows else (1, -1)
    viewer.canvas.grid.enabled = side_by_side
    hide_images(viewer)
    for layer in maps:
        shown = ("ipf-x", "ipf-z") if side_by_side else ("ipf-z",)
        layer.visible = layer.metadata[KIND] in shown
        layer.name_overlay.visible = side_by_side
    for layer in viewer.layers:
        if not _is_image(layer):  # a grid would give it a place of its own
            layer.visible = not side_by_side
    viewer.reset_view()


def hide_images(viewer: napari.Viewer) -> None:
    """Hide all images, so that positions without an answer are black in a map shown next."""
    for layer in viewer.layers:
        if _is_image(layer):
            layer.visible = False


def _is_image(layer: Layer) -> bool:
    from napari.layers import Image, Labels

    return isinstance(layer, Image | Labels)


def _refresh(viewer: napari.Viewer, orientation_map: OrientationMap, kind: str) -> Layer:
    from napari_4dstem_orient.napari_plugin.layers import placement

    metadata = {MAP: orientation_map, KIND: kind}
    content = _CONTENT[kind](orientation_map) | placement(orientation_map.r_pixel)
    existing = map_layers(viewer, orientation_map.method, kind)
    if not existing:
        add = viewer.add_labels if kind == "phase" else viewer.add_image
        name = f"{TITLES[kind]} · {orientation_map.method}" + _badge(orientation_map)
        layer = add(name=name, metadata=metadata, visible=kind == "ipf-z", **content)
        if "contrast_limits" in content:
            layer.colorbar.visible = True
            layer.colorbar.position = "bottom_left"  # apart from the text under the cursor and the scale bar
        _sort_in(viewer, layer, orientation_map.method)
        return layer
    layer = existing[-1]
    for attribute in ("data", "features", "colormap", "scale", "units"):
        if attribute in content:
            setattr(layer, attribute, content[attribute])
    layer.metadata = metadata
    layer.name = layer.name.removesuffix(EXPLORATORY) + _badge(orientation_map)
    return layer


def _badge(orientation_map: OrientationMap) -> str:
    return EXPLORATORY if orientation_map.exploratory else ""


def _sort_in(viewer: napari.Viewer, layer: Layer, method: str) -> None:
    """Move a new layer below those of its map that belong above it."""
    order = list(TITLES)
    rank = order.index(layer.metadata[KIND])
    above = [other for other in map_layers(viewer, method) if order.index(other.metadata[KIND]) > rank]
    if above:
        viewer.layers.move(viewer.layers.index(layer), viewer.layers.index(above[0]))


def _ipf(direction: Literal["x", "z"]) -> Callable[[OrientationMap], dict[str, Any]]:
    def content(orientation_map: OrientationMap) -> dict[str, Any]:
        from napari_4dstem_orient.analysis.colors import ipf_colors

        return {"data": ipf_colors(orientation_map, direction), "rgb": True}

    return content


def _scalar(values: Callable[[Any], np.ndarray], colormap: str) -> Callable[[OrientationMap], dict[str, Any]]:
    """Show values from 0 to 1 with a colour bar."""

    def content(orientation_map: OrientationMap) -> dict[str, Any]:
        return {"data": values(orientation_map), "colormap": colormap, "contrast_limits": (0.0, 1.0)}

    return content


def _phase(orientation_map: OrientationMap) -> dict[str, Any]:
    import pandas as pd
    from napari.utils.colormaps import DirectLabelColormap

    names = [phase.name for phase in orientation_map.phases]
    colours: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    for number in range(len(names)):
        colours[number + 1] = PHASE_COLOURS[number % len(PHASE_COLOURS)]
    return {
        "data": orientation_map.phase_id + 1,
        "features": pd.DataFrame({"phase": ["not indexed", *names]}),
        "colormap": DirectLabelColormap(color_dict=colours),
    }


_CONTENT: dict[str, Callable[[OrientationMap], dict[str, Any]]] = {
    "score": _scalar(lambda found: found.score, "viridis"),
    "phase-margin": _scalar(lambda found: found.certainty.phase_margin, "cividis"),
    "reliability": _scalar(lambda found: found.certainty.reliability, "cividis"),
    "phase": _phase,
    "ipf-x": _ipf("x"),
    "ipf-z": _ipf("z"),
}


def describe_position(orientation_map: OrientationMap, row: int, col: int) -> str:
    """Say what a map says about one scan position, or why it says nothing."""
    from napari_4dstem_orient.analysis.directions import in_plane_direction, zone_axis

    lines = [f"row {row}, column {col} · {orientation_map.method}"]
    sure = []
    if orientation_map.indexed[row, col]:
        phase = orientation_map.phases[orientation_map.phase_id[row, col]]
        rotation = orientation_map.rotation[row, col]
        zone, in_plane = zone_axis(rotation, phase).text, in_plane_direction(rotation, phase).text
        lines[0] += f" · {phase.name}"
        lines.append(f"zone axis {zone} · in-plane {in_plane}")
        sure.append(f"score {orientation_map.score[row, col]:.2f}")
    else:
        lines.append(Reason(int(orientation_map.reason[row, col])).text)
    doubts: list[str] = []
    certainty = orientation_map.certainty
    if certainty is not None and certainty.reliability[row, col]:  # 0 where nothing was tried
        sure.append(f"reliability {certainty.reliability[row, col]:.0%}")
        doubts = certainty.doubt_at(row, col).texts
    badge = [orientation_map.exploratory] if orientation_map.exploratory else []
    return "\n".join([*lines, *([" · ".join(sure)] if sure else []), *doubts, *badge])


HOVER = "orientation_under_cursor"
"""Key of our text among the canvas overlays."""


def show_answer_under_cursor(viewer: napari.Viewer) -> None:
    """Show on the canvas what the topmost visible map says about the position under the cursor.

    napari writes its own status bar and tooltip from a thread, so the text has an overlay of its own.
    """
    from napari.components.overlays import TextOverlay

    overlays = viewer.canvas.overlays
    if HOVER in overlays:
        return
    overlays[HOVER] = TextOverlay(position="top_left", font_size=9)

    def on_move(viewer: napari.Viewer, event: Any) -> None:
        overlay = overlays[HOVER]
        text = text_at(viewer, event.position)
        text += "\n" if text else ""  # napari's box behind several lines ends in the last one
        if text != overlay.text:
            overlay.text = text
            overlay.visible = bool(text)

    viewer.mouse_move_callbacks.append(on_move)


def text_at(viewer: napari.Viewer, position: tuple[float, ...]) -> str:
    """Return what the topmost visible map says about a world position; empty beside the map."""
    visible = [layer for layer in map_layers(viewer) if layer.visible]
    if not visible:
        return ""
    orientation_map = visible[-1].metadata[MAP]
    row, col = np.rint(visible[-1].world_to_data(position)[-2:]).astype(int)
    rows, cols = orientation_map.scan_shape
    if not (0 <= row < rows and 0 <= col < cols):
        return ""
    return describe_position(orientation_map, int(row), int(col))
