"""What the colours of a layer of classes mean, in words and numbers."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QWidget

SIDE = 12
"""Pixels of a colour's square."""


class ClassLegend(QWidget):
    """A square of colour, a name and a count for each class."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(1, 1)
        self.setAccessibleName("Legend of the colours")

    def show_classes(self, classes: Iterable[tuple[str, str, int]]) -> None:
        """List classes, each with its colour, name and number of positions."""
        while (item := self._grid.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for line, (color, name, count) in enumerate(classes):
            square = QFrame()
            square.setFixedSize(SIDE, SIDE)
            square.setStyleSheet(f"background: {color}; border: 1px solid gray")
            self._grid.addWidget(square, line, 0)
            self._grid.addWidget(QLabel(name), line, 1)
            self._grid.addWidget(QLabel(f"{count:,}"), line, 2)

    def lines(self) -> list[str]:
        """Return what is written, a line for each class."""
        found = []
        for line in range(self._grid.rowCount()):
            cells = [self._grid.itemAtPosition(line, column) for column in (1, 2)]
            if all(cells):
                found.append(": ".join(cell.widget().text() for cell in cells))
        return found
