"""Files are written only where their readers put a crystal's symmetry axes where they are; others are recommended."""

import warnings

import numpy as np
import pytest

from helpers.made_crystals import SETTINGS, in_setting, setting
from helpers.made_maps import BISMUTH_RHOMBOHEDRAL, CU, CU_PRIMITIVE, MONOCLINIC, some_map
from helpers.read_back import read_with_orix
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.laue import laue_class
from napari_4dstem_orient.export.ebsd import save_ang, save_ctf
from napari_4dstem_orient.export.orix import save_orix

SAVE = {".ang": save_ang, ".ctf": save_ctf, "_orix.h5": save_orix}


def written(phases, kind, folder):
    path = folder / f"map{kind}"
    SAVE[kind](some_map((1, 2), phases, phase_id=np.zeros((1, 2), np.int32)), path)
    return path


def refusal(phases, kind, folder):
    with pytest.raises(UserError) as caught:
        written(phases, kind, folder)
    assert not list(folder.iterdir())
    return str(caught.value)


def read_back_rightly(phase, path):
    """Whether orix finds the crystal's symmetry on the crystal's axes."""
    with warnings.catch_warnings():
        # Of .ctf: it takes the Laue group for the point group.
        warnings.filterwarnings("ignore", "Setting space group to 'None'")
        theirs = next(each for number, each in read_with_orix(path).phases if number >= 0)
    there = theirs.point_group.laue_proper_subgroup.to_matrix()
    assert theirs.structure.lattice.abcABG() == pytest.approx(phase.cell, abs=1e-3)
    apart = np.abs(there[:, None] - phase.symmetry).max((2, 3)).min(1)
    return len(there) == len(phase.symmetry) and bool((apart < 0.01).all())


def one_of_each_kind():
    """Settings that differ in Laue class, point group or axes."""
    seen = {}
    for hall in SETTINGS:
        told = setting(hall)
        choice = told.choice if told.number <= 15 or told.choice == "R" else ""
        seen.setdefault((told.pointgroup_international, choice.strip("-123="), told.number in TRIGONAL), hall)
    return list(seen.values())


TRIGONAL = {149, 151, 153, 157, 159, 162, 163}
"""Space groups of 312, 31m and -31m."""


@pytest.mark.parametrize("hall", one_of_each_kind(), ids=lambda hall: setting(hall).hall_symbol)
def test_what_is_written_is_read_rightly_and_what_is_refused_is_held_by_what_is_recommended(hall, tmp_path):
    phase = in_setting(hall)
    told = setting(hall)
    for kind in SAVE:
        try:
            path = written((phase,), kind, tmp_path)
        except UserError as refused:
            said = str(refused)
            assert phase.name in said
            assert "the result file (.h5)" in said
            for other in SAVE:
                if f" or {other}" in said:
                    assert read_back_rightly(phase, written((phase,), other, tmp_path))
            continue
        if kind == ".ctf" and laue_class(phase).symbol == "m-3":
            continue  # orix 0.15 knows no Laue group 10
        assert read_back_rightly(phase, path), kind
    usual = told.number > 15 and told.choice != "R" and told.number not in TRIGONAL
    if usual:  # nothing is refused that need not be
        assert len(list(tmp_path.iterdir())) == 3


def test_trigonal_crystals_with_twofold_axes_at_right_angles_to_a_are_in_no_ebsd_file(tmp_path):
    for number in sorted(TRIGONAL):
        phase = in_setting(next(hall for hall in SETTINGS if setting(hall).number == number))
        for kind in SAVE:
            said = refusal((phase,), kind, tmp_path)
            assert said.endswith(f"{phase.name} are not where readers put them; save the result file (.h5).")


def test_monoclinic_crystals_are_in_the_files_that_presume_their_axis(tmp_path):
    assert refusal((MONOCLINIC,), ".ctf", tmp_path).endswith("save the result file (.h5) or .ang.")
    assert refusal((MONOCLINIC,), "_orix.h5", tmp_path).endswith("save the result file (.h5) or .ang.")
    assert read_back_rightly(MONOCLINIC, written((MONOCLINIC,), ".ang", tmp_path))


@pytest.mark.parametrize("phase", [CU_PRIMITIVE, BISMUTH_RHOMBOHEDRAL], ids=lambda phase: phase.name)
@pytest.mark.parametrize("kind", SAVE)
def test_unusual_cells_are_refused_and_conventional_axes_advised(kind, phase, tmp_path):
    said = refusal((CU, phase), kind, tmp_path)
    assert said.endswith("save the result file (.h5), or index again with a CIF on conventional axes.")


def test_a_recommended_file_holds_every_crystal_of_the_map(tmp_path):
    unique_c = in_setting(4)
    assert setting(4).choice == "c"
    assert refusal((MONOCLINIC, unique_c), ".ctf", tmp_path).endswith(
        "save the result file (.h5), or index again with a CIF on conventional axes."
    )
    assert refusal((CU, unique_c), ".ang", tmp_path).endswith(
        "save the result file (.h5) or .ctf or _orix.h5."
    )
