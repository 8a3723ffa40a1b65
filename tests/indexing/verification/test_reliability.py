"""Reliability is how often such answers are right."""

import numpy as np
import pytest

from helpers.multislice import multislice_patterns, multislice_scan
from napari_4dstem_orient import find_phase, map_scan
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.indexing.verification.reliability import TEMPERATURE, calibrated


def test_odds_are_taken_to_a_power():
    believed = np.array([0.0, 0.2, 0.5, 0.9, 1.0], np.float32)
    told = calibrated(believed)
    assert told[0] == 0
    odds = told[1:4] / (1 - told[1:4])
    np.testing.assert_allclose(odds**TEMPERATURE, believed[1:4] / (1 - believed[1:4]), rtol=1e-5)
    assert 0.999 < told[4] < 1


@pytest.mark.parametrize("dose", [5e3, 1e4])
def test_of_answers_that_say_so_as_many_are_right(dose):
    """A map that nothing was fitted to, few electrons, where it matters: alone, and with neighbours."""
    patterns = multislice_patterns("map_cu")
    pooled, _ = map_scan(multislice_scan(patterns, dose, np.inf), [find_phase("Cu")], device="cpu")
    for found in (pooled.alone(), pooled):
        there = found.indexed & (patterns.kind > 0)
        right = misorientation(found.rotation, patterns.rotation, found.phases[0])[there] < 5
        reliability = found.certainty.reliability[there]
        print(dose, there.sum(), right.mean(), reliability.mean())
        # Grains are few, and all of one are right or wrong together.
        assert abs(right.mean() - reliability.mean()) < 0.06
        # What is believed is the probabilities' sum, of which neighbours make what they make.
        assert (found.certainty.probability[there].sum(-1) <= 1 + 1e-5).all()


def test_the_probabilities_that_neighbours_hear_stay_as_they_are():
    patterns = multislice_patterns("map_cu")
    alone = map_scan(multislice_scan(patterns, 1e4, np.inf), [find_phase("Cu")], device="cpu")[0].alone()
    own, reliability = alone.certainty.probability[..., 0], alone.certainty.reliability
    single = alone.indexed & (own > 0.5)
    assert single.sum() > 100
    assert (reliability[single] >= calibrated(own[single]) - 1e-5).all()
    assert (reliability[single] < own[single]).mean() > 0.5
