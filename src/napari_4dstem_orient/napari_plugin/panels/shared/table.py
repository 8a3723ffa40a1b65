"""A table of results: sortable, one line for each grain or position."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qtpy.QtCore import (  # type: ignore[attr-defined]
    QAbstractTableModel,
    QModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtWidgets import QAbstractItemView, QTableView

_SORT_ROLE = Qt.ItemDataRole.UserRole


class _Columns(QAbstractTableModel):
    """Columns of values under headings."""

    def __init__(self) -> None:
        super().__init__()
        self._headings: list[str] = []
        self._columns: list[list] = []

    def put(self, headings: Iterable[str], columns: Iterable[list]) -> None:
        """Show other columns."""
        self.beginResetModel()
        self._headings, self._columns = list(headings), list(columns)
        self.endResetModel()

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        return len(self._columns[0]) if self._columns else 0

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        return len(self._columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a cell shows, or what it is sorted by."""
        value = self._columns[index.column()][index.row()]
        if role == _SORT_ROLE:
            return value
        if role == Qt.ItemDataRole.DisplayRole:
            return _text(value)
        if role == Qt.ItemDataRole.TextAlignmentRole and not isinstance(value, str):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return self._headings[section]
        return None


class Table(QTableView):
    """Shows lines; a click on a heading sorts, one is selected by mouse, arrow keys, ``step`` or ``show_line``.

    Signals
    -------
    chosen : Signal(int)
        The user selected a line, counted as they were put.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self._lines = _Columns()
        self._order = QSortFilterProxyModel()
        self._order.setSourceModel(self._lines)
        self._order.setSortRole(_SORT_ROLE)
        self.setModel(self._order)
        self.setSortingEnabled(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)  # Tab goes on to what comes next
        self.verticalHeader().hide()
        self.setMinimumHeight(160)
        self._showing = False
        self.selectionModel().currentRowChanged.connect(self._on_line)

    def put(self, headings: Iterable[str], columns: Iterable[list]) -> None:
        """Show other lines, in their order; None is what there is no value of."""
        self._showing = True
        self._lines.put(headings, columns)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)
        self.resizeColumnsToContents()
        self._showing = False

    def show_line(self, line: int) -> None:
        """Select a line and bring it into sight; -1 selects none. Nobody is told."""
        self._showing = True
        if 0 <= line < self._lines.rowCount():
            row = self._order.mapFromSource(self._lines.index(line, 0)).row()
            self.selectRow(row)
            self.scrollTo(self._order.index(row, 0))
        else:
            self.clearSelection()
            self.setCurrentIndex(QModelIndex())
        self._showing = False

    @property
    def line(self) -> int | None:
        """The selected line, counted as they were put; None where none is."""
        current = self.currentIndex()
        return self._order.mapToSource(current).row() if current.isValid() else None

    def step(self, by: int) -> None:
        """Select the line so many below the present one, if there is one."""
        row = self.currentIndex().row() + by
        if 0 <= row < self._order.rowCount():
            self.selectRow(row)

    def _on_line(self, current: QModelIndex, former: QModelIndex) -> None:
        if current.isValid() and not self._showing:
            self.chosen.emit(self._order.mapToSource(current).row())


def _text(value: Any) -> Any:
    """Return a value for people: four digits, and no powers of ten where they can be written out."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{float(f'{value:.4g}'):,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value
