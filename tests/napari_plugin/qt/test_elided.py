"""Words with too little room: seen whole, in smaller letters, or ended by …; never cut off."""

import numpy as np
import pytest

from helpers.gui_scan import grabbed
from napari_4dstem_orient.napari_plugin.pattern_view.pattern_canvas import PatternCanvas
from napari_4dstem_orient.napari_plugin.qt.elided import FittedLabel

TEXT = "zone axis <b>[1&nbsp;0&nbsp;1]</b><br>in-plane <b>[-5&nbsp;-2&nbsp;2]</b><br>explains 41 of 49 disks"


def ink(label, text, size):
    """Return where there are words, bool, of a label of this size on white."""
    label.setStyleSheet("color: black; background: white")
    label.setText(text)
    label.setFixedSize(*size)
    label.show()
    return grabbed(label).min(axis=2) < 128


@pytest.fixture
def fitted(qtbot):
    label = FittedLabel()
    qtbot.addWidget(label)
    return label


def test_words_with_room_have_the_usual_size(fitted, qtbot):
    high = fitted.fontMetrics().lineSpacing()
    seen = ink(fitted, TEXT, (300, 4 * high))
    rows = np.flatnonzero(seen.any(axis=1))
    assert 2.4 * high < np.ptp(rows) < 3 * high
    left, right = np.flatnonzero(seen.any(axis=0))[[0, -1]]
    assert abs(left - (299 - right)) <= 3  # centred


def test_words_without_room_are_smaller_and_whole(fitted):
    high = fitted.fontMetrics().lineSpacing()
    whole, squeezed = ink(fitted, TEXT, (300, 4 * high)), ink(fitted, TEXT, (300, round(2.6 * high)))
    rows = np.flatnonzero(squeezed.any(axis=1))
    assert rows[-1] < len(squeezed) - 1  # the last line is not cut
    assert 0.7 < np.ptp(rows) / np.ptp(np.flatnonzero(whole.any(axis=1))) < 0.95


def test_a_title_without_room_ends_in_dots(qtbot):
    words = "Template matching, and more words than there is room for"
    canvas = PatternCanvas(words, (90, 90))
    qtbot.addWidget(canvas)
    seen = ink(canvas.title, words, (90, 20))
    assert seen.any()
    assert not seen[:, -1].any()
    assert canvas.title.text() == words
