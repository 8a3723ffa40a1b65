"""What is marked in a pattern: which disk lies on which reflection, and by how much beside it."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from helpers.gui_scan import DETECTOR, ORIGIN, truth
from napari_4dstem_orient.crystals.directions import nearest_direction, standard_variant
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.prediction import predicted_pattern
from napari_4dstem_orient.napari_plugin.pattern_view.spot_matching import (
    in_variant,
    marks,
    plane_indices,
    plane_mathtext,
)

SHIFT = np.array([0.6, -0.35])
"""Pixels by which the measured disks lie beside the predicted ones."""
STRAY = np.array([11.3, -17.2])


@pytest.fixture
def spots(silver):
    """What silver's orientation predicts."""
    return predicted_pattern(silver, truth()[2, 1], 200.0, 1.35)


@pytest.fixture
def made(spots):
    """All reflections but the third measured, a little beside; the direct beam; one disk that is no reflection's."""
    seen = np.delete(DETECTOR.pixels(spots[:, :2]), 2, axis=0)
    disks = np.vstack([[[0.1, 0.2]], seen + SHIFT, [STRAY]])
    return marks(disks, spots, DETECTOR, ORIGIN, 2.0, 1.35)


def test_disks_are_told_apart_by_what_the_answer_explains(made):
    assert len(made.disks) == len(made.explained)
    np.testing.assert_array_equal(made.disks[~made.explained], [STRAY])
    assert np.hypot(*made.disks.T).min() > 2.0  # no direct beam


def test_the_reflection_without_a_disk_is_missing(made, spots):
    np.testing.assert_allclose(made.spots[made.missing], DETECTOR.pixels(spots[2:3, :2]))


def test_residuals_point_from_predicted_to_measured(made):
    np.testing.assert_allclose(made.residuals, np.broadcast_to(SHIFT, made.residuals.shape), atol=1e-9)
    assert len(made.residuals) == made.explained.sum() > 5


def test_labels_sit_on_their_disks_strongest_first(made, silver, spots):
    """The indices of a label give back its place: g = Rᵀ hkl B, in the detector's turned and flipped pixels."""
    labels = made.labelled(4)
    assert len(labels) == 4
    reciprocal = np.linalg.inv(silver.lattice).T
    for place, hkl in labels:
        assert (np.abs(made.disks - place).max(axis=1) < 1e-9).any()
        g_lab = truth()[2, 1].T @ (hkl @ reciprocal)
        np.testing.assert_allclose(DETECTOR.pixels(g_lab[None, :2])[0] + SHIFT, place, atol=1e-3)
        opposite = DETECTOR.pixels(-g_lab[None, :2])[0] + SHIFT
        assert np.hypot(*(opposite - place)) > 5
    np.testing.assert_array_equal(labels[0][1], np.rint(spots[0, 3:]))
    np.testing.assert_array_equal(labels[2][1], np.rint(spots[3, 3:]))  # the third has no disk


def test_stronger_reflections_are_drawn_larger(made):
    assert made.sizes[0] == pytest.approx(1)
    assert (np.diff(made.sizes) <= 1e-9).all()
    assert made.sizes[-1] < 0.9


def test_the_reflection_under_the_cursor(made):
    assert made.at(made.spots[3] + [0.5, -0.5], 3.0) == 3
    assert made.at(np.array([0.0, 0.0]), 3.0) is None


def test_reflections_beyond_the_detector_are_not_missing(spots):
    far = marks(DETECTOR.pixels(spots[:, :2]), spots, DETECTOR, np.array([94.0, 94.0]), 2.0, 1.35)
    assert len(far.spots) < len(spots)
    assert (far.spots + 94 <= 95).all()


def test_reflections_beyond_the_reach_of_the_detection_are_not_missing(spots):
    near = marks(DETECTOR.pixels(spots[:, :2]), spots, DETECTOR, ORIGIN, 2.0, 0.9)
    assert 0 < len(near.spots) < len(spots)
    assert np.hypot(*near.spots.T).max() * DETECTOR.q_pixel <= 0.9


def test_without_an_answer_nothing_is_explained():
    none = marks(np.array([[20.0, 3.0]]), np.zeros((0, 6)), DETECTOR, ORIGIN, 2.0, 1.35)
    assert not none.explained.any()
    assert not len(none.residuals)
    assert none.labelled(3) == []
    assert none.at(np.zeros(2), 9.0) is None


def test_planes_are_named_with_overbars():
    assert plane_mathtext((1, -1, 2)) == r"$\mathregular{1\,\bar{1}\,2}$"


def test_planes_of_a_hexagonal_cell_have_four_indices(silver):
    titanium = Phase(
        "Ti",
        (2.95, 2.95, 4.68, 90, 90, 120),
        np.array([[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]]),
        np.full(2, 22),
        np.ones(2),
    )
    assert plane_indices(np.array([1, 0, -2]), titanium) == (1, 0, -1, -2)
    assert plane_indices(np.array([1, 0, -2]), silver) == (1, 0, -2)


def test_reflections_are_named_to_fit_the_zone_axis_beside_them(silver):
    """In the variant in which the zone axis is named [1 0 1], all strong reflections fulfil h + l = 0."""
    rotation = silver.symmetry[7] @ Rotation.from_euler("zx", [20, 45], degrees=True).as_matrix()
    hkl = np.rint(predicted_pattern(silver, rotation, 200.0, 1.0)[:8, 3:]).astype(int)
    variant = standard_variant(rotation, silver)
    u, v, w = nearest_direction(variant[:, 2], silver).indices
    named = in_variant(hkl, rotation, variant, silver)
    assert (named @ [u, v, w] == 0).all()
    assert (hkl @ [u, v, w] != 0).any()
    np.testing.assert_array_equal((named**2).sum(axis=1), (hkl**2).sum(axis=1))
