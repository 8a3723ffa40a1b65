"""Orientation maps as napari layers: one for each map, coloured by one of its channels, updated in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import napari
import numpy as np
from napari.layers import Layer

from napari_4dstem_orient.analysis.channels import (
    CHANNELS,
    IPF,
    channel_colors,
    channels_of,
    first_channel,
    opacity,
)
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.napari_plugin.layers.exploratory import EXPLORATORY, badged, show_badge
from napari_4dstem_orient.napari_plugin.layers.placing import placement
from napari_4dstem_orient.napari_plugin.layers.removal import take_away
from napari_4dstem_orient.napari_plugin.qt.event_loop import later
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, session_for

MAP = "orientation_map"
"""Key in a layer's ``metadata``: the ``OrientationMap`` that the layer shows."""
KIND = "orientation_layer"
"""Key in a layer's ``metadata``: which of its channels the layer shows, a key of ``TITLES``."""
CRYSTAL = "orientation_crystal"
"""Key in a layer's ``metadata``: which crystal of each pattern the layer shows (see ``Session.crystal``)."""
LOOK = "orientation_look"
"""Key in a layer's ``metadata``: the ``MapViewOptions`` it has."""

CHOSEN = "orientation_channel_chosen"
"""Key in a layer's ``metadata``: whether the user has chosen its channel."""
ALL_AXES = "IPF-X, IPF-Y, IPF-Z"
"""What ``showing_beside`` takes for all three beside each other."""

ASIDE = "hidden_beside"
"""Key in the ``metadata`` of layers that are hidden for as long as a map is shown twice."""

OTHER_SCAN = "picture_of_another_scan"
"""Key in the ``metadata`` of a layer that shows another scan, beside the map of this one."""

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
        The map's layer, visible and, until the user chooses a channel, in one in which grains differ; below it, thus
        before it in the list, those beside it where they are shown side by side.
    """
    show_badge(viewer)
    layers = map_layers(viewer, orientation_map.method)
    if not layers:
        crystal = session_for(viewer).crystal
        return [_add(viewer, orientation_map, first_channel(orientation_map), crystal, MapViewOptions())]
    for layer in layers:
        kind = layer.metadata[KIND]
        if len(layers) == 1 and not layer.metadata[CHOSEN]:
            kind = first_channel(orientation_map)  # of more of the map than before
        _draw(layer, orientation_map, kind, layer.metadata[CRYSTAL])
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


def show_channel(layer: Layer, kind: str, crystal: int | None = None) -> None:
    """Colour a map's layer by another channel, or by IPF-Z where that is not known; of another crystal where asked."""
    layer.metadata[CHOSEN] = True
    _draw(layer, layer.metadata[MAP], kind, layer.metadata[CRYSTAL] if crystal is None else crystal)


def set_look(viewer: napari.Viewer, method: str, look: MapViewOptions) -> None:
    """Leave out and fade a map's answers otherwise; only opacities change, so that a slider can be followed."""
    layers = map_layers(viewer, method)
    if not layers or layers[-1].metadata[LOOK] == look:
        return
    alpha = _alpha(layers[-1].metadata[MAP], layers[-1].metadata[CRYSTAL], look)
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


_crystals: WeakKeyDictionary[OrientationMap, dict[int, OrientationMap]] = WeakKeyDictionary()


def crystal_of(orientation_map: OrientationMap, number: int) -> OrientationMap:
    """Return the map of each pattern's crystal, the same whenever it is asked for: its colours are kept.

    The first (also 0, for all of them), and the only one, is the map itself.
    """
    number = min(number, 1 + len(orientation_map.beside))
    if number <= 1:
        return orientation_map
    known = _crystals.setdefault(orientation_map, {})
    if number not in known:
        known[number] = orientation_map.of_crystal(number)
    return known[number]


def seen_in(layer: Layer) -> OrientationMap:
    """Return what a map's layer shows: the whole map, of one crystal of each pattern."""
    return crystal_of(whole_of(layer.metadata[MAP]), layer.metadata[CRYSTAL])


def seen_positions(layer: Layer) -> np.ndarray:
    """Return where a map's layer shows an answer, bool, shape (scan_y, scan_x)."""
    return np.asarray(layer.data[..., 3] > 0)


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
    """Show the topmost map in two channels beside each other, or in all three of ``ALL_AXES``, in steps."""
    yield from showing_alone(viewer)
    yield
    orientation_map = shown_map(viewer)
    if orientation_map is None:  # the user took it away
        return
    main = map_layers(viewer, orientation_map.method)[-1]
    kinds = [beside]
    if beside == ALL_AXES:
        first, *kinds = IPF
        show_channel(main, first)
    elif main.metadata[KIND] == beside:
        show_channel(main, "ipf-x" if beside == "ipf-z" else "ipf-z")
    sides = []
    for kind in reversed(kinds):  # the grid begins with the topmost
        side = _add(viewer, orientation_map, kind, main.metadata[CRYSTAL], main.metadata[LOOK])
        viewer.layers.move(viewer.layers.index(side), viewer.layers.index(main))
        sides.append(side)
    yield
    if {*sides} <= {*map_layers(viewer)}:  # unless another layer came, which ends what has just begun
        yield from _side_by_side(viewer, main, sides)


