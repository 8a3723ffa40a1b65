import re
import time
from dataclasses import replace

import numpy as np
import pytest

from helpers.full_disk import files_no_larger_than
from helpers.made_maps import (
    BISMUTH,
    CU,
    CU2O,
    ORTHORHOMBIC,
    PYRITE,
    RUTILE,
    TI,
    TRICLINIC,
    rotations,
    some_map,
    sure,
    turn,
)
from helpers.read_back import read_with_orix
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.export.ebsd import bunge_angles, save_ang, save_ctf

SAVE = {"ang": save_ang, "ctf": save_ctf}
both = pytest.mark.parametrize("kind", ["ang", "ctf"])


def written(kind, orientation_map, folder):
    path = folder / f"map.{kind}"
    SAVE[kind](orientation_map, path)
    return path


def columns(path):
    """Numbers of the file: Euler angles in radians, x, y, phase."""
    if path.suffix == ".ang":
        table = np.loadtxt(path)
        return table[:, :3], table[:, 3], table[:, 4], table[:, 7]
    lines = path.read_text().splitlines()
    table = np.loadtxt(lines[next(i for i, line in enumerate(lines) if line.startswith("Phase\tX")) + 1 :])
    return np.deg2rad(table[:, 5:8]), table[:, 1], table[:, 2], table[:, 0]


def matrix_of(angles):
    """Bunge: turn about z by φ1, about the new x by Φ, about the new z by φ2; lab to crystal."""
    first, middle, second = np.rad2deg(angles)
    return (turn((0, 0, 1), first) @ turn((1, 0, 0), middle) @ turn((0, 0, 1), second)).T


def test_euler_angles_agree_with_orix():
    from orix.quaternion import Rotation

    angles = np.array([[0.3, 0.7, 5.0], [6.0, 2.9, 0.1], [3.1, 1.5, 3.2]])
    np.testing.assert_allclose(bunge_angles(Rotation.from_euler(angles).to_matrix()), angles, atol=1e-9)


def test_euler_angles_give_back_every_matrix():
    for matrix in [
        *rotations(50),
        np.eye(3),
        turn((1, 0, 0), 180),
        turn((0, 1, 0), 180),
        turn((0, 0, 1), 77),
    ]:
        np.testing.assert_allclose(matrix_of(bunge_angles(matrix)), matrix, atol=1e-9)


@pytest.mark.parametrize("tilt", [0, 1e-9, 1e-7, 1e-5, 1e-3])
@pytest.mark.parametrize("base", [0, 180])
def test_euler_angles_hold_where_they_are_degenerate(tilt, base):
    # Single precision and a tilt next to 0° or 180°: φ1 alone means little, φ1 and φ2 together do.
    matrix = (turn((0, 0, 1), 40) @ turn((1, 0, 0), base + np.rad2deg(tilt)) @ turn((0, 0, 1), 25)).astype(
        "f4"
    )
    np.testing.assert_allclose(matrix_of(bunge_angles(matrix)), matrix, atol=1e-6)


@both
@pytest.mark.parametrize(
    "phases",
    [(CU,), (TI,), (CU, TI), (BISMUTH, RUTILE, CU2O), (ORTHORHOMBIC,), (TRICLINIC,)],
    ids=lambda phases: "+".join(phase.name for phase in phases),
)
def test_orix_reads_the_same_map(kind, phases, tmp_path):
    made = some_map((5, 8), phases, seed=4, r_pixel=0.37)
    read = read_with_orix(written(kind, made, tmp_path))
    assert read.shape == (5, 8)
    assert (read.dy, read.dx) == (pytest.approx(0.00037, rel=1e-3), pytest.approx(0.00037, rel=1e-3))
    assert read.scan_unit == "um"
    np.testing.assert_array_equal(read.is_indexed.reshape(5, 8), made.indexed)
    ids = np.where(made.indexed, made.phase_id + 1, -1)
    np.testing.assert_array_equal(read.phase_id.reshape(5, 8), ids)
    there = read.rotations.to_matrix().reshape(5, 8, 3, 3)
    np.testing.assert_allclose(there[made.indexed], made.rotation[made.indexed], atol=5e-6)
    for number, phase in enumerate(phases, start=1):
        theirs = read.phases[number]
        assert theirs.structure.lattice.abcABG() == pytest.approx(phase.cell, abs=1e-4)
        laue = phase.to_orix().point_group.laue
        assert theirs.point_group.laue.proper_subgroup.size == laue.proper_subgroup.size


