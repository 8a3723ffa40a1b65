"""Sums of multislice patterns, which no training saw: both crystals are found, and one alone is left alone."""

from dataclasses import replace

import numpy as np
import pytest

import napari_4dstem_orient as orient
from helpers.multislice import multislice_patterns
from helpers.overlapping import overlapping
from napari_4dstem_orient.core.certainty import IndexingStatus
from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.indexing.settings import AcceptanceSettings, TransformerSettings

COUNT = 36
FCC = resource("models/fcc.safetensors")
ALONE = AcceptanceSettings(neighbours=False)


def mapped(scan, acceptance=ALONE, **given):
    found, _ = orient.map_scan(
        scan, [orient.find_phase("Cu")], device="cpu", acceptance=acceptance, model=(), **given
    )
    return found


@pytest.fixture(scope="module")
def sums():
    return overlapping([multislice_patterns("cu")], COUNT, 2, 2e5, seed=3)


@pytest.fixture(scope="module")
def found(sums):
    return mapped(sums.scan)


def angles(found, truth):
    """Degrees between each crystal of a map and each true one, (crystals, k, n); 180 where there is none."""
    phase = found.phases[0]
    maps = [found, *found.beside]
    apart = np.full((len(maps), truth.shape[1], len(truth)), 180.0)
    for number, one in enumerate(maps):
        there = one.indexed[0]
        for k in range(truth.shape[1]):
            apart[number, k, there] = misorientation(one.rotation[0][there], truth[there, k], phase)
    return apart


def test_both_crystals_are_found(found, sums):
    right = angles(found, sums.rotation) < 5
    assert right.any(0).all(0).mean() > 0.8
    assert right[0].any(0).mean() > 0.9


def test_answers_of_one_pattern_differ(found):
    second = found.of_crystal(2)
    both = second.indexed
    apart = misorientation(found.rotation[both], second.rotation[both], found.phases[0])
    assert apart.min() > 5
    assert (second.status[~both] == IndexingStatus.NO_OTHER).all()
    assert (second.certainty.reliability[both] > 0.4).all()


def test_shares_follow_the_weights_and_add_up(found, sums):
    first, second = found.share[0], found.of_crystal(2).share[0]
    assert np.allclose(first + second, 1, atol=1e-5)
    assert (second[~found.of_crystal(2).indexed[0]] == 0).all()
    right = angles(found, sums.rotation) < 5
    heavy = np.where(right[0, 0], first, second)[right.any(0).all(0)]
    weight = sums.weight[right.any(0).all(0)]
    assert heavy[weight == 0.25].mean() > heavy[weight == 1].mean() + 0.1


def test_one_crystal_is_left_alone(found):
    single = overlapping([multislice_patterns("cu")], 100, 1, 1e5, seed=5)
    answer = mapped(single.scan)
    assert (answer.crystals > 1).sum() <= 1
    assert answer.provenance["crystals"]["most"] == 3


def test_asked_for_one_the_others_are_not_looked_for(sums, found):
    part = replace(sums.scan, data=sums.scan.data[:, :6])
    answer = mapped(part, replace(ALONE, crystals=1))
    assert answer.beside == ()
    assert answer.share is None
    assert "crystals" not in answer.provenance


def test_template_matching_finds_them_too(sums):
    copper = [orient.find_phase("Cu")]
    found, _ = orient.map_scan(sums.scan, copper, method="template", device="cpu", acceptance=ALONE)
    assert (angles(found, sums.rotation) < 5).any(0).all(0).mean() > 0.6


def test_without_reliability_none_is_looked_for(sums):
    part = replace(sums.scan, data=sums.scan.data[:, :6])
    found = mapped(part, transformer=TransformerSettings(verify=False))
    assert found.certainty is None
    assert found.beside == ()


def test_two_phases_lie_over_each_other():
    """With a network for the second only, the map's phases are in another order than those asked for."""
    sets = [multislice_patterns(name) for name in ("cu", "fe")]
    both = overlapping(sets, 18, 2, 2e5, seed=1)
    phases = [orient.find_phase("Fe"), orient.find_phase("Cu")]
    found, _ = orient.map_scan(both.scan, phases, device="cpu", acceptance=ALONE, model=FCC)
    assert [phase.name for phase in found.phases] == ["Cu", "Fe"]
    mixed = both.phase[:, 0] != both.phase[:, 1]
    assert mixed.sum() >= 5
    ids = np.sort(np.stack([found.phase_id[0], found.of_crystal(2).phase_id[0]], 1)[mixed], 1)
    assert (ids == [0, 1]).all(1).mean() > 0.75
