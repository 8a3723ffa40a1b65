"""Which of the ticked crystals is the parent: it may be everywhere, and what it leaves is the others'."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QSignalBlocker, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QLabel, QWidget

NONE = "none"


class ParentChooser(QWidget):
    """Offers the ticked crystals, where there are two or more.

    Signals
    -------
    chosen : Signal(tuple)
        The names of the parents: one, or none.
    """

    chosen = Signal(tuple)

    def __init__(self) -> None:
        super().__init__()
        self.setToolTip(
            "A crystal that may be everywhere, such as a matrix with precipitates: in the disks that all crystals "
            "leave only the others are looked for."
        )
        self.names = QComboBox()
        self.names.activated.connect(lambda: self.chosen.emit(self.parents))
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(QLabel("Parent"))
        line.addWidget(self.names, 1)
        self.offer([])

    @property
    def parents(self) -> tuple[str, ...]:
        """The names of the parents."""
        return (self.names.currentText(),) if self.names.currentIndex() > 0 else ()

    def choose(self, parents: Sequence[str]) -> None:
        """Choose one that is offered, or none."""
        self.names.setCurrentIndex(max(self.names.findText(parents[0]), 0) if parents else 0)
        self.chosen.emit(self.parents)

    def offer(self, names: Sequence[str]) -> tuple[str, ...]:
        """Offer other crystals; return the parents, which stay where they can."""
        former = self.parents
        with QSignalBlocker(self.names):
            self.names.clear()
            self.names.addItems([NONE, *names])
            self.names.setCurrentIndex(max(self.names.findText(former[0]), 0) if former else 0)
        self.setVisible(len(names) > 1)
        if len(names) < 2:
            self.names.setCurrentIndex(0)
        return self.parents
