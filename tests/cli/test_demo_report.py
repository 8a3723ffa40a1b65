"""What the demo says about its samples: the figures must tell right from wrong."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.cli.demo_report import (
    angle_to_direction,
    at_positions,
    both_grains,
    copper_figures,
    misorientation_table,
    some_positions,
    typical,
    zone_table,
)
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.samples.copper import copper_truth
from napari_4dstem_orient.samples.silver import silver_grains


def turned(degrees: float, axis: int) -> np.ndarray:
    return Rotation.from_rotvec(np.deg2rad(degrees) * np.eye(3)[axis]).as_matrix()


def true_copper(copper: Phase) -> OrientationMap:
    """Return the truth as if a method had found it."""
    truth = copper_truth()
    shape = truth.grain.shape
    return OrientationMap(
        phases=(copper,),
        rotation=truth.rotation,
        phase_id=np.where(truth.vacuum, -1, 0).astype(np.int32),
        score=np.ones(shape, np.float32),
        status=np.zeros(shape, np.uint8),
        n_matched=np.ones(shape, np.int32),
        runner_up=np.zeros((*shape, 0, 3, 3), np.float32),
        runner_up_score=np.zeros((*shape, 0), np.float32),
        method="transformer",
    )


def test_copper_figures_of_the_truth_are_perfect(copper: Phase) -> None:
    figures = copper_figures(true_copper(copper), copper_truth(), copper)
    assert figures["within 5° of the truth"] == "100.0%"
    assert figures["vacuum not indexed"] == "100.0%"


def test_copper_figures_see_errors_and_answers_in_vacuum(copper: Phase) -> None:
    right = true_copper(copper)
    # Six degrees about the beam: on the right of the matrix, so no symmetry takes it back.
    wrong = replace(right, rotation=right.rotation @ turned(6, 2), phase_id=np.zeros_like(right.phase_id))
    figures = copper_figures(wrong, copper_truth(), copper)
    assert figures["within 5° of the truth"] == "0.0%"
    assert figures["vacuum not indexed"] == "0.0%"
    assert figures["median angle to truth"] == "6.00°"


def test_both_grains_at_a_boundary_are_two_grains(copper: Phase) -> None:
    truth, right = copper_truth(), true_copper(copper)
    rows, cols = np.indices(truth.grain.shape)
    # The second crystal is the grain of the position to the right: another one at some boundary positions only.
    right_of = rows, (cols + 1).clip(max=truth.grain.shape[1] - 1)
    there = truth.boundary & ~truth.vacuum & ~truth.vacuum[right_of]
    other = replace(
        right, rotation=truth.rotation[right_of], phase_id=np.where(there, 0, -1).astype(np.int32)
    )
    expected = (there & (truth.grain[right_of] != truth.grain))[truth.boundary & ~truth.vacuum]
    assert 0.1 < expected.mean() < 0.9
    assert (both_grains(replace(right, beside=(other,)), truth, copper) == expected).all()
    turned_away = replace(other, rotation=other.rotation @ turned(9, 2))
    assert not both_grains(replace(right, beside=(turned_away,)), truth, copper).any()
    assert copper_figures(right, truth, copper)["both grains at boundaries"] == "–"


def test_an_unindexed_position_counts_as_wrong(copper: Phase) -> None:
    truth = copper_truth()
    nothing = replace(true_copper(copper), phase_id=np.full(truth.grain.shape, -1, np.int32))
    assert copper_figures(nothing, truth, copper)["within 5° of the truth"] == "0.0%"


def test_typical_orientation_is_not_moved_by_outliers_or_symmetry(silver: Phase) -> None:
    rng = np.random.default_rng(0)
    true = Rotation.random(random_state=1).as_matrix()
    jitter = Rotation.from_rotvec(rng.normal(0, 0.01, (60, 3))).as_matrix()
    variants = silver.symmetry[rng.integers(len(silver.symmetry), size=60)] @ (true @ jitter)
    outliers = Rotation.random(20, random_state=2).as_matrix()
    found = typical(np.concatenate([outliers, variants]), silver)
    assert angle_between(found, true, silver) < 1.5
    assert np.isnan(typical(np.zeros((0, 3, 3)), silver)).all()


def angle_between(first: np.ndarray, second: np.ndarray, phase: Phase) -> float:
    from napari_4dstem_orient.crystals.misorientation import misorientation

    return float(misorientation(first, second, phase))


def test_angle_to_direction_takes_the_beam_and_the_nearest_equivalent(silver: Phase) -> None:
    along_011 = Rotation.align_vectors([[0, 1, 1]], [[0, 0, 1]])[0].as_matrix()  # z maps to [011]
    assert angle_to_direction(along_011, (1, 0, 1), silver) == pytest.approx(0, abs=1e-3)
    assert angle_to_direction(along_011 @ turned(3, 0), (1, 0, 1), silver) == pytest.approx(3, abs=1e-3)
    assert angle_to_direction(along_011 @ turned(50, 2), (1, 0, 1), silver) == pytest.approx(0, abs=1e-3)
    assert angle_to_direction(along_011, (0, 0, 1), silver) == pytest.approx(45, abs=1e-3)


def test_tables_name_every_grain_and_pair(silver: Phase) -> None:
    twins = [
        np.eye(3),
        Rotation.from_rotvec(np.pi / 3 * np.ones(3) / np.sqrt(3)).as_matrix(),
        *[np.eye(3)] * 3,
    ]
    zones = zone_table({"transformer": twins}, silver)
    pairs = misorientation_table({"transformer": twins}, silver)
    assert len(zones) == 6
    assert len(pairs) == 11
    first = pairs[1].split()
    assert first[0] == "0-1"
    assert [float(text) for text in first[1:]] == [60.0, 60.0, 0.0]


def test_chosen_positions_lie_in_their_grain() -> None:
    grains = silver_grains()
    chosen = some_positions(grains, 10)
    assert chosen.shape == (5, 10)
    for grain, flat in zip(grains, chosen, strict=True):
        assert grain.ravel()[flat].all()


def test_part_of_a_scan_keeps_its_disks(few_disks: BraggDisks) -> None:
    part = at_positions(few_disks, [4, 5])
    assert part.scan_shape == (1, 2)
    assert part.calibrated
    np.testing.assert_array_equal(part.at(0, 0), few_disks.at(1, 1))
    assert not len(part.at(0, 1))