def _side_by_side(viewer: napari.Viewer, main: Layer, sides: list[Layer]) -> Iterator[None]:
    """Show layers in a grid, each with its name, and nothing else, in steps."""
    rows, cols = main.data.shape[:2]
    viewer.canvas.grid.shape = (-1, 1) if cols > rows else (1, -1)
    for layer in viewer.layers:
        if layer.visible and layer not in (main, *sides):  # a grid would give it a place of its own
            layer.metadata[ASIDE], layer.visible = True, False
    viewer.canvas.grid.enabled = True
    viewer.reset_view()
    for layer in (main, *sides):
        yield
        if layer in viewer.layers:
            layer.name_overlay.visible = True


def other_scans(viewer: napari.Viewer) -> list[Layer]:
    """Return the layers that show other scans beside this one."""
    return [layer for layer in viewer.layers if OTHER_SCAN in layer.metadata]


def showing_other_scans(viewer: napari.Viewer, pictures: dict[str, Layer]) -> Iterator[None]:
    """Show pictures of other scans, by their names, beside the topmost picture of this one, in steps."""
    end_side_by_side(viewer)
    yield
    shown = [layer for layer in viewer.layers if _is_image(layer) and layer.visible]
    if not shown:
        return
    main, sides = shown[-1], []
    for name, layer in pictures.items():
        data, look, kind = layer.as_layer_data_tuple()
        look |= {"name": f"{name}: {layer.name}", "metadata": {OTHER_SCAN: name}, "units": main.units}
        side = viewer.add_layer(Layer.create(data, look, kind))
        viewer.layers.move(viewer.layers.index(side), viewer.layers.index(main))
        sides.append(side)
        yield
    yield from _side_by_side(viewer, main, sides)


def end_side_by_side(viewer: napari.Viewer) -> None:
    """Show each map once again, where one is shown twice, and what was hidden for that."""
    hidden = [layer for layer in viewer.layers if layer.metadata.pop(ASIDE, False)]
    methods = {layer.metadata[MAP].method for layer in map_layers(viewer)}
    sides = [side for method in methods for side in map_layers(viewer, method)[:-1]]
    sides += other_scans(viewer)
    if not sides and not hidden:
        return
    viewer.canvas.grid.enabled = False
    for side in sides:  # it is no map any more, and goes later
        side.metadata, side.visible, side.name_overlay.visible = {}, False, False
        side.name = "going"  # the map shall have its name without a number
    for layer in viewer.layers:
        if _is_image(layer):  # that of a colour bar stays
            layer.name_overlay.visible = hasattr(layer, "colorbar") and layer.colorbar.visible
    for layer in hidden:
        layer.visible = True
    viewer.reset_view()
    later(bare_viewer(viewer).window._qt_window, partial(_remove, viewer, sides), GONE_AFTER)


def _remove(viewer: napari.Viewer, layers: list[Layer]) -> None:
    for layer in layers:
        if layer in viewer.layers:
            take_away(viewer, layer)


def hide_images(viewer: napari.Viewer) -> list[Layer]:
    """Hide all images, so that positions without an answer are black in a map shown next; return what was hidden."""
    shown = [layer for layer in viewer.layers if _is_image(layer) and layer.visible]
    for layer in shown:
        layer.visible = False
    return shown


def _is_image(layer: Layer) -> bool:
    from napari.layers import Image, Labels

    return isinstance(layer, Image | Labels)


def _add(
    viewer: napari.Viewer, orientation_map: OrientationMap, kind: str, crystal: int, look: MapViewOptions
) -> Layer:
    return viewer.add_image(
        _pixels(orientation_map, kind, crystal, look),
        rgb=True,
        name=_name(orientation_map, kind, crystal),
        metadata=_metadata(orientation_map, kind, crystal, look),
        **placement(session_for(viewer).calibration.steps),  # it lies over the scan, whatever made it
    )


def _draw(layer: Layer, orientation_map: OrientationMap, kind: str, crystal: int) -> None:
    told = layer.metadata
    if kind not in channels_of(crystal_of(whole_of(orientation_map), crystal)):
        kind = "ipf-z"
    if layer.name.startswith(_name(told[MAP], told[KIND], told[CRYSTAL])):  # not one that the user gave
        layer.name = _name(orientation_map, kind, crystal)
    layer.metadata = {**_metadata(orientation_map, kind, crystal, told[LOOK]), CHOSEN: told[CHOSEN]}
    layer.data = _pixels(orientation_map, kind, crystal, told[LOOK])


def _name(orientation_map: OrientationMap, kind: str, crystal: int) -> str:
    which = f" · crystal {crystal}" if 1 < crystal <= 1 + len(orientation_map.beside) else ""
    return badged(f"{TITLES[kind]} · {orientation_map.method}{which}", orientation_map.exploratory)


def _metadata(
    orientation_map: OrientationMap, kind: str, crystal: int, look: MapViewOptions
) -> dict[str, Any]:
    exploratory = orientation_map.exploratory
    told = {MAP: orientation_map, KIND: kind, CRYSTAL: crystal, LOOK: look, EXPLORATORY: exploratory}
    return {**told, CHOSEN: False}


def _pixels(orientation_map: OrientationMap, kind: str, crystal: int, look: MapViewOptions) -> np.ndarray:
    rgba = channel_colors(crystal_of(whole_of(orientation_map), crystal), kind).copy()
    rgba[..., 3] = _alpha(orientation_map, crystal, look)
    return rgba


def _alpha(orientation_map: OrientationMap, crystal: int, look: MapViewOptions) -> np.ndarray:
    """Return opacities; where a pattern's first crystal is left out, so are the others (``accepted``)."""
    whole = whole_of(orientation_map)
    alpha = opacity(crystal_of(whole, crystal), look.threshold, look.fade)
    alpha[whole.confidence < look.threshold] = 0
    return alpha
