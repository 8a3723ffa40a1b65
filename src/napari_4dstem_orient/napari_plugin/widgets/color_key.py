"""The colour key beside the map: which colour stands for which crystal direction, for every phase."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from napari.utils.theme import get_theme
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage, QPixmap, QResizeEvent
from qtpy.QtWidgets import QLabel, QSizePolicy

from napari_4dstem_orient.napari_plugin.indexers import STAGES
from napari_4dstem_orient.napari_plugin.step_widget import StepWidget

if TYPE_CHECKING:
    import napari

    from napari_4dstem_orient.crystals.phase import Phase

DPI, INCHES = 240, 1.7
"""Of a key's picture: it is shown about 200 screen pixels wide, where its letters must be readable."""


class ColorKeyWidget(StepWidget):
    """orix's TSL colour key of each phase of the viewer's maps.

    Parameters
    ----------
    napari_viewer : napari.Viewer
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.setMinimumWidth(160)
        self._text_colour = get_theme(napari_viewer.theme).text.as_hex()
        self._hint = QLabel("The colour key appears here with the first orientation map.")
        self._hint.setWordWrap(True)
        self._hint.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.pictures: list[Picture] = []
        self._phases: tuple[Phase, ...] = ()
        self.body.setAlignment(Qt.AlignmentFlag(0))
        self.body.addWidget(self._hint)
        self.refresh()

    def refresh(self) -> None:
        """Show the keys of the phases that there are now."""
        maps = [self.session.get(stage) for stage in STAGES.values()]
        phases = {phase.name: phase for found in maps if found is not None for phase in found.phases}
        if tuple(phases.values()) == self._phases:
            return
        self._phases = tuple(phases.values())
        for picture in self.pictures:
            self.body.removeWidget(picture)
            picture.deleteLater()
        self.pictures = [Picture(_render(phase, self._text_colour)) for phase in self._phases]
        for picture in self.pictures:
            self.body.addWidget(picture)
        self._hint.setVisible(not self.pictures)


class Picture(QLabel):
    """An image that fills its place as far as its proportions allow."""

    def __init__(self, rgba: np.ndarray) -> None:
        super().__init__()
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumSize(100, 80)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.put(rgba)

    def put(self, rgba: np.ndarray) -> None:
        """Show another image."""
        height, width = rgba.shape[:2]
        image = QImage(rgba.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888)
        self._whole = QPixmap.fromImage(image.copy())
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Scale the image to the new place."""
        self._fit()
        super().resizeEvent(event)

    def _fit(self) -> None:
        self.setPixmap(
            self._whole.scaled(
                self.size(),
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        )


def _render(phase: Phase, text_colour: str) -> np.ndarray:
    """Draw a phase's key in the window's colours; the figure belongs to no pyplot, so it needs no closing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    from napari_4dstem_orient.analysis.colors import color_key_figure

    figure = color_key_figure(phase, INCHES)
    figure.set_dpi(DPI)
    figure.patch.set_alpha(0)
    for words in figure.findobj(Text):
        words.set_color(text_colour)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(canvas.buffer_rgba())
