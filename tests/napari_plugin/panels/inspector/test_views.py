"""What the inspector's views draw and say of a position, without a window."""

from dataclasses import replace

import numpy as np
import pytest

from helpers.gui_scan import DETECTOR, fill, made_map, overlapping_disks, overlapping_map
from napari_4dstem_orient.indexing.settings import PredictionSettings
from napari_4dstem_orient.napari_plugin.panels.inspector.views import (
    InspectorState,
    ViewOptions,
    draw,
    predicted_anew,
    with_attention,
)
from napari_4dstem_orient.napari_plugin.pattern_view.inspection import look
from napari_4dstem_orient.napari_plugin.pattern_view.overlays import LONGER
from napari_4dstem_orient.napari_plugin.pattern_view.spot_matching import plane_text
from napari_4dstem_orient.napari_plugin.state.indexers import Indexers
from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot
from napari_4dstem_orient.workflow.session import Session, Stage


@pytest.fixture
def snapshot(silver):
    """With template matching's true map."""
    session = Session()
    fill(session, silver)
    session.put(Stage.MAP, made_map(silver, "template"))
    return Snapshot.of(session)


@pytest.fixture
def shown(snapshot):
    position = look(snapshot, 2, 1)
    return InspectorState(position, dict(position.answers), dict(position.answers))


def marks_of(pane):
    return {marks.kind: marks for marks in pane.marks}


def test_stray_disks_are_dashed_and_missing_reflections_crossed(shown):
    position, answer = shown.position, shown.answers["template"]
    assert not len(marks_of(draw(shown, ViewOptions()).panes["template"])["missing"].where)
    seen = position.marks(answer.spots)
    lost = np.flatnonzero(np.hypot(*(position.disks - seen.spots[1]).T) < 1e-3)
    assert len(lost) == 1
    stray = np.array([9.0, -14.0])
    changed = replace(position, disks=np.vstack([np.delete(position.disks, lost, axis=0), stray]))
    marks = marks_of(draw(replace(shown, position=changed), ViewOptions()).panes["template"])
    np.testing.assert_allclose(marks["missing"].where, seen.spots[[1]], atol=1e-6)
    np.testing.assert_allclose(marks["unexplained"].where, [stray])
    assert len(marks["measured"].where) == position.reflections - 1


def test_the_prediction_lies_where_the_disks_are_and_the_beam_is_bright(shown):
    predicted = marks_of(draw(shown, ViewOptions()).panes["template"])["predicted"]
    np.testing.assert_array_equal(predicted.where[-1], 0)
    assert predicted.strength[-1] == predicted.strength[:-1].max() == 1
    disks = shown.position.disks[shown.position.beside]
    apart = np.hypot(*(disks[:, None] - predicted.where).transpose(2, 0, 1)).min(axis=1)
    np.testing.assert_allclose(apart, 0, atol=1e-3)


def test_residual_arrows_are_drawn_on_demand_and_point_to_the_disk(shown):
    off = np.array([0.5, -0.2])
    moved = replace(shown.position, disks=shown.position.disks + off)
    moved = replace(shown, position=moved)
    assert "residuals" not in marks_of(draw(moved, ViewOptions()).panes["template"])
    arrows = marks_of(draw(moved, ViewOptions(residuals=True)).panes["template"])["residuals"]
    assert len(arrows.where) > 5
    np.testing.assert_allclose(
        arrows.ends - arrows.where, np.broadcast_to(LONGER * off, arrows.where.shape), atol=1e-2
    )


def test_labels_are_drawn_on_demand_with_overbars(shown, silver):
    assert draw(shown, ViewOptions()).panes["template"].labels == []
    labels = draw(shown, ViewOptions(labels=True)).panes["template"].labels
    assert len(labels) == 8
    for place, text in labels:
        assert np.hypot(*(shown.position.disks - place).T).min() < 1e-6
        assert text
    assert plane_text(np.array([1, -1, 2]), silver) == "11\u03052"
    assert plane_text(np.array([10, -1, 2]), silver) == "101\u03052"


def test_a_place_is_told_in_words(shown):
    drawn = draw(shown, ViewOptions()).panes
    spot = shown.answers["template"].spots[0]
    place = DETECTOR.pixels(spot[None, :2])[0]
    assert drawn["template"].text_at(place).endswith("100%, measured")
    length = np.hypot(*spot[:2])
    assert drawn["measured"].text_at(place) == f"{length:.2f} Å⁻¹ from the direct beam"
    assert drawn["template"].text_at(np.array([0.1, 0.0])) == ""
    assert drawn["transformer"].text_at(place) == ""  # no answer there


