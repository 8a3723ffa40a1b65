"""Training: deterministic, resumable, honest model files, and a network that learns."""

import json
from dataclasses import replace
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.rotations import random_rotations
from napari_4dstem_orient.indexing.models import AvailableModel, choose_models, list_models, why_not
from napari_4dstem_orient.indexing.transformer.checkpoint import load_model, read_card
from napari_4dstem_orient.indexing.transformer.network import NetworkSettings
from napari_4dstem_orient.training import accuracy
from napari_4dstem_orient.training.synthesis import PatternSource, SynthesisSettings
from napari_4dstem_orient.training.trainer import TrainingSettings
from napari_4dstem_orient.training.training import train_model

SMALL = NetworkSettings(tokens=12, width=32, heads=4, layers=1, feedforward=64)
BRIEF = TrainingSettings(patterns=1536, batch=256, every=512, seed=3)
QUIET = SynthesisSettings(
    kinematic_share=1.0,
    clean_share=0.0,
    intensity_noise=0.0,
    scatter=(1e-6, 2e-6),
    uneven=1.0,
    scale_error=0.0,
    origin_error=0.0,
    threshold=(0.01, 0.02),
    missing=0.0,
    false_peaks=0,
    second_crystal=0.0,
)


MEASURE = accuracy.evaluate_model


def measure_on_few(*arguments, **options):
    """Measure a model card's accuracy on few patterns."""
    return MEASURE(*arguments, **{**options, "patterns": 8})


