"""Words of any length in a place that grows with them only so far, and then scrolls."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea


class Bounded(QScrollArea):
    """Shows a label in as many lines as it needs, up to a number, so that no window grows beyond its screen.

    Parameters
    ----------
    label : QLabel
        With word wrap.
    lines : int
    """

    def __init__(self, label: QLabel, lines: int) -> None:
        super().__init__()
        self.label, self.lines = label, lines
        self.setWidget(label)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        label.installEventFilter(self)
        self.viewport().installEventFilter(self)
        self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the label's text and the width there is."""
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Resize, QEvent.Type.FontChange):
            self._fit()
        return super().eventFilter(watched, event)

    def _fit(self) -> None:
        most = self.lines * self.label.fontMetrics().lineSpacing()
        wanted = self.label.heightForWidth(self.viewport().width()) if self.label.text() else 0
        self.setFixedHeight(min(max(wanted, 0), most))
