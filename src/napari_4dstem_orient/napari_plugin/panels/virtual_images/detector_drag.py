"""Drag a disc or a ring on a diffraction view: its body moves it, its edges change its radii.

Discs at several reflections are shown and stay where they are.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from qtpy.QtCore import QEvent, QObject, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QKeyEvent

from napari_4dstem_orient.detection.virtual_detector import AnyDetector, SpotsDetector, VirtualDetector
from napari_4dstem_orient.napari_plugin.layers.cursor import ARROWS
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import MarkSet, circles
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import Grip, PatternCanvas

REACH = 6.0
"""Screen pixels on either side of an edge that grab it."""


class DetectorDrag(QObject):
    """Joins a view's mouse and keys to one virtual detector; the arrow keys move it by a pixel.

    Signals
    -------
    moved : Signal(object)
        The user made it this ``VirtualDetector``.
    """

    moved = Signal(object)

    def __init__(self, view: PatternCanvas) -> None:
        super().__init__(view)
        self._view = view
        self.detector: VirtualDetector | None = None
        """What can be dragged."""
        view.on_grab(self._grip_at)
        view.canvas.installEventFilter(self)

    def show(self, shown: AnyDetector | None) -> None:
        """Draw this detector's edges."""
        detector = self.detector = shown if isinstance(shown, VirtualDetector) else None
        if isinstance(shown, SpotsDetector):
            self._view.show_marks([MarkSet("detector", np.array(shown.centers), shown.outer)])
            return
        radii = (
            [] if detector is None else [detector.outer, *([detector.inner] if detector.inner > 0 else [])]
        )
        center = np.zeros(2) if detector is None else np.array(detector.center)
        self._view.show_marks(circles("detector", center, np.array(radii)))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Answer the arrow keys; everything else goes its way."""
        if self.detector is None or not isinstance(event, QKeyEvent) or event.type() != QEvent.Type.KeyPress:
            return False
        step = ARROWS.get(Qt.Key(event.key()))
        if step is not None:
            self._take(self.detector.moved_to(*(np.array(self.detector.center) + step)))
        return step is not None

    def _take(self, detector: VirtualDetector) -> None:
        self.show(detector)
        self.moved.emit(detector)

    def _grip_at(self, grabbed: np.ndarray) -> Grip | None:
        start = self.detector
        if start is None:
            return None
        distance, reach = start.distance(*grabbed), REACH / self._view.canvas.scale
        if abs(distance - start.outer) <= reach:
            return lambda here: self._take(start.with_outer(start.distance(*here)))
        if start.inner > 0 and abs(distance - start.inner) <= reach:
            return lambda here: self._take(start.with_inner(start.distance(*here)))
        return partial(self._move, start, grabbed) if distance < start.outer else None

    def _move(self, start: VirtualDetector, grabbed: np.ndarray, here: np.ndarray) -> None:
        self._take(start.moved_to(*(np.array(start.center) + here - grabbed)))
