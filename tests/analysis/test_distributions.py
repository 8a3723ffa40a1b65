"""Densities against scipy's; correlations of zone axes of two maps whose answer is known."""

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.spatial.transform import Rotation
from scipy.stats import gaussian_kde

from helpers.gui_scan import SHAPE, made_map, truth
from napari_4dstem_orient.analysis.comparison import compare_maps
from napari_4dstem_orient.analysis.distributions import CROSS, densities, zone_axis_correlations
from napari_4dstem_orient.core.errors import UserError


def test_densities_are_those_of_scipy():
    rng = np.random.default_rng(3)
    samples = [rng.normal(0.5, 0.1, 400), rng.beta(2, 6, 300)]
    holed = [np.append(samples[0], np.nan).reshape(1, -1), samples[1]]
    x, found = densities(holed)
    for values, density in zip(samples, found, strict=True):
        expected = gaussian_kde(values)(x)
        np.testing.assert_allclose(density, expected, atol=0.01 * expected.max())
        assert trapezoid(density, x) == pytest.approx(1, abs=1e-3)


def test_one_value_many_times_has_a_density_and_none_has_none():
    x, (same, none) = densities([np.full(9, 0.8), np.full(4, np.nan)])
    assert x[same.argmax()] == pytest.approx(0.8, abs=0.001)
    assert not none.any()
    assert densities([np.full(3, np.nan)])[0].size == 0


def test_the_same_zone_axes_correlate_fully_whatever_the_turn_about_the_beam(silver):
    turned = truth() @ Rotation.from_euler("z", 17, degrees=True).as_matrix()
    found = compare_maps(made_map(silver, "transformer"), made_map(silver, "template", rotation=turned))
    correlations = zone_axis_correlations(found)
    assert list(correlations.curves) == ["transformer", "template", CROSS]
    assert correlations.unit == "nm"
    for curve in correlations.curves.values():
        assert curve.r[0] == 0
        assert 20 < curve.r[1] < 20 * 2**0.5  # the ring holds the four diagonal neighbours, too
        assert curve.by_distance[0] == pytest.approx(1, abs=1e-3)


def test_a_shift_between_the_maps_shows_in_the_cross_correlation(silver):
    other = np.roll(truth(), 3, axis=1)
    found = compare_maps(made_map(silver, "transformer"), made_map(silver, "template", rotation=other))
    cross = zone_axis_correlations(found).curves[CROSS]
    middle = SHAPE[0] - 1, SHAPE[1] - 1
    assert cross.by_shift[middle] == pytest.approx(-1, abs=1e-3)
    assert cross.by_shift[middle[0], middle[1] + 3] == pytest.approx(1, abs=1e-3)


def test_without_an_answer_there_is_nothing_to_correlate(silver):
    empty = made_map(silver, "transformer")
    empty.phase_id[:] = -1
    with pytest.raises(UserError, match="No position"):
        zone_axis_correlations(compare_maps(empty, empty))
