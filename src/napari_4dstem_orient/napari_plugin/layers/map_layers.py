"""Orientation maps as napari layers: one for each map, coloured by one of its channels, updated in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import napari
import numpy as np
from napari.layers import Layer

from napari_4dstem_orient.analysis.channels import CHANNELS, channel_colors, channels_of, opacity
from napari_4dstem_orient.core.orientation_map import IndexingStatus, OrientationMap
from napari_4dstem_orient.crystals.directions import in_plane_direction, zone_axis
from napari_4dstem_orient.export.ebsd import bunge_angles
from napari_4dstem_orient.napari_plugin.layers.exploratory import EXPLORATORY, badged, show_badge
from napari_4dstem_orient.napari_plugin.layers.placing import placement, scan_position
from napari_4dstem_orient.napari_plugin.qt.event_loop import later
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, session_for

if TYPE_CHECKING:
    from napari_4dstem_orient.napari_plugin.pattern_view.inspection import Position
    from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot

MAP = "orientation_map"
"""Key in a layer's ``metadata``: the ``OrientationMap`` that the layer shows."""
KIND = "orientation_layer"
"""Key in a layer's ``metadata``: which of its channels the layer shows, a key of ``TITLES``."""
LOOK = "orientation_look"
"""Key in a layer's ``metadata``: the ``MapViewOptions`` it has."""

ASIDE = "hidden_beside"
"""Key in the ``metadata`` of layers that are hidden for as long as a map is shown twice."""

GONE_AFTER = 200
"""Milliseconds after which a layer goes that was beside another: where napari has not drawn its canvas since the grid
ended, a layer's removal lets it crash."""

TITLES = {key: channel.title for key, channel in CHANNELS.items()}


@dataclass(frozen=True)
class MapViewOptions:
    """What a map's layers leave out and how they fade.

    Attributes
    ----------
    threshold : float
        Answers of less confidence are transparent; nothing is recomputed and the map itself keeps them.
    fade : float
        How strongly answers of less confidence fade, 0 to 1.
    """

    threshold: float = 0.0
    fade: float = 0.0


def add_map_layers(viewer: napari.Viewer, orientation_map: OrientationMap) -> list[Layer]:
    """Show a map as a layer, or refresh those that show the same method's former map.

    Parameters
    ----------
    viewer : napari.Viewer
    orientation_map : OrientationMap

    Returns
    -------
    list of Layer
        The map's layer, visible and coloured by IPF-Z unless it was there before; below it, thus before it in the
        list, the one beside it where they are shown side by side.
    """
    show_badge(viewer)
    layers = map_layers(viewer, orientation_map.method)
    if not layers:
        return [_add(viewer, orientation_map, "ipf-z", MapViewOptions())]
    for layer in layers:
        kind = layer.metadata[KIND]
        known = kind in channels_of(whole_of(orientation_map))
        _draw(layer, orientation_map, kind if known else "ipf-z", layer.metadata[LOOK])
    return layers


def follow_steps(viewer: napari.Viewer) -> None:
    """Let layers know the session's maps again after these were given other scan steps."""
    maps = session_for(viewer).maps
    for layer in map_layers(viewer):
        former = layer.metadata[MAP]
        now = maps.get(former.method)
        if now is None or now is former or not now.answers_as(former):
            continue
        if former in _whole:
            whole, threshold = _whole[former]
            _whole[now] = whole.with_steps(now.r_pixel, now.r_aspect), threshold
        layer.metadata = {**layer.metadata, MAP: now}


def map_layers(viewer: napari.Viewer, method: str | None = None) -> list[Layer]:
    """Return the viewer's layers that show a map, bottom first, of one method where asked."""
    maps = [layer for layer in viewer.layers if MAP in layer.metadata]
    return [layer for layer in maps if method in (None, layer.metadata[MAP].method)]


def shown_layer(viewer: napari.Viewer) -> Layer | None:
    """Return the topmost visible map layer, or None."""
    visible = [layer for layer in map_layers(viewer) if layer.visible]
    return visible[-1] if visible else None


def shown_map(viewer: napari.Viewer) -> OrientationMap | None:
    """Return the map of the topmost visible map layer, or None."""
    layer = shown_layer(viewer)
    return None if layer is None else layer.metadata[MAP]


def show_channel(layer: Layer, kind: str) -> None:
    """Colour a map's layer by another channel."""
    _draw(layer, layer.metadata[MAP], kind, layer.metadata[LOOK])


def set_look(viewer: napari.Viewer, method: str, look: MapViewOptions) -> None:
    """Leave out and fade a map's answers otherwise; only opacities change, so that a slider can be followed."""
    layers = map_layers(viewer, method)
    if not layers or layers[-1].metadata[LOOK] == look:
        return
    alpha = opacity(whole_of(layers[-1].metadata[MAP]), look.threshold, look.fade)
    for layer in layers:
        layer.data[..., 3] = alpha
        layer.metadata[LOOK] = look
        layer.refresh(extent=False, highlight=False)


