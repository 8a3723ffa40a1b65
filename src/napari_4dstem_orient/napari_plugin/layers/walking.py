"""Arrow keys and P for panels: what they do on the map, wherever no field, list or slider wants them itself."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QWidget

from napari_4dstem_orient.napari_plugin.layers.cursor import STEPS, STRIDE, toggle_pin, walk
from napari_4dstem_orient.workflow.session import Session

ARROWS = {
    Qt.Key.Key_Up: STEPS["Up"],
    Qt.Key.Key_Down: STEPS["Down"],
    Qt.Key.Key_Left: STEPS["Left"],
    Qt.Key.Key_Right: STEPS["Right"],
}


class WalkingKeys(QObject):
    """Lets arrow keys (with Shift ten steps) walk over the scan, and P pin, while a watched widget has the focus.

    Widgets that use these keys themselves (text fields, lists, sliders) are not to be watched.
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
        if event.key() == Qt.Key.Key_P and event.modifiers() == Qt.KeyboardModifier.NoModifier:
            toggle_pin(self._session)
            return True
        return False
