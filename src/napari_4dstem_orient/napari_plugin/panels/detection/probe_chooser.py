"""Where the disk template comes from: drawn, measured in vacuum, or measured in a region of the scan."""

from __future__ import annotations

from pathlib import Path

import napari
from qtpy.QtWidgets import QStackedWidget, QWidget

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.napari_plugin.layers.drawing import draw, rectangle_of
from napari_4dstem_orient.napari_plugin.panels.base import button
from napari_4dstem_orient.napari_plugin.qt.boxes import bare, choices, row
from napari_4dstem_orient.napari_plugin.qt.dialogs import open_file
from napari_4dstem_orient.napari_plugin.qt.forms import NumberOrNothing
from napari_4dstem_orient.workflow.job import Region

REGION = "vacuum region"


class ProbeChooser(QWidget):
    """Three ways to a probe."""

    def __init__(self, viewer: napari.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._path = ""
        self.ways = choices(
            "A measured probe finds weak disks better; a synthetic one needs no vacuum.",
            ("Synthetic disk", "Vacuum file", "Region of the scan"),
        )
        self.radius = NumberOrNothing(
            name="radius",
            label="Radius (px)",
            tooltip="Radius of the disk in pixels; empty: what the convergence angle says, or found in the data.",
            empty="px, automatic",
            min=0,
        )
        self.file_button = button(
            "Choose file …", "A scan or stack of patterns of vacuum.", self._choose_file
        )
        self.draw_button = button(
            "Draw a rectangle",
            "Then drag over an area of vacuum in the scan; the last one counts.",
            self._draw,
        )
        self.pages = QStackedWidget()
        for page in (self.radius.native, self.file_button, self.draw_button):
            self.pages.addWidget(page)
        self.ways.currentIndexChanged.connect(self.pages.setCurrentIndex)
        self.setLayout(bare(row((self.ways, 1), (self.pages, 1))))

    def choice(self) -> float | str | Region | None:
        """Return the chosen probe as a job says it.

        Raises
        ------
        UserError
            No file is chosen, or no rectangle drawn.
        """
        way = self.ways.currentIndex()
        if way == 0:
            return self.radius.value
        if way == 1:
            if not self._path:
                raise UserError("No vacuum file is chosen; press 'Choose file …' first.")
            return self._path
        return self.region()

    def region(self) -> Region:
        """Return rows and columns of the last rectangle drawn: the scan positions whose centres it holds.

        Raises
        ------
        UserError
            There is none.
        """
        found = rectangle_of(self._viewer, REGION)
        if found is None:
            raise UserError("No region is drawn; press 'Draw a rectangle' and drag over an area of vacuum.")
        return found

    def _draw(self) -> None:
        draw(self._viewer, REGION, "add_rectangle", lambda: None)

    def _choose_file(self) -> None:
        open_file(self, "Open vacuum patterns", "", self.use_file, str(Path(self._path).parent))

    def use_file(self, path: str) -> None:
        """Measure the probe in this file."""
        self._path = path
        self.file_button.setText(Path(path).name)
