"""The patterns of the pinned scan positions side by side, with the disks that the present settings find."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from qtpy.QtCore import QPointF, QSize, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QGridLayout, QToolButton, QWidget

from napari_4dstem_orient.napari_plugin.pattern_view import contrast_limits
from napari_4dstem_orient.napari_plugin.pictures import GAMMA
from napari_4dstem_orient.session import Session

SIDE = 80
"""Screen pixels of a pattern."""
COLUMNS = 3

Pin = tuple[int, int]


class PinnedDisks(QWidget):
    """A grid of small patterns; a click, or Space, on one goes there. Hidden while nothing is pinned.

    Parameters
    ----------
    session : Session
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.buttons: dict[Pin, QToolButton] = {}
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(2)
        self._grid.setAlignment(Qt.AlignmentFlag.AlignLeft)
        self.hide()

    def place(self, pins: Sequence[Pin]) -> None:
        """Make room for these positions, in this order; those already there keep their picture."""
        if list(self.buttons) == list(pins):
            return
        former, self.buttons = self.buttons, {}
        for index, pin in enumerate(pins):
            made = self.buttons[pin] = former.pop(pin) if pin in former else self._button(pin)
            self._grid.addWidget(made, *divmod(index, COLUMNS))
        for gone in former.values():
            self._grid.removeWidget(gone)
            gone.hide()
            gone.deleteLater()

    def show_disks(self, pin: Pin, pattern: np.ndarray, disks: np.ndarray | None, radius: float) -> None:
        """Show a pattern (det_y, det_x) and circles of ``radius`` px around its disks (n, 3)."""
        shown = self.buttons.get(pin)
        if shown is None:
            return
        places = np.zeros((0, 2)) if disks is None else disks[:, :2]
        shown.setIcon(QIcon(_drawn(pattern, places, radius)))
        count = "no probe" if disks is None else f"{len(disks)} disks"
        shown.setText(f"{pin[0]}, {pin[1]}\n{count}")

    def _button(self, pin: Pin) -> QToolButton:
        made = QToolButton()
        made.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
        made.setIconSize(QSize(SIDE, SIDE))
        made.setText(f"{pin[0]}, {pin[1]}\n…")
        made.setFixedWidth(SIDE + 12)
        made.setToolTip(f"Pinned: row {pin[0]}, column {pin[1]}. Click goes there.")
        made.clicked.connect(partial(self._go, pin))
        return made

    def _go(self, pin: Pin, checked: bool = False) -> None:
        self._session.move_to(*pin)


def _drawn(pattern: np.ndarray, places: np.ndarray, radius: float) -> QPixmap:
    black, white = contrast_limits(pattern)
    share = np.nan_to_num(np.clip((pattern - black) / (white - black), 0, 1))
    grey = np.ascontiguousarray(np.rint(255 * share**GAMMA).astype(np.uint8))
    rows, cols = grey.shape
    image = QImage(grey.tobytes(), cols, rows, cols, QImage.Format.Format_Grayscale8).copy()
    picture = QPixmap.fromImage(
        image.scaled(
            SIDE, SIDE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
    )
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(QColor("#ffcc00"), 1.2))
    zoom = picture.width() / cols
    for row, col in places:
        painter.drawEllipse(
            QPointF((float(col) + 0.5) * zoom, (float(row) + 0.5) * zoom), radius * zoom, radius * zoom
        )
    painter.end()
    return picture
