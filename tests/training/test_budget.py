"""Training by minutes: how many patterns fit, whether they are enough, and the same run after a stop."""

from dataclasses import replace
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_4dstem_orient.cli import app
from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.transformer.checkpoint import load_model, read_card
from napari_4dstem_orient.training import accuracy, budget, run, trainer, training
from napari_4dstem_orient.training.budget import (
    CUBIC_PATTERNS,
    Speed,
    check_budget,
    measure_speed,
    patterns_needed,
    patterns_within,
    refuse_too_large,
)
from napari_4dstem_orient.training.plan import TrainingPlan
from napari_4dstem_orient.training.run import find_unfinished, resume, train_plan
from napari_4dstem_orient.training.trainer import Trainer, TrainingSettings

BRIEF = TrainingPlan(voltage=300, k_max=1.0, minutes=1.0, seed=3)


def crystal(name: str, *cell: float) -> Phase:
    """Return a crystal of three different atoms in no special places."""
    places = np.array([[0, 0, 0], [0.31, 0.13, 0.22], [0.62, 0.45, 0.83]])
    return Phase(name, cell, places, np.array([29, 8, 14]), np.ones(3))


@pytest.fixture
def quick(monkeypatch):
    """A minute holds three batches of 32, which are enough; validated on few patterns, the accuracy is not measured."""
    monkeypatch.setattr(accuracy, "evaluate_model", create_autospec(accuracy.evaluate_model, return_value=[]))
    monkeypatch.setattr(trainer, "VALIDATION_PATTERNS", 16)
    monkeypatch.setattr(budget, "CUBIC_PATTERNS", 90)
    monkeypatch.setattr(run, "SETTINGS", TrainingSettings(batch=32, every=32))
    monkeypatch.setattr(
        run, "measure_speed", create_autospec(run.measure_speed, return_value=Speed(20.0, 0.0))
    )


def stop_after(patterns):
    def progress(done, total):
        if done >= patterns:
            raise Cancelled

    return progress


# how many fit, and are they enough


def test_what_fits_is_counted_in_whole_batches_with_the_validations():
    settings = TrainingSettings(batch=500, every=10_000)
    assert patterns_within(1.0, Speed(step=0.5, validation=0.0), settings) == 60_000
    assert patterns_within(1.0, Speed(step=0.5, validation=10.0), settings) == 30_000
    assert patterns_within(1.0, Speed(step=0.7, validation=0.0), settings) == 42_500
    assert patterns_within(0.1, Speed(step=100.0, validation=0.0), settings) == 500


def test_lower_symmetry_needs_more_patterns(copper):
    triclinic = crystal("X", 5.1, 6.2, 7.3, 81, 95, 102)
    assert patterns_needed([copper]) == CUBIC_PATTERNS
    assert patterns_needed([triclinic]) == 24 * CUBIC_PATTERNS
    assert patterns_needed([copper, triclinic]) == 25 * CUBIC_PATTERNS


def test_a_budget_says_what_it_lacks(copper):
    triclinic = crystal("X", 5.1, 6.2, 7.3, 81, 95, 102)
    assert check_budget([copper], 1.5, 10, 500_000) == ""
    short = check_budget([copper], 1.5, 10, 25_000)
    assert "10 min is too short for Cu" in short
    assert "about 40 min" in short
    assert "symmetry" not in short
    low = check_budget([triclinic], 1.5, 10, 500_000)
    assert "24 times as many as for a cubic crystal, for its low symmetry" in low
    assert "about 48 min" in low


def test_a_hopeless_budget_is_refused(tmp_path, quick, monkeypatch):
    triclinic = crystal("X", 5.1, 6.2, 7.3, 81, 95, 102)
    with pytest.raises(UserError, match="low symmetry"):
        train_plan([triclinic], BRIEF, tmp_path / "x.safetensors", device="cpu")
    assert not list(tmp_path.iterdir())


def test_a_crystal_with_too_many_reflections_is_refused_with_what_is_possible():
    large = crystal("zeolite", 25.0, 25.0, 25.0, 90, 90, 90)
    with pytest.raises(UserError, match="zeolite is too large") as caught:
        refuse_too_large([large], 2.0)
    assert "k range up to 0.67" in str(caught.value)
    refuse_too_large([large], 0.67)


@pytest.mark.parametrize(
    ("changes", "about"),
    [({"voltage": None}, "voltage"), ({"thinnest": 900.0, "thickest": 100.0}, "thickness")],
)
def test_a_plan_that_makes_no_sense_is_refused(tmp_path, copper, changes, about):
    with pytest.raises(UserError, match=about):
        train_plan([copper], replace(BRIEF, **changes), tmp_path / "m.safetensors", device="cpu")