def test_cubic_crystals_without_fourfold_axes(tmp_path):
    made = some_map(phases=(PYRITE,))
    read = read_with_orix(written("ang", made, tmp_path))
    assert read.phases[1].point_group.name == "23"
    # orix 0.15 knows no Laue group 10; the number is the format's all the same.
    assert "\t10\t205\t" in written("ctf", made, tmp_path).read_text()


@both
def test_grid_and_frame(kind, tmp_path):
    """One answer at row 1, column 3: lab x is down the rows there, and the grid's x counts columns."""
    z = np.array([1, 2, 3]) / np.sqrt(14)
    x = np.array([3, 0, -1]) / np.sqrt(10)
    rotation = np.tile(np.eye(3, dtype=np.float32), (2, 5, 1, 1))
    rotation[1, 3] = np.stack([x, np.cross(z, x), z], axis=1)
    phase_id = np.full((2, 5), -1, np.int32)
    phase_id[1, 3] = 0
    path = written(kind, some_map((2, 5), rotation=rotation, phase_id=phase_id, r_pixel=2000.0), tmp_path)

    angles, grid_x, grid_y, phase = columns(path)
    (where,) = np.flatnonzero(phase == 1)
    assert where == 1 * 5 + 3
    assert (grid_x[where], grid_y[where]) == (6.0, 2.0)
    assert (grid_x.max(), grid_y.max()) == (8.0, 2.0)
    np.testing.assert_allclose(matrix_of(angles[where])[:, 0], x, atol=1e-5)

    from orix.quaternion import Orientation
    from orix.vector import Vector3d

    read = read_with_orix(path)
    orientation = Orientation(read["indexed"].rotations)
    np.testing.assert_allclose((orientation * Vector3d.xvector()).data[0], x, atol=1e-5)
    np.testing.assert_allclose((orientation * Vector3d.zvector()).data[0], z, atol=1e-5)


@both
def test_a_hexagonal_crystal_has_a_along_x(kind, tmp_path):
    from orix.vector import Miller

    read = read_with_orix(
        written(kind, some_map((1, 2), (TI,), rotation=np.tile(np.eye(3), (1, 2, 1, 1))), tmp_path)
    )
    along_x = Miller(UVTW=[2, -1, -1, 0], phase=read.phases[1]).unit
    in_lab = ~read["indexed"].rotations[0] * along_x
    np.testing.assert_allclose(in_lab.data[0], (1, 0, 0), atol=1e-5)
    assert "a along x, c* along z" in (tmp_path / f"map.{kind}").read_text()


def test_ang_header_and_conventions(tmp_path):
    made = some_map((3, 4), (CU, TI), r_pixel=5.0)
    text = written("ang", made, tmp_path).read_text(encoding="ascii")
    for line in [
        "# TEM_PIXperUM          1.000000",
        "# x-star                0.000000",
        "# MaterialName  Cu",
        "# Formula       Ti",
        "# Symmetry              43",
        "# Symmetry              62",
        "# LatticeConstants      3.6150 3.6150 3.6150 90.0000 90.0000 90.0000",
        "# NumberFamilies        8",
        "# hklFamilies     1  1  1 1 1.000000 1",
        "# GRID: SqrGrid",
        "# XSTEP: 0.0050000",
        "# YSTEP: 0.0050000",
        "# NCOLS_ODD: 4",
        "# NCOLS_EVEN: 4",
        "# NROWS: 3",
    ]:
        assert line in text.splitlines()
    assert text.index("# Phase 2") < text.index("# Phase 1")  # the order OIM expects
    assert re.search("^# OPERATOR: napari-4dstem-orient", text, re.MULTILINE)
    table = np.loadtxt(tmp_path / "map.ang")
    lost = ~made.indexed.ravel()
    np.testing.assert_allclose(table[lost, :3], 4 * np.pi, atol=1e-6)
    assert set(table[lost, 6]) == {-1}
    assert set(table[lost, 7]) == {0}
    np.testing.assert_allclose(table[~lost, 6], made.score.ravel()[~lost], atol=1e-5)
    np.testing.assert_array_equal(table[~lost, 5], made.n_matched.ravel()[~lost])