_whole: WeakKeyDictionary[OrientationMap, tuple[OrientationMap, float]] = WeakKeyDictionary()


def without_doubtful(orientation_map: OrientationMap, threshold: float) -> OrientationMap:
    """Return the map without answers of less confidence; of the whole map, whatever was left out before."""
    whole = whole_of(orientation_map)
    if not threshold:
        return whole
    asked = "min_score" if whole.certainty is None else "min_reliability"
    refused = whole.accepted(**{asked: threshold})
    _whole[refused] = whole, threshold
    return refused


def whole_of(orientation_map: OrientationMap) -> OrientationMap:
    """Return the map as it was before ``without_doubtful``."""
    return _whole.get(orientation_map, (orientation_map, 0.0))[0]


def applied_threshold(orientation_map: OrientationMap) -> float:
    """Return what ``without_doubtful`` made the map with; 0 for a whole map."""
    return _whole.get(orientation_map, (orientation_map, 0.0))[1]


def showing_alone(viewer: napari.Viewer) -> Iterator[None]:
    """Show the topmost map once, in steps."""
    orientation_map = shown_map(viewer) or map_layers(viewer)[-1].metadata[MAP]
    end_side_by_side(viewer)
    yield
    viewer.canvas.grid.enabled = False  # also where the user took the other layer away
    hide_images(viewer)
    for layer in map_layers(viewer, orientation_map.method)[-1:]:  # unless it was taken away meanwhile
        layer.visible = True
    viewer.reset_view()


def showing_beside(viewer: napari.Viewer, beside: str) -> Iterator[None]:
    """Show the topmost map twice under the channels' names, one of them beside the other, in steps."""
    yield from showing_alone(viewer)
    yield
    orientation_map = shown_map(viewer)
    if orientation_map is None:  # the user took it away
        return
    main = map_layers(viewer, orientation_map.method)[-1]
    if main.metadata[KIND] == beside:
        show_channel(main, "ipf-x" if beside == "ipf-z" else "ipf-z")
    side = _add(viewer, orientation_map, beside, main.metadata[LOOK])
    viewer.layers.move(viewer.layers.index(side), viewer.layers.index(main))
    yield
    if side not in map_layers(viewer):  # another layer came, which ends what has just begun
        return
    rows, cols = orientation_map.scan_shape
    viewer.canvas.grid.shape = (-1, 1) if cols > rows else (1, -1)
    for layer in viewer.layers:
        if layer.visible and not _is_image(layer):  # a grid would give it a place of its own
            layer.metadata[ASIDE], layer.visible = True, False
    viewer.canvas.grid.enabled = True
    viewer.reset_view()
    for layer in (main, side):
        yield
        if side in map_layers(viewer):
            layer.name_overlay.visible = True


def end_side_by_side(viewer: napari.Viewer) -> None:
    """Show each map once again, where one is shown twice, and what was hidden for that."""
    hidden = [layer for layer in viewer.layers if layer.metadata.pop(ASIDE, False)]
    methods = {layer.metadata[MAP].method for layer in map_layers(viewer)}
    sides = [side for method in methods for side in map_layers(viewer, method)[:-1]]
    if not sides and not hidden:
        return
    viewer.canvas.grid.enabled = False
    for side in sides:  # it is no map any more, and goes later
        side.metadata, side.visible, side.name_overlay.visible = {}, False, False
        side.name = "going"  # the map shall have its name without a number
    for layer in viewer.layers:
        if MAP in layer.metadata:
            layer.name_overlay.visible = False
    for layer in hidden:
        layer.visible = True
    viewer.reset_view()
    later(bare_viewer(viewer).window._qt_window, partial(_remove, viewer, sides), GONE_AFTER)


def _remove(viewer: napari.Viewer, layers: list[Layer]) -> None:
    for layer in layers:
        if layer in viewer.layers:
            viewer.layers.remove(layer)


def hide_images(viewer: napari.Viewer) -> None:
    """Hide all images, so that positions without an answer are black in a map shown next."""
    for layer in viewer.layers:
        if _is_image(layer):
            layer.visible = False


def _is_image(layer: Layer) -> bool:
    from napari.layers import Image, Labels

    return isinstance(layer, Image | Labels)


def _add(viewer: napari.Viewer, orientation_map: OrientationMap, kind: str, look: MapViewOptions) -> Layer:
    return viewer.add_image(
        _pixels(orientation_map, kind, look),
        rgb=True,
        name=_name(orientation_map, kind),
        metadata=_metadata(orientation_map, kind, look),
        **placement(session_for(viewer).calibration.steps),  # it lies over the scan, whatever made it
    )


def _draw(layer: Layer, orientation_map: OrientationMap, kind: str, look: MapViewOptions) -> None:
    if layer.name.startswith(_name(layer.metadata[MAP], layer.metadata[KIND])):  # not one that the user gave
        layer.name = _name(orientation_map, kind)
    layer.metadata = _metadata(orientation_map, kind, look)
    layer.data = _pixels(orientation_map, kind, look)


