"""What a map says about the scan position under the cursor, as words in the status bar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import napari
import numpy as np
from qtpy.QtWidgets import QStatusBar
from superqt import QElidingLabel

from napari_4dstem_orient.core.certainty import IndexingStatus
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.directions import in_plane_direction, zone_axis
from napari_4dstem_orient.export.ebsd import bunge_angles
from napari_4dstem_orient.napari_plugin.layers.map_layers import LOOK, MAP, seen_in, shown_layer
from napari_4dstem_orient.napari_plugin.layers.placing import scan_position
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, session_for

if TYPE_CHECKING:
    from napari_4dstem_orient.napari_plugin.pattern_view.inspection import Position
    from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot


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
        if several := _which_of_several(orientation_map, row, col):
            lines.append(several)
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


def _which_of_several(orientation_map: OrientationMap, row: int, col: int) -> str:
    """Say which of its pattern's crystals an answer is; empty where it is the only one."""
    share = 1.0 if orientation_map.share is None else float(orientation_map.share[row, col])
    if share >= 1:
        return ""
    return f"crystal {orientation_map.provenance.get('crystal', 1)} · {share:.0%} of the light"


HOVER = "orientation_under_cursor"
"""Object name of our words in the window's status bar."""


def words_under_cursor(viewer: napari.Viewer) -> QElidingLabel | None:
    """Return the label that tells what the map says under the cursor; None before it is there."""
    label: QElidingLabel | None = _status_bar(viewer).findChild(QElidingLabel, HOVER)
    return label


def _status_bar(viewer: napari.Viewer) -> QStatusBar:
    bar: QStatusBar = bare_viewer(viewer).window._qt_window.statusBar()
    return bar


def show_answer_under_cursor(viewer: napari.Viewer) -> None:
    """Say in the window's status bar what the topmost visible map says about the position under the cursor.

    On the canvas the words would cover the map. napari writes its own words from a thread, so these have a label of
    their own; what it has no room for is in its tooltip.
    """
    if words_under_cursor(viewer) is not None:
        return
    label = QElidingLabel()
    label.setObjectName(HOVER)
    _status_bar(viewer).insertPermanentWidget(1, label, 2)  # before napari's activity

    def say(text: str) -> None:
        if text != label.toolTip():
            label.setToolTip(text)
            label.setText(text.replace("\n", " · "))

    def on_move(viewer: napari.Viewer, event: Any) -> None:
        say(
            "" if event.is_dragging else text_at(viewer, event.position)
        )  # a drag is followed by the inspector

    def on_layers(event: Any) -> None:
        if event.type in ("removed", "visible", "metadata"):
            say("")  # it was of what is not shown any more

    def on_replaced() -> None:
        say("")

    viewer.layers.events.connect(on_layers)
    session_for(viewer).replaced.connect(on_replaced)
    viewer.mouse_move_callbacks.append(on_move)


def text_at(viewer: napari.Viewer, position: tuple[float, ...]) -> str:
    """Return what the topmost visible map says about a world position; empty beside the map."""
    where = position_under(viewer, position)
    layer = shown_layer(viewer)
    if where is None or layer is None:
        return ""
    from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot

    snapshot = Snapshot.of(session_for(viewer))
    return describe_position(seen_in(layer), *where, snapshot, layer.metadata[LOOK].threshold)


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
