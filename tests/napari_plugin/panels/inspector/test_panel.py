"""The inspector in a real window: pictures, words, one position matched at once, newest position wins."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QWidget
from scipy.spatial.transform import Rotation

from helpers.gui_scan import (
    CALIBRATION,
    DETECTOR,
    LEFT,
    ORIGIN,
    RIGHT,
    VACUUM,
    KnowingIndexer,
    answer_with,
    drawn,
    fill,
    grabbed,
    made_map,
    sure_of,
    truth,
)
from napari_4dstem_orient.calibration.calibrate import calibrate
from napari_4dstem_orient.core.certainty import AmbiguityFlag, IndexingStatus
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.indexing.template.indexer import TemplateMatcher
from napari_4dstem_orient.napari_plugin.layers.map_layers import add_map_layers
from napari_4dstem_orient.napari_plugin.panels.inspector.panel import InspectorWidget
from napari_4dstem_orient.napari_plugin.panels.shared.opening import open_scan
from napari_4dstem_orient.napari_plugin.pattern_view.inspection import (
    HALF_TURN,
    NO_BREAK,
    angle_between,
    answer_at,
    look,
    name_directions,
)
from napari_4dstem_orient.napari_plugin.pattern_view.pictures import measured_picture
from napari_4dstem_orient.napari_plugin.state.sessions import session_for
from napari_4dstem_orient.napari_plugin.state.snapshot import BeamConditions, Snapshot
from napari_4dstem_orient.workflow.session import MapBy, Session, Stage

BEAM = BeamConditions(200.0, 1.35)
YELLOW = np.array([255, 204, 0])


# ---------------------------------------------------------------- frames and pictures


def test_pixels_undo_what_calibrate_does(silver):
    """A wrong sign of the rotation, or a flip on the wrong side of it, fails here."""
    session = Session()
    wanted = fill(session, silver)
    pixels = session.get(Stage.DISKS)
    found, _ = calibrate(pixels, CALIBRATION)
    here = found.at(2, 1)
    np.testing.assert_allclose(here[:, :2], wanted.at(2, 1)[:, :2], atol=0.02)
    back = DETECTOR.pixels(here[:, :2])
    shift = pixels.at(2, 1)[:, :2] - back
    np.testing.assert_allclose(shift, np.broadcast_to(shift[0], shift.shape), atol=1e-2)


def test_a_predicted_pattern_lies_where_the_measured_one_does(silver):
    session = Session()
    fill(session, silver)
    session.put(Stage.MAP, made_map(silver, "template"))
    position = look(Snapshot.of(session), 2, 1)
    answer = position.answers["template"]
    spots, intensity = answer.spots[:, :2], answer.spots[:, 2]
    np.testing.assert_allclose(position.origin, ORIGIN, atol=1e-3)
    predicted = drawn(DETECTOR.pixels(spots), intensity)
    assert np.corrcoef(predicted.ravel(), position.picture.ravel())[0, 1] > 0.8
    turned = drawn(DETECTOR.pixels(spots @ np.array([[0.0, 1.0], [-1.0, 0.0]])), intensity)
    assert np.corrcoef(turned.ravel(), position.picture.ravel())[0, 1] < 0.6


def test_a_strong_direct_beam_does_not_hide_the_reflections():
    pattern = np.ones((64, 64))
    pattern[30:34, 30:34] = 1e6
    pattern[10:13, 40:43] = 100
    assert measured_picture(pattern, np.array([31.5, 31.5]))[11, 41] > 0.9


# ---------------------------------------------------------------- answers


def test_the_half_turn_is_told_only_where_it_is_another_orientation(silver):
    found = made_map(silver, "template")
    found = replace(found, runner_up=truth()[:, :, None] @ HALF_TURN.astype(np.float32))
    assert not answer_at(found, 2, 1, BEAM).ambiguity  # its score is 0
    rival = replace(found, runner_up_score=np.full((4, 6, 1), 0.79, np.float32))
    assert answer_at(rival, 2, 1, BEAM).ambiguity == AmbiguityFlag.HALF_TURN
    zone = np.broadcast_to(Rotation.from_euler("x", 45, degrees=True).as_matrix(), (4, 6, 3, 3))
    symmetric = replace(rival, rotation=zone.astype(np.float32))
    symmetric = replace(symmetric, runner_up=symmetric.rotation[:, :, None] @ HALF_TURN)
    assert not answer_at(symmetric, 2, 1, BEAM).ambiguity  # [101] has a twofold axis: the same crystal
    knowing = replace(rival, method="transformer", certainty=sure_of(rival.indexed, AmbiguityFlag.ELSEWHERE))
    assert (
        answer_at(knowing, 2, 1, BEAM).ambiguity == AmbiguityFlag.ELSEWHERE
    )  # it knows better than the scores


def test_answers_of_different_phases_have_no_angle(silver, copper):
    first = answer_at(made_map(silver, "template"), 2, 1, BEAM)
    assert angle_between(first, first) == pytest.approx(0, abs=1e-3)
    assert angle_between(first, answer_at(made_map(copper, "template"), 2, 1, BEAM)) is None
    assert angle_between(first, None) is None


def test_neighbouring_answers_are_named_by_the_same_variant(silver):
    """Around [101], a symmetry axis, the standard variants of neighbours can lie half a turn apart."""
    zone = Rotation.from_euler("x", 45, degrees=True).as_matrix()
    tilted = [zone @ Rotation.from_euler("y", angle, degrees=True).as_matrix() for angle in (0.6, -0.6)]
    maps = [made_map(silver, "template", rotation=np.broadcast_to(each, (4, 6, 3, 3))) for each in tilted]
    named = name_directions({str(n): answer_at(each, 2, 1, BEAM) for n, each in enumerate(maps)})
    assert named["0"] == named["1"]
    assert "zone axis <b>[1 0 1]</b>" in named["0"].replace(NO_BREAK, " ")


# ---------------------------------------------------------------- the widget


@pytest.fixture
def inspector(dock):
    """The inspector docked into an empty viewer."""
    return dock(InspectorWidget, area="bottom")


def use(monkeypatch, **made):
    """Let these indexers answer in place of real ones."""
    answer_with(monkeypatch, made)


def settled(inspector, qtbot, where):
    """Wait until the inspector shows a position."""
    words = f"row {where[0]}, column {where[1]}<"
    qtbot.waitUntil(lambda: words in inspector.measured.words.text(), timeout=60_000)


def test_before_anything_is_open_it_says_what_to_do(inspector):
    assert "Open a scan" in inspector.measured.view.message


def test_a_scan_alone_shows_its_pattern(inspector, qtbot, silver, small_scan):
    open_scan(inspector.viewer, small_scan)
    settled(inspector, qtbot, (1, 2))
    assert "disks not yet detected" in inspector.measured.words.text()
    assert "Needs: a probe" in inspector.predicted["template"].words.text()
    assert inspector.measured.pane.picture.max() > 200
    assert inspector.predicted["template"].pane.picture is None


def test_both_maps_are_shown_with_their_misorientation(inspector, qtbot, silver):
    session = session_for(inspector.viewer)
    fill(session, silver)
    off = truth() @ Rotation.from_euler("z", 7.0, degrees=True).as_matrix()
    session.put(Stage.MAP, made_map(silver, "template"))
    session.put(Stage.MAP, made_map(silver, "transformer", rotation=off))
    session.move_to(2, 1)
    settled(inspector, qtbot, (2, 1))
    qtbot.waitUntil(lambda: "differ by" in inspector.measured.words.text(), timeout=60_000)
    assert "<b>7.0°</b>" in inspector.measured.words.text()
    words = inspector.predicted["template"].words.text()
    assert "zone axis" in words
    assert "score 0.80" in words
    count = len(session.get(Stage.CALIBRATED).at(2, 1)) - 1
    assert f"explains {count} of {count} disks" in words  # as drawn; the map had counted 12
    for column in inspector.columns:  # the measured disks are over every picture
        assert (np.abs(grabbed(column.view.canvas) - YELLOW).max(axis=2) < 40).sum() > 100


def test_a_position_without_an_answer_says_why(inspector, qtbot, silver):
    session = session_for(inspector.viewer)
    fill(session, silver)
    found = made_map(silver, "template")
    found.phase_id[VACUUM], found.status[VACUUM] = -1, IndexingStatus.TOO_FEW_DISKS
    session.put(Stage.MAP, found)
    session.move_to(*VACUUM)
    settled(inspector, qtbot, VACUUM)
    assert inspector.predicted["template"].words.text() == IndexingStatus.TOO_FEW_DISKS.text


def test_reliability_and_doubts_stand_below_the_transformers_answer(inspector, qtbot, silver):
    session = session_for(inspector.viewer)
    fill(session, silver)
    found = made_map(silver, "transformer")
    doubt = AmbiguityFlag.HALF_TURN | AmbiguityFlag.FEW_DISKS
    found = replace(found, certainty=sure_of(found.indexed, doubt))
    session.put(Stage.MAP, found)
    session.put(Stage.MAP, made_map(silver, "template"))
    session.move_to(2, 1)
    settled(inspector, qtbot, (2, 1))
    words = {method: column.words.text() for method, column in inspector.predicted.items()}
    assert "reliability <b>93%</b>" in words["transformer"]
    assert doubt.text in words["transformer"]
    assert "reliability" not in words["template"]
    found.phase_id[2, 4], found.status[2, 4] = -1, IndexingStatus.UNRELIABLE
    session.move_to(2, 4)
    settled(inspector, qtbot, (2, 4))
    words = inspector.predicted["transformer"].words.text()
    for part in (IndexingStatus.UNRELIABLE.text, "93%", doubt.text):
        assert part in words


def test_a_stale_map_is_said_to_be_stale(inspector, qtbot, silver):
    session = session_for(inspector.viewer)
    calibrated = fill(session, silver)
    session.put(Stage.MAP, made_map(silver, "template"))
    session.put(Stage.CALIBRATED, replace(calibrated))
    qtbot.waitUntil(lambda: "stale" in inspector.predicted["template"].words.text(), timeout=60_000)


def test_without_a_map_the_clicked_position_is_matched_at_once(inspector, qtbot, silver, monkeypatch):
    """py4DSTEM's real matching, on a rotated and flipped detector, finds the orientation that was drawn."""
    matcher = TemplateMatcher((silver,), 200.0, 1.35, settings=TemplateSettings(zone_axis_step=4.0))
    use(monkeypatch, template=matcher, transformer=KnowingIndexer(silver, "transformer"))
    session = session_for(inspector.viewer)
    fill(session, silver)
    inspector.session.choose(phases=(silver,), models=("model",))
    session.move_to(2, 4)
    settled(inspector, qtbot, (2, 4))
    qtbot.waitUntil(lambda: "differ by" in inspector.measured.words.text(), timeout=60000)
    angle = float(inspector.measured.words.text().split("differ by <b>")[1].split("°")[0])
    assert angle < 4
    assert session.get(MapBy("template")) is None  # one position is no map


