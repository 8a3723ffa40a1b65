"""How sure the candidates of the preview are, with the least signal-to-noise that is kept as a line to drag."""

from __future__ import annotations

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

from napari_4dstem_orient.core.bragg_disks import SURE

BINS = 60
LEAST, MOST = 0.1, 300.0
"""Ends of the axis; what lies beyond is in the outermost bars."""
TICKS = (0.1, 0.3, 1, 3, 10, 30, 100)
GRAB = 8.0
"""Screen pixels on either side of the line that grab it."""
KEY_STEP = 1.05
"""Factor by which an arrow key moves the line."""
LEFT, RIGHT, TOP, BOTTOM = 8.0, 8.0, 18.0, 32.0
KEPT = "#ffcc00"


class SurenessHistogram(QWidget):
    """A histogram on logarithmic axes; kept candidates are full bars, rejected ones hollow.

    Signals
    -------
    moved : Signal(float)
        The user dragged the line to this least signal-to-noise ratio.
    """

    moved = Signal(float)

    def __init__(self) -> None:
        super().__init__()
        self._snr = np.zeros(0)
        self._kept = np.zeros(0, bool)
        self._least = 0.0
        self._grabbed = False
        self.setFixedHeight(120)
        self.setMinimumWidth(200)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(
            "Histogram of the signal-to-noise ratio of all candidates, with the least that is kept as a line"
        )
        self.setToolTip(
            "All candidates at the cursor and the pinned positions: full bars are kept, hollow ones rejected. From the "
            f"dashed line ({SURE:g}) on they are sure: shown and counted as disks. Those before it are weighed, "
            "down to the full line: drag it, or move it with ← and →."
        )

    def show_candidates(self, snr: np.ndarray, kept: np.ndarray) -> None:
        """Show candidates.

        Parameters
        ----------
        snr : ndarray, shape (n,)
            Signal-to-noise ratios; those that are not known are left out.
        kept : ndarray of bool, shape (n,)
            Which of them are kept.
        """
        shown = snr > 0
        self._snr, self._kept = np.clip(snr[shown], LEAST, MOST), kept[shown]
        self.update()

    def set_least(self, least: float) -> None:
        """Move the line."""
        self._least = least
        self.update()

    @property
    def candidates(self) -> int:
        """How many are shown."""
        return len(self._snr)

    def x_of(self, snr: float) -> int:
        """Return the screen pixel from the left that stands for a signal-to-noise ratio."""
        return round(self._place(snr))

    # ------------------------------------------------------------------ axes

    def _width(self) -> float:
        return max(self.width() - LEFT - RIGHT, 1.0)

    def _place(self, snr: float) -> float:
        share = np.log(max(snr, LEAST) / LEAST) / np.log(MOST / LEAST)
        return LEFT + float(np.clip(share, 0, 1)) * self._width()

    def _value(self, x: float) -> float:
        """Return what ``x`` stands for, to three digits; at the left end nothing is asked for."""
        share = float(np.clip((x - LEFT) / self._width(), 0, 1))
        return float(f"{LEAST * (MOST / LEAST) ** share:.3g}") if share > 0 else 0.0

    # ------------------------------------------------------------------ mouse and keys

    def _near(self, x: float) -> bool:
        return abs(self._place(self._least) - x) <= GRAB

    def _move(self, least: float) -> None:
        if least != self._least:
            self._least = least
            self.repaint()  # at once, whatever the preview takes
            self.moved.emit(least)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Grab the line under the mouse."""
        assert event is not None
        self._grabbed = event.button() == Qt.MouseButton.LeftButton and self._near(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Drag the line, or show that there is one to drag."""
        assert event is not None
        x = event.position().x()
        if self._grabbed:
            self._move(self._value(x))
        else:
            near = self._near(x)
            self.setCursor(Qt.CursorShape.SizeHorCursor if near else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let go."""
        self._grabbed = False

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move the line."""
        assert event is not None
        steps = {Qt.Key.Key_Left: 1 / KEY_STEP, Qt.Key.Key_Right: KEY_STEP}
        step = steps.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
            return
        self._move(float(f"{min(max(self._least, LEAST) * step, MOST):.3g}"))

    # ------------------------------------------------------------------ drawing

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw bars, axis and lines."""
        painter = QPainter(self)
        ink = self.palette().color(self.foregroundRole())
        painter.setPen(ink)
        floor = self.height() - BOTTOM
        painter.drawLine(QPointF(LEFT, floor), QPointF(LEFT + self._width(), floor))
        words = QRectF(LEFT, self.height() - 16, self._width(), 16)
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, "Signal-to-noise of candidates")
        for value in TICKS:
            x = self._place(value)
            painter.drawLine(QPointF(x, floor), QPointF(x, floor + 3))
            label = QRectF(max(x - 30, 0.0), floor + 2, 60, 14)
            painter.drawText(label, Qt.AlignmentFlag.AlignCenter, f"{value:g}")
        if len(self._snr):
            self._draw_bars(painter, ink, floor)
            self._draw_lines(painter, ink, floor)
        if self.hasFocus():
            painter.setPen(QPen(ink, 1, Qt.PenStyle.DotLine))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _draw_bars(self, painter: QPainter, ink: QColor, floor: float) -> None:
        edges = np.linspace(np.log(LEAST), np.log(MOST), BINS + 1)
        place = np.log(self._snr)
        every, _ = np.histogram(place, edges)
        kept, _ = np.histogram(place[self._kept], edges)
        tallest, step = np.log1p(every.max(initial=1)), self._width() / BINS
        for number, counts in ((0, every), (1, kept)):
            painter.setPen(QPen(ink, 0.6))
            painter.setBrush(QColor(KEPT) if number else Qt.BrushStyle.NoBrush)
            for index in np.flatnonzero(counts):
                tall = (floor - TOP) * float(np.log1p(counts[index]) / tallest)
                painter.drawRect(QRectF(LEFT + float(index) * step, floor - tall, step, tall))

    def _draw_lines(self, painter: QPainter, ink: QColor, floor: float) -> None:
        for value, style, word in (
            (self._least, Qt.PenStyle.SolidLine, "kept"),
            (SURE, Qt.PenStyle.DashLine, "sure"),
        ):
            x = self._place(value)
            painter.setPen(QPen(ink, 2, style))
            painter.drawLine(QPointF(x, TOP - 4), QPointF(x, floor))
            # The words stand on the outer sides of the pair, so that they do not cover each other.
            wide = painter.fontMetrics().horizontalAdvance(word)
            on_left = (word == "kept") == (self._least <= SURE)
            start = x - wide - 4 if on_left and x - wide - 4 >= 0 else x + 4
            painter.drawText(QPointF(min(start, self.width() - wide), TOP - 6), word)
