"""The inspector's marks, the reflection under the mouse, and its figure, in a real window."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from gui_scan import DETECTOR, fill, made_map
from napari_4dstem_orient.napari_plugin.inspection import MEASURED, MISSING, look
from napari_4dstem_orient.napari_plugin.pictures import Circles, draw_crosses, fineness
from napari_4dstem_orient.napari_plugin.sessions import session_for
from napari_4dstem_orient.napari_plugin.snapshot import Snapshot
from napari_4dstem_orient.napari_plugin.widgets.inspector import InspectorWidget
from napari_4dstem_orient.session import Session, Stage

FINE = fineness((96, 96))


@pytest.fixture
def position(silver):
    """With template matching's answer."""
    session = Session()
    fill(session, silver)
    session.put(Stage.TEMPLATE_MAP, made_map(silver, "template"))
    return look(Snapshot.of(session), 2, 1)


@pytest.fixture
def inspector(make_napari_viewer_proxy, qtbot, silver):
    """The inspector over a small scan with a template matching map."""
    viewer = make_napari_viewer_proxy(show=True)
    widget = InspectorWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Inspector", area="bottom")
    session = session_for(viewer)
    assert not widget.measured.save.isEnabled()
    fill(session, silver)
    session.put(Stage.TEMPLATE_MAP, made_map(silver, "template"))
    session.move_to(2, 1)
    qtbot.waitUntil(lambda: "zone axis" in widget.predicted["template"].words.text(), timeout=10000)
    qtbot.waitUntil(lambda: "row 2, column 1<" in widget.measured.words.text(), timeout=10000)
    yield widget
    widget.close_step()


def of_colour(rgb, colour):
    """Find the pixels of this colour."""
    return np.abs(rgb.astype(int) - colour).max(axis=2) < 40


def test_dashed_circles_have_gaps_and_the_others_none():
    circles = Circles((96, 96), np.array([[30.0, 30.0], [60.0, 60.0]]), 8.0, MEASURED)
    drawn = of_colour(circles.over(np.zeros((96, 96)), np.array([False, True])), MEASURED)
    half = 45 * FINE
    whole, dashed = drawn[:half, :half].sum(), drawn[half:, half:].sum()
    assert 0.5 * whole < dashed < 0.7 * whole
    assert whole == of_colour(circles.over(np.zeros((96, 96))), MEASURED)[:half, :half].sum()


def test_a_cross_lies_on_its_pixel():
    rgb = np.zeros((96 * FINE, 96 * FINE, 3), np.uint8)
    draw_crosses(rgb, np.array([[20.0, 50.0]]), 3.0, FINE, MISSING)
    rows, cols = np.nonzero(of_colour(rgb, MISSING))
    np.testing.assert_allclose(
        [rows.mean(), cols.mean()], np.array([20, 50]) * FINE + (FINE - 1) / 2, atol=0.01
    )
    assert np.ptp(rows) == np.ptp(cols) <= 6 * FINE
    assert not rgb[20 * FINE + FINE // 2, 53 * FINE + FINE // 2].any()  # no plus


def test_stray_disks_are_dashed_and_missing_reflections_crossed(position):
    answer = position.answers["template"]
    assert not of_colour(position.predicted(answer), MISSING).any()
    seen = position.marks(answer.spots)
    lost = np.flatnonzero(np.hypot(*(position.disks - seen.spots[1]).T) < 1e-3)
    assert len(lost) == 1
    stray = np.vstack([np.delete(position.disks, lost, axis=0), [[9.0, -14.0]]])
    changed = replace(position, disks=stray)
    rows, cols = np.nonzero(of_colour(changed.predicted(answer), MISSING))
    where = (seen.spots[1] + position.origin) * FINE + (FINE - 1) / 2
    np.testing.assert_allclose([rows.mean(), cols.mean()], where, atol=1.5)
    solid = of_colour(changed.circles.over(np.zeros((96, 96))), MEASURED)
    gaps = (
        solid
        & ~of_colour(changed.predicted(answer), MEASURED)
        & ~of_colour(changed.predicted(answer), MISSING)
    )
    apart = np.hypot(*(np.argwhere(gaps).T - ((stray[-1] + position.origin) * FINE)[:, None])) / FINE
    assert len(apart) > 10
    assert np.median(apart) < 2 * position.radius


def hover(inspector, pixel):
    """Move the mouse onto a detector pixel of template matching's view."""
    view = inspector.predicted["template"].view
    fine = np.asarray(pixel) * FINE + (FINE - 1) / 2
    layer = view.model.layers["pattern"]
    for told in view.model.mouse_move_callbacks:
        told(view.model, SimpleNamespace(position=layer.data_to_world(fine)))
    return view.model.canvas.overlays.text.text


def test_the_reflection_under_the_mouse_is_named(inspector):
    position = inspector._shown
    spot = position.answers["template"].spots[0]
    text = hover(inspector, DETECTOR.pixels(spot[None, :2])[0] + position.origin)
    assert f"{np.linalg.norm(spot[3:]) / 4.086:.2f} Å⁻¹" in text
    assert text.endswith("100%, measured")
    indices = [abs(int(index)) for index in text[1 : text.index(")")].split()]
    assert sorted(indices) == sorted(np.abs(spot[3:]).astype(int))
    assert hover(inspector, position.origin + 0.1) == ""


def test_the_button_saves_what_is_shown(inspector, qtbot, tmp_path, monkeypatch):
    target = tmp_path / "figure.png"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *asked: (str(target), ""))
    qtbot.mouseClick(inspector.measured.save, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(target.exists, timeout=30000)
    with Image.open(target) as picture:
        told = json.loads(picture.info["Description"])
    assert told["position"] == {"row": 2, "column": 1}
    assert list(told["answers"]) == ["template"]


def test_a_name_that_is_no_figure_is_refused_in_words(inspector, qtbot, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(notification_manager, "dispatch", said.append)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *asked: (str(tmp_path / "figure.doc"), ""))
    inspector.save_figure()
    qtbot.waitUntil(lambda: bool(said), timeout=30000)
    assert ".pdf or .svg" in said[0].message
    assert not list(tmp_path.iterdir())


def test_all_views_stay_equally_high(inspector):
    assert len({column.view.height() for column in inspector.columns}) == 1
