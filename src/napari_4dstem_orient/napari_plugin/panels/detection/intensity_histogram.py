"""How strong the candidates of the preview are, with the two floors of the settings as lines to drag."""

from __future__ import annotations

import numpy as np
from psygnal import Signal
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QWidget

BINS = 60
DECADES = 6.0
"""Candidates weaker than the strongest by more than this are not shown."""
GRAB = 8.0
"""Screen pixels on either side of a line that grab it."""
KEY_STEP = 1.05
"""Factor by which an arrow key moves a line."""
LEFT, RIGHT, TOP, BOTTOM = 8.0, 8.0, 18.0, 32.0
KEPT = "#ffcc00"
LINES = {"min_intensity": "weakest", "min_relative_intensity": "relative"}
"""The fields of the settings that are lines, and what is written beside each."""


class IntensityHistogram(QWidget):
    """A histogram on logarithmic axes; kept candidates are full bars, rejected ones hollow.

    Signals
    -------
    moved : Signal(str, float)
        The user dragged the line of this field of the settings to this value.
    """

    moved = Signal(str, float)

    def __init__(self) -> None:
        super().__init__()
        self._heights = np.zeros(0)
        self._kept = np.zeros(0, bool)
        self._strongest = 0.0
        self._floors = dict.fromkeys(LINES, 0.0)
        self._grabbed: str | None = None
        self._last = "min_intensity"
        self.setFixedHeight(120)
        self.setMinimumWidth(200)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(
            "Histogram of the intensities of all candidates, with the min. intensity as a line"
        )
        self.setToolTip(
            "All candidates at the cursor and the pinned positions: full bars are kept, hollow ones rejected. Drag "
            "the full line (min. intensity) or the dashed one (relative to the strongest disk at the cursor); with "
            "the keyboard, ← and → move the line that was dragged last."
        )

    def show_candidates(self, heights: np.ndarray, kept: np.ndarray, strongest: float) -> None:
        """Show candidates.

        Parameters
        ----------
        heights : ndarray, shape (n,)
            Intensity in counts/px.
        kept : ndarray of bool, shape (n,)
            Which of them are disks.
        strongest : float
            To which the relative floor refers.
        """
        shown = heights > 0
        self._heights, self._kept, self._strongest = heights[shown], kept[shown], strongest
        self.update()

    def set_floors(self, floors: dict[str, float]) -> None:
        """Move the lines: values of the fields in ``LINES``."""
        self._floors = dict(floors)
        self.update()

    @property
    def candidates(self) -> int:
        """How many are shown."""
        return len(self._heights)

    def x_of(self, intensity: float) -> int:
        """Return the screen pixel from the left that stands for an intensity."""
        return round(self._place(intensity))

    def line_at(self, name: str) -> float:
        """Return where a field's line stands, in screen pixels from the left."""
        return self._place(self._floors[name] * self._unit(name))

    # ------------------------------------------------------------------ axes

    def _unit(self, name: str) -> float:
        return self._strongest if name == "min_relative_intensity" else 1.0

    def _limits(self) -> tuple[float, float]:
        """Return the decimal logarithms at both ends of the axis."""
        if not len(self._heights):
            return -1.0, 1.0
        high = np.log10(self._heights.max()) + 0.1
        return float(max(np.log10(self._heights.min()) - 0.1, high - DECADES)), float(high)

    def _width(self) -> float:
        return max(self.width() - LEFT - RIGHT, 1.0)

    def _place(self, intensity: float) -> float:
        low, high = self._limits()
        share = (np.log10(intensity) - low) / (high - low) if intensity > 0 else 0.0
        return LEFT + float(np.clip(share, 0, 1)) * self._width()

    def _value(self, name: str, x: float) -> float:
        """Return the floor that a line stands for at ``x``, to three digits; at the left end there is none."""
        low, high = self._limits()
        share = float(np.clip((x - LEFT) / self._width(), 0, 1))
        value = 10 ** (low + share * (high - low)) / self._unit(name) if share > 0 else 0.0
        return float(f"{min(value, 1.0) if name == 'min_relative_intensity' else value:.3g}")

    # ------------------------------------------------------------------ mouse and keys

    def _near(self, x: float) -> str | None:
        if not len(self._heights) or not self._strongest:
            return None
        away = {name: abs(self.line_at(name) - x) for name in LINES}
        nearest = min(away, key=lambda name: away[name])
        return nearest if away[nearest] <= GRAB else None

    def _move(self, name: str, value: float) -> None:
        if value != self._floors[name]:
            self._floors[name] = value
            self.repaint()  # at once, whatever the preview takes
            self.moved.emit(name, value)

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Grab the line under the mouse."""
        assert event is not None
        if event.button() == Qt.MouseButton.LeftButton:
            self._grabbed = self._near(event.position().x())
            self._last = self._grabbed or self._last

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Drag the line, or show that there is one to drag."""
        assert event is not None
        x = event.position().x()
        if self._grabbed is not None:
            self._move(self._grabbed, self._value(self._grabbed, x))
        else:
            near = self._near(x) is not None
            self.setCursor(Qt.CursorShape.SizeHorCursor if near else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let go."""
        self._grabbed = None

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move the line that was dragged last."""
        assert event is not None
        steps = {Qt.Key.Key_Left: 1 / KEY_STEP, Qt.Key.Key_Right: KEY_STEP}
        step = steps.get(Qt.Key(event.key()))
        if step is None or not self._strongest:
            super().keyPressEvent(event)
            return
        now = self._floors[self._last] or 10 ** self._limits()[0] / self._unit(self._last)
        self._move(self._last, float(f"{min(now * step, self._strongest / self._unit(self._last)):.3g}"))

    # ------------------------------------------------------------------ drawing

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw bars, axis and lines."""
        painter = QPainter(self)
        ink = self.palette().color(self.foregroundRole())
        painter.setPen(ink)
        floor = self.height() - BOTTOM
        painter.drawLine(QPointF(LEFT, floor), QPointF(LEFT + self._width(), floor))
        words = QRectF(LEFT, self.height() - 16, self._width(), 16)
        painter.drawText(words, Qt.AlignmentFlag.AlignCenter, "Intensity of candidates (counts/px)")
        if len(self._heights):
            self._draw_bars(painter, ink, floor)
            self._draw_ticks(painter, floor)
            self._draw_lines(painter, ink, floor)
        if self.hasFocus():
            painter.setPen(QPen(ink, 1, Qt.PenStyle.DotLine))
            painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def _draw_bars(self, painter: QPainter, ink: QColor, floor: float) -> None:
        low, high = self._limits()
        edges = np.linspace(low, high, BINS + 1)
        place = np.log10(self._heights)
        every, _ = np.histogram(place, edges)
        kept, _ = np.histogram(place[self._kept], edges)
        tallest, step = np.log1p(every.max(initial=1)), self._width() / BINS
        for number, counts in ((0, every), (1, kept)):
            painter.setPen(QPen(ink, 0.6))
            painter.setBrush(QColor(KEPT) if number else Qt.BrushStyle.NoBrush)
            for index in np.flatnonzero(counts):
                tall = (floor - TOP) * float(np.log1p(counts[index]) / tallest)
                painter.drawRect(QRectF(LEFT + float(index) * step, floor - tall, step, tall))

    def _draw_ticks(self, painter: QPainter, floor: float) -> None:
        low, high = self._limits()
        for decade in range(int(np.ceil(low)), int(np.floor(high)) + 1):
            x = self._place(10.0**decade)
            painter.drawLine(QPointF(x, floor), QPointF(x, floor + 3))
            label = QRectF(min(x - 30, self.width() - 50), floor + 2, 60, 14)
            painter.drawText(label, Qt.AlignmentFlag.AlignCenter, f"{10.0**decade:g}")

    def _draw_lines(self, painter: QPainter, ink: QColor, floor: float) -> None:
        styles = {"min_intensity": Qt.PenStyle.SolidLine, "min_relative_intensity": Qt.PenStyle.DashLine}
        places = {name: self.line_at(name) for name in LINES}
        for name, x in places.items():
            painter.setPen(QPen(ink, 2, styles[name]))
            painter.drawLine(QPointF(x, TOP - 4), QPointF(x, floor))
        # The words stand on the outer sides of the pair, so that they do not cover each other.
        first, second = sorted(places, key=lambda name: places[name])
        wide = painter.fontMetrics().horizontalAdvance(LINES[first])
        left = places[first] - wide - 4
        if left >= 0 or places[second] - places[first] > wide + 8:
            painter.drawText(QPointF(left if left >= 0 else places[first] + 4, TOP - 6), LINES[first])
        wide = painter.fontMetrics().horizontalAdvance(LINES[second])
        painter.drawText(QPointF(min(places[second] + 4, self.width() - wide), TOP - 6), LINES[second])
