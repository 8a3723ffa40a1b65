"""Template matching says how reliable its matches are: the verifier looks at them beside hypotheses of its own."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_4dstem_orient import find_phase, map_orientations
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.certainty import AmbiguityFlag
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.indexing.base import Hypotheses
from napari_4dstem_orient.indexing.prediction import predicted_pattern
from napari_4dstem_orient.indexing.settings import AcceptanceSettings, TemplateSettings
from napari_4dstem_orient.indexing.template.reliability import with_reliability

GENERAL = Rotation.from_rotvec([0.3, -0.5, 0.8]).as_matrix()
ALONE = AcceptanceSettings(min_score=0.0, min_reliability=0.0, neighbours=False, crystals=1)


def turned(degrees):
    return GENERAL @ Rotation.from_rotvec([0, 0, np.deg2rad(degrees)]).as_matrix()


def hypotheses(angles, phases=None, likely=None):
    count = len(angles)
    return Hypotheses(
        np.stack([turned(angle) for angle in angles])[None],
        np.array([phases or [0] * count]),
        np.full((1, count), 0.5),
        np.full((1, count), 9),
        None if likely is None else np.array([likely]),
    )


def test_a_match_has_the_probability_of_what_lies_next_to_it(copper, silver):
    matches = hypotheses([0, 40])
    judged = hypotheses([42, 1, 4, 20, 0], [0, 0, 0, 0, 1], [0.1, 0.4, 0.1, 0.2, 0.15])
    found = with_reliability(matches, judged, (copper, silver))
    np.testing.assert_allclose(found.rotation[0, :2], matches.rotation[0])
    np.testing.assert_allclose(found.probability[0, :2], [0.5, 0.1])
    # what is at 20 degrees and the other crystal are rivals, and what no hypothesis explains stays unexplained
    assert sorted(found.probability[0, 2:]) == pytest.approx([0, 0, 0, 0.15, 0.2])
    rivals = found.phase_id[0, 2:][found.probability[0, 2:] > 0]
    assert sorted(rivals) == [0, 1]


def test_what_lies_between_two_matches_counts_once(copper):
    found = with_reliability(hypotheses([0, 8]), hypotheses([5], likely=[0.6]), (copper,))
    np.testing.assert_allclose(found.probability[0], [0, 0.6, 0])


def patterns(phase, rotations):
    lists = [predicted_pattern(phase, rotation, 300, 1.6)[:40, :3] for rotation in rotations]
    return BraggDisks.from_lists((1, len(lists)), lists, calibrated=True, reach=1.6)


@pytest.fixture(scope="module")
def simulated():
    """Copper seen along a zone axis with strong rivals and elsewhere, and what template matching makes of it."""
    copper, rotations = find_phase("Cu"), Rotation.random(40, random_state=5).as_matrix()
    disks = patterns(copper, rotations)
    given = {"method": "template", "acceptance": ALONE, "device": "cpu"}
    plain = map_orientations(disks, [copper], 300.0, template=TemplateSettings(verify=False), **given)
    return copper, rotations, plain, map_orientations(disks, [copper], 300.0, **given)


def test_the_matches_stay_as_they_are(simulated):
    _, _, plain, found = simulated
    assert plain.certainty is None
    np.testing.assert_array_equal(found.rotation, plain.rotation)
    np.testing.assert_array_equal(found.score, plain.score)
    assert set(found.provenance["verifiers"]) == {"pre_verifier", "verifier"}
    assert "verifiers" not in plain.provenance


def test_right_matches_are_sure_and_wrong_ones_are_not(simulated):
    copper, rotations, _, found = simulated
    right = misorientation(found.rotation[0], rotations, copper) < 5
    reliability = found.certainty.reliability[0]
    assert right.mean() > 0.8
    assert np.median(reliability[right]) > 0.95
    assert abs(reliability.mean() - right.mean()) < 0.1


def test_a_twin_is_told_of_though_no_match_is_one(copper):
    """All disks lie in the zone [112]: turned by 180 degrees about its axis the crystal predicts the same."""
    zone = np.array([1.0, 1.0, 2.0]) / np.sqrt(6)
    across = np.array([1.0, -1.0, 0.0]) / np.sqrt(2)
    rotation = np.column_stack([across, np.cross(zone, across), zone])
    rotation = rotation @ Rotation.from_rotvec([0.02, 0.03, 0.4]).as_matrix()
    twin = Rotation.from_rotvec(np.pi * zone).as_matrix() @ rotation
    disks = BraggDisks.from_lists(
        (1, 1), [predicted_pattern(copper, rotation, 300, 1.2)[:12, :3]], calibrated=True, reach=1.2
    )
    found = map_orientations(disks, [copper], 300.0, method="template", acceptance=ALONE, device="cpu")
    assert misorientation(found.rotation[0, 0], np.stack([rotation, twin]), copper).min() < 5
    assert found.certainty.reliability[0, 0] == pytest.approx(0.5, abs=0.2)
    rivals = AmbiguityFlag.HALF_TURN | AmbiguityFlag.ELSEWHERE
    assert found.certainty.ambiguity_at(0, 0) & rivals


def test_noise_is_no_crystal(copper):
    random = np.random.default_rng(4)
    lists = [
        np.column_stack([random.uniform(-1.5, 1.5, (14, 2)), random.exponential(1, 14)]) for _ in range(24)
    ]
    disks = BraggDisks.from_lists((1, 24), lists, calibrated=True, reach=1.6)
    found = map_orientations(disks, [copper], 300.0, method="template", acceptance=ALONE, device="cpu")
    assert np.median(found.certainty.reliability) < 0.1