def test_another_thickness_predicts_other_intensities_at_the_same_places(shown, snapshot):
    def predicted(**settings):
        anew = predicted_anew(shown, snapshot.beam, PredictionSettings(**settings))
        return marks_of(draw(anew, ViewOptions()).panes["template"])["predicted"]

    usual, wide = predicted(), predicted(excitation_width=0.05)
    assert len(wide.where) > 1.2 * len(usual.where)
    thin = predicted(physics="two-beam", thickness=50.0)
    thick = predicted(physics="two-beam", thickness=400.0)
    places = {tuple(place) for place in np.round(thin.where, 3)} & {
        tuple(place) for place in np.round(thick.where, 3)
    }
    assert len(places) > 10
    assert not np.allclose(np.sort(thin.strength)[-10:], np.sort(thick.strength)[-10:], atol=0.02)


def test_attention_that_cannot_be_had_is_told_in_words(shown, snapshot):
    wanted = ViewOptions(attention=True)
    told = with_attention(shown, snapshot, Indexers(), wanted)
    assert told.attention is None
    assert "No crystal phase is chosen" in told.trouble
    assert with_attention(told, snapshot, Indexers(), ViewOptions()).trouble == ""


def test_attention_marks_the_disk_that_got_it(shown):
    share = np.full(len(shown.position.disks), 0.01)
    direct = ~shown.position.beside
    share[direct] = np.nan
    share[5] = 0.4
    drawn = draw(replace(shown, attention=share), ViewOptions(attention=True)).panes["measured"]
    marks = drawn.marks[0]
    widest = marks.widths.argmax()
    np.testing.assert_array_equal(marks.where[widest], shown.position.disks[5])
    assert marks.widths[widest] > 3 * np.median(marks.widths)
    assert "attention 40%" in drawn.text_at(shown.position.disks[5])


# ---------------------------------------------------------------- several crystals in a pattern


@pytest.fixture
def several(silver):
    """A position whose pattern holds a second crystal, a quarter of the light."""
    session = Session()
    fill(session, silver, overlapping_disks(silver))
    session.put(Stage.MAP, overlapping_map(silver))
    position = look(Snapshot.of(session), 2, 1)
    return InspectorState(position, dict(position.answers), dict(position.answers))


def test_each_crystal_has_marks_of_its_own_and_together_they_explain_all(several):
    pane = draw(several, ViewOptions()).panes["transformer"]
    first, second = (marks_of(pane)[f"crystal {number}"] for number in (1, 2))
    assert first.style.shape != second.style.shape
    assert first.style.screen != second.style.screen
    answer, position = several.answers["transformer"], several.position
    for marks, one in ((first, answer), (second, answer.beside[0])):
        seen = position.marks(one.spots)
        np.testing.assert_array_equal(marks.where, seen.disks[seen.explained])
    assert len(marks_of(pane)["unexplained"].where) == 0
    assert "measured" not in marks_of(pane)
    count = position.reflections
    assert "crystal 1: Ag" in pane.words
    assert "75% of the light, reliability <b>93%</b>" in pane.words
    assert "25% of the light, reliability <b>60%</b>" in pane.words
    assert f"explain {count} of {count} disks" in pane.words


def test_one_crystal_alone_leaves_the_others_disks_unmarked(several):
    pane = draw(several, ViewOptions(crystal=2)).panes["transformer"]
    assert "crystal 1" not in marks_of(pane)
    second = marks_of(pane)["crystal 2"].where
    assert 0 < len(second) < several.position.reflections
    assert len(marks_of(pane)["unexplained"].where) == 0  # the first crystal explains them
    assert "crystal 2 of 2: 25% of the light" in pane.words
    assert f"explains {len(second)} of {several.position.reflections} disks" in pane.words
    spot = several.answers["transformer"].beside[0].spots[0]
    place = DETECTOR.pixels(spot[None, :2])[0]
    assert pane.text_at(place).startswith("crystal 2: (")


def test_a_disk_that_no_crystal_explains_is_dashed(several):
    stray = np.array([9.0, -14.0])
    position = replace(several.position, disks=np.vstack([several.position.disks, stray]))
    for crystal in (0, 1, 2):
        pane = draw(replace(several, position=position), ViewOptions(crystal=crystal)).panes["transformer"]
        np.testing.assert_allclose(marks_of(pane)["unexplained"].where, [stray])


def test_a_pattern_without_the_crystal_asked_for_shows_what_there_is(silver):
    session = Session()
    fill(session, silver, overlapping_disks(silver))
    session.put(Stage.MAP, overlapping_map(silver))
    position = look(Snapshot.of(session), 0, 1)
    alone = InspectorState(position, dict(position.answers), dict(position.answers))
    pane = draw(alone, ViewOptions(crystal=2)).panes["transformer"]
    assert len(marks_of(pane)["measured"].where) == position.reflections
    assert "crystal" not in pane.words


def test_another_prediction_is_made_for_every_crystal(several):
    anew = predicted_anew(several, None, PredictionSettings()).answers["transformer"]
    assert len(anew.spots) == len(anew.beside[0].spots) == 0
