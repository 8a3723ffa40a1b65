"""A part of a long scan first: every nth position for a first look, or a region of interest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import napari
from qtpy.QtWidgets import QWidget

from napari_4dstem_orient.core.part import Part
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.napari_plugin.layers.drawing import draw, rectangle_of
from napari_4dstem_orient.napari_plugin.panels.base import button
from napari_4dstem_orient.napari_plugin.qt.boxes import bare, choices, row
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.workflow.session import Stage

REGION = "region of interest"
LONG = 64 * 64
"""Positions from which a part is offered; below them all are soon mapped."""
EVERY = {"All positions": 1, "Every 2nd position": 2, "Every 4th position": 4, "Every 8th position": 8}


class PartChooser(QWidget):
    """Opens a part of the open scan as a scan of its own, or the whole again.

    Parameters
    ----------
    viewer : napari.Viewer
    open_part : callable
        Takes the scan that is open, and which part of its file to open.
    """

    def __init__(self, viewer: napari.Viewer, open_part: Callable[[Scan, Part], None]) -> None:
        super().__init__()
        self._viewer, self._session, self._open = viewer, session_for(viewer), open_part
        self.every = choices("Which positions are read: fewer for a first look at a long scan.", EVERY)
        self.every.activated.connect(self._on_every)
        self.region_button = button(
            "Region …", "Drag a rectangle over the map: only its positions are read.", self._draw
        )
        self.whole_button = button("Whole scan", "Read all positions again.", self._open_whole)
        self.setLayout(bare(row((self.every, 1), self.region_button, self.whole_button)))
        self.refresh()

    @property
    def part(self) -> Part:
        """Which part of its file the open scan is."""
        scan = self._session.get(Stage.SCAN)
        opened = scan.reopens if scan is not None else None
        return (opened.arguments["part"] if opened is not None else None) or Part()

    def refresh(self) -> None:
        """Offer parts of a long scan of a file."""
        scan, part = self._session.get(Stage.SCAN), self.part
        file = scan is not None and scan.reopens is not None
        positions = scan.scan_shape[0] * scan.scan_shape[1] if scan is not None else 0
        self.setVisible(file and (positions >= LONG or part != Part()))
        self.every.setCurrentIndex([*EVERY.values(), part.every].index(part.every) % len(EVERY))
        self.whole_button.setVisible(part != Part())

    def _on_every(self, index: int) -> None:
        self._take(replace(self.part, every=list(EVERY.values())[index]))

    def _open_whole(self) -> None:
        self._take(Part())

    def _draw(self) -> None:
        draw(self._viewer, REGION, "add_rectangle", self._take_region)

    def _take_region(self) -> None:
        scan, found = self._session.get(Stage.SCAN), rectangle_of(self._viewer, REGION)
        if scan is None or found is None:
            return
        rows, cols = (
            (first, min(stop, size)) for (first, stop), size in zip(found, scan.scan_shape, strict=True)
        )
        if rows[0] < rows[1] and cols[0] < cols[1]:
            self._take(self.part.region(rows, cols))

    def _take(self, part: Part) -> None:
        scan = self._session.get(Stage.SCAN)
        if scan is not None and part != self.part:
            self._open(scan, part)
