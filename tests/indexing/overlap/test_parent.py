"""Sums of multislice patterns of two crystals: with copper as the parent, only iron is looked for in what is left."""

from dataclasses import replace

import numpy as np
import pytest

import napari_4dstem_orient as orient
from helpers.multislice import multislice_patterns
from helpers.overlapping import overlapping
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.indexing.settings import AcceptanceSettings

COPPER, IRON = orient.find_phase("Cu"), orient.find_phase("Fe")
ALONE = AcceptanceSettings(neighbours=False)
ONE = AcceptanceSettings(neighbours=False, crystals=1)


@pytest.fixture(scope="module")
def sums():
    return overlapping([multislice_patterns("cu"), multislice_patterns("fe")], 48, 2, 2e5, seed=5)


@pytest.fixture(scope="module")
def found(sums):
    given = {"parents": ["Cu"], "device": "cpu", "model": (), "acceptance": ALONE}
    return orient.map_scan(sums.scan, [COPPER, IRON], **given)[0]


def right(found, sums, phase, which):
    """Whether a crystal of a map is, within 5 degrees, one of the true ones of a phase, (n,)."""
    one = (found, *found.beside)[which]
    hit = np.zeros(len(sums.rotation), bool)
    for k in range(sums.rotation.shape[1]):
        rows = (sums.phase[:, k] == phase) & (one.phase_id[0] == phase)
        hit[rows] |= misorientation(one.rotation[0][rows], sums.rotation[rows, k], found.phases[phase]) < 5
    return hit


def test_both_are_found_and_no_fewer_than_without_a_parent(found, sums):
    assert [phase.name for phase in found.phases] == ["Cu", "Fe"]
    mixed = sums.phase[:, 0] != sums.phase[:, 1]
    both = [np.any([right(found, sums, phase, rank) for rank in (0, 1)], axis=0) for phase in (0, 1)]
    assert both[0][mixed].mean() > 0.8
    assert both[1][mixed].mean() > 0.8
    found_free, _ = orient.map_scan(sums.scan, [COPPER, IRON], device="cpu", model=(), acceptance=ALONE)
    second = found_free.of_crystal(2)
    assert (found.of_crystal(2).phase_id == 1).sum() >= (second.phase_id == 1).sum()


def test_where_there_is_no_parent_the_others_are_as_without(found, sums):
    iron = (sums.phase == 1).all(1)
    assert right(found, sums, 1, 0)[iron].mean() > 0.8
    assert not (found.phase_id[0][iron] == 0).any()


def test_where_there_is_only_the_parent_nothing_else_is(found, sums):
    copper = (sums.phase == 0).all(1)
    claimed = np.any([each.phase_id[0] == 1 for each in (found, *found.beside)], axis=0)
    assert not claimed[copper].any()


def test_the_shares_of_all_crystals_add_up(found):
    several = found.crystals > 1
    total = np.sum([each.share * each.indexed for each in (found, *found.beside)], axis=0)
    np.testing.assert_allclose(total[several], 1, atol=1e-5)


def test_a_crystal_has_all_before_it_and_a_file_keeps_them(found, tmp_path):
    before = found.indexed
    for each in found.beside:
        assert not (each.indexed & ~before).any()
        before = each.indexed
    found.save(tmp_path / "both.h5")
    read = OrientationMap.load(tmp_path / "both.h5")
    assert len(read.beside) == len(found.beside)
    for one, other in zip((read, *read.beside), (found, *found.beside), strict=True):
        np.testing.assert_array_equal(one.phase_id, other.phase_id)
    assert read.provenance["job"]["parents"] == ["Cu"]


def test_template_matching_has_more_runners_up_of_more_crystals(sums):
    few = replace(sums.scan, data=sums.scan.data[:, :6])
    silicon = orient.find_phase("Si")
    given = {"parents": ["Cu"], "device": "cpu", "method": "template", "acceptance": ALONE}
    found, _ = orient.map_scan(few, [COPPER, IRON, silicon], **given)
    assert [phase.name for phase in found.phases] == ["Cu", "Fe", "Si"]
    assert found.runner_up.shape[2] == 5


def test_neighbours_are_undone_together_with_what_was_found_after_them(sums):
    few = replace(sums.scan, data=sums.scan.data[:, :24].reshape(4, 6, *sums.scan.detector_shape))
    given = {"parents": ["Cu"], "device": "cpu", "model": ()}
    found, _ = orient.map_scan(few, [COPPER, IRON], **given)
    alone, _ = orient.map_scan(few, [COPPER, IRON], device="cpu", model=(), acceptance=ONE)
    np.testing.assert_array_equal(found.alone().phase_id, alone.phase_id)
    assert found.alone().beside == ()


@pytest.mark.parametrize(
    ("parents", "why"), [(["Si"], "Si is none of the crystals"), (["Cu", "Fe"], "All crystals are parents")]
)
def test_parents_that_cannot_be_are_refused_before_anything_is_done(sums, parents, why):
    with pytest.raises(UserError, match=why):
        orient.map_scan(sums.scan, [COPPER, IRON], parents=parents, device="cpu", report=pytest.fail)
