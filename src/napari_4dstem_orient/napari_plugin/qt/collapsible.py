"""A part of a panel that opens and closes."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget


class Section(QWidget):
    """A heading that opens and closes what stands below it; closed at first.

    superqt's ``QCollapsible`` fixes the height of its content when it opens, but plots and words come later.
    """

    def __init__(self, title: str, content: QWidget) -> None:
        super().__init__()
        self.toggle = QToolButton()
        self.toggle.setText(title)
        self.toggle.setCheckable(True)
        self.toggle.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.toggle.setStyleSheet("QToolButton { font-weight: bold; border: none; padding: 3px }")
        self.toggle.toggled.connect(self._open)
        self._content = content
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.toggle)
        layout.addWidget(content)
        self._open(False)

    def _open(self, wide: bool) -> None:
        self.toggle.setArrowType(Qt.ArrowType.DownArrow if wide else Qt.ArrowType.RightArrow)
        self._content.setVisible(wide)
