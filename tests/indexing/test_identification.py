"""Which of many crystals could be here."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_4dstem_orient import UserError, find_phase, identify_phases
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import Cancelled
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
    first, *others = found.evidence
    assert first.phase.same_crystal(find_phase(name))
    assert first.share > 0.8
    assert first.likeliest >= 10
    assert first.n_matched > 25
    assert first.reliability > 0.8
    assert first.ahead > 0.8
    assert all(each.share < 0.1 for each in others)
    assert found.none < 0.2
    assert found.none == pytest.approx(1 - found.probability.sum() / 12)
    assert not found.alike
    assert found.words == f"{first.phase.name} explains {first.share:.0%} of 12 positions."


def test_crystals_that_are_alike_share_what_they_explain():
    silver, gold, copper = map(find_phase, ("Ag", "Au", "Cu"))
    found = identify_phases(disks_of(silver), [copper, gold, silver], 300.0)
    first, second, third = found.evidence
    assert {first.phase.name, second.phase.name} == {"Ag", "Au"}
    assert second.share > 0.1
    assert third.phase is copper
    assert third.share < 0.05
    assert found.alike == [(first.phase, second.phase)]
    assert f"{first.phase.name} and {second.phase.name} cannot be told apart here." in found.words


def test_of_several_that_are_alike_one_sentence_speaks():
    names = ["Ag", "Au", "Al"]
    disks = disks_of(find_phase("Ag"))
    found = identify_phases(
        replace(disks, qx=disks.qx * 1.004, qy=disks.qy * 1.004), list(map(find_phase, names)), 300.0
    )
    (group,) = found.alike
    assert {phase.name for phase in group} == {*names}
    assert found.words.count("cannot be told apart here") == 1


def test_two_crystals_at_different_places_are_told_apart():
    copper, rutile = find_phase("Cu"), find_phase("TiO2")
    found = identify_phases(disks_of(copper, rutile), [copper, rutile], 300.0)
    assert min(each.share for each in found.evidence) > 0.4
    assert not found.alike
    of_copper = identify_phases(disks_of(copper), [copper, rutile], 300.0).evidence
    assert [each.likeliest > 0 for each in of_copper] == [True, False]
    assert np.isnan(of_copper[1].reliability)


@pytest.mark.parametrize("offered", [["W"], ["W", "Fe", "Si", "Mo", "Pt", "GaAs", "Ge", "Pd"]])
def test_where_no_crystal_fits_it_says_so(offered):
    found = identify_phases(disks_of(find_phase("TiO2")), list(map(find_phase, offered)), 300.0)
    assert found.none > 0.5
    assert "offer another crystal" in found.words
    nowhere = identify_phases(disks_of(find_phase("TiO2")), list(map(find_phase, offered)), 300.0, [1])
    assert nowhere.words.startswith("None of these crystals fits")
    assert found.evidence[0].likeliest <= 3


def test_it_reports_crystals_and_positions_and_can_be_stopped():
    phases, told = [find_phase("Cu"), find_phase("Fe")], []
    identify_phases(disks_of(phases[0]), phases, 300.0, progress=lambda *done: told.append(done))
    assert told == [(1, 14), (2, 14), (14, 14)]

    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        identify_phases(disks_of(phases[0]), phases, 300.0, progress=stop)


def test_chosen_positions_are_those_that_are_looked_at():
    copper, rutile = find_phase("Cu"), find_phase("TiO2")
    disks = disks_of(copper, rutile)
    assert speaking_positions(disks, 100).tolist() == list(range(24))
    assert speaking_positions(disks, 3).tolist() == [0, 12, 23]
    for row, phase in enumerate((copper, rutile)):
        found = identify_phases(disks, [copper, rutile], 300.0, range(12 * row, 12 * row + 12))
        assert found.evidence[0].phase is phase
        assert found.evidence[0].likeliest >= 11
        assert found.positions.tolist() == list(range(12 * row, 12 * row + 12))
    alone = identify_phases(disks, [copper, rutile], 300.0, [3])
    assert alone.words == f"It is {copper.name} ({alone.evidence[0].share:.0%} likely)."
    with pytest.raises(UserError, match="stands out"):
        identify_phases(disks, [copper], 300.0, [30])
    with pytest.raises(UserError, match="more than 4 sure disks"):
        identify_phases(disks.rows(2, 3), [copper], 300.0)
