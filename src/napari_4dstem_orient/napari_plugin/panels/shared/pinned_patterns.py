"""The patterns of the pinned scan positions as small pictures, with what is found in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QPainter, QPixmap
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_4dstem_orient.napari_plugin.pattern_view.overlay_painter import paint_marks
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import MarkSet
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import grey_image
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import grey_levels
from napari_4dstem_orient.workflow.session import Session

COLUMN_SIDE, GRID_SIDE = 40, 80
"""Screen pixels of a pattern, one below the other and side by side."""
COLUMNS = 3

Pin = tuple[int, int]


class PinnedPatterns(QListWidget):
    """A list of small patterns; a click, or Enter, on one goes there. Hidden while nothing is pinned.

    Parameters
    ----------
    session : Session
    side_by_side : bool
        Three in a row, all of them in sight, with words below; else one below the other, with words beside.
    """

    def __init__(self, session: Session, side_by_side: bool = False) -> None:
        super().__init__()
        self._session = session
        self.pins: dict[Pin, QListWidgetItem] = {}
        self._cell: QSize | None = None
        self._side = GRID_SIDE if side_by_side else COLUMN_SIDE
        self.setIconSize(QSize(self._side, self._side))
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        if side_by_side:
            self._cell = QSize(GRID_SIDE + 12, GRID_SIDE + 2 * self.fontMetrics().lineSpacing() + 12)
            self.setViewMode(QListWidget.ViewMode.IconMode)
            self.setMovement(QListWidget.Movement.Static)
            self.setGridSize(self._cell)
            self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
            self.setMinimumWidth(COLUMNS * self._cell.width() + 2 * self.frameWidth())
        self.setToolTip("Pinned positions: click, or Enter, goes there; P pins and unpins the present one")
        self.itemClicked.connect(self._go)
        self.itemActivated.connect(self._go)
        self.hide()

    def place(self, pins: Sequence[Pin]) -> None:
        """Make room for these positions, in this order; those already there keep their picture."""
        if list(self.pins) == list(pins):
            return
        former = {pin: (item.icon(), item.text()) for pin, item in self.pins.items()}
        self.clear()
        self.pins = {}
        for pin in pins:
            icon, text = former.get(pin, (QIcon(), f"{pin[0]}, {pin[1]}"))
            item = self.pins[pin] = QListWidgetItem(icon, text)
            item.setToolTip(f"row {pin[0]}, column {pin[1]}")
            item.setData(Qt.ItemDataRole.UserRole, pin)
            self.addItem(item)
        if self._cell is not None:
            self.setFixedHeight(-(-len(pins) // COLUMNS) * self._cell.height() + 2 * self.frameWidth())

    def show_pattern(
        self, pin: Pin, picture: np.ndarray, marks: Sequence[MarkSet] = (), words: str = ""
    ) -> None:
        """Show a pattern (det_y, det_x), from black (0) to white (1), with marks over it and a line of words."""
        if (item := self.pins.get(pin)) is not None:
            item.setIcon(QIcon(_drawn(picture, list(marks), self._side)))
            item.setText("\n".join(filter(None, (f"{pin[0]}, {pin[1]}", words))))

    def _go(self, item: QListWidgetItem) -> None:
        self._session.move_to(*item.data(Qt.ItemDataRole.UserRole))


def _drawn(picture: np.ndarray, marks: list[MarkSet], side: int) -> QPixmap:
    keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    drawn = QPixmap.fromImage(grey_image(grey_levels(picture)).scaled(side, side, keep, smooth))
    zoom = drawn.width() / picture.shape[1]
    painter = QPainter(drawn)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    paint_marks(painter, marks, lambda where: (where[..., ::-1] + 0.5) * zoom, zoom)
    painter.end()
    return drawn