def test_without_a_phase_it_asks_for_one(inspector, qtbot, silver):
    fill(session_for(inspector.viewer), silver)
    qtbot.waitUntil(
        lambda: "choose a crystal phase" in inspector.predicted["template"].words.text(), timeout=20000
    )


def test_a_method_that_fails_says_so_in_its_place(inspector, qtbot, silver, monkeypatch):
    session = session_for(inspector.viewer)
    fill(session, silver)
    session.set_calibration(CALIBRATION.with_(voltage=None))
    inspector.session.choose(phases=(silver,))
    qtbot.waitUntil(
        lambda: "voltage is not known" in inspector.predicted["template"].words.text(), timeout=20000
    )


def test_rapid_moves_end_with_the_last_position(inspector, qtbot, silver, monkeypatch):
    template = KnowingIndexer(silver, "template")
    use(monkeypatch, template=template, transformer=template)
    session = session_for(inspector.viewer)
    fill(session, silver)
    inspector.session.choose(phases=(silver,))
    moves = [(row, col) for row in range(4) for col in range(6)] * 4
    for where in [*moves, (3, 5), (2, 1)]:
        session.move_to(*where)
        QApplication.processEvents()
    settled(inspector, qtbot, (2, 1))
    qtbot.waitUntil(lambda: "zone axis" in inspector.predicted["template"].words.text(), timeout=60_000)
    shown = inspector._shown.answers["template"].rotation
    np.testing.assert_allclose(shown, LEFT, atol=1e-4)
    assert template.asked < len(moves)