def _name(orientation_map: OrientationMap, kind: str) -> str:
    return badged(f"{TITLES[kind]} · {orientation_map.method}", orientation_map.exploratory)


def _metadata(orientation_map: OrientationMap, kind: str, look: MapViewOptions) -> dict[str, Any]:
    return {MAP: orientation_map, KIND: kind, LOOK: look, EXPLORATORY: orientation_map.exploratory}


def _pixels(orientation_map: OrientationMap, kind: str, look: MapViewOptions) -> np.ndarray:
    whole = whole_of(orientation_map)
    rgba = channel_colors(whole, kind).copy()
    rgba[..., 3] = opacity(whole, look.threshold, look.fade)
    return rgba


def describe_position(
    orientation_map: OrientationMap,
    row: int,
    col: int,
    snapshot: Snapshot | None = None,
    threshold: float = 0.0,
) -> str:
    """Say what a map says about one scan position, or why it says nothing.

    Parameters
    ----------
    orientation_map : OrientationMap
    row, col : int
    snapshot : Snapshot, optional
        What the map's session holds: with disks it tells how many of them the answer explains, as the inspector does.
    threshold : float
        Confidence below which answers are not shown.
    """
    from napari_4dstem_orient.napari_plugin.pattern_view.inspection import predict

    lines = [f"row {row}, column {col} · {orientation_map.method}"]
    sure = []
    indexed, certainty = orientation_map.indexed[row, col], orientation_map.certainty
    if indexed:
        phase = orientation_map.phases[orientation_map.phase_id[row, col]]
        rotation = orientation_map.rotation[row, col]
        zone, in_plane = zone_axis(rotation, phase).text, in_plane_direction(rotation, phase).text
        lines[0] += f" · {phase.name}"
        lines.append(f"zone axis {zone} · in-plane {in_plane}")
        angles = np.rad2deg(bunge_angles(rotation))
        lines.append("Euler angles (Bunge) " + ", ".join(f"{angle:.1f}°" for angle in angles))
        sure.append(f"score {orientation_map.score[row, col]:.2f}")
    else:
        lines.append(IndexingStatus(int(orientation_map.status[row, col])).text)
    doubts: list[str] = []
    if certainty is not None and certainty.reliability[row, col]:  # 0 where nothing was tried
        sure.append(f"reliability {certainty.reliability[row, col]:.0%}")
        doubts = certainty.ambiguity_at(row, col).texts
    position = _measured_at(snapshot, row, col)
    if indexed and position is None:
        sure.append(f"explains {orientation_map.n_matched[row, col]} disks")
    elif position is not None:
        beam = snapshot.beam if snapshot is not None else None
        explains = indexed and beam is not None
        seen = position.marks(predict(phase, rotation, beam)) if explains else None
        sure.append(f"{position.reflections} disks" if seen is None else seen.text)
    if indexed and orientation_map.confidence[row, col] < threshold:
        quality = "score" if certainty is None else "reliability"
        doubts = [*doubts, f"not shown: {quality} below {threshold:.2f}"]
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

    def say(text: str) -> None:
        overlay = overlays[HOVER]
        if text != overlay.text:
            overlay.text = text
            overlay.visible = bool(text)

    def on_move(viewer: napari.Viewer, event: Any) -> None:
        # A drag is followed by the inspector; here each change would let napari draw its whole canvas again.
        text = "" if event.is_dragging else text_at(viewer, event.position)
        say(text + "\n" if text else "")  # napari's box behind several lines ends in the last one

    def on_layers(event: Any) -> None:
        if event.type in ("removed", "visible", "metadata"):
            say("")  # it was of what is not shown any more

    viewer.layers.events.connect(on_layers)
    viewer.mouse_move_callbacks.append(on_move)


def text_at(viewer: napari.Viewer, position: tuple[float, ...]) -> str:
    """Return what the topmost visible map says about a world position; empty beside the map."""
    where = position_under(viewer, position)
    layer = shown_layer(viewer)
    if where is None or layer is None:
        return ""
    whole = whole_of(layer.metadata[MAP])
    from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot

    snapshot = Snapshot.of(session_for(viewer))
    return describe_position(whole, *where, snapshot, layer.metadata[LOOK].threshold)


def position_under(viewer: napari.Viewer, position: tuple[float, ...]) -> tuple[int, int] | None:
    """Return the scan position of the topmost visible map at a world position; None beside the map."""
    layer = shown_layer(viewer)
    return None if layer is None else scan_position(layer, position, layer.metadata[MAP].scan_shape)


def _measured_at(snapshot: Snapshot | None, row: int, col: int) -> Position | None:
    """Return the disks that were found at a position; None where none were looked for."""
    from napari_4dstem_orient.napari_plugin.pattern_view.inspection import measured_at

    disks = None if snapshot is None else snapshot.calibrated
    if snapshot is None or disks is None or not (row < disks.scan_shape[0] and col < disks.scan_shape[1]):
        return None
    return measured_at(snapshot, row, col)
