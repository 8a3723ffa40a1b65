import numpy as np
import pytest

from helpers.made_maps import BISMUTH, CU, MONOCLINIC, ORTHORHOMBIC, RUTILE, TI, TRICLINIC, rotations, turn
from napari_4dstem_orient.crystals.directions import (
    four_indices,
    in_plane_direction,
    nearest_direction,
    standard_variant,
    zone_axis,
)
from napari_4dstem_orient.crystals.misorientation import misorientation


@pytest.mark.parametrize("phase", [CU, TI, RUTILE, BISMUTH, ORTHORHOMBIC, TRICLINIC], ids=lambda p: p.name)
def test_misorientation_agrees_with_orix(phase):
    from orix.quaternion import Orientation

    first, second = rotations(60, 1), rotations(60, 2)
    group = phase.to_orix().point_group.laue.proper_subgroup
    one, other = (Orientation.from_matrix(matrices, group) for matrices in (first, second))
    expected = one.angle_with(other, degrees=True)
    np.testing.assert_allclose(
        misorientation(first, second, phase), expected, atol=2e-3
    )  # orix rounds matrices


def test_a_twin_of_copper_is_60_degrees_away():
    base = rotations(1, 5)[0]
    twin = turn((1, 1, 1), 180) @ base
    assert misorientation(base, twin, CU) == pytest.approx(60)


def test_symmetry_acts_on_the_left_only():
    base = rotations(1, 3)[0]
    for operation in CU.symmetry:
        assert misorientation(operation @ base, base, CU) == pytest.approx(0, abs=1e-5)
    # The same operation in the lab turns the crystal itself.
    quarter = turn((0, 0, 1), 90)
    assert misorientation(base @ quarter, base, CU) > 10


def test_misorientation_is_symmetric_and_ignores_the_choice_of_variant():
    first, second = rotations(1, 7)[0], rotations(1, 8)[0]
    angle = misorientation(first, second, TI)
    assert misorientation(second, first, TI) == pytest.approx(angle)
    for operation in TI.symmetry:
        assert misorientation(operation @ first, second, TI) == pytest.approx(angle)


def test_small_angles_survive_single_precision():
    base = rotations(1, 4)[0]
    near = (turn((1, 2, 3), 0.01) @ base).astype(np.float32)
    assert misorientation(near, base.astype(np.float32), CU) == pytest.approx(0.01, abs=5e-4)
    same = base.astype(np.float32)
    assert misorientation(same, same, CU) == pytest.approx(0, abs=1e-9)


def test_leading_dimensions_broadcast_and_chunks_do_not_show(monkeypatch):
    grid = rotations(12, 9).reshape(3, 4, 3, 3)
    whole = misorientation(grid, grid[0, 0], CU)
    assert whole.shape == (3, 4)
    monkeypatch.setattr("napari_4dstem_orient.crystals.misorientation._CHUNK", 5)
    np.testing.assert_array_equal(misorientation(grid, grid[0, 0], CU), whole)


def test_zone_axis_is_the_third_column():
    z = np.array([1, 1, 0]) / np.sqrt(2)
    x = np.array([0, 0, 1.0])
    rotation = np.stack([x, np.cross(z, x), z], axis=1)
    assert zone_axis(rotation, CU).text == "[1 0 1]"
    assert in_plane_direction(rotation, CU).text == "[0 1 0]"
    # The rows say something else: a transposed matrix must not pass.
    assert zone_axis(rotation.T, CU).text == "[0 0 1]"


def test_equivalent_orientations_have_the_same_directions():
    for phase in (CU, TI, RUTILE, MONOCLINIC):
        rotation = rotations(1, 11)[0]
        names = {
            (zone_axis(s @ rotation, phase).text, in_plane_direction(s @ rotation, phase).text)
            for s in phase.symmetry
        }
        assert len(names) == 1


def test_the_standard_variant_is_the_same_orientation():
    rotation = rotations(1, 12)[0]
    assert misorientation(standard_variant(rotation, CU), rotation, CU) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("indices", [(0, 0, 1), (1, 0, 1), (1, 1, 4), (3, 2, 5)])
def test_a_zone_axis_is_found_within_a_small_tilt(indices):
    z = np.array(indices) / np.linalg.norm(indices)
    x = np.cross(z, (0.3, 1.0, 0.1))
    x /= np.linalg.norm(x)
    rotation = np.stack([x, np.cross(z, x), z], axis=1) @ turn((1, 0, 0), 0.4)
    found = zone_axis(rotation, CU)
    assert sorted(np.abs(found.indices)) == sorted(indices)
    assert found.error == pytest.approx(0.4, abs=1e-6)


def test_hexagonal_directions_have_four_indices():
    assert four_indices(np.array([1, 0, 0])).tolist() == [2, -1, -1, 0]
    assert four_indices(np.array([2, 1, 0])).tolist() == [1, 0, -1, 0]
    assert four_indices(np.array([0, 0, 1])).tolist() == [0, 0, 0, 1]
    # With a along x, [2 -1 -1 0] is the x axis and [1 0 -1 0] lies 30° from it.
    assert nearest_direction(np.array([1, 0, 0]), TI).text == "[2 -1 -1 0]"
    assert nearest_direction(turn((0, 0, 1), 30)[:, 0], TI).text == "[1 0 -1 0]"


def test_directions_of_a_skew_cell_follow_its_lattice():
    for index in np.eye(3, dtype=int):
        found = nearest_direction(index @ TRICLINIC.lattice, TRICLINIC)
        assert found.indices == tuple(index)
        assert found.error == pytest.approx(0, abs=1e-6)


def test_negative_indices_get_a_bar_in_figures():
    found = nearest_direction(np.array([1, -1, 0]), CU)
    assert found.text == "[1 -1 0]"
    assert r"\bar{1}" in found.mathtext
