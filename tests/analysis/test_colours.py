import numpy as np
import pytest

from helpers.made_maps import (
    BISMUTH,
    BISMUTH_RHOMBOHEDRAL,
    CU,
    CU_PRIMITIVE,
    MONOCLINIC,
    ORTHORHOMBIC,
    PYRITE,
    RUTILE,
    TI,
    TRICLINIC,
    rotations,
    some_map,
    turn,
)
from napari_4dstem_orient.analysis.colours import (
    color_key_figure,
    color_key_image,
    direction_rgb,
    ipf_colors,
    ipf_rgb,
    key_corners,
    key_extent,
    key_position,
)
from napari_4dstem_orient.crystals.laue import laue_class, to_standard

EVERY_CLASS = [
    CU,
    CU_PRIMITIVE,
    TI,
    RUTILE,
    BISMUTH,
    BISMUTH_RHOMBOHEDRAL,
    MONOCLINIC,
    TRICLINIC,
    PYRITE,
    ORTHORHOMBIC,
]
AS_IN_ORIX = [CU, TI, RUTILE, BISMUTH, TRICLINIC, PYRITE, ORTHORHOMBIC]


@pytest.mark.parametrize("direction", ["x", "y", "z"])
@pytest.mark.parametrize("phase", AS_IN_ORIX, ids=lambda p: p.name)
def test_colours_are_those_of_orix(phase, direction):
    from orix.plot import IPFColorKeyTSL
    from orix.quaternion import Orientation
    from orix.vector import Vector3d

    axis = {"x": Vector3d.xvector(), "y": Vector3d.yvector(), "z": Vector3d.zvector()}[direction]
    group = phase.to_orix().point_group
    matrices = rotations(200)
    expected = IPFColorKeyTSL(group, axis).orientation2color(Orientation.from_matrix(matrices, group))
    np.testing.assert_allclose(ipf_rgb(matrices, phase, direction), expected, atol=1e-5)


@pytest.mark.parametrize("phase", EVERY_CLASS, ids=lambda p: f"{p.name} {p.space_group}")
def test_colours_obey_the_crystals_own_symmetry(phase):
    matrices = rotations(50, 2)
    colours = ipf_rgb(matrices, phase)
    for operation in phase.symmetry:
        np.testing.assert_allclose(ipf_rgb(operation @ matrices, phase), colours, atol=2e-4)
    np.testing.assert_allclose(direction_rgb(-matrices[:, :, 2], phase), colours, atol=2e-4)


def test_a_monoclinic_crystal_keeps_its_unique_axis():
    # orix puts the twofold axis along z; this crystal has it along b.
    np.testing.assert_allclose(to_standard(MONOCLINIC) @ (0, 1, 0), (0, 0, 1), atol=1e-9)
    about_c = turn((0, 0, 1), 180) @ rotations(20, 3)
    assert np.abs(ipf_rgb(about_c, MONOCLINIC) - ipf_rgb(rotations(20, 3), MONOCLINIC)).max() > 0.2


def test_two_settings_of_one_crystal_share_their_colours():
    directions = rotations(30, 4)[:, :, 2]
    # The rhombohedral cell's axes, written in the hexagonal one: a_r = (2a + b + c) / 3.
    obverse = np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3 @ BISMUTH.lattice
    between = np.linalg.solve(obverse, BISMUTH_RHOMBOHEDRAL.lattice)
    colours = direction_rgb(directions @ between, BISMUTH_RHOMBOHEDRAL)
    np.testing.assert_allclose(colours, direction_rgb(directions, BISMUTH), atol=0.01)


@pytest.mark.parametrize("phase", EVERY_CLASS, ids=lambda p: f"{p.name} {p.space_group}")
def test_standard_settings_are_turns(phase):
    turned = to_standard(phase)
    np.testing.assert_allclose(turned @ turned.T, np.eye(3), atol=1e-9)
    assert np.linalg.det(turned) == pytest.approx(1)


def test_laue_classes():
    symbols = [laue_class(phase).symbol for phase in EVERY_CLASS]
    assert symbols == ["m-3m", "m-3m", "6/mmm", "4/mmm", "-3m", "-3m", "2/m", "-1", "m-3", "mmm"]


def test_a_map_is_coloured_by_phase_and_transparent_elsewhere():
    mixed = some_map((6, 5), phases=(CU, TI))
    rgba = ipf_colors(mixed, "x")
    assert rgba.shape == (6, 5, 4)
    assert rgba.dtype == np.float32
    np.testing.assert_array_equal(rgba[..., 3], mixed.indexed)
    assert not rgba[~mixed.indexed].any()
    for number, phase in enumerate(mixed.phases):
        here = mixed.phase_id == number
        np.testing.assert_array_equal(rgba[here, :3], ipf_rgb(mixed.rotation[here], phase, "x"))


def test_directions_x_y_z_are_the_columns():
    # Lab z along [001] is red, along [101] green, along [111] blue.
    red, green, blue = np.eye(3)
    z = np.array([1, 1, 1]) / np.sqrt(3)
    x = np.array([1, 0, -1]) / np.sqrt(2)
    rotation = np.stack([x, np.cross(z, x), z], axis=1)[None]
    np.testing.assert_allclose(ipf_rgb(rotation, CU, "z")[0], blue, atol=0.01)
    np.testing.assert_allclose(ipf_rgb(rotation, CU, "x")[0], green, atol=0.01)
    np.testing.assert_allclose(ipf_rgb(np.eye(3)[None], CU, "y")[0], red, atol=0.01)


@pytest.mark.parametrize("phase", EVERY_CLASS, ids=lambda p: f"{p.name} {p.space_group}")
def test_the_key_shows_each_direction_in_its_colour(phase):
    image = color_key_image(phase, 200)
    assert image.dtype == np.uint8
    assert max(image.shape[:2]) == 200
    left, right, bottom, top = key_extent(phase)
    directions = rotations(300, 6)[:, :, 0]
    x, y = key_position(directions, phase).T
    col = ((x - left) / (right - left) * image.shape[1]).astype(int)
    row = ((top - y) / (top - bottom) * image.shape[0]).astype(int)
    inside = (col > 1) & (row > 1) & (col < image.shape[1] - 2) & (row < image.shape[0] - 2)
    col, row, directions = col[inside], row[inside], directions[inside]
    solid = image[row, col, 3] == 255
    assert solid.mean() > 0.9
    shown = image[row, col, :3][solid] / 255
    assert np.median(np.abs(shown - direction_rgb(directions, phase)[solid])) < 0.01


def test_the_key_is_cut_out_smoothly():
    alpha = color_key_image(CU, 100)[..., 3]
    assert alpha[0, 0] == 0
    assert alpha[-5, 50] == 255
    assert ((alpha > 0) & (alpha < 255)).any()


def test_corners_are_named():
    labels = {label for _, label in key_corners(TI)}
    assert labels == {
        r"$[\mathregular{0\,0\,0\,1}]$",
        r"$[\mathregular{1\,0\,\bar{1}\,0}]$",
        r"$[\mathregular{2\,\bar{1}\,\bar{1}\,0}]$",
    }
    # The twofold axis of a monoclinic crystal is b: its wedge's corners are along a.
    assert {label for _, label in key_corners(MONOCLINIC)} == {
        r"$[\mathregular{1\,0\,0}]$",
        r"$[\mathregular{\bar{1}\,0\,0}]$",
    }


def test_the_key_figure_draws_without_pyplot():
    import matplotlib.pyplot as plt

    figure = color_key_figure(CU)
    figure.canvas.draw()
    assert figure.axes[0].get_title().startswith("Cu")
    assert plt.get_fignums() == []
