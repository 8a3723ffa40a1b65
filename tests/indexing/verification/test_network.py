"""The verifier: sees what turns leave unchanged, corrects exactly, learns, and is stored as data."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.kinematic import excitation_error
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.rotations import about_beam, from_vector, random_rotations
from napari_4dstem_orient.indexing.scoring import Measured
from napari_4dstem_orient.indexing.settings import ScoreSettings
from napari_4dstem_orient.indexing.verification import network as module
from napari_4dstem_orient.indexing.verification.features import PoseHypothesis, view_of
from napari_4dstem_orient.indexing.verification.network import (
    Verifier,
    Verifiers,
    load_verifier,
    repeated,
    save_verifier,
)
from napari_4dstem_orient.indexing.verification.ranking import Candidate, Shortlist, rank, shortlist
from napari_4dstem_orient.training.loss import misorientation_angle
from napari_4dstem_orient.training.synthesis import PatternSource, SynthesisSettings
from napari_4dstem_orient_evaluation.verifier_training import (
    VerifierSettings,
    VerifierTrainer,
    make_case,
    verifier_loss,
)

SCORING = ScoreSettings()
CLEAN = SynthesisSettings(clean_share=1.0, second_crystal=0.0, threshold=(0.002, 0.004))


@pytest.fixture(scope="module")
def source():
    return PatternSource(find_phase("Cu"), 300, 1.8, CLEAN)


@pytest.fixture(scope="module")
def symmetry(source):
    return torch.as_tensor(source.phase.symmetry, dtype=torch.float32)


def patterns(source, count=32, seed=1):
    """Return measured patterns and their true orientations."""
    generator = torch.Generator().manual_seed(seed)
    truth = random_rotations(count, generator)
    disks, mask = source.detect(truth, generator, 24)
    return Measured.of(disks, mask, source.k_max), truth


def turned(measured, angle):
    """Return the same patterns turned about the beam."""
    turn = about_beam(torch.tensor(angle))[:2, :2]
    return Measured(measured.q @ turn.T, measured.intensity, measured.mask, measured.reach)


def test_turning_pattern_and_hypothesis_together_changes_neither_verdict_nor_correction(source):
    torch.manual_seed(2)
    network = Verifier().eval()
    measured, truth = patterns(source)
    off = truth @ from_vector(0.03 * torch.randn(len(truth), 3))
    back = about_beam(torch.tensor(0.7)).T
    logit, pose = network(measured, PoseHypothesis.of(off[:, None]), source.reflector)
    again, other = network(turned(measured, 0.7), PoseHypothesis.of((off @ back)[:, None]), source.reflector)
    assert torch.allclose(logit, again, atol=2e-3)
    assert torch.allclose(pose.rotation @ back, other.rotation, atol=1e-3)


def test_the_view_pairs_disks_with_their_reflections_and_tells_a_wrong_hypothesis(source):
    measured, truth = patterns(source)
    wrong = truth @ from_vector(torch.tensor([[0.0, 0.0, 0.4]]))
    view = view_of(measured, PoseHypothesis.of(torch.stack([truth, wrong], 1)), source.reflector)
    near = view.apart[:, :, : view.disks].norm(dim=-1) < 1e-3
    present = view.present[:, :, : view.disks]
    share = (near & present).sum((0, 2)) / present.sum((0, 2))
    assert share[0] > 0.75
    assert share[1] < 0.1


def test_a_correction_with_perfect_rows_finds_the_truth(source, symmetry):
    """Rows filled with what should be said turn the hypothesis to the truth; fails if a sign is flipped."""
    measured, truth = patterns(source, 64)
    enough = measured.mask.sum(1) >= 6
    measured, truth = measured[enough], truth[enough]
    pose = PoseHypothesis.of((truth @ from_vector(torch.deg2rad(1.5 * torch.randn(len(truth), 3))))[:, None])
    for _ in range(3):
        view = view_of(measured, pose, source.reflector)
        hkl_lab = (
            view.g @ (pose.rotation.transpose(-1, -2)) @ truth[:, None]
        )  # the same reflections, rightly turned
        errors = [excitation_error(g, source.reflector.wavelength) for g in (hkl_lab, view.g)]
        change = ((errors[0] - errors[1]) / 0.03).clamp(-0.99, 0.99)
        rows = torch.stack(
            [torch.atanh(change), torch.full_like(change, 2.0), torch.full_like(change, 2.0)], -1
        )
        pose = module._corrected(pose, module._equations(view, rows))
    angle = torch.rad2deg(misorientation_angle(pose.rotation[:, 0], truth, symmetry))
    assert angle.median() < 0.05


def test_scale_and_origin_are_taken_out_of_the_positions(source):
    measured, truth = patterns(source)
    off = Measured(
        measured.q * 1.01 + torch.tensor([0.003, -0.002]), measured.intensity, measured.mask, measured.reach
    )
    known = PoseHypothesis(
        truth[:, None],
        torch.full((len(truth), 1), 0.01),
        torch.tensor([0.003, -0.002]).expand(len(truth), 1, 2),
    )
    for pose, limit in ((known, 1e-3), (PoseHypothesis.of(truth[:, None]), 2e-2)):
        view = view_of(off, pose, source.reflector)
        apart = view.apart[:, :, : view.disks].norm(dim=-1)[view.present[:, :, : view.disks]]
        assert apart.median() < limit
    assert apart.median() > 3e-3


def test_hypotheses_that_repeat_an_earlier_one_are_told_symmetry_included(symmetry):
    first = torch.as_tensor(Rotation.random(random_state=3).as_matrix(), dtype=torch.float32)
    same = symmetry[5] @ first
    other = first @ symmetry[5]
    assert repeated(torch.stack([first, same, other])[None], symmetry).tolist() == [[False, True, False]]


def test_a_referee_learns_and_goes_on_after_a_stop(source, tmp_path):
    settings = VerifierSettings(steps=400, batch=32, cases=1, patterns=256, epochs=2, learning_rate=0.005)
    whole = VerifierTrainer([source], settings)
    figures = [whole.round() for _ in range(5)]
    assert figures[-1][0] < 0.95 * figures[0][0]
    part = VerifierTrainer([source], settings)
    part.round()
    part.save(tmp_path / "stopped")
    resumed = VerifierTrainer([source], settings)
    resumed.restore(tmp_path / "stopped")
    for _ in range(4):
        resumed.round()
    for name, value in whole.verifier.state_dict().items():
        assert torch.equal(value, resumed.verifier.state_dict()[name]), name
    with pytest.raises(UserError, match="other settings"):
        VerifierTrainer([source], VerifierSettings(steps=9)).restore(tmp_path / "stopped")


def test_a_rivals_hypotheses_are_all_wrong_and_made_for_the_beam_of_the_patterns(source):
    copper, silver = source.phase, find_phase("Ag")
    case = make_case(source, [copper, silver], 16, torch.Generator().manual_seed(0))
    assert [suspect.guilty for suspect in case.suspects] == [True, False]
    assert case.suspects[1].reflector.wavelength == source.reflector.wavelength
    assert 1.7 < case.suspects[1].reflector.g.norm(dim=1).max() <= source.k_max
    off = [
        misorientation_angle(rotation, case.truth[:, None], suspect.symmetry).amin(1)
        for rotation, suspect in zip(case.rotations, case.suspects, strict=True)
    ]
    assert (off[0] < math.radians(8.1)).float().mean() > 0.5
    half_turn = about_beam(torch.tensor(math.pi))
    twin = misorientation_angle(case.rotations[0][:, -1], case.truth @ half_turn, case.suspects[0].symmetry)
    assert (twin < math.radians(8.1)).all()
    torch.manual_seed(4)
    loss, figures = verifier_loss(Verifier(), case)
    alone, _ = verifier_loss(Verifier(), make_case(source, [silver], 16, torch.Generator().manual_seed(0)))
    assert torch.isfinite(loss)
    assert 0 <= figures[2] <= 1
    assert alone.item() > 0  # "none of them" has to be learned


def test_the_bundled_referee_prefers_the_truth_corrects_it_and_knows_a_foreign_pattern(source, symmetry):
    measured, truth = patterns(source, 128, seed=9)
    many = measured.mask.sum(1) >= 8
    measured, truth = measured[many], truth[many]
    start = truth @ from_vector(torch.deg2rad(1.5 * torch.randn(len(truth), 3)))
    strangers = random_rotations(4 * len(truth), torch.Generator().manual_seed(1)).view(-1, 4, 3, 3)
    candidate = Candidate(0, torch.cat([strangers, start[:, None]], 1), source.reflector, symmetry)
    verifiers = Verifiers.bundled()

    def verdict(candidate):
        short = shortlist(measured, candidate, verifiers.pre_verifier, 3)
        return rank(measured, [short], verifiers.verifier, ScoreSettings(), 3, 3)

    found = verdict(candidate)
    best = torch.from_numpy(found.rotation[:, 0])
    angle = torch.rad2deg(misorientation_angle(best, truth, symmetry))
    assert (angle < 1).float().mean() > 0.85
    assert np.median(found.probability[:, 0]) > 0.9
    lost = verdict(Candidate(0, strangers, source.reflector, symmetry))
    assert np.median(lost.probability.sum(1)) < 0.5


def test_disks_beyond_the_strongest_tell_the_tilt_of_patterns_with_many(symmetry):
    noisy = SynthesisSettings(clean_share=0.0, second_crystal=0.0, missing=0.05, thickness=(100.0, 1500.0))
    copper = PatternSource(find_phase("Cu"), 200, 1.8, noisy, precession=1.0)
    along = Rotation.align_vectors([[0, 0, 1]], [[1, 1, 0]])[0].inv().as_matrix().astype(np.float32)
    generator = torch.Generator().manual_seed(3)
    truth = torch.from_numpy(along) @ from_vector(0.015 * torch.randn(160, 3, generator=generator))
    disks, mask = copper.detect(truth, generator, 64)
    start = truth @ from_vector(torch.deg2rad(1.5 * torch.randn(len(truth), 3, generator=generator)))
    candidate = Candidate(0, start[:, None], copper.reflector, symmetry)
    verifier = Verifiers.bundled()

    def angles(listed):
        measured = Measured.of(disks[:, :listed], mask[:, :listed], copper.k_max)
        short = shortlist(measured, candidate, verifier.pre_verifier, 3)
        found = rank(measured, [short], verifier.verifier, SCORING, 3, 1)
        return torch.rad2deg(misorientation_angle(torch.from_numpy(found.rotation[:, 0]), truth, symmetry))

    many = mask.sum(1) > 24
    assert many.sum() > 40
    assert angles(64)[many].log().mean() < angles(16)[many].log().mean() - 0.1


def test_the_network_hears_how_sure_each_disk_is_and_that_nobody_knows(source):
    """Unknown is not sure, and what is unknown or missing altogether is the same."""
    measured, truth = patterns(source)
    pose = PoseHypothesis.of(truth[:, None])

    def seen(snr):
        told = Measured(measured.q, measured.intensity, measured.mask, measured.reach, snr)
        view = view_of(told, pose, source.reflector)
        return torch.cat([view.features.flatten(2), view.extent], -1)[:, 0]

    sure = torch.full_like(measured.intensity, 20.0) * measured.mask
    unsure = sure / 16
    assert torch.equal(seen(None), seen(0 * sure))
    assert torch.equal(seen(None), seen(torch.full_like(sure, torch.nan)))
    apart = [(seen(one) - seen(other)).abs().amax() for one, other in ((sure, unsure), (sure, None))]
    assert min(apart) > 0.5


def test_the_surest_disks_are_looked_at_first_and_others_stay_as_they_are():
    disks = torch.tensor(
        [[[1.0, 0.0, 9.0, 1.0], [0.0, 1.0, 5.0, 7.0], [1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 0.0, 0.0]]]
    )
    measured = Measured.of(disks, disks[..., 2] > 0, 2.0).surest_first()
    assert measured.snr.tolist() == [[7.0, 3.0, 1.0, 0.0]]
    assert measured.intensity[0].tolist() == pytest.approx([5 / 9, 1 / 3, 1.0, 0.0])
    assert measured.q[0, 0].tolist() == [0.0, 1.0]
    assert measured.mask.tolist() == [[True, True, True, False]]
    disks[..., 3] = torch.nan
    unknown = Measured.of(disks, disks[..., 2] > 0, 2.0).surest_first()
    assert unknown.intensity[0].tolist() == pytest.approx([1.0, 5 / 9, 1 / 3, 0.0])


def test_a_verifier_of_another_version_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "verifier.safetensors"
    save_verifier(Verifier(16), {}, path)
    weights = load_file(path)
    weights["read.0.weight"] = weights["read.0.weight"][:, :19].contiguous()
    save_file(weights, path)
    with pytest.raises(UserError, match="another version"):
        load_verifier("cpu", path)


def test_a_stored_referee_is_data_and_a_damaged_one_is_refused(tmp_path):
    path = tmp_path / "verifier.safetensors"
    network = Verifier()
    save_verifier(network, {"by": "test"}, path)
    assert torch.equal(load_verifier("cpu", path).rows.weight, network.rows.weight)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(UserError, match=r"verifier\.safetensors cannot be read as a verifier"):
        load_verifier("cpu", path)


def test_a_second_look_adds_hypotheses_only_where_it_is_asked_for(source, symmetry):
    measured, truth = patterns(source, 32, seed=5)
    measured, truth = measured[measured.mask.sum(1) >= 8], truth[measured.mask.sum(1) >= 8]
    strangers = random_rotations(2 * len(truth), torch.Generator().manual_seed(1)).view(-1, 2, 3, 3)
    verifiers = Verifiers.bundled()

    def look(some, rotation):
        return shortlist(some, Candidate(0, rotation, source.reflector, symmetry), verifiers.pre_verifier, 3)

    again = torch.arange(len(truth)) % 2 == 0
    first = look(measured, strangers)
    joined = first.joined(again, look(measured[again], truth[again][:, None]))
    assert torch.equal(joined.logit[:, :2], first.logit)
    assert joined.logit[again, 2].median() > 2
    assert (joined.logit[~again, 2] < -1000).all()
    found = rank(measured, [joined], verifiers.verifier, ScoreSettings(), 3, 3)
    angle = misorientation_angle(torch.from_numpy(found.rotation[:, 0]), truth, symmetry)
    right = torch.rad2deg(angle) < 2
    assert right[again].float().mean() > 0.9
    assert right[~again].float().mean() < 0.3


@pytest.mark.parametrize(("turn", "questions"), [(1.0, 5), (0.001, 1)])
def test_a_hypothesis_that_no_longer_moves_is_not_asked_again(source, symmetry, turn, questions):
    measured, truth = patterns(source, 8)
    asked = []

    def verifier(measured, pose, reflector, max_peaks):
        asked.append(len(pose.scale))
        step = from_vector(torch.tensor([math.radians(turn), 0.0, 0.0]))
        return torch.ones_like(pose.scale), PoseHypothesis(pose.rotation @ step, pose.scale, pose.origin)

    candidate = Candidate(0, truth[:, None], source.reflector, symmetry)
    short = Shortlist(candidate, PoseHypothesis.of(truth[:, None]), torch.ones(8, 1))
    rank(measured, [short], verifier, ScoreSettings(), 3, 1)
    assert asked == [8] * questions