def test_an_answer_that_comes_too_late_is_not_shown(inspector, qtbot, silver, monkeypatch):
    gate = threading.Event()
    slow = KnowingIndexer(silver, "template", gate=gate)
    use(monkeypatch, template=slow, transformer=KnowingIndexer(silver, "transformer"))
    session = session_for(inspector.viewer)
    fill(session, silver)
    session.move_to(2, 1)
    inspector.session.choose(phases=(silver,))
    qtbot.waitUntil(lambda: slow.asked == 1, timeout=60_000)
    session.move_to(2, 4)
    settled(inspector, qtbot, (2, 4))
    gate.set()
    qtbot.waitUntil(lambda: "zone axis" in inspector.predicted["template"].words.text(), timeout=60_000)
    np.testing.assert_allclose(inspector._shown.answers["template"].rotation, RIGHT, atol=1e-4)


def test_moving_changes_every_view(inspector, qtbot, silver):
    session = session_for(inspector.viewer)
    fill(session, silver)
    session.put(Stage.MAP, made_map(silver, "template"))
    session.move_to(2, 1)
    settled(inspector, qtbot, (2, 1))
    before = [grabbed(column.view.canvas) for column in inspector.columns]
    session.move_to(2, 4)
    settled(inspector, qtbot, (2, 4))
    for column, former in zip(inspector.columns, before, strict=True):
        assert not np.array_equal(grabbed(column.view.canvas), former)


