"""How sure a map is of its answers: made hypotheses with known probabilities, each with one thing to be doubted."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.core.certainty import AmbiguityFlag, IndexingStatus
from napari_4dstem_orient.indexing.base import Hypotheses, MapBuilder
from napari_4dstem_orient.indexing.settings import AcceptanceSettings
from napari_4dstem_orient.indexing.verification.ranking import likeliest_first

GENERAL = Rotation.from_euler("ZXZ", [20, 38, 11], degrees=True).as_matrix()
FOURFOLD = np.eye(3)
"""[001] along the beam: half a turn about it is the crystal's own symmetry."""
HALF_TURN = Rotation.from_euler("z", 180, degrees=True).as_matrix()


def about(axis, degrees):
    return Rotation.from_rotvec(np.deg2rad(degrees) * np.array(axis) / np.linalg.norm(axis)).as_matrix()


def judged(phases, hypotheses, acceptance=None, disks=20, score=0.9):
    """The map of one position with these (rotation, phase, probability)."""
    rotation, phase_id, probability = (np.array(values)[None] for values in zip(*hypotheses, strict=True))
    scores = np.full(phase_id.shape, score)
    found = Hypotheses(rotation, phase_id, scores, np.full(phase_id.shape, disks), probability)
    builder = MapBuilder((1, 1), phases, acceptance or AcceptanceSettings(), 1)
    builder.put(np.array([0]), found, np.array([disks]))
    return builder.finish("transformer", {})


def certainty(phases, hypotheses, **options):
    """Reliability, phase margin and doubt of that position."""
    sure = judged(phases, hypotheses, **options).certainty
    return sure.reliability[0, 0], sure.phase_margin[0, 0], sure.ambiguity_at(0, 0)


def test_reliability_is_that_of_all_hypotheses_within_ten_degrees(copper):
    near, far = GENERAL @ about([1, 2, 3], 9), GENERAL @ about([1, 2, 3], 11)
    reliability, _, doubt = certainty((copper,), [(GENERAL, 0, 0.5), (near, 0, 0.2), (far, 0, 0.3)])
    assert reliability == pytest.approx(0.7)
    assert doubt == AmbiguityFlag.ELSEWHERE


def test_angles_are_symmetry_reduced(copper):
    same = copper.symmetry[5] @ GENERAL @ about([3, 1, 0], 4)
    reliability, _, doubt = certainty((copper,), [(GENERAL, 0, 0.5), (same, 0, 0.4)])
    assert reliability == pytest.approx(0.9)
    assert not doubt


def test_other_hypotheses_are_worth_a_warning_from_a_fifth_of_the_answers_probability(copper):
    far = GENERAL @ about([1, 2, 3], 25)
    assert not certainty((copper,), [(GENERAL, 0, 0.8), (far, 0, 0.15)])[2]
    assert certainty((copper,), [(GENERAL, 0, 0.8), (far, 0, 0.17)])[2] == AmbiguityFlag.ELSEWHERE


def test_the_half_turn_is_told_from_other_rivals(copper):
    turned = GENERAL @ HALF_TURN @ about([1, 1, 0], 3)
    assert certainty((copper,), [(GENERAL, 0, 0.5), (turned, 0, 0.4)])[2] == AmbiguityFlag.HALF_TURN
    nearly = GENERAL @ HALF_TURN @ about([1, 1, 0], 8)
    assert certainty((copper,), [(GENERAL, 0, 0.5), (nearly, 0, 0.4)])[2] == AmbiguityFlag.ELSEWHERE
    wrong_side = HALF_TURN @ GENERAL  # a symmetry of the crystal, not a turn about the beam
    reliability, _, doubt = certainty((copper,), [(GENERAL, 0, 0.5), (wrong_side, 0, 0.4)])
    assert reliability == pytest.approx(0.9)
    assert not doubt


@pytest.mark.parametrize("tilt", [0, 4])
def test_there_is_no_half_turn_where_symmetry_makes_both_one(copper, tilt):
    near_axis = FOURFOLD @ about([1, 0, 0], tilt)
    reliability, _, doubt = certainty((copper,), [(near_axis, 0, 0.5), (near_axis @ HALF_TURN, 0, 0.4)])
    assert reliability == pytest.approx(0.9)
    assert not doubt


def test_a_rival_near_a_twin_that_is_no_other_orientation_lies_elsewhere(copper):
    best, rival = (FOURFOLD @ about([1, 0, 0], tilt) for tilt in (4, -8.5))  # the twin lies at -4
    assert certainty((copper,), [(best, 0, 0.5), (rival, 0, 0.4)])[2] == AmbiguityFlag.ELSEWHERE


def test_the_phase_margin_is_over_the_likeliest_other_phase(copper, silver):
    gold = silver
    far = GENERAL @ about([1, 2, 3], 40)
    reliability, margin, doubt = certainty(
        (copper, silver, gold),
        [(GENERAL, 1, 0.4), (far, 1, 0.06), (GENERAL, 0, 0.2), (far, 0, 0.1), (GENERAL, 2, 0.2)],
    )
    assert reliability == pytest.approx(0.4)  # the same orientation of another crystal is another answer
    assert margin == pytest.approx(0.46 - 0.3)
    assert doubt == AmbiguityFlag.OTHER_PHASE
    _, margin, doubt = certainty((copper, silver), [(GENERAL, 1, 0.8), (GENERAL, 0, 0.15)])
    assert margin == pytest.approx(0.65)
    assert not doubt


