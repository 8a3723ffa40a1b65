"""The patterns of the pinned scan positions side by side, with the disks that the present settings find."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QGridLayout, QToolButton, QWidget

from napari_4dstem_orient.napari_plugin.pattern_view.overlay_painter import paint_marks
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import MarkSet
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import grey_image
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import grey_levels, raw_picture
from napari_4dstem_orient.workflow.session import Session

SIDE = 80
"""Screen pixels of a pattern."""
COLUMNS = 3

Pin = tuple[int, int]


class PinnedDisks(QWidget):
    """A grid of small patterns; a click, or Space, on one goes there. Hidden while nothing is pinned."""

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

    def show_disks(self, pin: Pin, pattern: np.ndarray, marks: list[MarkSet], count: str) -> None:
        """Show a pattern (det_y, det_x) with its disks, and in words how many they are."""
        shown = self.buttons.get(pin)
        if shown is not None:
            shown.setIcon(QIcon(_drawn(pattern, marks)))
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


def _drawn(pattern: np.ndarray, marks: list[MarkSet]) -> QPixmap:
    picture = QPixmap.fromImage(
        grey_image(grey_levels(raw_picture(pattern))).scaled(
            SIDE, SIDE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
    )
    zoom = picture.width() / pattern.shape[1]
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    paint_marks(painter, marks, lambda where: (where[..., ::-1] + 0.5) * zoom, zoom)
    painter.end()
    return picture