@both
def test_reliability_is_written_where_it_is_known_and_orix_reads_it_back(kind, tmp_path):
    made = sure(some_map((4, 7), (CU, TI)))
    read = read_with_orix(written(kind, made, tmp_path))
    indexed, reliability = made.indexed, made.certainty.reliability
    if kind == "ang":
        confidence = read.prop["ci"].reshape(4, 7)
        np.testing.assert_allclose(confidence[indexed], reliability[indexed], atol=1e-5)
        assert (confidence[~indexed] == -1).all()
    else:
        np.testing.assert_allclose(read.prop["BS"].reshape(4, 7), 255 * reliability * indexed, atol=0.5)
        np.testing.assert_allclose(read.prop["BC"].reshape(4, 7), 255 * made.score * indexed, atol=0.5)
    there = read.rotations.to_matrix().reshape(4, 7, 3, 3)
    np.testing.assert_allclose(there[indexed], made.rotation[indexed], atol=5e-6)


def test_the_header_says_what_the_confidence_is(tmp_path):
    for orientation_map, ang, ctf in (
        (some_map(), "CI the score;", "BC is the score, times 255"),
        (
            sure(some_map()),
            "CI the reliability (probability of being right);",
            "BS the reliability, times 255",
        ),
    ):
        assert ang in written("ang", orientation_map, tmp_path).read_text()
        assert ctf in written("ctf", orientation_map, tmp_path).read_text()


def test_one_phase_marks_lost_positions_with_minus_one(tmp_path):
    # With a single phase TSL takes 0 for the phase itself.
    table = np.loadtxt(written("ang", some_map(), tmp_path))
    assert set(table[:, 7]) == {-1, 1}


def test_ctf_header_and_conventions(tmp_path):
    made = some_map((3, 4), (CU, TI), r_pixel=5.0)
    made = replace(made, provenance=made.provenance | {"calibration": {"voltage": 200.0}})
    path = written("ctf", made, tmp_path)
    lines = path.read_bytes().decode("ascii").split("\r\n")
    assert lines[0] == "Channel Text File"
    assert lines[3:11] == [
        "JobMode\tGrid",
        "XCells\t4",
        "YCells\t3",
        "XStep\t0.0050000",
        "YStep\t0.0050000",
        "AcqE1\t0.0000",
        "AcqE2\t0.0000",
        "AcqE3\t0.0000",
    ]
    assert lines[11].startswith("Euler angles refer to Sample Coordinate system (CS0)!\tMag\t")
    assert "\tKV\t200.0000\t" in lines[11]
    assert lines[12] == "Phases\t2"
    assert lines[13].startswith("3.6150;3.6150;3.6150\t90.0000;90.0000;90.0000\tCu\t11\t225\t")
    assert lines[14].startswith("2.9510;2.9510;4.6840\t90.0000;90.0000;120.0000\tTi\t9\t194\t")
    assert lines[15] == "Phase\tX\tY\tBands\tError\tEuler1\tEuler2\tEuler3\tMAD\tBC\tBS"
    lost = [line.split("\t") for line in lines[16:] if line.startswith("0\t")]
    assert len(lost) == (~made.indexed).sum()
    assert all(float(value) == 0 for line in lost for value in line[5:8])


@both
def test_an_unknown_step_is_said(kind, tmp_path):
    path = written(kind, some_map(r_pixel=None), tmp_path)
    assert "scan step is unknown" in path.read_text()
    _, x, y, _ = columns(path)
    assert (x.max(), y.max()) == (6, 3)
    assert "scan step is unknown" not in written(kind, some_map(), tmp_path).read_text()


@both
def test_awkward_names_stay_readable(kind, tmp_path):
    from dataclasses import replace

    named = replace(CU, name="(Kupfer)\tμ \n α")
    read = read_with_orix(written(kind, some_map(phases=(named,)), tmp_path))
    assert read.shape == (4, 7)
    assert "Kupfer" in (tmp_path / f"map.{kind}").read_text(encoding="ascii")


@pytest.mark.posix
@both
def test_a_full_disk_leaves_the_former_file(kind, tmp_path):
    former = written(kind, some_map(), tmp_path).read_bytes()
    with files_no_larger_than(20_000), pytest.raises(UserError, match="Cannot write"):
        written(kind, some_map((64, 64)), tmp_path)
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [former]


@both
def test_a_large_map_is_quick(kind, tmp_path):
    large = some_map((256, 256), runners=0)
    start = time.process_time()
    written(kind, large, tmp_path)
    assert time.process_time() - start < 5