@pytest.fixture(scope="module", autouse=True)
def no_accuracy():
    """What a training costs here is the accuracy on its card: it is measured where something looks at it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accuracy, "evaluate_model", create_autospec(MEASURE, return_value=[]))
        yield


def train(path, phases, **changes):
    arguments = {"settings": BRIEF, "network": SMALL, "device": "cpu", **changes}
    return train_model(phases, 300, 1.2, path, **arguments)


@pytest.fixture(scope="module")
def iron():
    return find_phase("Fe")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, copper):
    path = tmp_path_factory.mktemp("models") / "cu.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accuracy, "evaluate_model", measure_on_few)
        train(path, [copper])
    return path


def weights(path):
    return {name: value for name, value in load_model(path).network.state_dict().items()}


def test_training_patterns_are_where_the_crystal_puts_them(copper):
    reflector = Reflector.of(copper, 300, 1.2)
    batch = PatternSource(copper, 300, 1.2, QUIET).draw(32, 12, torch.Generator().manual_seed(0))
    g = reflector.in_lab(batch.rotation)[..., :2]
    apart = torch.cdist(batch.disks[..., :2], g).amin(2)
    assert apart[batch.mask].max() < 1e-3
    assert torch.allclose(batch.disks[:, 0, 1], torch.zeros(32), atol=1e-5)


def test_what_detection_does_is_done_to_training_patterns(copper):
    reflector = Reflector.of(copper, 300, 1.2)
    rotation = random_rotations(256, torch.Generator().manual_seed(1))

    def draw(**changes):
        settings = SynthesisSettings(**{**QUIET.to_dict(), **changes})
        return PatternSource(copper, 300, 1.2, settings).detect(
            rotation, torch.Generator().manual_seed(2), 48
        )

    mask = draw()[1]
    faint = (1e-6, 2e-6)
    assert draw(threshold=faint)[1].sum() > 1.1 * draw(threshold=faint, missing=0.8)[1].sum()
    assert mask.sum() > draw(threshold=(0.3, 0.4))[1].sum()
    assert mask.sum() < draw(false_peaks=8)[1].sum()
    g = reflector.in_lab(rotation)[..., :2]
    scattered, there = draw(scatter=(0.0099, 0.0101))
    offset = torch.cdist(scattered[..., :2], g).amin(2)[there]
    assert offset.square().mean().sqrt() == pytest.approx(0.01 * np.sqrt(2), rel=0.1)


def test_a_pattern_without_any_light_keeps_a_single_disk(copper):
    """A cut that no beam passes leaves nothing; a network still needs something to look at, and no more."""
    settings = SynthesisSettings(**{**QUIET.to_dict(), "kinematic_share": 0.0, "excitation_cut": 1e-9})
    rotation = random_rotations(16, torch.Generator().manual_seed(1))
    mask = PatternSource(copper, 300, 1.2, settings).detect(rotation, torch.Generator().manual_seed(2), 48)[1]
    assert (mask.sum(1) == 1).all()


def test_the_same_seed_trains_the_same_model_and_another_seed_does_not(trained, tmp_path, copper):
    train(tmp_path / "again.safetensors", [copper])
    other = TrainingSettings(**{**BRIEF.__dict__, "seed": 4})
    train(tmp_path / "other.safetensors", [copper], settings=other)
    first, again, other = (
        weights(path) for path in (trained, tmp_path / "again.safetensors", tmp_path / "other.safetensors")
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["radial.table"], other["radial.table"])


def test_a_stopped_training_goes_on_to_the_same_model(trained, tmp_path, copper):
    path = tmp_path / "stopped.safetensors"

    def stop(done, total):
        if done >= 768:
            raise Cancelled

    with pytest.raises(Cancelled):
        train(path, [copper], progress=stop)
    assert not path.exists()
    assert path.with_suffix(".training").exists()
    seen = []
    train(path, [copper], progress=lambda done, total: seen.append(done))
    assert seen[0] == 1024
    assert not path.with_suffix(".training").exists()
    first, resumed = weights(trained), weights(path)
    assert all(torch.equal(first[name], resumed[name]) for name in first)


def test_a_checkpoint_of_another_training_is_refused(tmp_path, copper, silver):
    path = tmp_path / "cu.safetensors"

    def stop(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        train(path, [copper], progress=stop)
    with pytest.raises(UserError, match="other settings"):
        train(path, [silver])
    path.with_suffix(".training").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="damaged"):
        train(path, [copper])


def test_a_network_learns(tmp_path, copper):
    figures = []
    settings = TrainingSettings(patterns=40_960, batch=256, every=10_240, learning_rate=3e-3)
    train(tmp_path / "m.safetensors", [copper], settings=settings, synthesis=QUIET, report=figures.append)
    assert figures[-1]["validation_loss"] < 0.9 * figures[0]["validation_loss"]
    assert figures[-1]["best_median"] < 0.8 * figures[0]["best_median"]


def test_the_card_says_what_the_model_is_and_lies_in_and_beside_the_file(trained, copper):
    card = read_card(trained)
    assert card.title == "Cu · 300 kV · 1.2 Å⁻¹"
    assert card.crystals[0].same_crystal(copper)
    assert card.training["seed"] == 3
    assert card.training["patterns_seen"] == 1536
    assert {row["method"] for row in card.accuracy["test"]} == {
        "network alone",
        "templates, verifier, refinement",
        "templates, network, verifier, refinement",
        "templates, network, verifier, refinement, reliable half",
    }
    assert json.loads(trained.with_suffix(".json").read_text()) == json.loads(card.to_json())
    assert trained.with_suffix(".png").stat().st_size > 5000
    with safe_open(trained, "pt") as file:
        assert "reflections.0.g" in file.keys()  # noqa: SIM118


def test_another_crystals_weights_can_be_the_start(trained, tmp_path, copper, silver):
    arguments = {"settings": BRIEF, "network": SMALL, "device": "cpu", "start_from": trained}
    model = train_model([silver], 200, 1.0, tmp_path / "ag.safetensors", **arguments)
    donor = read_card(trained)
    assert model.card.q_span * 4.086 == pytest.approx(donor.q_span * 3.615, rel=1e-4)
    with pytest.raises(UserError, match="network size"):
        train(
            tmp_path / "x.safetensors",
            [copper],
            start_from=trained,
            network=NetworkSettings(width=48, heads=4),
        )


def test_a_joint_model_has_hypotheses_for_each_phase(tmp_path, copper, silver, monkeypatch):
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.indexing.prediction import predicted_pattern
    from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer

    path = tmp_path / "both.safetensors"
    monkeypatch.setattr(accuracy, "evaluate_model", measure_on_few)
    train(path, [copper, silver])
    indexer = TransformerIndexer([load_model(path)], device="cpu")
    assert [phase.name for phase in indexer.phases] == ["Cu", "Ag"]
    spots = [predicted_pattern(phase, np.eye(3), 300, 1.2)[:, :3] for phase in (copper, silver)]
    found = indexer.index(BraggDisks.from_lists((1, 2), spots, calibrated=True))
    assert set(found.phase_id.ravel()) <= {0, 1, -1}


def test_patterns_drawn_ahead_change_nothing_and_are_drawn_again_after_a_stop(tmp_path, copper):
    before = torch.get_num_threads()
    stopped = tmp_path / "stopped.safetensors"

    def stop(done, total):
        if done >= 2 * BRIEF.batch:
            raise Cancelled

    try:
        torch.set_num_threads(1)
        train(tmp_path / "alone.safetensors", [copper])
        torch.set_num_threads(2)  # one draws, one learns
        train(tmp_path / "ahead.safetensors", [copper])
        with pytest.raises(Cancelled):
            train(stopped, [copper], progress=stop)
        train(stopped, [copper])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    alone, ahead, again = (
        load_model(path).network.state_dict()
        for path in (tmp_path / "alone.safetensors", tmp_path / "ahead.safetensors", stopped)
    )
    for name, weights in alone.items():
        assert torch.equal(weights, ahead[name])
        assert torch.equal(weights, again[name])


def test_a_joint_model_can_begin_with_the_weights_of_a_single_phase(trained, tmp_path, copper, silver):
    nearly_no_steps = {"settings": replace(BRIEF, patterns=BRIEF.batch, learning_rate=1e-9), "network": SMALL}
    path = tmp_path / "both.safetensors"
    train_model([copper, silver], 300, 1.2, path, device="cpu", start_from=trained, **nearly_no_steps)
    donor, joint = (load_model(each).network.state_dict() for each in (trained, path))
    first, second = joint["head.2.weight"].chunk(2)
    torch.testing.assert_close(first, donor["head.2.weight"], atol=1e-6, rtol=0)
    torch.testing.assert_close(second, donor["head.2.weight"], atol=1e-6, rtol=0)
    torch.testing.assert_close(joint["radial.table"], donor["radial.table"], atol=1e-6, rtol=0)


def test_bad_arguments_are_refused(tmp_path, copper):
    with pytest.raises(UserError, match="at least one phase"):
        train(tmp_path / "m.safetensors", [])
    with pytest.raises(UserError, match="voltage"):
        train_model([copper], -300, 1.2, tmp_path / "m.safetensors", device="cpu")


@pytest.mark.parametrize("damage", ["missing", "garbage", "truncated", "foreign", "weights", "not finite"])
def test_bad_model_files_are_refused_in_one_sentence(trained, tmp_path, damage):
    path = tmp_path / "bad.safetensors"
    whole = trained.read_bytes()
    if damage == "garbage":
        path.write_bytes(b"\x80\x04pickled nonsense" * 100)
    elif damage == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "foreign":
        save_file({"a": torch.zeros(3)}, path)
    elif damage in ("weights", "not finite"):
        with safe_open(trained, "pt") as file:
            metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        tensors["network.radial.table"] *= torch.nan if damage == "not finite" else 1
        if damage == "weights":
            del tensors["network.radial.table"]
        save_file(tensors, path, metadata)
    with pytest.raises(UserError) as caught:
        load_model(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


# choosing a model


def test_a_model_is_chosen_by_crystal_voltage_and_reach_never_by_name(trained, copper, iron):
    from napari_4dstem_orient.crystals.phase import Phase

    card = read_card(trained)
    renamed = Phase.from_dict({**copper.to_dict(), "name": "my film"})
    impostor = Phase.from_dict({**iron.to_dict(), "name": "Cu"})
    assert why_not(card, [renamed], 300, 1.2) is None
    assert "another crystal" in why_not(card, [impostor], 300, 1.2)
    assert "200 kV" in why_not(card, [copper], 200, 1.2)
    assert "voltage is unknown" in why_not(card, [copper], None, 1.2)
    assert "0.4 Å⁻¹" in why_not(card, [copper], 300, 0.4)
    assert "precession" in why_not(card, [copper], 300, 1.2, precession=1.0)


def test_a_model_serves_crystals_of_its_structure_where_the_sphere_is_curved_alike(trained, copper, silver):
    """Silver is copper, 13 % larger: at 240 kV the Ewald sphere cuts it as it cuts copper at 300 kV."""
    card = read_card(trained)
    assert "300 kV" in why_not(card, [silver], 300, 1.2)
    assert why_not(card, [silver], 250, 1.1) is None
    (use,) = choose_models([AvailableModel(trained, card)], [silver], 250, 1.1).uses
    model = use.load(250, 0.0)
    assert model.stretch == pytest.approx(3.615 / 4.086, rel=1e-3)
    assert model.reflectors[0].nearest == pytest.approx(silver.nearest, rel=1e-5)


def test_every_phase_gets_a_model_or_it_is_told_which_one_lacks_it(trained, copper, silver):
    available = [AvailableModel(trained, read_card(trained))]
    (use,) = choose_models(available, [copper], 300, 1.2).uses
    assert (use.path, use.phases) == (trained, (copper,))
    choice = choose_models(available, [copper, silver], 300, 1.2)
    assert choice.others == (silver,)
    assert choice.why.startswith("Ag: ")


def test_bundled_and_own_models_are_listed_and_other_files_passed_over(trained, tmp_path):
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    (tmp_path / "own.safetensors").write_bytes(trained.read_bytes())
    paths = [model.path for model in list_models(tmp_path)]
    assert tmp_path / "own.safetensors" in paths
    assert tmp_path / "junk.safetensors" not in paths
