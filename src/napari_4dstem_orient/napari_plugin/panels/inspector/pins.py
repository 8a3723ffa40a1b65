"""The pinned scan positions as a strip of small patterns: a click on one goes there."""

from __future__ import annotations

from functools import partial

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QListWidget, QListWidgetItem

from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import grey_image
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import grey_levels
from napari_4dstem_orient.napari_plugin.qt.endings import Endings
from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot
from napari_4dstem_orient.workflow.session import Session

SIDE = 40
"""Screen pixels of a small pattern."""

Pin = tuple[int, int]


class PinStrip(QListWidget):
    """A column of thumbnails, one for each pin of the session; hidden while there are none."""

    def __init__(self, session: Session, endings: Endings) -> None:
        super().__init__()
        self._session = session
        self.setIconSize(QSize(SIDE, SIDE))
        self.setFixedWidth(SIDE + 66)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setToolTip("Pinned positions: click, or Enter, goes there; P pins and unpins the present one")
        self.itemClicked.connect(self._go)
        self.itemActivated.connect(self._go)
        self._reader = endings.latest(self._on_pictures)
        endings.listen(session.pins_changed, self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the pins there are now."""
        pins = self._session.pins
        self.clear()
        self.setVisible(bool(pins))
        for row, col in pins:
            item = QListWidgetItem(f"{row}, {col}")
            item.setToolTip(f"row {row}, column {col}")
            item.setData(Qt.ItemDataRole.UserRole, (row, col))
            self.addItem(item)
        self._reader.drop()
        if pins:
            self._reader.ask(partial(_pictures, Snapshot.of(self._session), pins))

    def _go(self, item: QListWidgetItem) -> None:
        self._session.move_to(*item.data(Qt.ItemDataRole.UserRole))

    def _on_pictures(self, pictures: dict[Pin, np.ndarray]) -> None:
        for index in range(self.count()):
            item = self.item(index)
            picture = pictures.get(tuple(item.data(Qt.ItemDataRole.UserRole))) if item else None
            if item is not None and picture is not None:
                item.setIcon(_icon(picture))


def _pictures(snapshot: Snapshot, pins: tuple[Pin, ...]) -> dict[Pin, np.ndarray]:
    """Return the measured patterns from black (0) to white (1); for any thread."""
    from napari_4dstem_orient.napari_plugin.pattern_view.inspection import look

    bare = Snapshot(
        snapshot.scan, snapshot.calibration, snapshot.disks, snapshot.calibrated, {}, snapshot.probe
    )
    return {pin: look(bare, *pin).picture for pin in pins}


def _icon(picture: np.ndarray) -> QIcon:
    whole = QPixmap.fromImage(grey_image(grey_levels(picture)))
    return QIcon(
        whole.scaled(
            SIDE, SIDE, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        )
    )
