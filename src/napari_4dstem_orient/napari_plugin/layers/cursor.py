"""The inspected scan position in the viewer: click, drag or arrow keys move it, P pins it, a marker shows it.

C steps through the crystals of its pattern.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary, ref

import napari
import numpy as np
from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject, Qt, QTimer
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QWidget
from superqt.utils import qthrottled

from napari_4dstem_orient.napari_plugin.layers.map_layers import follow_steps
from napari_4dstem_orient.napari_plugin.layers.placing import scan_position
from napari_4dstem_orient.napari_plugin.layers.scan_layers import (
    OURS,
    find_layer,
    put_layer,
    rescale,
    scan_layers,
)
from napari_4dstem_orient.napari_plugin.state.sessions import bare_viewer, is_open, session_for
from napari_4dstem_orient.workflow.job import Key
from napari_4dstem_orient.workflow.session import Session, Stage

MARKER = "position"
STEPS = {"Up": (-1, 0), "Down": (1, 0), "Left": (0, -1), "Right": (0, 1)}
STRIDE = 10
"""Scan positions that Shift with an arrow key goes."""
ARROWS = {
    Qt.Key.Key_Up: STEPS["Up"],
    Qt.Key.Key_Down: STEPS["Down"],
    Qt.Key.Key_Left: STEPS["Left"],
    Qt.Key.Key_Right: STEPS["Right"],
}
"""Of Qt, for panels: what they do on the map."""
PIN, NEXT_CRYSTAL = "P", "C"
REDRAWN_AFTER = 120
"""Milliseconds; while the mouse drags, the marker moves no oftener: each time napari draws its whole canvas again."""

_cursors: WeakKeyDictionary[napari.Viewer, Cursor] = WeakKeyDictionary()


def install_cursor(viewer: napari.Viewer) -> None:
    """Let clicks, drags and arrow keys over the scan move the session's position; once for each viewer."""
    viewer = bare_viewer(viewer)
    if viewer not in _cursors:
        _cursors[viewer] = Cursor(viewer)


class Cursor:
    """Joins one viewer's mouse and keys to its session's position.

    Drag over the scan moves the position, so Shift with drag moves the view there.
    """

    def __init__(self, viewer: napari.Viewer) -> None:
        self._viewer = ref(viewer)
        self.session: Session = session_for(viewer)
        self._keys_bound = self._dragging = False
        self._redraw = qthrottled(self._follow, timeout=REDRAWN_AFTER, leading=False)
        viewer.mouse_drag_callbacks.append(self._on_drag)
        self.session.position_changed.connect(self._on_position)
        self.session.changed.connect(self._on_changed)
        viewer.layers.events.inserted.connect(self._on_inserted)
        self._on_changed(Stage.SCAN)

    def _open_viewer(self) -> napari.Viewer | None:
        """Return the viewer, unless its window was closed."""
        viewer = self._viewer()
        return viewer if viewer is not None and is_open(viewer) else None

    def _on_changed(self, key: Key) -> None:
        viewer = self._open_viewer()
        if viewer is None or self.session.scan_shape is None:
            return
        if not self._keys_bound:  # only now: without a scan the arrow keys are napari's
            self._keys_bound = True
            for arrow, step in STEPS.items():
                for keys, times in ((arrow, 1), (f"Shift-{arrow}", STRIDE)):
                    rows, cols = times * step[0], times * step[1]
                    viewer.bind_key(
                        keys, lambda viewer, to=(rows, cols): walk(self.session, *to), overwrite=True
                    )
            viewer.bind_key(PIN, lambda viewer: toggle_pin(self.session), overwrite=True)
            viewer.bind_key(NEXT_CRYSTAL, lambda viewer: step_crystal(self.session), overwrite=True)
        if key is Stage.SCAN:
            rescale(viewer, self.session.calibration.steps)
            follow_steps(viewer)
            QTimer.singleShot(0, self._show_over_layers)  # the layers it shall lie over are about to come

    def _on_inserted(self, event: Any) -> None:
        """Show the marker above a layer that comes later (not at once: napari is still inserting)."""
        if event.value.metadata.get(OURS) != MARKER:
            QTimer.singleShot(0, self._show_over_layers)

    def _show_over_layers(self) -> None:
        viewer = self._open_viewer()
        if viewer is not None and scan_layers(viewer):
            self._show_marker(viewer)
        self._raise_marker()

    def _raise_marker(self) -> None:
        viewer = self._open_viewer()
        marker = find_layer(viewer, MARKER) if viewer is not None else None
        if marker is not None and viewer.layers[-1] is not marker:
            viewer.layers.move(viewer.layers.index(marker), len(viewer.layers))

    def _on_position(self, row: int, col: int) -> None:
        if not self._dragging:
            self._follow()
        else:
            self._redraw()

    def _follow(self) -> None:
        viewer = self._open_viewer()
        if viewer is not None:
            self._show_marker(viewer)

    def _on_drag(self, viewer: napari.Viewer, event: Any) -> Iterator[None]:
        """Follow the mouse from press to release; a click is a drag that goes nowhere."""
        position = self._position_at(viewer, event)
        if position is None or event.button != 1 or _drawing(viewer.layers.selection.active):
            return
        camera = viewer.scene.camera
        could_pan, camera.mouse_pan = camera.mouse_pan, False
        shift, grabbed = "Shift" in event.modifiers, np.asarray(event.position)
        if not shift:
            self.session.move_to(*position)
            self._show_marker(viewer)
        self._dragging = True
        try:
            yield
            while event.type == "mouse_move":
                if shift:
                    moved = (grabbed - event.position)[-2:]
                    camera.center = (*camera.center[:-2], *(np.asarray(camera.center[-2:]) + moved))
                else:
                    self.session.move_to(*(self._position_at(viewer, event, inside=False) or position))
                yield
        finally:
            camera.mouse_pan, self._dragging = could_pan, False
        self._redraw.cancel()
        self._follow()

    def _position_at(self, viewer: napari.Viewer, event: Any, inside: bool = True) -> tuple[int, int] | None:
        """Return the scan position under the mouse, None beside the scan (unless not ``inside``)."""
        shape = self.session.scan_shape
        layers = [layer for layer in scan_layers(viewer) if layer.visible]
        if shape is None or not layers or viewer.dims.ndisplay != 2:
            return None
        return scan_position(layers[0], event.position, shape if inside else None)

    def _show_marker(self, viewer: napari.Viewer) -> None:
        """Frame the inspected position, within a ring that can be seen when the whole scan is in view."""
        if self.session.position is None or self.session.scan_shape is None:
            return
        here, layer = np.array([self.session.position] * 3, float), find_layer(viewer, MARKER)
        if layer is not None:
            if not np.array_equal(
                layer.data, here
            ):  # in place: new data would make napari measure all layers
                layer.data[:] = here
                layer.refresh(thumbnail=False, highlight=False, extent=False)
            return
        selected = set(viewer.layers.selection)
        ring = max(1.6, max(self.session.scan_shape) / 25)
        put_layer(
            viewer,
            MARKER,
            here,
            self.session.calibration.steps,
            kind="points",
            size=[1.0, ring, 0.85 * ring],
            symbol=["square", "disc", "disc"],
            face_color="transparent",
            border_color=["white", "black", "white"],  # a map may have every other colour
            border_width=0.1,
        )
        self._raise_marker()
        if set(viewer.layers.selection) != selected:
            viewer.layers.selection = selected


