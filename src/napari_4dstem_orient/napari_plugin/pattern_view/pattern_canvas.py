"""A light view of a diffraction pattern and the marks over it, painted by Qt: no canvas of napari's, no OpenGL.

Three of napari's canvases cost 60 ms for each new pattern on software rendering; three of these cost a few.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from qtpy.QtCore import QEvent, QObject, QPoint, QPointF, QRectF, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QWheelEvent,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget
from superqt import QElidingLabel

from napari_4dstem_orient.napari_plugin.pattern_view.overlay_painter import paint_labels, paint_marks
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import MarkSet, scale_bar
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import grey_levels, raw_picture
from napari_4dstem_orient.napari_plugin.qt.boxes import column

LARGEST_ZOOM = 40.0
STEP = 1.25
"""Zoom of one notch of the wheel, or one press of + or -."""
COARSE = 4.0
"""Screen pixels for a detector pixel from which single pixels are shown."""


Grip = Callable[[np.ndarray], None]
"""Takes each place, shape (2,), to which the mouse drags what it holds."""


class Lens(QObject):
    """Which part of their patterns some views show; they all look through one.

    Signals
    -------
    changed : Signal()
        The zoom or the centre did.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.zoom = 1.0
        self.centre = np.array([0.5, 0.5])

    def look(self, zoom: float, centre: np.ndarray) -> None:
        """Look at a place, in shares of the pattern, 1 being the zoom at which all of it is seen."""
        self.zoom = float(np.clip(zoom, 1.0, LARGEST_ZOOM))
        room = 0.5 - 0.5 / self.zoom  # the pattern stays in sight
        self.centre = np.clip(centre, 0.5 - room, 0.5 + room)
        self.changed.emit()

    def reset(self) -> None:
        """Show the whole pattern."""
        self.look(1.0, np.array([0.5, 0.5]))


class PatternCanvas(QWidget):
    """A diffraction pattern with marks, labels, a scale bar and a title; the wheel zooms, a drag moves.

    Keys: + and - zoom, 0 or a double click shows all again.

    Parameters
    ----------
    title : str
        Said above the pattern; empty for none.
    size : (int, int)
        Smallest height and width of the pattern in screen pixels.
    lens : Lens, optional
        Shared with the views that shall show the same part.
    """

    def __init__(self, title: str, size: tuple[int, int], lens: Lens | None = None) -> None:
        super().__init__()
        self.title = QElidingLabel(title)
        self.title.setVisible(bool(title))
        self.title.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)  # views alike in width
        self.title.setToolTip(title)
        self.canvas = Canvas(lens or Lens())
        self.canvas.setMinimumSize(size[1], size[0])
        self.setFocusProxy(self.canvas)
        column(self, self.title, (self.canvas, 1)).setSpacing(2)

    def show_sheet(
        self,
        picture: np.ndarray | None,
        marks: list[MarkSet],
        labels: list[tuple[np.ndarray, str]] | None = None,
    ) -> None:
        """Show a pattern and what lies over it, in place of the former and of a message.

        Parameters
        ----------
        picture : ndarray, uint8, shape (det_y, det_x), or None
            Grey levels (``pictures.grey_levels``); None is black.
        marks : list of MarkSet
        labels : list of (ndarray, str), optional
            Above which place something is written.
        """
        canvas = self.canvas
        canvas.picture, canvas.marks, canvas.labels, canvas.message = picture, marks, labels or [], ""
        canvas.update()

    def show_pattern(self, pattern: np.ndarray, q_pixel: float | None, marks: list[MarkSet]) -> None:
        """Show a pattern as it was measured, in place of the former and of a message.

        Parameters
        ----------
        pattern : ndarray, shape (det_y, det_x)
        q_pixel : float or None
            Å⁻¹; None where it is not known.
        marks : list of MarkSet
            At detector pixels, (0, 0) being the first.
        """
        height, width = pattern.shape
        self.set_frame((height, width), q_pixel or 0.0, np.zeros(2))
        self.show_sheet(grey_levels(raw_picture(pattern)), marks)
        self.on_hover(partial(_value_at, pattern))

    def show_marks(self, marks: list[MarkSet]) -> None:
        """Show other marks over the same pattern."""
        self.canvas.marks = marks
        self.canvas.update()

    def show_labels(self, labels: list[tuple[np.ndarray, str]]) -> None:
        """Write other words over the same pattern: above which place, and what."""
        self.canvas.labels = labels
        self.canvas.update()

    def clear(self, message: str = "") -> None:
        """Show nothing but, perhaps, words saying why."""
        self.show_sheet(None, [])
        self.on_hover(lambda place: "")  # what is said is of the former pattern
        self.say(message)

    def set_frame(self, shape: tuple[int, int], q_pixel: float, origin: np.ndarray) -> None:
        """Say how many pixels there are, how large one is (Å⁻¹; 0: unknown), and which one is the direct beam.

        A detector of another shape is seen whole.
        """
        canvas = self.canvas
        anew = shape != canvas.shape
        canvas.shape, canvas.q_pixel, canvas.origin = shape, q_pixel, np.asarray(origin, float)
        if anew:
            canvas.lens.reset()
        canvas.update()

    def say(self, message: str) -> None:
        """Write a few words over the pattern; empty for none."""
        self.canvas.message = message
        self.canvas.update()

    @property
    def message(self) -> str:
        """The words over the pattern."""
        return self.canvas.message

    def on_grab(self, grip_at: Callable[[np.ndarray], Grip | None]) -> None:
        """Let the mouse drag what is drawn: ``grip_at`` says, for a place, what then follows the mouse, if anything."""
        self.canvas.grip_at = grip_at

    def on_hover(self, text_at: Callable[[np.ndarray], str]) -> None:
        """Show at the mouse what ``text_at`` says of a place, shape (2,), wherever that is anything."""
        self.canvas.text_at = text_at
        if self.canvas.underMouse():
            self.canvas.hush()


