"""The table of grains and of compared positions."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt

from napari_4dstem_orient.napari_plugin.panels.shared.table import Table


@pytest.fixture
def table(qtbot):
    made = Table()
    qtbot.addWidget(made)
    made.put(["row", "angle (°)"], [[3, 1, 2], [0.5, None, 12345.6]])
    return made


def test_lines_are_shown_as_they_were_put_until_a_heading_sorts_them(table):
    shown = lambda: [table.model().index(row, 0).data() for row in range(3)]  # noqa: E731
    assert shown() == ["3", "1", "2"]
    table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    assert shown() == ["1", "2", "3"]
    table.put(["row"], [[5, 4]])
    assert [table.model().index(row, 0).data() for row in range(2)] == ["5", "4"]


def test_a_step_goes_on_in_the_order_shown_and_tells_the_line_as_put(table):
    told = []
    table.chosen.connect(told.append)
    table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
    for by in (1, 1, 1, 1, -1):
        table.step(by)
    assert told == [1, 2, 0, 2]
    table.show_line(0)
    assert told == [1, 2, 0, 2]
    assert table.currentIndex().data() == "3"
    table.show_line(-1)
    assert not table.currentIndex().isValid()


def test_values_are_written_for_people(table):
    assert [table.model().index(row, 1).data() for row in range(3)] == ["0.5", "–", "12,350"]
