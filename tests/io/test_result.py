import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.full_disk import files_no_larger_than
from helpers.made_maps import BISMUTH, CU, TI, overlapping_map, some_map, strained, sure
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.pooled import Pooled, PoolVerdict
from napari_4dstem_orient.io.result import FRAME, is_map_file, load_map, save_map

ARRAYS = ("rotation", "phase_id", "score", "status", "n_matched", "runner_up", "runner_up_score")
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "map.h5"
    save_map(some_map(phases=(CU, TI)), path)
    return path


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    phases=st.sampled_from([(CU,), (CU, TI), (TI, BISMUTH, CU)]),
    seed=st.integers(0, 99),
    runners=st.integers(0, 3),
    r_pixel=st.none() | st.floats(1e-3, 1e4),
    provenance=st.dictionaries(st.text(max_size=8), PLAIN, max_size=3),
)
def test_a_map_comes_back_as_it_was(tmp_path, shape, phases, seed, runners, r_pixel, provenance):
    before = some_map(shape, phases, seed, runners, r_pixel, provenance=provenance)
    save_map(before, tmp_path / "map.h5")
    after = load_map(tmp_path / "map.h5")
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
        assert getattr(after, name).dtype == getattr(before, name).dtype
    assert (after.method, after.r_pixel, after.provenance) == ("transformer", r_pixel, provenance)
    assert [phase.to_dict() for phase in after.phases] == [phase.to_dict() for phase in phases]


def test_the_contract_in_plain_h5py(tmp_path):
    made = some_map((3, 5))
    made.save(tmp_path / "map.h5")
    with h5py.File(tmp_path / "map.h5") as file:
        assert file["orientation/rotation"].shape == (3, 5, 3, 3)
        assert file["orientation/rotation"].dtype.kind == "f"
        assert file["orientation/phase_id"].dtype.kind == "i"
        assert file["orientation/score"].dtype.kind == "f"
        assert json.loads(file["provenance"][()]) == made.provenance
        assert json.loads(file["orientation/phases"][()])[0]["name"] == "Cu"
        assert file["orientation"].attrs["frame"] == FRAME
        assert file["orientation"].attrs["r_pixel"] == 5.0
        assert file["orientation"].attrs["method"] == "transformer"
        np.testing.assert_array_equal(file["orientation/rotation"], made.rotation)


def test_strain_comes_back_of_each_crystal(tmp_path):
    made = overlapping_map()
    made = strained(replace(made, beside=(strained(made.beside[0], seed=1),)))
    made.save(tmp_path / "map.h5")
    back = OrientationMap.load(tmp_path / "map.h5")
    for before, after in ((made, back), (made.beside[0], back.beside[0])):
        for name in ("values", "deviation", "disks"):
            np.testing.assert_array_equal(getattr(after.strain, name), getattr(before.strain, name))
        assert (after.strain.reference, after.strain.axes) == ("the mean of each grain", "x down, y right")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("strain", np.zeros((4, 7, 3), np.float32)),
        ("strain", np.full((4, 7, 4), np.inf, np.float32)),
        ("strain_deviation", np.full((4, 7, 4), -1, np.float32)),
        ("strain_disks", np.zeros((3, 7), np.int32)),
        ("strain_disks", np.full((4, 7), 0.5)),
    ],
)
def test_what_is_no_strain_is_refused(tmp_path, name, values):
    strained(some_map()).save(path := tmp_path / "map.h5")
    with h5py.File(path, "r+") as file:
        told = dict(file[f"orientation/{name}"].attrs)
        del file[f"orientation/{name}"]
        file[f"orientation/{name}"] = values
        file[f"orientation/{name}"].attrs.update(told)
    with pytest.raises(UserError, match="strain"):
        load_map(path)


def test_the_map_saves_and_loads_itself(tmp_path):
    made = some_map()
    made.save(tmp_path / "map.h5")
    np.testing.assert_array_equal(OrientationMap.load(tmp_path / "map.h5").rotation, made.rotation)


def test_numpy_values_in_the_provenance_become_plain(tmp_path):
    made = some_map(provenance={"seed": np.int64(3), "loss": np.float32(0.5), "model": tmp_path})
    save_map(made, tmp_path / "map.h5")
    assert load_map(tmp_path / "map.h5").provenance == {"seed": 3, "loss": 0.5, "model": str(tmp_path)}


def test_a_result_file_is_told_from_others(saved, tmp_path):
    assert is_map_file(saved)
    (tmp_path / "text.h5").write_text("no HDF5")
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["data"] = np.zeros((2, 2, 3, 3))
    assert not is_map_file(tmp_path / "text.h5")
    assert not is_map_file(tmp_path / "scan.h5")
    assert not is_map_file(tmp_path / "missing.h5")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.95])
