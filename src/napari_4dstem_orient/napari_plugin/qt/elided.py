"""Words for which there may be too little room: they end in …, or are written smaller."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import (
    QAbstractTextDocumentLayout,
    QFont,
    QPainter,
    QPaintEvent,
    QPalette,
    QTextDocument,
    QTextOption,
)
from qtpy.QtWidgets import QComboBox, QLabel, QStyle, QStyleOptionComboBox, QStylePainter

SIZES = (1.0, 0.92, 0.84, 0.76)
"""Of letters, beside their usual size."""


class FittedLabel(QLabel):
    """Rich text, wrapped and centred, in letters as much smaller than usual as it takes to see all of it."""

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw it in the largest size that fits."""
        room = self.contentsRect()
        for size in SIZES:
            document = self._document(size)
            if document.size().height() <= room.height():
                break
        look = QAbstractTextDocumentLayout.PaintContext()
        look.palette.setColor(QPalette.ColorRole.Text, self.palette().color(self.foregroundRole()))
        painter = QPainter(self)
        painter.translate(room.topLeft())
        document.documentLayout().draw(painter, look)
        painter.end()

    def _document(self, size: float) -> QTextDocument:
        font, option = QFont(self.font()), QTextOption(Qt.AlignmentFlag.AlignHCenter)
        if font.pointSizeF() > 0:
            font.setPointSizeF(size * font.pointSizeF())
        else:
            font.setPixelSize(round(size * font.pixelSize()))
        document = QTextDocument()
        document.setDocumentMargin(0)
        document.setDefaultFont(font)
        document.setDefaultTextOption(option)
        document.setHtml(self.text())
        document.setTextWidth(self.contentsRect().width())
        return document


class ElidedCombo(QComboBox):
    """A list whose chosen entry may be longer than the list is wide; opened, it shows all of each."""

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw what there is room for."""
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        room = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self
        )
        option.currentText = self.fontMetrics().elidedText(
            option.currentText, Qt.TextElideMode.ElideRight, room.width() - 4
        )
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()

    def showPopup(self) -> None:
        """Open the list as wide as its entries."""
        view = self.view()
        view.setMinimumWidth(view.sizeHintForColumn(0) + 24)
        super().showPopup()
