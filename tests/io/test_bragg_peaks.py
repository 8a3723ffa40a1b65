"""Bragg disks to and from py4DSTEM's files."""

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.made_maps import some_map
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.io.bragg_peaks import (
    is_disk_file,
    load_disks,
    open_disks,
    save_disks,
)
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.run import run

# py4DSTEM's and its dependencies' own
pytestmark = pytest.mark.filterwarnings("ignore")

FIELDS = [("qx", float), ("qy", float), ("intensity", float)]


def some_disks(counts=(3, 0, 2, 2, 5, 1), shape=(2, 3), **fields):
    rng = np.random.default_rng(5)
    lists = [rng.uniform(1, 40, (count, 3)) for count in counts]
    return BraggDisks.from_lists(shape, lists, **{"detector_shape": (64, 48), **fields})


def same(one, other):
    assert one.scan_shape == other.scan_shape
    for name in ("offsets", "qx", "qy", "intensity"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype


@pytest.mark.py4dstem
def test_disks_in_pixels_come_back_and_py4dstem_reads_them(tmp_path, capfd):
    import py4DSTEM

    disks = some_disks(provenance={"engine": "py4DSTEM", "settings": {"floor": 0.1}})
    calibration = Calibration(200, 0.02, 3.0, 1.5, rotation=30.0, flip=True)
    path = tmp_path / "disks.h5"
    capfd.readouterr()
    save_disks(disks, path, calibration)
    assert capfd.readouterr() == ("", "")
    back = load_disks(path)
    same(back, disks)
    assert back.detector_shape == (64, 48)
    assert not back.calibrated
    assert back.provenance["settings"] == {"floor": 0.1}
    assert open_disks(path)[1] == calibration.with_(q_pixel_from="file", rotation_from="file")
    assert back.origin is None

    theirs = py4DSTEM.read(path)
    assert isinstance(theirs, py4DSTEM.BraggVectors)
    assert (theirs.Rshape, theirs.Qshape) == ((2, 3), (64, 48))
    for row, col in np.ndindex(2, 3):
        raw, cal = theirs.raw[row, col], theirs.cal[row, col]
        np.testing.assert_array_equal(np.stack([raw.qx, raw.qy, raw.I], axis=1), disks.at(row, col))
        # their convention: exchange the axes, then turn
        turn = np.deg2rad(30)
        expected_x = np.cos(turn) * raw.qy - np.sin(turn) * raw.qx
        np.testing.assert_allclose(cal.qx, 0.02 * expected_x, rtol=1e-6)


@pytest.mark.py4dstem
def test_calibrated_disks_give_the_same_in_py4dstem(tmp_path):
    import py4DSTEM

    disks = some_disks(calibrated=True)
    save_disks(disks, tmp_path / "a.h5", Calibration(q_pixel=0.02, rotation=77.0))
    theirs = py4DSTEM.read(tmp_path / "a.h5")
    for row, col in np.ndindex(2, 3):
        cal = theirs.cal[row, col]
        np.testing.assert_allclose(np.stack([cal.qx, cal.qy, cal.I], axis=1), disks.at(row, col), rtol=1e-5)
    back, found = open_disks(tmp_path / "a.h5")
    origin = back.origin.reshape(-1, 2)
    np.testing.assert_array_equal(origin, np.tile([32, 24], (6, 1)))
    assert found.rotation == 0
    assert not back.calibrated
    np.testing.assert_allclose((back.qx - origin[back.owner, 0]) * found.q_pixel, disks.qx, rtol=1e-4)
    np.testing.assert_allclose((back.qy - origin[back.owner, 1]) * found.q_pixel, disks.qy, rtol=1e-4)


@pytest.mark.py4dstem
def test_the_distortion_is_py4dstems_ellipse(tmp_path):
    import py4DSTEM

    from napari_4dstem_orient.calibration.calibrate import to_scan_frame

    disks = some_disks()
    known = Calibration(200, 0.02, 3.0, rotation=30.0, flip=True, distortion=(0.01, 0.03))
    save_disks(disks, tmp_path / "a.h5", known)
    back = open_disks(tmp_path / "a.h5")[1]
    assert back.distortion == pytest.approx(known.distortion)
    assert back.q_pixel == pytest.approx(0.02)
    theirs = py4DSTEM.read(tmp_path / "a.h5")
    x, y = to_scan_frame(disks, np.zeros((2, 3, 2)), known)
    cal = theirs.cal[0, 0]
    np.testing.assert_allclose(np.stack([x, y], axis=1)[:3], np.stack([cal.qx, cal.qy], axis=1), rtol=1e-5)


def test_what_is_unknown_stays_unknown(tmp_path):
    disks = some_disks(detector_shape=None)
    save_disks(disks, tmp_path / "a.h5")
    back = load_disks(tmp_path / "a.h5")
    same(back, disks)
    assert back.detector_shape is None
    assert open_disks(tmp_path / "a.h5")[1] == Calibration()
    save_disks(some_disks(detector_shape=None, calibrated=True), tmp_path / "b.h5")
    assert open_disks(tmp_path / "b.h5")[1].q_pixel == 1  # Å⁻¹ stored as they are


def py4dstem_vectors(calibration=None):
    import py4DSTEM

    vectors = py4DSTEM.BraggVectors((2, 3), (64, 48), calibration=calibration)
    disks = some_disks()
    for row, col in np.ndindex(2, 3):
        vectors._v_uncal[row, col].add(np.array([tuple(disk) for disk in disks.at(row, col)], FIELDS))
    return vectors, disks


@pytest.mark.py4dstem
def test_bravectors_written_by_py4dstem_beside_their_datacube(tmp_path):
    import py4DSTEM

    cube = py4DSTEM.DataCube(np.ones((2, 3, 64, 48), np.float32), name="cube")
    cube.calibration.set_Q_pixel_size(0.4)
    cube.calibration.set_Q_pixel_units("A^-1")
    cube.calibration.set_QR_rotation_degrees(-12)
    vectors, disks = py4dstem_vectors(cube.calibration)
    cube.calibration.set_origin((np.arange(6.0).reshape(2, 3), np.full((2, 3), 20.0)))
    cube.attach(vectors)
    path = tmp_path / "both.h5"
    py4DSTEM.save(path, cube, mode="o")
    assert is_disk_file(path)
    same(load_disks(path), disks)
    same(load_disks(path, "braggvectors"), disks)
    found = open_disks(path)[1]
    assert (found.q_pixel, found.rotation, found.q_pixel_from) == (0.4, -12, "file")
    np.testing.assert_array_equal(load_disks(path).origin[1, 2], [5, 20])
    assert load(path).scan_shape == (2, 3)
    with pytest.raises(UserError, match=r"both.h5 has no Bragg disks other; it has: /cube_root"):
        load_disks(path, "other")


@pytest.mark.parametrize("version", [12, 13])
def test_lists_of_older_py4dstem(tmp_path, version):
    """0.12: PointListArrays, in any order of fields; 0.13: BraggVectors with calibrated vectors beside the raw."""
    disks = some_disks()
    path = tmp_path / "old.h5"
    fields = FIELDS[::-1] if version == 12 else FIELDS
    names = ["4DSTEM_experiment/data/pointlistarrays/braggpeaks/data"]
    if version == 13:
        names = [f"root/braggvectors/{part}/data" for part in ("_v_cal", "_v_uncal")]
    with h5py.File(path, "w") as file:
        for name in names:
            lists = file.create_dataset(name, (2, 3), h5py.vlen_dtype(np.dtype(fields)))
            for row, col in np.ndindex(2, 3):
                values = np.zeros(len(disks.at(row, col)), fields)
                if "_v_cal" not in name:
                    values["qx"], values["qy"], values["intensity"] = disks.at(row, col).T
                lists[row, col] = values
    back = load_disks(path)
    same(back, disks)
    assert back.detector_shape is None
    assert open_disks(path)[1] == Calibration()


def test_several_sets_must_be_chosen(tmp_path):
    path = tmp_path / "two.h5"
    save_disks(some_disks(), path)
    with h5py.File(path, "a") as file:
        file.copy("braggvectors_root/braggvectors", "braggvectors_root/again")
    with pytest.raises(
        UserError, match=r"two.h5 holds several sets of Bragg disks, choose one: .*/again, .*/braggv"
    ):
        load_disks(path)
    same(load_disks(path, "again"), some_disks())


def test_bad_disk_files(tmp_path):
    with pytest.raises(UserError, match=r"missing.h5 does not exist"):
        load_disks(tmp_path / "missing.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(UserError, match=r"text.h5 is not an HDF5 file"):
        load_disks(tmp_path / "text.h5")
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["x"] = np.ones((2, 2, 8, 8))
    with pytest.raises(UserError, match=r"scan.h5 holds no Bragg disks"):
        load_disks(tmp_path / "scan.h5")
    save_disks(some_disks(), tmp_path / "disks.h5")
    with pytest.raises(UserError, match=r"disks.h5 holds Bragg disks, not patterns; give it to map"):
        load(tmp_path / "disks.h5")
    some_map().save(tmp_path / "map.h5")
    with pytest.raises(UserError, match=r"map.h5 holds an orientation map, not patterns"):
        load(tmp_path / "map.h5")
    content = (tmp_path / "disks.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"cut.h5 is cut short"):
        load_disks(tmp_path / "cut.h5")
    found = {
        name: is_disk_file(tmp_path / name)
        for name in ("missing.h5", "text.h5", "scan.h5", "disks.h5", "cut.h5")
    }
    assert [name for name, yes in found.items() if yes] == ["disks.h5"]


def test_a_failed_save_leaves_the_former_file(tmp_path):
    path = tmp_path / "disks.h5"
    save_disks(some_disks(), path)
    broken = some_disks()
    object.__setattr__(broken, "qy", broken.qy[:-1])
    with pytest.raises(ValueError):  # noqa: PT011
        save_disks(broken, path)
    same(load_disks(path), some_disks())
    assert [file.name for file in tmp_path.iterdir()] == ["disks.h5"]
    with pytest.raises(UserError, match=r"folder does not exist"):
        save_disks(some_disks(), tmp_path / "nowhere" / "disks.h5")


@st.composite
def any_disks(draw):
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    number = st.floats(-1e4, 1e4, width=32)
    lists = st.lists(st.tuples(number, number, number), max_size=4)
    positions = shape[0] * shape[1]
    drawn = draw(st.lists(lists, min_size=positions, max_size=positions))
    return BraggDisks.from_lists(shape, [np.array(disks, np.float32).reshape(-1, 3) for disks in drawn])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(disks=any_disks())
def test_any_disks_survive_the_round_trip(tmp_path, disks):
    save_disks(disks, tmp_path / "any.h5")
    same(load_disks(tmp_path / "any.h5"), disks)


@pytest.mark.py4dstem
def test_the_probe_is_kept_for_py4dstem(tmp_path):
    import py4DSTEM

    from napari_4dstem_orient.detection.probe import synthetic_probe

    probe = synthetic_probe(4.0, (64, 48))
    save_disks(some_disks(), tmp_path / "a.h5", probe=probe)
    theirs = py4DSTEM.read(tmp_path / "a.h5", datapath="braggvectors_root/braggvectors/probe")
    np.testing.assert_allclose(theirs.kernel, probe.kernel, atol=1e-6)
    same(load_disks(tmp_path / "a.h5"), some_disks())


def test_many_disks_come_back(tmp_path):
    """A million disks, where py4DSTEM's own loop over positions takes tens of seconds and a GB."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 60, 150 * 200)
    flat = rng.uniform(0, 100, (3, counts.sum())).astype(np.float32)
    disks = BraggDisks((150, 200), np.concatenate([[0], np.cumsum(counts)]), *flat)
    save_disks(disks, tmp_path / "many.h5")
    same(load_disks(tmp_path / "many.h5"), disks)


def pattern(beam=True):
    """Two ±g pairs around (0, 0) in Å⁻¹, and the direct beam unless it is behind a stop."""
    spots = np.array([[0.5, 0.1], [-0.5, -0.1], [-0.2, 0.6], [0.2, -0.6]])
    spots = np.concatenate([[[0, 0]], spots]) if beam else spots
    return np.c_[spots, np.r_[[300.0] * beam, 9, 8, 5, 4]]


def saved_by_py4dstem(path, lists, **told):
    """Write (2, 3) lists of (qx, qy, intensity) as py4DSTEM does; ``told`` goes into its calibration."""
    import py4DSTEM

    vectors = py4DSTEM.BraggVectors((2, 3), (64, 48))
    for row, col in np.ndindex(2, 3):
        vectors._v_uncal[row, col].add(np.array([tuple(disk) for disk in lists[row * 3 + col]], FIELDS))
    for name, value in told.items():
        vectors.calibration[name] = value
    py4DSTEM.save(path, vectors, mode="o")


WANDERING = np.stack([40 + np.arange(6.0).reshape(2, 3), 34 - np.arange(6.0).reshape(2, 3)], axis=-1)
PART = np.where(np.arange(6).reshape(2, 3) == 4, np.nan, 1.0)
TOLD = {
    "arrays": ({"qx0": WANDERING[..., 0], "qy0": WANDERING[..., 1]}, WANDERING),
    "numbers": ({"qx0": 40.0, "qy0": 34.0}, np.broadcast_to([40.0, 34], (2, 3, 2))),
    "whole numbers": ({"qx0": 40, "qy0": 34}, np.broadcast_to([40.0, 34], (2, 3, 2))),
    "means alone": ({"qx0_mean": 40.0, "qy0_mean": 34.0}, np.broadcast_to([40.0, 34], (2, 3, 2))),
    "of another scan": ({"qx0": np.full((5, 5), 40.0), "qy0": np.full((5, 5), 34.0)}, [40.0, 34]),
    "one missing": ({"qx0": 40 * PART, "qy0": 34 * PART}, np.broadcast_to([40.0, 34], (2, 3, 2))),
}


def read(path, **calibration):
    """Read a file of disks as ``map`` does, up to calibrated ones."""
    return run(Job(path=str(path), calibration=calibration), Stage.CALIBRATED)


@pytest.mark.py4dstem
@pytest.mark.parametrize("told", TOLD)
@pytest.mark.parametrize("beam", [True, False], ids=["beam", "beam stop"])
def test_disks_are_centred_on_the_files_origin(tmp_path, told, beam):
    """With a beam stop it is the only way; with a beam it is what the user of py4DSTEM settled on."""
    values, truth = TOLD[told]
    truth = np.broadcast_to(truth, (2, 3, 2)).reshape(-1, 2)
    scaled = pattern(beam) * [1 / 0.025, 1 / 0.025, 1]
    saved_by_py4dstem(tmp_path / "a.h5", [scaled + np.r_[place, 0] for place in truth], **values)
    done = read(tmp_path / "a.h5", voltage=200, q_pixel=0.025)
    disks, found = done.disks, done.calibrated
    for flat in range(6):
        np.testing.assert_allclose(found.at(*divmod(flat, 3)), pattern(beam), atol=1e-5)
    assert found.provenance["calibration"]["surface"] == "file"
    assert found.provenance["calibration"]["warnings"] == []
    for part, whole in ((disks.rows(1, 2), truth[3:]), (disks.only(1, 0), truth[3:4])):
        np.testing.assert_array_equal(part.origin.reshape(-1, 2), whole)
    joined = BraggDisks.join([disks.rows(0, 1), disks.rows(1, 2)])
    np.testing.assert_array_equal(joined.origin, disks.origin)
    save_disks(disks, tmp_path / "again.h5")
    np.testing.assert_array_equal(load_disks(tmp_path / "again.h5").origin, disks.origin)


@pytest.mark.py4dstem
def test_an_origin_that_is_no_number_is_none(tmp_path):
    saved_by_py4dstem(
        tmp_path / "a.h5", [pattern() * [40, 40, 1] + [40, 34, 0]] * 6, qx0=np.full((2, 3), np.nan), qy0=2.0
    )
    assert load_disks(tmp_path / "a.h5").origin is None


@pytest.mark.py4dstem
def test_a_files_origin_beside_the_beams_is_doubted(tmp_path):
    lists = [pattern() * [40, 40, 1] + [40, 34, 0]] * 6
    saved_by_py4dstem(tmp_path / "a.h5", lists, qx0=41.5, qy0=34.0)
    found = read(tmp_path / "a.h5", voltage=200, q_pixel=0.025).calibrated
    (doubt,) = [text for text in found.provenance["calibration"]["warnings"] if "the file's origin" in text]
    assert "1.50 px" in doubt


@pytest.mark.py4dstem
@pytest.mark.parametrize(
    ("units", "told"),
    [
        ("Å⁻¹", {"Q_pixel_size": 1, "Q_pixel_units": "A^-1"}),
        ("Å⁻¹", {}),
        ("Å⁻¹", {"Q_pixel_size": 0.025, "Q_pixel_units": "A^-1", "QR_rotation_degrees": 20.0}),
        ("Å⁻¹, off the middle", {"Q_pixel_size": 1, "Q_pixel_units": "A^-1", "qx0": 3.0, "qy0": 2.0}),
        ("nm⁻¹", {"Q_pixel_size": 1, "Q_pixel_units": "nm^-1"}),
        ("px", {"Q_pixel_size": 0.025, "Q_pixel_units": "A^-1"}),
    ],
)
@pytest.mark.parametrize("beam", [True, False], ids=["beam", "beam stop"])
def test_lists_that_were_centred_or_scaled_before_they_were_stored(tmp_path, units, told, beam):
    """What one gets by storing py4DSTEM's .cal, or another program's list."""
    scale = {"nm⁻¹": 10.0, "px": 40.0}.get(units, 1.0)
    shift = [told.get("qx0", 0), told.get("qy0", 0), 0]
    saved_by_py4dstem(tmp_path / "a.h5", [pattern(beam) * [scale, scale, 1] + shift] * 6, **told)
    done = read(tmp_path / "a.h5", voltage=200)
    assert done.disks.calibrated is units.startswith("Å")
    found, known = done.calibrated, done.calibration
    np.testing.assert_allclose(found.at(1, 1), pattern(beam), atol=1e-6)
    assert known.exploratory[0] == "the detector's pixel size was not checked against a crystal"
    assert known.rotation_is_known is units.startswith("Å")  # whoever brought them to Å⁻¹ turned them too
    assert found.provenance["calibration"]["warnings"] == []


@pytest.mark.py4dstem
def test_a_pixel_size_typed_for_lists_in_reciprocal_angstroms_changes_nothing(tmp_path):
    saved_by_py4dstem(tmp_path / "a.h5", [pattern()] * 6)
    found = read(tmp_path / "a.h5", voltage=200, q_pixel=0.025).calibrated
    np.testing.assert_allclose(found.at(1, 1), pattern(), atol=1e-6)
    (doubt,) = found.provenance["calibration"]["warnings"]
    assert "in Å⁻¹" in doubt
    assert "px" not in doubt


def test_the_calibrated_vectors_of_0_13_alone_are_read(tmp_path):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        lists = file.create_dataset(
            "root/braggvectors/_v_cal/data", (2, 3), h5py.vlen_dtype(np.dtype(FIELDS))
        )
        file["root/calibration/Q_pixel_size"], file["root/calibration/Q_pixel_units"] = 0.025, "A^-1"
        for row, col in np.ndindex(2, 3):
            lists[row, col] = np.array([tuple(disk) for disk in pattern()], FIELDS)
    disks, known = open_disks(tmp_path / "old.h5")
    assert disks.calibrated
    assert known.q_pixel == 1
    np.testing.assert_allclose(disks.at(1, 2), pattern(), atol=1e-6)


@pytest.mark.py4dstem
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("column", [0, 1, 2])
def test_disks_without_a_finite_place_or_intensity_are_left_out_and_counted(tmp_path, bad, column):
    lists = [pattern() * [40, 40, 1] + [40, 34, 0] for _ in range(6)]
    lists[1][2, column] = lists[5][0, column] = bad
    saved_by_py4dstem(tmp_path / "a.h5", lists)
    done = read(tmp_path / "a.h5", voltage=200, q_pixel=0.025)
    disks = done.disks
    assert disks.counts.tolist() == [[5, 4, 5], [5, 5, 4]]
    np.testing.assert_allclose(disks.at(0, 1), np.delete(lists[1], 2, axis=0))
    doubts = done.calibrated.provenance["calibration"]["warnings"]
    assert any(doubt.startswith("2 of the file's disks had no finite") for doubt in doubts)
