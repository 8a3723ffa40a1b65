"""What a user's hands do in a window: real events to real widgets, and only where they could be clicked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import napari
import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt, QTimer
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QFileDialog,
    QLabel,
    QLineEdit,
    QListWidget,
    QPushButton,
    QScrollArea,
    QWidget,
)

from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import PatternCanvas
from napari_4dstem_orient.napari_plugin.state.sessions import session_for

LEFT, NONE = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
PATIENCE = 600.0
"""Seconds."""


def wait(what: str, done: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Keep the window alive until something is so.

    Raises
    ------
    TimeoutError
        It is not, saying ``what``.
    """
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"After {seconds:.0f} s still waiting for: {what}")
        QTest.qWait(10)


def settle(seconds: float = 2, at_most: float = 60) -> None:
    """Keep the window alive until it has answered at once for some seconds: all that was due is drawn."""
    end = time.monotonic() + at_most
    calm = time.monotonic()
    while (now := time.monotonic()) < min(calm + seconds, end):
        QTest.qWait(20)
        if time.monotonic() - now > 0.1:
            calm = time.monotonic()


def click(widget: QWidget, at: QPoint | None = None) -> None:
    """Click on a widget, once it is in sight and enabled."""
    reach(widget)
    if at is None and isinstance(widget, QAbstractButton) and widget.isCheckable():
        at = QPoint(10, widget.height() // 2)  # a wide check box is deaf where it shows nothing
    QTest.mouseClick(widget, LEFT, pos=widget.rect().center() if at is None else at)


def reach(widget: QWidget) -> None:
    """Scroll to a widget and wait until it can be clicked."""
    parent = widget.parentWidget()
    while parent is not None:
        if isinstance(parent, QScrollArea):
            parent.ensureWidgetVisible(widget)
        parent = parent.parentWidget()
    name = getattr(widget, "text", lambda: "")() or type(widget).__name__
    wait(f"{name} in sight", lambda: not widget.visibleRegion().isEmpty())
    wait(f"{name} enabled", widget.isEnabled)


def tick_only(boxes: QListWidget, text: str) -> None:
    """Tick an item of a list, and no other."""
    reach(boxes)
    for item in [boxes.item(row) for row in range(boxes.count())]:
        if (item.checkState() == Qt.CheckState.Checked) != (item.text() == text):
            boxes.scrollToItem(item)
            row = boxes.visualItemRect(item)
            QTest.mouseClick(boxes.viewport(), LEFT, pos=QPoint(row.left() + 10, row.center().y()))


def choose(box: QComboBox, wanted: str) -> None:
    """Choose an entry by its text, or by the key that it stands for."""
    reach(box)
    index = max(box.findText(wanted), box.findData(wanted))
    assert index >= 0, f"{wanted} is not among {[box.itemText(i) for i in range(box.count())]}"
    box.showPopup()
    box.view().setCurrentIndex(box.model().index(index, box.modelColumn()))
    QTest.keyClick(box.view(), Qt.Key.Key_Return)


def type_into(field: QLineEdit, text: str) -> None:
    """Type in place of what a field says, and press Enter."""
    click(field)
    field.selectAll()
    QTest.keyClicks(field, text)
    QTest.keyClick(field, Qt.Key.Key_Return)


def pick(opener: QPushButton, text: str) -> None:
    """Choose from the menu that a button opens."""
    reach(opener)
    menu = opener.menu()
    (action,) = (action for action in menu.actions() if action.text() == text)
    menu.popup(opener.mapToGlobal(opener.rect().bottomLeft()))
    QTest.mouseClick(menu, LEFT, pos=menu.actionGeometry(action).center())


def answer_dialog(opener: QAbstractButton, path: str) -> None:
    """Click a button that asks for a file, type the path into the dialog and press Enter."""
    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)

    def answer() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, QFileDialog):
            QTimer.singleShot(50, answer)
            return
        (name,) = dialog.findChildren(QLineEdit, "fileNameEdit")
        name.setText(path)
        QTest.keyClick(name, Qt.Key.Key_Return)

    QTimer.singleShot(50, answer)
    click(opener)


def says(panel: QWidget, words: str) -> bool:
    """Tell whether a label of a panel, if it is not hidden, says these words."""
    return any(words in label.text() for label in panel.findChildren(QLabel) if label.isVisibleTo(panel))


# ---------------------------------------------------------------- the map


def canvas_of(viewer: napari.Viewer) -> QWidget:
    """Return the widget that the scan is drawn on."""
    native: QWidget = viewer.window._qt_viewer.canvas.native
    return native


def canvas_point(viewer: napari.Viewer, row: float, col: float) -> tuple[float, float]:
    """Return where a scan position lies on the canvas, in the widget's pixels."""
    step = session_for(viewer).calibration.r_pixel or 1.0
    camera = viewer.scene.camera
    height, width = viewer.canvas.size
    y = (row * step - camera.center[-2]) * camera.zoom + height / 2
    x = (col * step - camera.center[-1]) * camera.zoom + width / 2
    return x, y


def mouse(viewer: napari.Viewer, kind: str, row: float, col: float, modifiers: Sequence[str] = ()) -> None:
    """Send "press", "move" or "release" through the canvas, as vispy does."""
    canvas = canvas_of(viewer)
    kinds = {
        "press": QEvent.Type.MouseButtonPress,
        "move": QEvent.Type.MouseMove,
        "release": QEvent.Type.MouseButtonRelease,
    }
    point = QPointF(*canvas_point(viewer, row, col))
    keys = Qt.KeyboardModifier.ShiftModifier if "Shift" in modifiers else Qt.KeyboardModifier.NoModifier
    event = QMouseEvent(
        kinds[kind],
        point,
        canvas.mapToGlobal(point),
        NONE if kind == "move" else LEFT,
        NONE if kind == "release" else LEFT,
        keys,
    )
    QApplication.sendEvent(canvas, event)
    QApplication.processEvents()


def click_scan(viewer: napari.Viewer, row: int, col: int) -> None:
    """Click on a scan position."""
    mouse(viewer, "press", row, col)
    mouse(viewer, "release", row, col)


def press_on_scan(
    viewer: napari.Viewer, key: Qt.Key, with_: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier
) -> None:
    """Press a key over the scan."""
    canvas = canvas_of(viewer)
    canvas.setFocus()
    QTest.keyClick(canvas, key, with_)


# ---------------------------------------------------------------- a pattern


def place_on(view: PatternCanvas, row: float, col: float) -> QPoint:
    """Return where a detector pixel lies on a pattern, in screen pixels."""
    x, y = view.canvas.to_screen(np.array([row, col]) - view.canvas.origin)
    return QPoint(round(x), round(y))


def drag_on(view: PatternCanvas, start: Sequence[float], stop: Sequence[float]) -> None:
    """Drag over a pattern from one detector pixel to another."""
    canvas = view.canvas
    QTest.mousePress(canvas, LEFT, pos=place_on(view, *start))
    for share in (0.5, 1.0):
        here = np.array(start) + share * (np.array(stop) - start)
        QTest.mouseMove(canvas, place_on(view, *here))
        QTest.qWait(30)
    QTest.mouseRelease(canvas, LEFT, pos=place_on(view, *stop))