def test_speed_is_measured_on_real_steps_and_leaves_nothing_behind(tmp_path):
    done = []

    def train(out, settings, progress, report):
        for seen in range(settings.batch, settings.patterns + 1, settings.batch):
            done.append(seen)
            progress(seen, settings.patterns)
            if seen % settings.every == 0:
                report({})

    speed = measure_speed(train, TrainingSettings(batch=100))
    assert len(done) == budget.WARM_UP_STEPS + budget.TIMED_STEPS
    assert speed.step >= 0
    assert speed.validation >= 0


def test_measuring_can_be_cancelled(tmp_path, copper, monkeypatch):
    monkeypatch.setattr(trainer, "VALIDATION_PATTERNS", 16)
    monkeypatch.setattr(run, "SETTINGS", TrainingSettings(batch=32))
    with pytest.raises(Cancelled):
        train_plan([copper], BRIEF, tmp_path / "m.safetensors", device="cpu", progress=stop_after(0))
    assert not list(tmp_path.iterdir())


# stopped and gone on with


def weights(path):
    return load_model(path).network.state_dict()


def test_a_killed_run_keeps_its_number_of_patterns_and_ends_in_the_same_model(tmp_path, copper, quick):
    train_plan([copper], BRIEF, tmp_path / "whole.safetensors", device="cpu")
    path, told, seen = tmp_path / "killed.safetensors", [], []
    checkpoint = path.with_suffix(".training")

    def keep(figures):
        kept.append(checkpoint.read_bytes())

    kept: list[bytes] = []
    with pytest.raises(Cancelled):
        train_plan(
            [copper], BRIEF, path, device="cpu", progress=stop_after(64), report=keep, tell=told.append
        )
    checkpoint.write_bytes(kept[0])  # a killed run leaves the last one that was due
    assert told[-1] == "96 patterns fit into 1 min."
    begun = find_unfinished(path)
    assert (begun.seen, begun.settings.patterns) == (32, 96)
    run.measure_speed.reset_mock()
    train_plan(
        [copper],
        replace(BRIEF, minutes=99.0),
        path,
        device="cpu",
        progress=lambda done, total: seen.append((done, total)),
    )
    run.measure_speed.assert_not_called()
    assert seen[0] == (64, 96)
    assert find_unfinished(path) is None
    whole, resumed = weights(tmp_path / "whole.safetensors"), weights(path)
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_a_checkpoint_alone_is_enough_to_go_on(tmp_path, copper, quick):
    path = tmp_path / "m.safetensors"
    with pytest.raises(Cancelled):
        train_plan([copper], BRIEF, path, device="cpu", patterns=64, progress=stop_after(32))
    model = resume(path, "cpu")
    assert model.card.training["patterns_seen"] == 64
    assert model.card.crystals[0].same_crystal(copper)
    with pytest.raises(UserError, match="no stopped training"):
        resume(path, "cpu")


def test_a_checkpoint_of_another_version_is_not_gone_on_with(tmp_path, copper, quick, monkeypatch):
    path = tmp_path / "m.safetensors"
    with pytest.raises(Cancelled):
        train_plan([copper], BRIEF, path, device="cpu", patterns=64, progress=stop_after(32))
    monkeypatch.setattr(run, "VERSION", "99.0")
    with pytest.raises(UserError, match=r"99\.0"):
        resume(path, "cpu")
    path.with_suffix(".training").write_bytes(b"damaged")
    with pytest.raises(UserError, match="damaged"):
        find_unfinished(path)


def test_a_paused_clock_stands_still(tmp_path, copper, quick, monkeypatch):
    """While ``progress`` blocks, the seconds on the card do not run."""
    now = [0.0]
    monkeypatch.setattr(training.time, "monotonic", lambda: now[0])
    step = Trainer.step

    def step_of_a_second(run):
        now[0] += 1
        return step(run)

    monkeypatch.setattr(Trainer, "step", step_of_a_second)

    def pause(done, total):
        now[0] += 1000

    path = tmp_path / "m.safetensors"
    train_plan([copper], BRIEF, path, device="cpu", patterns=96, progress=pause)
    assert read_card(path).training["seconds"] == 3


# on the command line


def train_command(*more: object):
    fixed = ("train", "--phase", "Cu", "--voltage", "300", "--k-max", "1.0", "--device", "cpu")
    return CliRunner().invoke(app, [*fixed, *map(str, more)])


def test_the_command_trains_for_minutes_and_for_a_range_of_thickness(tmp_path, quick):
    path = tmp_path / "cu.safetensors"
    done = train_command("--minutes", 1, "--thickness-range", 100, 300, "-o", path)
    assert done.exit_code == 0, done.output
    assert "96 patterns fit into 1 min" in done.output
    card = read_card(path)
    assert card.training["patterns"] == 96
    assert card.synthesis["thickness"] == [100, 300]


def test_patterns_and_minutes_together_are_refused(tmp_path):
    done = train_command("--patterns", 512, "--minutes", 1, "-o", tmp_path / "m.safetensors")
    assert isinstance(done.exception, UserError)
    assert "not both" in str(done.exception)
