"""Sparse correlation and Q: py4DSTEM's own score, and images that are really drawn, as references."""

import numpy as np
import pytest
import torch

from helpers.drawn_patterns import PolarImages, drawn_overlap
from helpers.made_maps import TI
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import Cancelled
from napari_4dstem_orient.core.silence import quiet
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.rotations import about_beam, random_rotations
from napari_4dstem_orient.indexing.prediction import predicted_pattern
from napari_4dstem_orient.indexing.scoring import Measured
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.indexing.similarity import WIDTH, SparseCorrelation, image_overlap, similarities
from napari_4dstem_orient.indexing.template.indexer import TemplateMatcher


def measured(*patterns, reach=1.2):
    disks, mask = BraggDisks.from_lists((1, len(patterns)), patterns).padded(99)
    return Measured.of(torch.from_numpy(disks), torch.from_numpy(mask), reach)


def tensor(*rotations):
    return torch.as_tensor(np.stack(rotations), dtype=torch.float32)


def turned(angle):
    return about_beam(torch.tensor(angle)).numpy()


def truth_and_pattern(phase, seed=5):
    truth = random_rotations(1, torch.Generator().manual_seed(seed)).numpy()[0]
    return truth, predicted_pattern(phase, truth, 300, 1.2)[:, :3]


@pytest.mark.py4dstem
def test_the_sparse_correlation_is_py4dstems_matching_score(copper):
    from emdfile import PointList

    settings = TemplateSettings(excitation_width=WIDTH)
    (crystal,) = TemplateMatcher([copper], 300, 1.2, settings=settings)._plans
    reflector = Reflector.of(copper, 300, 1.2)
    zone = crystal.orientation_rotation_matrices[7]
    disks = predicted_pattern(copper, zone @ turned(0.7), 300, 1.2)[:, :3]
    peaks = np.zeros(len(disks), dtype=[("qx", float), ("qy", float), ("intensity", float)])
    peaks["qx"], peaks["qy"], peaks["intensity"] = disks.T
    with quiet():
        matched = crystal.match_single_pattern(PointList(peaks), num_matches_return=1, verbose=False)
    best, turn = matched.inds[0]
    on_grid = crystal.orientation_rotation_matrices[best] @ turned(turn * np.pi / 90).T
    template, length = PolarImages(reflector).template(on_grid)
    expected = float(matched.corr[0]) * np.linalg.norm(template) / length
    score = SparseCorrelation(reflector)(measured(disks), tensor(on_grid))
    assert float(score) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "precession"),
    [({}, 0.0), ({"kernel": 0.03, "in_plane_step": 3.2}, 0.0), ({"intensity_power": 1.0}, 1.0)],
)
def test_it_is_the_product_of_the_two_polar_images(settings, precession):
    settings, reflector = TemplateSettings(**settings), Reflector.of(TI, 300, 1.2, precession)
    polar, correlate = PolarImages(reflector, settings), SparseCorrelation(reflector, settings)
    rotations = random_rotations(12, torch.Generator().manual_seed(1)).numpy()
    patterns = [predicted_pattern(TI, rotation, 300, 1.2)[:, :3] for rotation in rotations]
    asked = np.concatenate([rotations[:6], rotations[6:] @ turned(0.05)])  # right, and a little off
    expected = []
    for disks, rotation in zip(patterns, asked, strict=True):
        template, length = polar.template(rotation)
        expected.append((polar.measured(disks) * template).sum() / length)
    np.testing.assert_allclose(correlate(measured(*patterns), tensor(*asked)), expected, rtol=2e-3)


def test_it_hardly_changes_within_a_bin_and_much_beyond(copper):
    correlate = SparseCorrelation(Reflector.of(copper, 300, 1.2))
    truth, disks = truth_and_pattern(copper)
    asked = tensor(*(truth @ turned(angle) for angle in (0.0, 0.012, 0.5)))
    score, near, far = correlate(measured(disks, disks, disks), asked).tolist()
    assert near == pytest.approx(score, rel=0.03)
    assert far < 0.8 * score


def test_q_is_one_for_the_same_image_and_less_for_another(copper):
    reflector = Reflector.of(copper, 300, 1.2)
    truth, disks = truth_and_pattern(copper)
    squared = np.column_stack([disks[:, :2], disks[:, 2] ** 2])
    same, other = image_overlap(measured(squared, squared), tensor(truth, truth @ turned(0.3)), reflector)
    assert same > 0.999
    assert other < 0.5


@pytest.mark.parametrize("off", [0.0, 0.02, 0.06])
def test_q_is_that_of_the_drawn_images(copper, off):
    reflector = Reflector.of(copper, 300, 1.2)
    for seed in range(4):
        truth, disks = truth_and_pattern(copper, seed)
        rotation = truth @ turned(off)
        expected = drawn_overlap(disks, predicted_pattern(copper, rotation, 300, 1.2)[:, :3], 1.2)
        found = image_overlap(measured(disks), tensor(rotation), reflector)
        assert float(found) == pytest.approx(expected, abs=0.01)


@pytest.fixture
def scan(copper):
    """2 × 3 positions with their orientations; the direct beam everywhere, at the last alone."""
    rotation = random_rotations(6, torch.Generator().manual_seed(2)).numpy().reshape(2, 3, 3, 3)
    beam = np.array([[0.0, 0.0, 50.0]])
    patterns = [predicted_pattern(copper, rotation[where], 300, 1.2)[:, :3] for where in np.ndindex(2, 3)]
    lists = [np.vstack([beam, pattern]) for pattern in patterns[:-1]] + [beam]
    return BraggDisks.from_lists((2, 3), lists, calibrated=True), rotation, patterns


def test_a_scan_is_compared_position_by_position_without_its_direct_beam(scan, copper):
    disks, rotation, patterns = scan
    reflector = Reflector.of(copper, 300, 1.2)
    where = np.ones((2, 3), bool)
    where[0, 1] = False
    sparse, overlap = similarities(disks, rotation, where, reflector, 1.2)
    assert np.isnan(sparse).tolist() == [[False, True, False], [False, False, True]]
    assert (np.isnan(overlap) == np.isnan(sparse)).all()
    correlate = SparseCorrelation(reflector)
    for flat in (0, 2, 3, 4):
        at = np.unravel_index(flat, (2, 3))
        alone, asked = measured(patterns[flat]), tensor(rotation[at])
        assert sparse[at] == pytest.approx(float(correlate(alone, asked)), rel=1e-4)
        assert overlap[at] == pytest.approx(float(image_overlap(alone, asked, reflector)), rel=1e-4)


def test_progress_is_told_and_may_cancel(scan, copper):
    disks, rotation, _ = scan

    def cancel(done, total):
        assert (done, total) == (6, 6)
        raise Cancelled

    with pytest.raises(Cancelled):
        similarities(
            disks, rotation, np.ones((2, 3), bool), Reflector.of(copper, 300, 1.2), 1.2, progress=cancel
        )
