"""Two maps side by side: classes, angles, the worse answers, domains, and two-point correlations pair by pair."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import eval_legendre

from helpers.gui_scan import CALIBRATION, calibrated_disks, made_map, truth
from helpers.made_maps import BISMUTH, CU, CU2O, MONOCLINIC, TI, grain_map, rotations, some_map, turn
from napari_4dstem_orient import compare_maps
from napari_4dstem_orient.analysis.comparison import OVERLAP, SCORE, SPARSE, Agreement, DomainSettings
from napari_4dstem_orient.analysis.correlation import (
    TwoPoint,
    correlation_length,
    two_point,
    zone_axis_features,
)
from napari_4dstem_orient.core.errors import UserError


def test_every_position_has_its_class_and_same_phases_an_angle():
    """The second map lists its phases the other way round and is turned by 7°, by another symmetry variant."""
    first = some_map((1, 5), (CU, CU2O), phase_id=np.array([[0, 1, 1, -1, -1]]))
    rotation = CU.symmetry[5] @ first.rotation @ turn([1, 2, 3], 7)
    second = replace(
        first, phases=(CU2O, CU), phase_id=np.array([[1, 1, -1, 0, -1]]), rotation=rotation, method="template"
    )
    made = compare_maps(first, second)
    assert made.agreement.tolist() == [list(range(5))]
    assert made.agreement[0, 2] == Agreement.ONLY_FIRST
    assert made.angle[0, 0] == pytest.approx(7, abs=1e-3)
    assert np.isnan(made.angle[0, 1:]).all()


@pytest.fixture
def made(silver):
    """The first answers are right, the second 9° off on the right; no disks at the first position."""
    disks = calibrated_disks(silver)
    off = truth()
    off[:, 3:] = off[:, 3:] @ turn([0, 0, 1], 9)
    first = made_map(silver, "transformer", disks=disks)
    second = made_map(silver, "template", rotation=off, disks=disks)
    return compare_maps(first, second, disks, CALIBRATION)


def test_the_worse_answer_is_worse_by_every_similarity(made):
    assert list(made.similarity) == [SPARSE, OVERLAP, SCORE]
    for measure in (SPARSE, OVERLAP):
        assert (made.difference(measure)[:, 3:] > 0).all()
        worst = made.worst(measure, 1)
        assert {(row, col) for row, col in worst} == {(row, col) for row in range(4) for col in (3, 4, 5)}
        lag = made.difference(measure)[tuple(worst.T)]
        assert (np.diff(lag) <= 0).all()
        assert len(made.worst(measure, 0)) == 0
    assert np.isnan(made.similarity[SPARSE][:, 0, 0]).all()
    assert (made.farthest()[:5, 1] >= 3).all()


def test_domains_agree_and_correlate_highly_on_both_sides(made):
    everything = DomainSettings(tolerance=30, percentile=0)
    assert (made.domains(SPARSE, everything) > 0).sum() == 23
    agreeing = made.domains(SPARSE, DomainSettings(tolerance=5, percentile=0))
    assert (agreeing > 0).sum() == 11
    assert not agreeing[:, 3:].any()
    spoilt = made.similarity[SPARSE].copy()
    spoilt[1, :, 1] = 0  # of one method only
    spoilt[0, 0, 2] = np.nan
    parted = replace(made, similarity={SPARSE: spoilt}).domains(SPARSE, DomainSettings(5, 30))
    assert parted.max() == 2
    assert not parted[:, 1].any()
    assert parted[0, 2] == 0
    assert parted[2, 0] != parted[2, 2]


def test_without_disks_the_maps_own_scores_are_compared(silver):
    made = compare_maps(made_map(silver, "transformer"), made_map(silver, "template"))
    assert list(made.similarity) == [SCORE]


def test_scans_of_different_shapes_are_refused(silver):
    with pytest.raises(UserError, match="4 × 6 and 4 × 7"):
        compare_maps(made_map(silver, "transformer"), some_map((4, 7)))


def test_the_table_holds_every_position(made, tmp_path):
    made.save_table(tmp_path / "compared.csv", made.domains(SPARSE))
    back = pd.read_csv(tmp_path / "compared.csv")
    assert len(back) == 24
    assert back.loc[0, "phase_template"] == "not indexed"
    line = back[(back.row == 2) & (back.column == 4)].iloc[0]
    assert (line.y_nm, line.x_nm) == (40, 80)
    assert line.agreement == "same_phase"
    assert line.misorientation_deg == pytest.approx(9, abs=0.01)
    assert line.sparse_correlation_transformer == pytest.approx(made.similarity[SPARSE][0, 2, 4], rel=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["compared.csv"]


# ---------------------------------------------------------------- zone axes


@pytest.mark.parametrize("phase", [CU, TI, BISMUTH, MONOCLINIC], ids=lambda phase: phase.name)
def test_zone_axes_are_compared_by_the_mean_over_equivalent_ones(phase):
    """The addition theorem, against Legendre polynomials of every angle between equivalent zone axes."""
    some, width = rotations(6), 20.0
    features = zone_axis_features(some, phase, width)
    axes = some[:, :, 2]
    cosines = np.clip(np.einsum("ia,sab,jb->sij", axes, phase.symmetry, axes), -1, 1)
    expected = np.zeros((6, 6))
    for degree in range(2, 60, 2):
        weight = np.exp(-degree * (degree + 1) * np.deg2rad(width) ** 2 / 2)
        if weight > 0.01:
            expected += weight * (2 * degree + 1) * eval_legendre(degree, cosines).mean(axis=0)
    np.testing.assert_allclose(features @ features.T, expected, atol=1e-4 * np.abs(expected).max())


def test_the_zone_axis_is_the_third_column_whatever_the_variant_sign_and_in_plane_turn():
    some = rotations(5)
    features = zone_axis_features(some, TI)
    for same in (TI.symmetry[7] @ some, some @ turn([0, 0, 1], 33), some @ np.diag([1.0, -1, -1])):
        np.testing.assert_allclose(zone_axis_features(same, TI), features, atol=1e-4)
    assert np.abs(zone_axis_features(some.swapaxes(1, 2), TI) - features).max() > 0.5


def by_hand(one, other, masks):
    """Correlate by visiting every pair; return sums and pairs by shift."""
    rows, cols = masks[0].shape
    centred = [field - field[mask].mean(axis=0) for field, mask in ((one, masks[0]), (other, masks[1]))]
    spread = [np.square(field[mask]).sum(axis=1).mean() for field, mask in zip(centred, masks, strict=True)]
    total, pairs = np.zeros((2 * rows - 1, 2 * cols - 1)), np.zeros((2 * rows - 1, 2 * cols - 1), int)
    for a in np.argwhere(masks[0]):
        for b in np.argwhere(masks[1]):
            shift = tuple(b - a + (rows - 1, cols - 1))
            total[shift] += centred[0][tuple(a)] @ centred[1][tuple(b)] / np.sqrt(spread[0] * spread[1])
            pairs[shift] += 1
    return total, pairs


@pytest.mark.parametrize("auto", [True, False])
def test_the_correlation_is_that_of_every_pair(auto):
    random = np.random.default_rng(3)
    one, other = random.normal(size=(2, 5, 7, 3)).astype(np.float32) + 1
    masks = random.random((2, 5, 7)) < 0.7
    other, masks[1] = (one, masks[0]) if auto else (other, masks[1])
    found = two_point(one, other, (masks[0], masks[1]), r_pixel=2.5)
    total, pairs = by_hand(one, other, masks)
    np.testing.assert_array_equal(found.pairs, pairs)
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(found.by_shift, total / pairs, atol=1e-4)
    distance = np.hypot(*(np.indices(pairs.shape) - np.array([4, 6])[:, None, None]))
    for radius, value in enumerate(found.by_distance):
        ring = (np.rint(distance) == radius) & (pairs > 0)
        assert value == pytest.approx(total[ring].sum() / pairs[ring].sum(), abs=1e-4)
        assert found.r[radius] == pytest.approx(2.5 * np.average(distance[ring], weights=pairs[ring]))
    if auto:
        assert found.by_distance[0] == pytest.approx(1, abs=1e-4)


def test_the_second_field_is_looked_up_at_the_shifted_position():
    one, where = np.zeros((4, 5, 1), np.float32), np.ones((4, 5), bool)
    one[1, 1] = 1
    found = two_point(one, np.roll(one, (2, 1), (0, 1)), (where, where))
    assert np.unravel_index(np.argmax(found.by_shift * found.pairs), found.pairs.shape) == (3 + 2, 4 + 1)


def test_grains_correlate_over_their_size_and_the_length_tells_it():
    lengths = []
    for grains in (8, 60):
        found = grain_map((48, 48), (CU,), grains=grains)
        features = np.zeros((48, 48, 99), np.float32)
        made = zone_axis_features(found.rotation[found.indexed], CU)
        features = features[..., : made.shape[1]]
        features[found.indexed] = made
        correlation = two_point(features, features, (found.indexed, found.indexed), 20.0)
        lengths.append(correlation_length(correlation))
        assert correlation.by_distance[1] > 0.6
    assert lengths[0] > 1.5 * lengths[1] > 0


def test_the_correlation_length_is_interpolated():
    flat = np.zeros((1, 1))
    falling = TwoPoint(flat, flat, np.array([0.0, 10, 20, 30]), np.array([1, 0.5, 0.25, 0.1]))
    assert correlation_length(falling) == pytest.approx(10 + 10 * (0.5 - 1 / np.e) / 0.25)
    assert np.isnan(correlation_length(replace(falling, by_distance=np.ones(4))))
