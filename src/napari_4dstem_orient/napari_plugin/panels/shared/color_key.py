"""The colour key beside the map: which colour stands for which crystal direction, for every phase."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from html import escape
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from qtpy.QtCore import QPointF, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen, QPixmap, QResizeEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from napari_4dstem_orient.analysis.channels import CHANNELS, Channel, color_table, scalar_limits
from napari_4dstem_orient.analysis.colours import PHASE_COLOURS, color_key_figure, key_position
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.napari_plugin.panels.base import wrapped
from napari_4dstem_orient.napari_plugin.qt.boxes import column

DPI, INCHES = 240, 1.7
"""Of a key's picture: it is shown about 200 screen pixels wide, where its letters must be readable."""


class Keys(QWidget):
    """The key to a channel's colours, with a mark for one position: IPF keys, a legend or a colour bar."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[KeyPicture] = []
        self.words = wrapped()
        self._row = QHBoxLayout()
        column(self, (self._row, 1), self.words)
        self._shown: tuple[Any, ...] = ()

    def clear(self) -> None:
        """Show nothing."""
        self._shown = ()
        for picture in self.pictures:
            self._row.removeWidget(picture)
            picture.deleteLater()
        self.pictures = []
        self.words.setText("")

    def show_channel(self, orientation_map: OrientationMap, key: str, text_colour: str) -> None:
        """Show the key of a map's channel, its words in the window's colour."""
        channel, phases = CHANNELS[key], orientation_map.phases
        limits = scalar_limits(orientation_map, key) if channel.values is not None else None
        wanted = (phases, key, text_colour, limits)
        if wanted == self._shown:
            return
        self.clear()
        self._shown = wanted
        if channel.axis is not None:
            self.pictures = [KeyPicture(*_render(phase, text_colour)) for phase in phases]
        elif limits is not None:
            self.pictures = [KeyPicture(*_render_bar(channel, limits, text_colour))]
        for picture in self.pictures:
            self._row.addWidget(picture)

    def mark(self, orientation_map: OrientationMap, key: str, row: int, col: int) -> None:
        """Mark where a position's answer lies on the key."""
        channel, number = CHANNELS[key], int(orientation_map.phase_id[row, col])
        if channel.axis is not None:
            for which, picture in enumerate(self.pictures):
                direction = orientation_map.rotation[row, col][:, "xyz".index(channel.axis)]
                phase = orientation_map.phases[which]
                picture.mark(key_position(direction[None], phase)[0] if which == number else None)
        elif channel.values is not None:
            value = channel.values(orientation_map)
            for picture in self.pictures:
                picture.mark(np.array([value[row, col], 0.5]) if value is not None and number >= 0 else None)
        else:
            self.words.setText(_legend(orientation_map, number))


def _legend(orientation_map: OrientationMap, chosen: int) -> str:
    lines = []
    for number, phase in enumerate(orientation_map.phases):
        colour = PHASE_COLOURS[number % len(PHASE_COLOURS)]
        share = (orientation_map.phase_id == number).mean()
        words = f"{number + 1} {escape(phase.name)} ({share:.0%})"
        words = f"<b>{words} ◂</b>" if number == chosen else words
        lines.append(f'<span style="color:{colour}">■</span> {words}')
    return "<br>".join(lines)


class KeyPicture(QLabel):
    """A picture of a key with a mark on it; it fills its place as far as its proportions allow.

    Parameters
    ----------
    rgba : ndarray, uint8
    places : callable
        Turns a position on the key into (x, y) as shares of the picture's width and height, y downwards.
    """

    def __init__(self, rgba: np.ndarray, places: Callable[[np.ndarray], np.ndarray]) -> None:
        super().__init__()
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setMinimumSize(100, 80)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        height, width = rgba.shape[:2]
        image = QImage(rgba.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888)
        self._whole = QPixmap.fromImage(image.copy())
        self._places = places
        self.marked: np.ndarray | None = None

    def mark(self, position: np.ndarray | None) -> None:
        """Mark a position on the key, or nothing."""
        self.marked = None if position is None else self._places(position)
        self.update()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        """Scale the picture to the new place."""
        keep, smooth = Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
        self.setPixmap(self._whole.scaled(self.size(), keep, smooth))
        super().resizeEvent(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw a ring, black and white so that it shows on every colour."""
        super().paintEvent(event)
        if self.marked is None:
            return
        shown = self.pixmap()
        x = (self.width() - shown.width()) / 2 + self.marked[0] * shown.width()
        y = (self.height() - shown.height()) / 2 + self.marked[1] * shown.height()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for colour, radius in (("black", 5.5), ("white", 4.0)):
            painter.setPen(QPen(QColor(colour), 1.5))
            painter.drawEllipse(QPointF(x, y), radius, radius)
        painter.end()


@lru_cache(maxsize=32)
def _render(phase: Phase, text_colour: str) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Draw a phase's key in the window's colours; the figure belongs to no pyplot, so it needs no closing."""
    return _draw(color_key_figure(phase, INCHES), text_colour)


def _render_bar(
    channel: Channel, limits: tuple[float, float], text_colour: str
) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """Draw a scalar channel's colour bar with its numbers and unit."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.4 * INCHES, 0.5 * INCHES), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(color_table(channel.colormap)[None], extent=(*limits, 0, 1), aspect="auto")
    axes.set_yticks([])
    axes.tick_params(labelsize=7, color=text_colour)
    axes.set_xlabel(channel.label, fontsize=7)
    return _draw(figure, text_colour)


def _draw(figure: Figure, text_colour: str) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.text import Text

    figure.set_dpi(DPI)
    figure.patch.set_alpha(0)
    for words in figure.findobj(Text):
        words.set_color(text_colour)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    rgba = np.ascontiguousarray(canvas.buffer_rgba())
    to_pixels: Any = figure.axes[0].transData.frozen()

    def places(position: np.ndarray) -> np.ndarray:
        x, y = to_pixels.transform(position)
        return np.array([x / rgba.shape[1], 1 - y / rgba.shape[0]])

    return rgba, places
