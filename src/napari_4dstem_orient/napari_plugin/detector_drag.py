"""Drag a disc or a ring on a diffraction view: its body moves it, its edges change its radii."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from psygnal import Signal

from napari_4dstem_orient.detection.virtual_detector import VirtualDetector
from napari_4dstem_orient.napari_plugin.pattern_view import PatternView

REACH = 6.0
"""Screen pixels on either side of an edge that grab it."""
STEPS = {"Up": (-1, 0), "Down": (1, 0), "Left": (0, -1), "Right": (0, 1)}
COLOR = "#40e0ff"


class DetectorDrag:
    """Joins a view's mouse and keys to one virtual detector; the arrow keys move it by a pixel.

    Signals
    -------
    moved : Signal(object)
        The user made it this ``VirtualDetector``.
    """

    moved = Signal(object)

    def __init__(self, view: PatternView) -> None:
        self._view = view
        self.detector: VirtualDetector | None = None
        view.model.mouse_drag_callbacks.append(self._on_drag)
        for key, step in STEPS.items():
            view.model.bind_key(key, lambda model, step=step: self._step(*step), overwrite=True)

    def show(self, detector: VirtualDetector | None) -> None:
        """Draw this detector's edges."""
        self.detector = detector
        if detector is None:
            self._view.remove("detector")
            return
        radii = [detector.outer, detector.inner] if detector.inner > 0 else [detector.outer]
        self._view.show_circles("detector", np.array([detector.center] * len(radii)), np.array(radii), COLOR)

    def _step(self, rows: int, cols: int) -> None:
        if self.detector is not None:
            row, col = self.detector.center
            self._take(self.detector.moved_to(row + rows, col + cols))

    def _take(self, detector: VirtualDetector) -> None:
        self.show(detector)
        self.moved.emit(detector)

    def _at(self, event: Any) -> np.ndarray:
        return np.asarray(self._view.model.layers["pattern"].world_to_data(event.position))[-2:]

    def _on_drag(self, model: Any, event: Any) -> Iterator[None]:
        start = self.detector
        if start is None or event.button != 1 or "pattern" not in model.layers:
            return
        grabbed = self._at(event)
        distance = start.distance(*grabbed)
        reach = REACH / (model.scene.camera.zoom * float(model.layers["pattern"].scale[-1]))
        outer, inner = abs(distance - start.outer) <= reach, abs(distance - start.inner) <= reach
        inner &= start.inner > 0
        if not (outer or inner or distance < start.outer):
            return
        could_pan, model.scene.camera.mouse_pan = model.scene.camera.mouse_pan, False
        try:
            yield
            while event.type == "mouse_move":
                here = self._at(event)
                if outer:
                    self._take(start.with_outer(start.distance(*here)))
                elif inner:
                    self._take(start.with_inner(start.distance(*here)))
                else:
                    self._take(start.moved_to(*(np.array(start.center) + here - grabbed)))
                yield
        finally:
            model.scene.camera.mouse_pan = could_pan
