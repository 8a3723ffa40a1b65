"""Paints marks and labels over a pattern on the screen; what they are and look like says ``overlays``."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from qtpy.QtCore import QLineF, QPointF, Qt
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from napari_4dstem_orient.core.distortion import Distortion, distorted
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import CORNERS, MarkSet, Shape
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import GAMMA

LINE = 1.4
"""Width of a ring's line in screen pixels, whatever the zoom."""
DASHES = (4.0, 3.5)
"""Line and gap of dashed rings in screen pixels."""
HEAD = 5.0
"""Length of an arrow's head in screen pixels."""
CORNERS_OF_ELLIPSE = 120
SMALLEST = 2.5
"""Screen pixels: a cross of a smaller radius could not be seen."""

ToScreen = Callable[[np.ndarray], np.ndarray]


def paint_marks(painter: QPainter, marks: list[MarkSet], to_screen: ToScreen, scale: float) -> None:
    """Paint all marks.

    Parameters
    ----------
    painter : QPainter
    marks : list of MarkSet
    to_screen : callable
        Turns places (n, 2) into x, y of the painter.
    scale : float
        Screen pixels for a detector pixel.
    """
    for each in marks:
        if len(each.where):
            _PAINTERS[each.style.shape](painter, each, to_screen, scale)


def paint_labels(painter: QPainter, labels: list[tuple[np.ndarray, str]], to_screen: ToScreen) -> None:
    """Write each text above its place, on a dark ground, as far as there is room."""
    metrics, room = QFontMetricsF(painter.font()), painter.clipBoundingRect()
    for where, text in labels:
        x, y = to_screen(where)
        box = metrics.boundingRect(text)
        box.moveCenter(QPointF(x, y - metrics.height()))
        if room.contains(QPointF(x, y)):
            box.moveTop(max(box.top(), room.top()))
            box.moveLeft(min(max(box.left(), room.left()), room.right() - box.width()))
        painter.fillRect(box.adjusted(-2, 0, 2, 0), QColor(0, 0, 0, 150))
        painter.setPen(Qt.GlobalColor.white)
        painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter) | Qt.TextFlag.TextDontClip, text)


def _rings(painter: QPainter, marks: MarkSet, to_screen: ToScreen, scale: float) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    pen = QPen(QColor(marks.style.screen))
    radius, told, widths = marks.radius * scale, marks.attention_colours(), LINE * marks.widths
    for index, (x, y) in enumerate(to_screen(marks.where)):
        pen.setWidthF(widths[index])
        if marks.style.shape is Shape.DASHED:
            pen.setDashPattern([length / widths[index] for length in DASHES])
        if told is not None:
            pen.setColor(QColor(*told[index]))
        if marks.opacity is not None:
            colour = pen.color()
            colour.setAlphaF(float(marks.opacity[index]))
            pen.setColor(colour)
        painter.setPen(pen)
        if marks.distortion == (0.0, 0.0):
            painter.drawEllipse(QPointF(x, y), radius, radius)
        else:
            painter.drawPolygon(_ellipse(QPointF(x, y), radius, marks.distortion))


def _ellipse(middle: QPointF, radius: float, distortion: Distortion) -> QPolygonF:
    """Return how a distorting detector shows a circle."""
    angle = np.linspace(0, 2 * np.pi, CORNERS_OF_ELLIPSE, endpoint=False)
    down, right = distorted(radius * np.cos(angle), radius * np.sin(angle), distortion)
    places = zip(right + middle.x(), down + middle.y(), strict=True)
    return QPolygonF([QPointF(x, y) for x, y in places])


def _discs(painter: QPainter, marks: MarkSet, to_screen: ToScreen, scale: float) -> None:
    """Paint them as bright as the detector would see them; the weakest first, that no disc hides a stronger one."""
    painter.setPen(Qt.PenStyle.NoPen)
    radius = marks.radius * scale
    strength = np.ones(len(marks.where)) if marks.strength is None else marks.strength
    places = to_screen(marks.where)
    for index in np.argsort(strength, kind="stable"):
        grey = float(np.clip(strength[index], 0, 1)) ** GAMMA
        painter.setBrush(QColor.fromRgbF(grey, grey, grey))
        painter.drawEllipse(QPointF(*places[index]), radius, radius)


def _crosses(painter: QPainter, marks: MarkSet, to_screen: ToScreen, scale: float) -> None:
    painter.setPen(QPen(QColor(marks.style.screen), LINE))
    arm = max(SMALLEST, marks.radius * scale)
    for x, y in to_screen(marks.where):
        painter.drawLine(QLineF(x - arm, y - arm, x + arm, y + arm))
        painter.drawLine(QLineF(x - arm, y + arm, x + arm, y - arm))


def _polygons(painter: QPainter, marks: MarkSet, to_screen: ToScreen, scale: float) -> None:
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor(marks.style.screen), LINE))
    corners = marks.radius * np.array(CORNERS[marks.style.shape])
    for places in to_screen(marks.where[:, None] + corners):
        painter.drawPolygon(QPolygonF([QPointF(*place) for place in places]))


def _arrows(painter: QPainter, marks: MarkSet, to_screen: ToScreen, scale: float) -> None:
    assert marks.ends is not None
    colour = QColor(marks.style.screen)
    painter.setPen(QPen(colour, LINE))
    painter.setBrush(colour)
    starts, ends = to_screen(marks.where), to_screen(marks.ends)
    for start, end in zip(starts, ends, strict=True):
        painter.drawLine(QLineF(*start, *end))
    along = ends - starts
    length = np.hypot(*along.T)[:, None]
    along = along / np.maximum(length, 1e-9) * np.minimum(HEAD, length)
    across = along[:, ::-1] * [0.45, -0.45]
    for end, back, side in zip(ends, along, across, strict=True):
        corners = (end, end - back + side, end - back - side)
        painter.drawPolygon(QPolygonF([QPointF(*corner) for corner in corners]))


_PAINTERS = {
    Shape.RING: _rings,
    Shape.DASHED: _rings,
    Shape.DISC: _discs,
    Shape.CROSS: _crosses,
    Shape.ARROW: _arrows,
    **dict.fromkeys(CORNERS, _polygons),
}
