"""The table of grains: sortable, one row for each grain."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import (  # type: ignore[attr-defined]
    QAbstractTableModel,
    QModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtWidgets import QAbstractItemView, QTableView

from napari_4dstem_orient.export.grain_table import Columns

_SORT_ROLE = Qt.ItemDataRole.UserRole


class GrainModel(QAbstractTableModel):
    """Columns of values under headings."""

    def __init__(self) -> None:
        super().__init__()
        self._headings: list[str] = []
        self._columns: list[list] = []

    def put(self, columns: Columns) -> None:
        """Show other columns."""
        self.beginResetModel()
        self._headings, self._columns = list(columns), list(columns.values())
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


class GrainTable(QTableView):
    """Shows grains; a click on a heading sorts, a row is selected by mouse, arrow keys or ``show_grain``.

    Signals
    -------
    chosen : Signal(int)
        The user selected the row of a grain.
    """

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.grains = GrainModel()
        self._order = QSortFilterProxyModel()
        self._order.setSourceModel(self.grains)
        self._order.setSortRole(_SORT_ROLE)
        self.setModel(self._order)
        self.setSortingEnabled(True)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.setMinimumHeight(160)
        self._showing = False
        self.selectionModel().currentRowChanged.connect(self._on_row)

    def put(self, columns: Columns) -> None:
        """Show other grains, the largest first."""
        self._showing = True
        self.grains.put(columns)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.resizeColumnsToContents()
        self._showing = False

    def show_grain(self, number: int) -> None:
        """Select the row of a grain and bring it into sight; 0 selects none. Nobody is told."""
        self._showing = True
        if 0 < number <= self.grains.rowCount():
            row = self._order.mapFromSource(self.grains.index(number - 1, 0)).row()
            self.selectRow(row)
            self.scrollTo(self._order.index(row, 0))
        else:
            self.clearSelection()
            self.setCurrentIndex(QModelIndex())
        self._showing = False

    def _on_row(self, current: QModelIndex, former: QModelIndex) -> None:
        if current.isValid() and not self._showing:
            self.chosen.emit(self._order.mapToSource(current).row() + 1)


def _text(value: Any) -> Any:
    """Return a value for people: four digits, and no powers of ten where they can be written out."""
    if isinstance(value, float):
        return f"{float(f'{value:.4g}'):,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value