def walk(session: Session, rows: int, cols: int) -> None:
    """Move the inspected position by so many scan positions."""
    if session.position is not None:
        row, col = session.position
        session.move_to(row + rows, col + cols)


def toggle_pin(session: Session) -> None:
    """Pin the inspected position, or take its pin away."""
    here = session.position
    if here is not None:
        others = [pin for pin in session.pins if pin != here]
        session.set_pins(others if here in session.pins else [*others, here])


def step_crystal(session: Session) -> None:
    """Look at the next crystal of the inspected pattern; after the last, at all of them together."""
    if session.position is None:
        return
    there = max((int(found.crystals[session.position]) for found in session.maps.values()), default=0)
    session.look_at_crystal(session.crystal + 1 if 1 < there > session.crystal else 0)


def _drawing(layer: Layer | None) -> bool:
    """Tell whether the mouse now draws on or edits the active layer."""
    return layer is not None and str(layer.mode) != "pan_zoom"


class WalkingKeys(QObject):
    """Lets arrow keys walk over the scan, P pin and C step through crystals, while a watched widget has the focus.

    With Shift an arrow goes ten steps. Widgets that use these keys themselves (text fields, lists, sliders) are not
    to be watched.
    """

    def __init__(self, session: Session, parent: QObject) -> None:
        super().__init__(parent)
        self._session = session

    def watch(self, *widgets: QWidget) -> None:
        """Take the keys of these widgets."""
        for widget in widgets:
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Answer the keys; everything else goes its way."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            return self._press(event)
        return False

    def _press(self, event: QKeyEvent) -> bool:
        shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        step = ARROWS.get(Qt.Key(event.key()))
        if step is not None:
            times = STRIDE if shift else 1
            walk(self._session, times * step[0], times * step[1])
            return True
        if event.modifiers() == Qt.KeyboardModifier.NoModifier and (act := ACTS.get(Qt.Key(event.key()))):
            act(self._session)
            return True
        return False


ACTS = {Qt.Key.Key_P: toggle_pin, Qt.Key.Key_C: step_crystal}
"""What other keys of Qt do."""
