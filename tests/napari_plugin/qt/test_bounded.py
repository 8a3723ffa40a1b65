"""Words grow up to a number of lines, and then scroll."""

import pytest
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_4dstem_orient.napari_plugin.qt.bounded import Bounded


@pytest.fixture
def bounded(qtbot):
    owner, label = QWidget(), QLabel()
    label.setWordWrap(True)
    made = Bounded(label, 4)
    QVBoxLayout(owner).addWidget(made)
    owner.resize(300, 400)
    qtbot.addWidget(owner)
    with qtbot.waitExposed(owner):
        owner.show()
    made.kept = owner  # lives as long
    return made


def lines(bounded):
    return bounded.height() / bounded.label.fontMetrics().lineSpacing()


def test_without_words_it_takes_no_room(bounded):
    assert bounded.height() == 0


def test_it_grows_with_its_words_up_to_a_number_of_lines(bounded, qtbot):
    bounded.label.setText("one")
    qtbot.waitUntil(lambda: lines(bounded) == pytest.approx(1, abs=0.3))
    bounded.label.setText("<br>".join(["one"] * 3))
    qtbot.waitUntil(lambda: lines(bounded) == pytest.approx(3, abs=0.3))
    bounded.label.setText("<br>".join(["one"] * 60))
    qtbot.waitUntil(lambda: lines(bounded) == pytest.approx(4, abs=0.1))
    assert bounded.verticalScrollBar().maximum() > 0
    bounded.label.clear()
    qtbot.waitUntil(lambda: bounded.height() == 0)
