"""The mouse wheel scrolls a panel, and changes only the field that has the keyboard."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QAbstractSlider, QAbstractSpinBox, QComboBox, QScrollBar, QTabBar, QWidget

TURNED_BY_WHEEL = (QAbstractSpinBox, QComboBox, QAbstractSlider, QTabBar)
"""What Qt lets a passing wheel change."""


class WheelGuard(QObject):
    """Lets the wheel pass by a panel's fields to what scrolls, unless the user has gone into the field.

    Parameters
    ----------
    panel : QWidget
        All that it holds, and whatever will be put into it later, is guarded.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._watch(panel)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Pass the wheel on, and watch what comes."""
        if event is None or watched is None:
            return False
        kind = event.type()
        if kind == QEvent.Type.ChildPolished:  # when it is added it may be half made
            child = event.child()  # type: ignore[attr-defined]
            if isinstance(child, QWidget):
                self._watch(child)
        elif kind == QEvent.Type.Wheel and _is_field(watched) and not watched.hasFocus():  # type: ignore[attr-defined]
            event.ignore()
            return True
        return False

    def _watch(self, widget: QWidget) -> None:
        for each in (widget, *widget.findChildren(QWidget)):
            each.removeEventFilter(self)  # or it would be asked twice
            each.installEventFilter(self)
            if _is_field(each) and each.focusPolicy() == Qt.FocusPolicy.WheelFocus:
                each.setFocusPolicy(Qt.FocusPolicy.StrongFocus)  # or the wheel would take it there


def _is_field(widget: QObject) -> bool:
    return isinstance(widget, TURNED_BY_WHEEL) and not isinstance(widget, QScrollBar)