def test_a_truncated_file_is_refused(saved, share):
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"map\.h5 is (cut short|empty)"):
        load_map(saved)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path, said in ((tmp_path / "none.h5", "does not exist"), (tmp_path, "is a folder; choose a file")):
        with pytest.raises(UserError, match=said):
            load_map(path)


def test_a_foreign_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["data"] = np.zeros((2, 2, 3, 3))
    with pytest.raises(UserError, match="not a result file"):
        load_map(tmp_path / "scan.h5")


def test_a_newer_format_is_refused(saved):
    with h5py.File(saved, "a") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(UserError, match="update the program"):
        load_map(saved)


def put_in_place(file, name, value):
    del file[name]
    file[name] = value


def scramble_packed_data(file):
    """Overwrite what is stored of the rotations, as a bad disk would."""
    stored = file["orientation/rotation"].id
    stored.write_direct_chunk((0,) * 4, b"\x00" * stored.get_chunk_info(0).size)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.pop("orientation/score"),
        lambda file: file.pop("provenance"),
        lambda file: file["orientation"].attrs.pop("method"),
        lambda file: put_in_place(file, "provenance", "{half"),
        lambda file: put_in_place(file, "orientation/phases", "[{}]"),
        lambda file: put_in_place(file, "orientation/phases", "[]"),
        lambda file: put_in_place(file, "orientation/phase_id", np.full((4, 7), 9)),
        lambda file: put_in_place(file, "orientation/score", np.zeros((7, 4))),
        lambda file: put_in_place(file, "orientation/rotation", np.zeros((4, 7, 3, 3))),
        lambda file: put_in_place(file, "orientation/rotation", np.full((4, 7, 3, 3), np.nan)),
        lambda file: put_in_place(file, "orientation/rotation", np.tile(-np.eye(3), (4, 7, 1, 1))),
        lambda file: put_in_place(file, "orientation/runner_up", np.zeros((4, 7, 5, 3, 3))),
        lambda file: put_in_place(file, "orientation/rotation", "text"),
        scramble_packed_data,
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(saved, damage):
    with h5py.File(saved, "a") as file:
        damage(file)
    with pytest.raises(UserError, match=r"map\.h5 cannot be read as a result file .* damaged") as told:
        load_map(saved)
    assert "\n" not in str(told.value)


@pytest.mark.posix
def test_a_full_disk_keeps_the_former_result(saved):
    former = saved.read_bytes()
    with files_no_larger_than(20_000), pytest.raises(UserError, match="Cannot write"):
        save_map(some_map((64, 64)), saved)
    assert saved.read_bytes() == former
    assert [entry.name for entry in saved.parent.iterdir()] == ["map.h5"]


def pooled_map():
    """A map in which neighbours changed some answers."""
    before = sure(some_map())
    before = replace(
        before, certainty=replace(before.certainty, probability=np.full((4, 7, 3), 0.3, np.float32))
    )
    after = {name: values.copy() for name, values in before.arrays.items()}
    for name in ("rotation", "phase_id", "score", "status", "reliability", "probability"):
        after[name][1, 2:5] = after[name][0, 0]
    after["phase_id"][1, 2:5] = np.where(before.phase_id[1, 2:5] < 0, 0, -1)
    verdict = np.zeros((4, 7), np.uint8)
    verdict[1, 2:5] = PoolVerdict.CHANGED
    return before, before.with_arrays(after, pooled=Pooled.of(verdict, before.arrays, after))


def test_what_neighbours_changed_is_kept_and_can_be_undone(tmp_path):
    before, pooled = pooled_map()
    pooled.save(tmp_path / "pooled.h5")
    read = OrientationMap.load(tmp_path / "pooled.h5")
    np.testing.assert_array_equal(read.pooled.verdict, pooled.pooled.verdict)
    for name, values in pooled.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], values, err_msg=name)
        np.testing.assert_array_equal(read.alone().arrays[name], before.arrays[name], err_msg=name)
    read.alone().save(tmp_path / "alone.h5")
    assert OrientationMap.load(tmp_path / "alone.h5").pooled is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("neighbours", 9),
        ("alone/rotation_at", 28),
        ("alone/rotation_at", -1),
        ("alone/rotation", 0.5),
        ("alone/phase_id", 7),
    ],
)
def test_what_was_before_must_have_been_a_map(tmp_path, name, value):
    path = tmp_path / "pooled.h5"
    pooled_map()[1].save(path)
    with h5py.File(path, "r+") as file:
        file[f"orientation/{name}"][..., -1:] = value
    with pytest.raises(UserError, match=r"pooled\.h5"):
        OrientationMap.load(path)
