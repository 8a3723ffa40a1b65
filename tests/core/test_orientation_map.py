"""Maps of patterns with several crystals, taken apart and put together."""

import numpy as np
import pytest

from helpers.made_maps import overlapping_map, some_map
from napari_4dstem_orient.core.certainty import IndexingStatus
from napari_4dstem_orient.core.orientation_map import OrientationMap


@pytest.fixture
def overlapping():
    return overlapping_map()


def test_crystals_are_counted_and_asked_for_one_by_one(overlapping):
    assert overlapping.crystals.max() == 2
    assert (overlapping.crystals == 0).sum() == (~overlapping.indexed).sum()
    first, second = overlapping.of_crystal(1), overlapping.of_crystal(2)
    assert first.beside == ()
    assert first.rotation is overlapping.rotation
    assert (second.indexed == (overlapping.crystals == 2)).all()
    assert second.provenance == {**overlapping.provenance, "crystal": 2}
    assert second.which_crystal == "Crystal 2 of each pattern, of which some hold several"
    assert some_map().which_crystal == some_map().of_crystal(1).which_crystal == ""
    with pytest.raises(IndexError):
        overlapping.of_crystal(3)


def test_where_there_is_no_further_crystal_the_reason_says_so(overlapping):
    second = overlapping.of_crystal(2)
    nothing = second.status[~second.indexed]
    assert set(nothing.tolist()) == {IndexingStatus.NO_OTHER}
    assert IndexingStatus.NO_OTHER.text == "no further crystal in this pattern"


def test_what_is_refused_refuses_what_lies_beside_it(overlapping):
    least = float(np.median(overlapping.certainty.reliability[overlapping.crystals == 2]))
    strict = overlapping.accepted(min_reliability=least)
    second = strict.of_crystal(2)
    kept = (overlapping.crystals == 2) & (overlapping.certainty.reliability >= least)
    assert not second.indexed[~kept].any()
    own = overlapping.of_crystal(2).certainty.reliability >= least
    assert (second.indexed == (kept & own)).all()


def test_a_scan_step_is_that_of_all_crystals(overlapping):
    assert overlapping.with_steps(7.0, 1.5).of_crystal(2).steps == overlapping.with_steps(7.0, 1.5).steps


def test_positions_are_taken_and_put_back(overlapping):
    where = np.array([3, 8, 20])
    part = overlapping.take(where)
    assert part.scan_shape == (3, 1)
    assert part.beside == ()
    back = overlapping.nothing(overlapping.scan_shape).put(where, part)
    rows, cols = np.unravel_index(where, overlapping.scan_shape)
    assert (back.rotation[rows, cols] == overlapping.rotation[rows, cols]).all()
    assert back.indexed.sum() == overlapping.indexed[rows, cols].sum()
    assert (back.certainty.reliability[rows, cols] == overlapping.certainty.reliability[rows, cols]).all()


def test_further_crystals_come_back_from_a_file(overlapping, tmp_path):
    overlapping.save(tmp_path / "map.h5")
    back = OrientationMap.load(tmp_path / "map.h5")
    second, before = back.of_crystal(2), overlapping.of_crystal(2)
    for name, values in before.arrays.items():
        assert np.array_equal(second.arrays[name], values, equal_nan=values.dtype.kind == "f"), name
    assert np.array_equal(back.share, overlapping.share)
    assert np.array_equal(second.share, before.share)


@pytest.mark.parametrize("spoil", ["share", "shape", "nobody before"])
def test_a_file_whose_crystals_contradict_each_other_is_refused(overlapping, tmp_path, spoil):
    import h5py

    from napari_4dstem_orient.core.errors import UserError

    path = tmp_path / "map.h5"
    overlapping.save(path)
    with h5py.File(path, "r+") as file:
        if spoil == "share":
            file["orientation/share"][0, 0] = 7
        elif spoil == "shape":
            del file["crystal_2"]
            some_map((2, 2)).save(tmp_path / "other.h5")
            with h5py.File(tmp_path / "other.h5") as other:
                other.copy("/", file, "crystal_2")
        else:
            file["orientation/phase_id"][overlapping.crystals == 2] = -1
    with pytest.raises(UserError):
        OrientationMap.load(path)
