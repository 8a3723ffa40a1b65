"""Evaluation: the reliable half, accuracy against disturbances, and the report."""

from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.certainty import Certainty
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.rotations import about_beam, from_vector, random_rotations
from napari_4dstem_orient.indexing.base import HALF_TURN
from napari_4dstem_orient.indexing.prediction import predicted_pattern
from napari_4dstem_orient.indexing.transformer import checkpoint
from napari_4dstem_orient.indexing.transformer.checkpoint import Model, build_network
from napari_4dstem_orient.indexing.transformer.network import NetworkSettings
from napari_4dstem_orient.training import accuracy as evaluation
from napari_4dstem_orient.training.accuracy import IN_USE, RELIABLE_HALF, Trial, settings_of
from napari_4dstem_orient.training.synthesis import PatternSource, SynthesisSettings
from napari_4dstem_orient.training.trainer import TrainingSettings
from napari_4dstem_orient.training.training import new_card
from napari_4dstem_orient_evaluation import robustness
from napari_4dstem_orient_evaluation.report import figure2, figure5, reliability, write

HISTORY = [
    {"patterns": n, "training_loss": 1 / n, "validation_loss": 1 / n, "within_5": 0.5, "best_within_5": 0.9}
    for n in (1, 2, 3)
]


@pytest.fixture(scope="module")
def model(copper) -> Model:
    """An untrained model: nothing here depends on how good it is."""
    torch.manual_seed(0)
    network = NetworkSettings(tokens=12, width=32, heads=4, layers=1, feedforward=64)
    card = new_card([copper], 300, 1.2, 0.0, TrainingSettings(), SynthesisSettings(), network, (), None)
    card.training["history"] = HISTORY
    return Model(card, build_network(card).eval(), (copper,), (Reflector.of(copper, 300, 1.2),))


def made_trial(phase, found, truth, certain, method=IN_USE, runner_up=None) -> Trial:
    """Answers as if a method had given them to perfect patterns."""
    count = len(truth)
    patterns = [predicted_pattern(phase, rotation, 300, 1.2)[:, :3] for rotation in truth]
    disks = BraggDisks.from_lists((1, count), patterns, calibrated=True)
    zero = np.zeros((1, count))
    answer = OrientationMap(
        (phase,),
        found[None],
        zero.astype(int),
        zero + 0.5,
        zero,
        zero,
        np.tile(np.eye(3), (1, count, 3, 1, 1)) if runner_up is None else runner_up[None],
        np.zeros((1, count, 3)),
        "transformer",
        certainty=None if certain is None else Certainty(certain[None], zero, zero.astype(np.uint8)),
    )
    test = evaluation.TestSet("published", disks, torch.from_numpy(truth))
    angle = evaluation.angles_to_truth(answer, test.truth, phase)
    return Trial(0, phase, test, method, answer, angle, 100.0)


@pytest.fixture
def half_wrong(copper) -> Trial:
    """Every other answer is turned by half a turn about the beam, and known to be unreliable."""
    truth = random_rotations(40, torch.Generator().manual_seed(4)).numpy()
    wrong = np.arange(40) % 2 == 1
    found = np.where(wrong[:, None, None], truth @ HALF_TURN.astype(np.float32), truth)
    runner_up = np.stack([truth, truth @ HALF_TURN, truth @ HALF_TURN], 1)
    return made_trial(copper, found, truth, np.where(wrong, 0.2, 0.9), runner_up=runner_up)


def test_angles_to_the_truth_are_told_far_below_the_resolution_of_the_loss(copper):
    """The angle that networks are trained on ends at 0.036°; an accuracy table must not."""
    truth = random_rotations(8, torch.Generator().manual_seed(4)).numpy()
    turn = from_vector(torch.deg2rad(torch.tensor([0.0, 0.005, 0.0]))).numpy()
    angle = made_trial(copper, truth @ turn, truth, None).angle
    assert angle == pytest.approx(np.full(8, 0.005), abs=0.002)


def test_the_reliable_half_is_a_row_of_its_own(half_wrong):
    whole, half = half_wrong.rows()
    assert half.method == IN_USE + RELIABLE_HALF
    assert (whole.count, half.count) == (40, 20)
    assert half.within_5 == 1.0
    assert whole.within_5 < 0.7


def test_reliability_is_compared_with_what_happened():
    sure = np.repeat([0.15, 0.95], 50)
    right = np.concatenate([np.arange(50) < 10, np.arange(50) < 45])
    bins = reliability.calibration(sure, right)
    assert bins[:, 0] == pytest.approx([0.15, 0.95])
    assert bins[:, 1] == pytest.approx([0.2, 0.9])
    assert bins[:, 2].tolist() == [50, 50]
    kept, share = reliability.coverage(sure, right)
    assert share[kept == 0.5] == pytest.approx(0.9)
    assert share[-1] == pytest.approx(0.55)


@pytest.mark.parametrize("knob", robustness.KNOBS, ids=lambda knob: knob.field)
def test_a_knob_turns_one_disturbance_and_nothing_else(knob):
    for value in knob.values:
        changed = robustness.CLEAN.to_dict() | {knob.field: None}
        turned = knob.at(value).to_dict() | {knob.field: None}
        assert turned == changed
    assert getattr(knob.at(knob.values[0]), knob.field) != getattr(knob.at(knob.values[-1]), knob.field)


def test_the_clean_patterns_lie_where_the_crystal_puts_them(copper):
    source = PatternSource(copper, 300, 2.1, robustness.CLEAN)
    rotation = random_rotations(16, torch.Generator().manual_seed(1))
    disks, mask = source.detect(rotation, torch.Generator().manual_seed(2), 32)
    g = source.reflector.in_lab(rotation)[..., :2]
    apart = (disks[:, :, None, :2] - g[:, None]).norm(dim=-1).amin(2)
    assert apart[mask].max() < 1e-4


