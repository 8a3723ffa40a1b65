"""Grains, boundaries and misorientations of made maps, against what they were made of and against orix."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from helpers.made_maps import CU, CU_PRIMITIVE, TI, rotations, some_map, sure, turn
from napari_4dstem_orient.analysis.boundaries import (
    Boundary,
    Neighbours,
    boundary_kinds,
    edge_lines,
    kernel_average,
    neighbour_angles,
    outline,
)
from napari_4dstem_orient.analysis.grains import GrainSettings, find_grains
from napari_4dstem_orient.analysis.profile import line_profile
from napari_4dstem_orient.analysis.special_boundaries import SPECIAL, misorientation_between, special_matrix
from napari_4dstem_orient.crystals.directions import zone_axis
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.export.grain_table import grain_columns, save_grain_table

BASE = rotations(1, 3)[0]


def map_of(grain, orientations, phase_id=None, phases=(CU,), scatter=0.0, **fields):
    """A map of numbered grains, each position in a symmetry variant of its own."""
    grain = np.asarray(grain)
    random = np.random.default_rng(4)
    noise = Rotation.from_rotvec(np.deg2rad(scatter) * random.normal(size=(grain.size, 3))).as_matrix()
    variant = CU.symmetry[random.integers(0, len(CU.symmetry), grain.size)] if len(phases) == 1 else np.eye(3)
    rotation = variant @ np.asarray(orientations)[grain.ravel()] @ noise
    ids = np.zeros(grain.shape, np.int32) if phase_id is None else np.asarray(phase_id, np.int32)
    rotation = rotation.reshape(*grain.shape, 3, 3).astype(np.float32)
    return some_map(grain.shape, phases, 0, 0, rotation=rotation, phase_id=ids, **fields)


def test_the_kernel_average_leaves_boundaries_out_and_the_spread_is_the_grains():
    angles = Neighbours(np.array([[1.0, 30.0, np.nan]]), np.array([[2.0, 4.0], [40.0, np.nan]]))
    found = kernel_average(angles, 5.0)
    np.testing.assert_allclose(found, [[1.5, 3.0, 4.0], [1.0, np.nan, np.nan]])
    grain = np.repeat([[0] * 6 + [1] * 6], 8, axis=0)
    made = find_grains(map_of(grain, [BASE, turn((0, 0, 1), 20) @ BASE], scatter=0.2))
    for number in (0, 1):
        np.testing.assert_allclose(made.spread_map[grain == number], made.spread[number], rtol=1e-6)
    assert 0.2 < np.nanmean(made.kernel) < 1  # of noise, and nothing of the 20° between the grains


def test_grains_are_what_the_map_was_made_of():
    grain = np.zeros((20, 30), int)
    grain[:, 18:] = 1
    grain[4:7, 4:7] = 2
    tilted = [BASE, turn((0, 0, 1), 20) @ BASE, turn((1, 1, 0), 30) @ BASE]
    found = find_grains(sure(map_of(grain, tilted, scatter=0.3)))
    np.testing.assert_array_equal(found.label, np.array([1, 2, 3])[grain])
    np.testing.assert_array_equal(found.size, np.bincount(grain.ravel()))
    assert (misorientation(found.mean, tilted, CU) < 3 * 0.3 * np.sqrt(3 / found.size)).all()
    # Noise of 0.3° about each axis: the mean length of a Maxwell-distributed vector.
    np.testing.assert_allclose(found.spread[:2], 0.3 * np.sqrt(8 / np.pi), rtol=0.2)
    np.testing.assert_allclose(found.area, found.size * 25.0)
    np.testing.assert_allclose(found.diameter[2], 2 * np.sqrt(9 * 25 / np.pi))
    middle = [grain[tuple(where)] for where in found.middle]
    assert middle == [0, 1, 2]
    assert tuple(found.middle[2]) == (5, 5)
    inside = grain == 1
    certainty = found.orientation_map.certainty
    assert found.reliability[1] == pytest.approx(certainty.reliability[inside].mean(), rel=1e-5)
    assert found.score[1] == pytest.approx(found.orientation_map.score[inside].mean(), rel=1e-5)


def test_small_grains_other_phases_and_gaps():
    grain = np.zeros((6, 9), int)
    phase_id = np.zeros((6, 9), int)
    phase_id[:, 6:] = 1  # the same matrix, but another crystal
    phase_id[:, 3] = -1  # a gap cuts the first in two
    grain[0, 0] = 1
    made = map_of(grain, [BASE, turn((0, 0, 1), 30) @ BASE], phase_id, (CU, TI))
    found = find_grains(made, GrainSettings(5.0, 2))
    assert len(found) == 3
    assert found.size.tolist() == [18, 17, 12]
    assert found.phase_id.tolist() == [1, 0, 0]
    assert found.label[0, 0] == 0
    assert not found.label[:, 3].any()
    assert np.isnan(found.deviation[:, 3]).all()
    assert (found.boundaries.right[:, 5] == Boundary.PHASE).all()
    assert not found.boundaries.right[:, 2:4].any()
    assert len(find_grains(made, GrainSettings(5.0, 1))) == 4


def test_a_map_without_answers_has_no_grains(tmp_path):
    found = find_grains(map_of(np.zeros((3, 4), int), [BASE], np.full((3, 4), -1)))
    assert len(found) == 0
    save_grain_table(found, tmp_path / "none.csv")
    one = find_grains(map_of(np.zeros((1, 1), int), [BASE]), GrainSettings(5, 1))
    assert one.label.tolist() == [[1]]


def test_angles_of_neighbours_agree_with_orix(monkeypatch):
    from orix.quaternion import Orientation

    monkeypatch.setattr("napari_4dstem_orient.analysis.boundaries._CHUNK", 8)  # more than one portion
    made = some_map((5, 7), (CU,), phase_id=np.zeros((5, 7), np.int32))
    angles = neighbour_angles(made)
    crystals = Orientation.from_matrix(made.rotation.reshape(-1, 3, 3), CU.to_orix().point_group.laue)
    crystals = crystals.reshape(5, 7)
    for found, one, other in (
        (angles.down, crystals[:-1], crystals[1:]),
        (angles.right, crystals[:, :-1], crystals[:, 1:]),
    ):
        np.testing.assert_allclose(found, np.rad2deg(one.angle_with(other)), atol=2e-3)


def test_the_mean_agrees_with_orix():
    from orix.quaternion import Quaternion

    made = map_of(np.zeros((8, 8), int), [BASE], scatter=1.0)
    found = find_grains(made, GrainSettings(20, 1))
    variants = made.rotation.reshape(-1, 1, 3, 3)
    variants = (CU.symmetry @ variants).reshape(64, 24, 3, 3)
    near = np.einsum("nsij,ij->ns", variants, BASE).argmax(axis=1)
    mean = Quaternion.from_matrix(variants[np.arange(64), near]).mean().to_matrix()[0]
    assert misorientation(found.mean[0], mean, CU) < 1e-3


def test_kinds_of_boundaries():
    tilted = [BASE, turn((0, 0, 1), 8) @ BASE, turn((1, 1, 1), 60) @ BASE, turn((1, 0, 0), 40) @ BASE]
    made = map_of([[0, 1], [2, 3]], tilted)
    kinds = boundary_kinds(made, neighbour_angles(made), 5.0)
    assert kinds.right[0, 0] == Boundary.LOW_ANGLE
    assert kinds.down[0, 0] == Boundary.TWIN
    assert kinds.down[0, 1] == Boundary.HIGH_ANGLE
    assert boundary_kinds(made, neighbour_angles(made), 10.0).right[0, 0] == Boundary.NONE


def test_lines_lie_between_the_positions():
    down, right = np.zeros((2, 4), bool), np.zeros((3, 3), bool)
    down[0, 1:3] = right[1:, 0] = True
    lines = edge_lines(Neighbours(down, right))
    expected = [[[0.5, 0.5], [0, 2]], [[0.5, 0.5], [2, 0]]]
    np.testing.assert_array_equal(lines, expected)
    ring = outline(np.array([[True, False], [True, False]]))
    assert len(ring) == 4
    assert sorted(ring[:, 0].tolist()) == [[-0.5, -0.5], [-0.5, -0.5], [-0.5, 0.5], [1.5, -0.5]]


def test_special_boundaries_are_coincidence_lattices():
    """Σ is the smallest number that makes a cubic rotation matrix one of whole numbers."""
    published = {"Σ3": 60, "Σ5": 36.87, "Σ7": 38.21, "Σ9": 38.94, "Σ11": 50.48, "Σ13a": 22.62, "Σ13b": 27.80}
    published |= {"Σ15": 48.19, "Σ17a": 28.07, "Σ17b": 61.93, "Σ29a": 43.60, "Σ29b": 46.40}
    for name in SPECIAL:
        matrix = special_matrix(name)
        sigma = next(n for n in range(1, 40) if np.allclose(n * matrix, np.rint(n * matrix), atol=1e-9))
        assert f"Σ{sigma}" == name.rstrip("ab")
        for first in (BASE, CU.symmetry[5] @ BASE):
            found = misorientation_between(matrix @ first, BASE, CU)
            assert found.special == name
            assert found.off == pytest.approx(0, abs=1e-4)
            assert found.angle == pytest.approx(published.get(name, found.angle), abs=0.01)


def test_brandons_tolerance_decides_what_is_a_twin():
    for off, name in ((8.0, "Σ3"), (9.5, "")):
        found = misorientation_between(turn((1, 1, 1), 60 - off) @ BASE, BASE, CU)
        assert found.special == name
        assert found.angle == pytest.approx(60 - off)
        assert found.axis.text == "[1 1 1]"
    skew = misorientation_between(turn((1, 1, 1), 60) @ BASE, BASE, CU_PRIMITIVE)
    assert skew.special == ""  # its axes are turned: [1 1 1] of them is another direction
    assert misorientation_between(BASE, BASE, CU).axis is None
    assert misorientation_between(turn((0, 0, 1), 13) @ BASE, BASE, TI).text == "13.0° about ⟨0 0 0 1⟩"


def test_the_axis_is_that_of_the_crystal_not_of_the_lab():
    found = misorientation_between(turn((2, 1, 0), 17) @ BASE, BASE, CU)
    assert sorted(np.abs(found.axis.indices)) == [0, 1, 2]
    assert found.axis.error < 1e-3
    lab = misorientation_between(BASE @ turn((2, 1, 0), 17), BASE, CU)
    assert lab.angle == pytest.approx(17)
    assert lab.axis.error > 0.5 or sorted(np.abs(lab.axis.indices)) != [0, 1, 2]


def test_a_profile_follows_the_line():
    bent = np.array([turn((0, 0, 1), col) @ BASE for col in range(12)], np.float32)
    made = map_of(np.broadcast_to(np.arange(12), (3, 12)), bent)
    profile = line_profile(made, (0, 2), (0, 8))
    np.testing.assert_allclose(profile.distance, 5.0 * np.arange(7))
    np.testing.assert_allclose(profile.to_start, np.arange(7), atol=0.01)
    np.testing.assert_allclose(profile.to_former[1:], 1, atol=0.01)
    assert np.isnan(profile.to_former[0])
    back = line_profile(made, (2, 8), (-5, 2))
    assert back.positions[0].tolist() == [2, 8]
    assert back.positions[-1].tolist() == [0, 2]
    assert back.distance[-1] == pytest.approx(5 * np.hypot(2, 6))
    made.phase_id[0, 5] = -1
    broken = line_profile(replace(made, r_pixel=None), (0, 2), (0, 8))
    assert np.flatnonzero(np.isnan(broken.to_start)).tolist() == [3]
    assert np.flatnonzero(np.isnan(broken.to_former)).tolist() == [0, 3, 4]
    assert (broken.unit, profile.unit) == ("positions", "nm")


def test_the_table_says_the_same_with_units(tmp_path):
    grain = np.repeat([[0, 0, 1]], 4, axis=0)
    found = find_grains(sure(map_of(grain, [BASE, turn((0, 0, 1), 20) @ BASE])))
    save_grain_table(found, tmp_path / "grains.csv")
    text = (tmp_path / "grains.csv").read_text(encoding="utf-8")
    assert "boundary above 5°" in text
    table = pd.read_csv(tmp_path / "grains.csv", comment="#")
    assert list(table) == list(grain_columns(found))
    assert table["size (positions)"].tolist() == [8, 4]
    assert table["area (nm²)"].tolist() == [200, 100]
    assert table["zone axis"][0] == zone_axis(BASE, CU).text
    # Frame: what the angles say is the orientation itself (Bunge, lab to crystal).
    back = Rotation.from_euler("ZXZ", table[["φ1 (°)", "Φ (°)", "φ2 (°)"]].to_numpy(), degrees=True)
    assert misorientation(back.as_matrix().swapaxes(1, 2), found.mean, CU).max() < 0.02
    nowhere = find_grains(replace(found.orientation_map, r_pixel=None, certainty=None))
    assert not {"area (nm²)", "diameter (nm)", "reliability"} & set(grain_columns(nowhere))
