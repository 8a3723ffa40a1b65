"""Pole figures: where poles lie on the page, and how dense they are, analytically and against orix."""

import numpy as np
import pytest

from helpers.made_maps import CU, TI, rotations, turn
from napari_4dstem_orient.analysis.pole_figures import (
    SIGMA,
    default_families,
    inverse_pole_figure,
    on_page,
    parse_indices,
    pole_figure,
    poles,
    sphere_density,
    write_indices,
)
from napari_4dstem_orient.core.errors import UserError


def value_at(density, x, y):
    """Return a density's value at a point of the plane."""
    left, right, bottom, top = density.extent
    height, width = density.value.shape
    return density.value[int((top - y) / (top - bottom) * height), int((x - left) / (right - left) * width)]


def test_lab_x_is_down_and_y_right_on_the_page():
    np.testing.assert_array_equal(on_page(np.eye(3)), [[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    # The c axis of titanium tilted from the viewer towards lab x, by 40°: below the centre.
    rotation = turn((0, 1, 0), 40).T[None]
    figure = pole_figure(np.repeat(rotation, 3, axis=0), TI, (0, 0, 1))
    far = np.tan(np.deg2rad(20))
    assert value_at(figure, 0, -far) == pytest.approx(figure.value.max(), rel=0.1)
    assert value_at(figure, 0, far) < 0.01 * figure.value.max()
    assert max(value_at(figure, far, 0), value_at(figure, -far, 0)) < 0.01 * figure.value.max()


def test_poles_are_the_lab_directions_of_plane_normals():
    rotation = rotations(1, 2)
    found = poles(rotation, CU, (1, 1, 1))[0]
    assert len(found) == 8
    expected = rotation[0].T @ np.ones(3) / np.sqrt(3)
    assert np.abs(found - expected).max(axis=1).min() < 1e-6


def test_one_direction_is_a_round_spot_of_known_height_anywhere():
    kappa = 1 / np.deg2rad(5.0) ** 2
    for centre in np.eye(3):
        beside = [turn(np.roll(centre, shift), 5.0) @ centre for shift in (1, 2)]
        density = sphere_density([np.repeat(centre[None], 4, axis=0)], np.array([centre, *beside]), 5.0)
        np.testing.assert_allclose(density, 2 * kappa * np.array([1, np.exp(-0.5), np.exp(-0.5)]), rtol=0.01)


def test_random_orientations_have_density_one():
    many = rotations(20000, 5)
    assert pole_figure(many, CU, (1, 1, 1)).value == pytest.approx(1, abs=0.25)
    assert inverse_pole_figure(many, CU, "z").value == pytest.approx(1, abs=0.25)


def test_the_density_agrees_with_orix():
    """Away from the centre, where orix's smoothing in polar angle is another."""
    from orix.measure import pole_density_function
    from orix.vector import Vector3d

    random = np.random.default_rng(3)
    vectors = random.normal((1.0, 0.6, 0.7), 0.35, (20000, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.concatenate([vectors, -vectors])
    value, (x, y) = pole_density_function(Vector3d(vectors), resolution=2, sigma=SIGMA)
    x, y = ((each[1:, 1:] + each[:-1, :-1]) / 2 for each in (x, y))
    square = x**2 + y**2
    points = (np.stack([2 * x, 2 * y, 1 - square], axis=-1) / (1 + square)[..., None])[:, 15:40]
    found = sphere_density([vectors], points.reshape(-1, 3), SIGMA)
    expected = np.asarray(value)[:, 15:40].ravel()
    assert np.corrcoef(found, expected)[0, 1] > 0.99
    assert found.max() == pytest.approx(expected.max(), rel=0.1)


def test_indices_are_read_as_people_write_them():
    assert default_families(CU) == [(1, 0, 0), (1, 1, 0), (1, 1, 1)]
    assert default_families(TI)[0] == (0, 0, 1)
    assert parse_indices("100, 1-11; 2 -1 0", CU) == [(1, 0, 0), (1, -1, 1), (2, -1, 0)]
    assert parse_indices("0001, 1 0 -1 0", TI) == [(0, 0, 1), (1, 0, 0)]
    assert write_indices((1, 0, 0), TI) == "1 0 -1 0"
    for wrong in ("", "1 0", "a b c", "0 0 0", "1.5 0 0", "1 1 1 1"):
        with pytest.raises(UserError, match="write for example"):
            parse_indices(wrong, CU)