def test_a_single_phase_is_compared_with_nothing(copper):
    far = GENERAL @ about([1, 2, 3], 40)
    assert certainty((copper,), [(GENERAL, 0, 0.5), (far, 0, 0.4)])[1] == pytest.approx(0.9)


def test_patterns_that_no_hypothesis_explains_are_out_of_range(copper, silver):
    assert (
        certainty((copper, silver), [(GENERAL, 0, 0.45), (GENERAL, 1, 0.04)])[2] == AmbiguityFlag.OUT_OF_RANGE
    )
    assert certainty((copper, silver), [(GENERAL, 0, 0.45), (GENERAL, 1, 0.06)])[2] == AmbiguityFlag(0)


def test_few_disks_are_said(copper):
    assert certainty((copper,), [(GENERAL, 0, 0.9)], disks=5)[2] == AmbiguityFlag.FEW_DISKS
    assert not certainty((copper,), [(GENERAL, 0, 0.9)], disks=6)[2]
    assert certainty((copper,), [(GENERAL, 0, 0.9)], disks=3) == (0, 0, AmbiguityFlag(0))  # never tried


RIVALS = [(GENERAL, 0, 0.5), (GENERAL, 1, 0.3)]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({}, IndexingStatus.INDEXED),
        ({"min_reliability": 0.49}, IndexingStatus.INDEXED),
        ({"min_reliability": 0.51}, IndexingStatus.UNRELIABLE),
        ({"min_phase_margin": 0.19}, IndexingStatus.INDEXED),
        ({"min_phase_margin": 0.21}, IndexingStatus.AMBIGUOUS_PHASE),
        ({"min_phase_margin": 0.21, "min_reliability": 0.51}, IndexingStatus.UNRELIABLE),
        ({"min_reliability": 0.51, "min_score": 0.95}, IndexingStatus.LOW_SCORE),
    ],
)
def test_answers_that_are_not_sure_enough_are_not_given_and_say_why(copper, silver, asked, reason):
    made = judged((copper, silver), RIVALS, AcceptanceSettings(**asked))
    assert made.status[0, 0] == reason
    assert made.indexed[0, 0] == (reason == IndexingStatus.INDEXED)
    assert made.certainty.reliability[0, 0] == pytest.approx(0.5)
    assert made.certainty.ambiguity_at(0, 0) == AmbiguityFlag.OTHER_PHASE
    if reason != IndexingStatus.INDEXED:
        np.testing.assert_array_equal(made.rotation[0, 0], np.eye(3))


def test_all_hypotheses_of_a_phase_speak_for_it(copper, silver):
    def phase(number, *probabilities):
        count = len(probabilities)
        rotations = np.broadcast_to(GENERAL, (1, count, 3, 3))
        same = np.full((1, count), number)
        return Hypotheses(rotations, same, same * 0.0, same, np.array([probabilities]))

    found = likeliest_first([phase(0, 0.1, 0.32), phase(1, 0.2, 0.3)], keep=3)
    assert found.phase_id.tolist() == [[1, 1, 0]]
    assert found.probability.tolist() == [[0.3, 0.2, 0.32]]


def test_a_phase_that_is_not_the_likeliest_is_ambiguous_whatever_is_asked(copper, silver):
    far = GENERAL @ about([1, 2, 3], 40)
    made = judged((copper, silver), [(GENERAL, 0, 0.4), (GENERAL, 1, 0.3), (far, 1, 0.25)])
    assert made.certainty.phase_margin[0, 0] == pytest.approx(-0.15)
    assert made.status[0, 0] == IndexingStatus.AMBIGUOUS_PHASE


def test_the_margin_does_not_matter_with_one_phase_nor_certainty_to_template_matching(copper):
    strict = AcceptanceSettings(min_phase_margin=0.9, min_reliability=0.0)
    assert judged((copper,), [(GENERAL, 0, 0.5)], strict).indexed.all()
    builder = MapBuilder((1, 1), (copper,), AcceptanceSettings(min_reliability=1.0), 1)
    one = np.full((1, 1), 0)
    builder.put(np.array([0]), Hypotheses(GENERAL[None, None], one, one + 0.9, one + 12), np.array([20]))
    made = builder.finish("template", {})
    assert made.indexed.all()
    assert made.certainty is None
    assert made.how_sure == ""


def test_a_map_says_how_sure_it_is(copper, silver):
    phases, weak = (copper, silver), [(GENERAL, 0, 0.3), (GENERAL, 1, 0.1)]
    assert judged(phases, RIVALS).how_sure == "median reliability 50%, 0 more likely wrong than right"
    said = judged(phases, weak).how_sure
    assert said == ("median reliability 30%, 1 more likely wrong than right, 1 perhaps none of the crystals")
    said = judged(phases, weak, AcceptanceSettings(min_reliability=0.5)).how_sure
    assert said == "1 not indexed as unreliable, 1 perhaps none of the crystals"
