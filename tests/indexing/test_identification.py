"""Which of many crystals could be here."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_4dstem_orient import UserError, find_phase, identify_phases
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.indexing.identification import speaking_positions
from napari_4dstem_orient.indexing.prediction import predicted_pattern

ROTATIONS = Rotation.random(12, random_state=3).as_matrix()


def disks_of(*phases):
    """Disks of the crystals, one row of the scan each, and a row of nothing."""
    lists = [predicted_pattern(phase, each, 300, 1.6)[:40, :3] for phase in phases for each in ROTATIONS]
    lists += [np.zeros((0, 3))] * len(ROTATIONS)
    return BraggDisks.from_lists((len(phases) + 1, len(ROTATIONS)), lists, calibrated=True, reach=1.6)


@pytest.mark.parametrize("name", ["TiO2", "Cu2O"])
def test_of_eight_crystals_the_true_one_comes_first(name):
    phases = [find_phase(each) for each in ("Cu", "Ag", "Fe", "Ti", "Si", "Cu2O", "TiO2", "SrTiO3")]
    found = identify_phases(disks_of(find_phase(name)), phases, 300.0)
    assert found[0].phase.same_crystal(find_phase(name))
    assert found[0].share > 0.8
    assert found[0].likeliest >= 10
    assert found[0].n_matched > 25
    assert all(each.share < 0.1 for each in found[1:])
    assert sum(each.share for each in found) == pytest.approx(1, abs=0.2)


def test_crystals_that_are_alike_share_what_they_explain():
    silver, gold, copper = map(find_phase, ("Ag", "Au", "Cu"))
    found = identify_phases(disks_of(silver), [copper, gold, silver], 300.0)
    assert {each.phase.name for each in found[:2]} == {"Ag", "Au"}
    assert min(each.share for each in found[:2]) > 0.1
    assert found[2].phase is copper
    assert found[2].share < 0.05


def test_chosen_positions_are_those_that_are_looked_at():
    copper, rutile = find_phase("Cu"), find_phase("TiO2")
    disks = disks_of(copper, rutile)
    assert speaking_positions(disks, 100).tolist() == list(range(24))
    assert speaking_positions(disks, 3).tolist() == [0, 12, 23]
    for row, phase in enumerate((copper, rutile)):
        found = identify_phases(disks, [copper, rutile], 300.0, range(12 * row, 12 * row + 12))
        assert found[0].phase is phase
        assert found[0].likeliest >= 11
    with pytest.raises(UserError, match="stands out"):
        identify_phases(disks, [copper], 300.0, [30])
    with pytest.raises(UserError, match="more than 4 sure disks"):
        identify_phases(disks.rows(2, 3), [copper], 300.0)
