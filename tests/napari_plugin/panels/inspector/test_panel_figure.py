"""The inspector's marks, the reflection under the mouse, and its figure, in a real window."""

import json

import numpy as np
import pytest
from PIL import Image
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QFileDialog, QToolTip

from helpers.gui_scan import DETECTOR, fill, made_map
from napari_4dstem_orient.napari_plugin.panels.inspector.panel import InspectorWidget
from napari_4dstem_orient.workflow.session import Stage


@pytest.fixture
def inspector(dock, qtbot, silver):
    """The inspector over a small scan with a template matching map."""
    widget = dock(InspectorWidget, show=True, area="bottom")
    session = widget.session
    assert not widget.measured.save.isEnabled()
    fill(session, silver)
    session.put(Stage.MAP, made_map(silver, "template"))
    session.move_to(2, 1)
    qtbot.waitUntil(lambda: "zone axis" in widget.predicted["template"].words.text(), timeout=60_000)
    qtbot.waitUntil(lambda: "row 2, column 1<" in widget.measured.words.text(), timeout=60_000)
    return widget


def hover(inspector, qtbot, place):
    """Move the mouse onto a place of template matching's view and return the tooltip."""
    canvas = inspector.predicted["template"].view.canvas
    x, y = canvas.to_screen(place)
    qtbot.mouseMove(canvas, QPoint(round(x), round(y)))
    qtbot.waitUntil(QToolTip.isVisible, timeout=60_000)
    return QToolTip.text()


def test_the_reflection_under_the_mouse_is_named(inspector, qtbot):
    spot = inspector._shown.answers["template"].spots[0]
    text = hover(inspector, qtbot, DETECTOR.pixels(spot[None, :2])[0])
    assert f"{np.linalg.norm(spot[3:]) / 4.086:.2f} Å⁻¹" in text
    assert text.endswith("100%, measured")
    indices = [abs(int(index)) for index in text[1 : text.index(")")].split()]
    assert sorted(indices) == sorted(np.abs(spot[3:]).astype(int))
    assert inspector.predicted["template"].pane.text_at(np.array([0.1, 0.1])) == ""


def test_the_button_saves_what_is_shown(inspector, qtbot, tmp_path, monkeypatch):
    target = tmp_path / "figure.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *asked: (str(target), ""))
    qtbot.mouseClick(inspector.measured.save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(target.exists, timeout=30000)
    with Image.open(target) as picture:
        told = json.loads(picture.info["Description"])
    assert told["position"] == {"row": 2, "column": 1}
    assert list(told["answers"]) == ["template"]


def test_a_name_that_is_no_figure_is_refused_in_words(inspector, qtbot, tmp_path, monkeypatch, notified):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *asked: (str(tmp_path / "figure.doc"), ""))
    inspector.save_figure()
    qtbot.waitUntil(lambda: bool(notified), timeout=30000)
    assert ".pdf or .svg" in notified[0].message
    assert not list(tmp_path.iterdir())


def test_all_views_stay_equally_high(inspector):
    assert len({column.view.height() for column in inspector.columns}) == 1