def turn_wheel(canvas, notches, x, y):
    """Turn the wheel over a point of a view."""
    point = QPointF(x, y)
    none = Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier
    phase = Qt.ScrollPhase.NoScrollPhase
    turned = QWheelEvent(
        point, canvas.mapToGlobal(point), QPoint(), QPoint(0, 120 * notches), *none, phase, False
    )
    QApplication.sendEvent(canvas, turned)


def test_the_wheel_over_one_view_zooms_all_and_a_move_keeps_it(inspector, qtbot, silver):
    session = session_for(inspector.viewer)
    fill(session, silver)
    settled(inspector, qtbot, session.position)
    canvases = [column.view.canvas for column in inspector.columns]
    canvas = canvases[0]
    whole, here = canvas.scale, QPointF(0.7 * canvas.width(), 0.4 * canvas.height())
    below = canvas.to_pattern(here)
    turn_wheel(canvas, 4, here.x(), here.y())
    np.testing.assert_allclose(canvas.to_pattern(here), below, atol=1e-9)  # it stays under the mouse
    assert canvas.scale > 2 * whole
    session.move_to(0, 5)
    settled(inspector, qtbot, (0, 5))
    assert {each.lens.zoom for each in canvases} == {canvas.lens.zoom}
    assert canvas.scale > 2 * whole
    qtbot.keyClick(canvases[2], Qt.Key.Key_0)
    assert canvas.scale == pytest.approx(whole)


def test_a_click_on_the_map_shows_the_pattern_there(make_napari_viewer_proxy, qtbot, silver):
    viewer = make_napari_viewer_proxy(show=True)
    widget = InspectorWidget(viewer)
    viewer.window.add_dock_widget(widget, name="Inspector", area="bottom")
    session = session_for(viewer)
    fill(session, silver)
    open_scan(viewer, session.get(Stage.SCAN))
    add_map_layers(viewer, made_map(silver, "template"))
    session.move_to(*VACUUM)
    settled(widget, qtbot, VACUUM)
    inside = set(widget.findChildren(QWidget))
    canvas = next(
        found
        for found in widget.window().findChildren(QWidget)
        if type(found).__name__ == "CanvasBackendDesktop" and found not in inside
    )
    middle = QPoint(canvas.width() // 2, canvas.height() // 2)
    qtbot.mouseMove(canvas, middle)
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=middle)
    qtbot.waitUntil(lambda: session.position != VACUUM, timeout=60_000)
    assert session.position[0] in (1, 2)
    assert session.position[1] in (2, 3)
    settled(widget, qtbot, session.position)
    widget.close_step()


def test_closing_while_a_position_is_matched_is_quiet(inspector, qtbot, silver, monkeypatch, notified):
    gate = threading.Event()
    slow = KnowingIndexer(silver, "template", gate=gate)
    use(monkeypatch, template=slow, transformer=KnowingIndexer(silver, "transformer"))
    session = session_for(inspector.viewer)
    fill(session, silver)
    inspector.session.choose(phases=(silver,))
    qtbot.waitUntil(lambda: slow.asked == 1, timeout=60_000)
    inspector.viewer.window.remove_dock_widget(inspector)
    gate.set()
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        QApplication.processEvents()
    session.move_to(0, 1)
    QApplication.processEvents()
    assert not notified