def test_robustness_tries_both_methods_on_the_same_patterns(model, monkeypatch):
    knob = replace(robustness.KNOBS[0], values=(0.001, 0.02))
    monkeypatch.setattr(robustness, "KNOBS", (knob,))
    timed = create_autospec(robustness.timed_index, side_effect=robustness.timed_index)
    monkeypatch.setattr(robustness, "timed_index", timed)
    readings = robustness.measure_robustness(model, 8, "cpu")
    assert [reading.accuracy.method for reading in readings] == [IN_USE, robustness.TEMPLATE] * 2
    assert readings[0].accuracy.patterns == "position scatter 0.001 Å⁻¹"
    seen = [disks for (_, disks), _ in timed.call_args_list]
    assert seen[0] is seen[1]
    assert seen[1] is not seen[2]
    assert not np.array_equal(seen[1].qx, seen[2].qx)


def test_axis_angles_count_the_nearest_equivalent(copper):
    truth = random_rotations(6, torch.Generator().manual_seed(3)).numpy()
    found = copper.symmetry[5] @ truth @ about_beam(torch.tensor(0.1)).numpy()
    angles = figure2.axis_angles(made_trial(copper, found.astype(np.float32), truth, None))
    assert angles[:, :2] == pytest.approx(0.1, abs=1e-3)
    assert angles[:, 2] == pytest.approx(0.0, abs=1e-3)


def test_why_the_model_is_worse_is_counted(half_wrong, copper):
    truth = half_wrong.truth
    theirs = made_trial(copper, truth, truth, None, robustness.TEMPLATE)
    lines = figure5.why_worse(half_wrong, theirs).splitlines()
    count = {line.split("|")[1].strip(): int(line.split("|")[2]) for line in lines[2:]}
    worse = int((half_wrong.angle > 5).sum())
    assert 10 < worse <= 20
    assert count["template matching is at least 5° worse"] == 0
    assert count["the model is at least 5° worse"] == worse
    assert count["… because it is turned by 180° about the beam"] == worse
    assert count["… with the right one among its next three answers: the choice was wrong"] == worse
    assert count["… and says so: reliability under 0.5"] == worse


def test_the_report_shows_every_figure_it_wrote(model, copper, half_wrong, tmp_path):
    truth = half_wrong.truth
    theirs = made_trial(copper, truth, truth, None, robustness.TEMPLATE)
    theirs = replace(theirs, test=half_wrong.test)
    row = half_wrong.rows()[0]
    readings = [
        robustness.Reading(knob, value, replace(row, patterns=knob.text(value), method=method))
        for knob in robustness.KNOBS
        for value in knob.values
        for method in (IN_USE, robustness.TEMPLATE)
    ]
    path = write.write_report(model, [half_wrong, theirs], readings, tmp_path / "report", "cpu")
    text = path.read_text()
    pictures = sorted(picture.name for picture in path.parent.glob("*.png"))
    kinds = ("losses", "reliability", "robustness", "sampling", "similar", "similarity", "worse")
    assert pictures == sorted(f"0-{kind}.png" for kind in kinds)
    assert all(f"]({name})" in text for name in pictures)
    assert "Je et al." in text
    assert "13.8%" in text
    assert "3.2°" in text
    assert "nan" not in text
    assert not list(path.parent.glob(".*"))


def test_a_report_where_a_file_is_in_the_way_is_refused(model, half_wrong, tmp_path):
    (tmp_path / "report").write_text("in the way")
    with pytest.raises(UserError, match="folder"):
        write.write_report(model, [half_wrong], [], tmp_path / "report", "cpu")


# the command line


def invoke(*arguments):
    from typer.testing import CliRunner

    from napari_4dstem_orient.cli import app

    return CliRunner().invoke(app, list(map(str, arguments)))


def test_evaluate_prints_every_figure_and_writes_the_report(half_wrong, model, monkeypatch, tmp_path):
    trials = create_autospec(
        evaluation.run_trials, side_effect=lambda *given, tell: tell(half_wrong) or [half_wrong]
    )
    monkeypatch.setattr(evaluation, "run_trials", trials)
    monkeypatch.setattr(checkpoint, "load_model", create_autospec(checkpoint.load_model, return_value=model))
    done = invoke(
        "evaluate", "--model", "m", "--patterns", 40, "--template-patterns", 0, "--report", tmp_path / "new"
    )
    assert done.exit_code == 0, done.output
    assert trials.call_args.args[1:3] == (40, 0)
    told, header, whole, half = done.stdout.splitlines()[:4]
    assert "median" in told
    assert header.split()[4:] == ["median", "mean", "within_2", "within_5", "beyond_34", "per_second"]
    assert IN_USE in whole
    assert IN_USE + RELIABLE_HALF in half
    assert (tmp_path / "new" / "report.md").exists()


def test_robustness_without_template_patterns_is_refused():
    done = invoke("evaluate", "--model", "m", "--template-patterns", 0, "--robustness")
    assert isinstance(done.exception, UserError)
    assert "template matching" in str(done.exception)


def test_noisy_patterns_are_made_alike_for_every_model():
    def trained_on(**synthesis):
        return SimpleNamespace(card=SimpleNamespace(synthesis={"thickness": [10.0, 3000.0], **synthesis}))

    usual = settings_of("noisy", trained_on(), 0)
    assert usual.clean_share == 0
    assert settings_of("noisy", trained_on(clean_share=1.0, scatter=[0.0, 0.0]), 0) == usual
    assert settings_of("noisy", trained_on(thickness=[50.0, 100.0]), 0).thickness == (50.0, 100.0)