class Canvas(QWidget):
    """The painted part of a ``PatternCanvas``."""

    def __init__(self, lens: Lens) -> None:
        super().__init__()
        self.lens = lens
        self.shape, self.q_pixel, self.origin = (1, 1), 0.0, np.zeros(2)
        self.picture: np.ndarray | None = None
        self.marks: list[MarkSet] = []
        self.labels: list[tuple[np.ndarray, str]] = []
        self.message = ""
        self.text_at: Callable[[np.ndarray], str] | None = None
        self.grip_at: Callable[[np.ndarray], Grip | None] | None = None
        self._grip: Grip | None = None
        self._grabbed: QPointF | None = None
        lens.changed.connect(self.update)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setAccessibleName("diffraction pattern")

    # ---------------------------------------------------------------- where things are

    @property
    def scale(self) -> float:
        """Screen pixels for a detector pixel."""
        return self.lens.zoom * min(self.height() / self.shape[0], self.width() / self.shape[1])

    def to_screen(self, where: np.ndarray) -> np.ndarray:
        """Turn detector pixels from the direct beam, shape (..., 2), into x, y of this widget."""
        pixel = where + self.origin + 0.5  # a pixel's middle
        rows_cols = (pixel - self.lens.centre * self.shape) * self.scale
        return np.asarray(rows_cols[..., ::-1] + [self.width() / 2, self.height() / 2])

    def to_pattern(self, point: QPointF) -> np.ndarray:
        """Turn a point of this widget into detector pixels from the direct beam, shape (2,)."""
        away = np.array([point.y() - self.height() / 2, point.x() - self.width() / 2])
        return np.asarray(away / self.scale + self.lens.centre * self.shape - 0.5 - self.origin)

    def _frame(self) -> QRectF:
        """Return where the whole pattern lies."""
        left, top = self.to_screen(-self.origin - 0.5)
        return QRectF(left, top, self.shape[1] * self.scale, self.shape[0] * self.scale)

    # ---------------------------------------------------------------- painting

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint pattern, marks, labels, scale bar and message."""
        painter = QPainter(self)
        frame = self._frame() if self.shape != (1, 1) else QRectF(self.rect())
        seen = frame.intersected(QRectF(self.rect()))
        painter.setClipRect(seen)
        painter.fillRect(seen, Qt.GlobalColor.black)
        if self.picture is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, self.scale < COARSE)
            painter.drawImage(frame, grey_image(self.picture))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        paint_marks(painter, self.marks, self.to_screen, self.scale)
        painter.setFont(_smaller(self.font()))
        paint_labels(painter, self.labels, self.to_screen)
        if self.q_pixel and not self.message:
            self._paint_bar(painter, seen)
        if self.message:
            painter.setPen(Qt.GlobalColor.white)
            room = seen.adjusted(6, 4, -6, -4)
            painter.drawText(room, int(Qt.AlignmentFlag.AlignLeft) | Qt.TextFlag.TextWordWrap, self.message)
        if self.hasFocus():
            painter.setPen(QColor("#7fb2ff"))
            painter.drawRect(seen.adjusted(0.5, 0.5, -0.5, -0.5))
        painter.end()

    def _paint_bar(self, painter: QPainter, seen: QRectF) -> None:
        length = scale_bar(seen.width() / self.scale * self.q_pixel)
        text, metrics = f"{length:g} Å⁻¹", QFontMetricsF(painter.font())
        width = length / self.q_pixel * self.scale
        bar = QRectF(seen.left() + 8, seen.bottom() - 9, width, 3)
        shade = QRectF(
            bar.left() - 4,
            bar.top() - metrics.height() - 1,
            max(width, metrics.horizontalAdvance(text)) + 8,
            metrics.height() + 8,
        )
        painter.fillRect(shade, QColor(0, 0, 0, 200))  # marks lie below
        painter.fillRect(bar, Qt.GlobalColor.white)
        painter.setPen(Qt.GlobalColor.white)
        painter.drawText(QPointF(bar.left(), bar.top() - 3), text)

    # ---------------------------------------------------------------- mouse and keys

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Zoom; what is under the mouse stays there."""
        if event is not None:
            self._zoom(STEP ** (event.angleDelta().y() / 120), event.position())
            event.accept()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take hold of what is drawn there, or of the pattern."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            self._grip = self._grip_under(event.position())
            self._grabbed = event.position() if self._grip is None else None

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Move what is held, or say what is under the mouse."""
        if event is None:
            return
        if self._grip is not None:
            self._grip(self.to_pattern(event.position()))
        elif self._grabbed is not None:
            moved, self._grabbed = event.position() - self._grabbed, event.position()
            shares = np.array([moved.y(), moved.x()]) / self.scale / self.shape
            self.lens.look(self.lens.zoom, self.lens.centre - shares)
        else:
            held = self._grip_under(event.position()) is not None
            self.setCursor(Qt.CursorShape.PointingHandCursor if held else Qt.CursorShape.ArrowCursor)
            if self.text_at is not None:
                self._tell(self.text_at(self.to_pattern(event.position())), event.globalPosition().toPoint())

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let go of what was grabbed."""
        self._grabbed = self._grip = None

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        """Show the whole pattern again."""
        self.lens.reset()

    def leaveEvent(self, event: QEvent | None) -> None:
        """Take the words at the mouse away."""
        self.hush()

    def hush(self) -> None:
        """Take the words at the mouse away."""
        self._tell("", QPoint())

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Zoom; other keys go on."""
        if event is None:
            return
        middle = QPointF(self.width() / 2, self.height() / 2)
        if event.key() in (Qt.Key.Key_Plus, Qt.Key.Key_Equal):
            self._zoom(STEP, middle)
        elif event.key() == Qt.Key.Key_Minus:
            self._zoom(1 / STEP, middle)
        elif event.key() == Qt.Key.Key_0:
            self.lens.reset()
        else:
            super().keyPressEvent(event)

    def _zoom(self, factor: float, fixed: QPointF) -> None:
        share = (self.to_pattern(fixed) + self.origin + 0.5) / self.shape
        zoom = float(np.clip(self.lens.zoom * factor, 1.0, LARGEST_ZOOM))
        self.lens.look(zoom, share + (self.lens.centre - share) * self.lens.zoom / zoom)

    def _grip_under(self, point: QPointF) -> Grip | None:
        return self.grip_at(self.to_pattern(point)) if self.grip_at is not None else None

    def _tell(self, text: str, where: QPoint) -> None:
        if text:
            QToolTip.showText(where, text, self)
        elif QToolTip.isVisible():
            QToolTip.hideText()


def _value_at(pattern: np.ndarray, where: np.ndarray) -> str:
    """Say what was measured at a place; nothing beside the detector."""
    row, col = (int(np.floor(along + 0.5)) for along in where)
    inside = 0 <= row < pattern.shape[0] and 0 <= col < pattern.shape[1]
    return f"row {row}, column {col}: {pattern[row, col]:.5g}" if inside else ""


def grey_image(levels: np.ndarray) -> QImage:
    """Return grey levels, uint8, as an image of its own."""
    height, width = levels.shape
    return QImage(levels.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()


def _smaller(font: QFont) -> QFont:
    """Return the font of labels."""
    made = QFont(font)
    made.setPointSizeF(max(7.0, 0.85 * font.pointSizeF()))
    return made
