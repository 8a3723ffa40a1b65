"""The published architecture: what it reads, what it answers, and that it trains, saves and loads like the other."""

import math
from dataclasses import replace
from unittest.mock import create_autospec

import pytest
import torch

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.certainty import IndexingStatus
from napari_4dstem_orient.crystals.rotations import about_beam, nearest_rotation, random_rotations
from napari_4dstem_orient.indexing.transformer.checkpoint import load_model
from napari_4dstem_orient.indexing.transformer.indexer import propose
from napari_4dstem_orient.indexing.transformer.published import PublishedSettings, PublishedTransformer
from napari_4dstem_orient.training import accuracy as evaluation
from napari_4dstem_orient.training import run, trainer
from napari_4dstem_orient.training.plan import TrainingPlan
from napari_4dstem_orient.training.synthesis import PatternSource, published_synthesis
from napari_4dstem_orient.training.trainer import TrainingSettings
from napari_4dstem_orient.training.training import train_model

SMALL = PublishedSettings(tokens=16, width=32, heads=4, layers=1, feedforward=64)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, copper):
    path = tmp_path_factory.mktemp("published") / "cu.safetensors"
    settings = TrainingSettings(patterns=2048, batch=128, every=512, learning_rate=3e-3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            evaluation, "evaluate_model", create_autospec(evaluation.evaluate_model, return_value=[])
        )
        patch.setattr(trainer, "VALIDATION_PATTERNS", 64)
        synthesis = published_synthesis((10, 3000))
        train_model(
            [copper], 300, 1.2, path, settings=settings, synthesis=synthesis, network=SMALL, device="cpu"
        )
    return load_model(path)


def some_disks(count, tokens):
    generator = torch.Generator().manual_seed(0)
    disks = torch.rand(count, tokens, 3, generator=generator) * 2 - 1
    disks[..., 2] = disks[..., 2].abs()
    mask = torch.ones(count, tokens, dtype=torch.bool)
    mask[0, 3:] = False
    return disks, mask


def test_the_preset_has_the_published_size():
    network = PublishedTransformer(PublishedSettings(), 2.1)
    assert network.radial.weight.shape == (256, 384)
    assert network.azimuth.weight.shape == (360, 384)
    assert network.intensity.weight.shape == (64, 384)
    assert len(network.encoder.layers) == 3
    assert network.encoder.layers[0].linear1.out_features == 768
    assert network.encoder.layers[0].self_attn.num_heads == 8
    assert network.settings.tokens == 76


def test_it_answers_with_one_rotation_for_each_pattern_and_phase():
    torch.manual_seed(0)
    network = PublishedTransformer(replace(SMALL, phases=2), 1.2)
    disks, mask = some_disks(5, 9)
    rotations, logits = network(disks, mask)
    assert rotations.shape == (5, 2, 3, 3)
    assert logits.shape == (5, 2)
    assert torch.allclose(rotations @ rotations.mT, torch.eye(3).expand(5, 2, 3, 3), atol=1e-5)
    assert torch.allclose(torch.linalg.det(rotations), torch.ones(5, 2), atol=1e-5)
    disks[0, 3:] = 7.0
    assert torch.allclose(network(disks, mask)[0], rotations, atol=1e-6)


def test_disks_in_one_bin_look_alike_and_in_the_next_bin_do_not():
    network = PublishedTransformer(SMALL, 1.0)
    width = 1 / SMALL.radial_bins
    radius = torch.tensor([100.1, 100.9, 101.1]) * width
    disks = torch.stack([radius, torch.full((3,), 1e-3), torch.ones(3)], -1)[:, None]
    same, same_bin, next_bin = network(disks, torch.ones(3, 1, dtype=torch.bool))[0]
    assert torch.equal(same, same_bin)
    assert not torch.allclose(same, next_bin, atol=1e-4)


def test_the_nearest_rotation_is_nearest_and_has_the_gradient_of_it():
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(4, 3, 3, generator=generator, dtype=torch.double, requires_grad=True)
    found = nearest_rotation(matrix)
    others = random_rotations(2000, generator).double()
    assert ((matrix - found).norm(dim=(1, 2)) < (matrix - others[:, None]).norm(dim=(2, 3)).amin(0)).all()
    assert torch.autograd.gradcheck(nearest_rotation, (matrix,))


@pytest.mark.parametrize(
    "matrix", [torch.eye(3), torch.zeros(3, 3), torch.diag(torch.tensor([1.0, 1.0, -1.0]))]
)
def test_the_gradient_is_finite_where_singular_values_coincide(matrix):
    matrix = matrix.clone().requires_grad_()
    nearest_rotation(matrix)[0, 1].backward()
    assert torch.isfinite(matrix.grad).all()


def test_it_trains_on_patterns_as_they_lie_on_the_detector(copper):
    source = PatternSource(copper, 300, 2.1, published_synthesis((10, 3000)))
    batch = source.draw(16, 16, torch.Generator().manual_seed(0), canonical=False)
    g = source.reflector.in_lab(batch.rotation)[..., :2]
    apart = (batch.disks[:, :, None, :2] - g[:, None]).norm(dim=-1).amin(2)
    assert apart[batch.mask].max() < 1e-4
    assert batch.disks[:, 0, 1].abs().median() > 0.05  # the strongest disk lies anywhere
    assert torch.allclose(batch.disks[:, 0, 2], torch.ones(16))


def test_it_learns_and_comes_back_from_its_file(trained):
    history = trained.card.training["history"]
    assert [row["patterns"] for row in history] == [512, 1024, 1536, 2048]
    assert history[-1]["training_loss"] < history[0]["training_loss"]
    assert isinstance(trained.network, PublishedTransformer)
    assert trained.network.settings == SMALL


def test_it_is_asked_once_about_the_pattern_as_it_lies(trained):
    disks, mask = some_disks(2, 12)
    disks[..., 2] += torch.linspace(2, 1, 12)
    disks = disks / disks.new_tensor([1, 1, float(disks[..., 2].max())])
    (rotations,) = propose(trained, disks, mask, range(5))
    assert rotations.shape == (2, 1, 3, 3)
    order = torch.where(mask, disks[..., 2], -1).argsort(1, descending=True)
    tokens = torch.gather(disks, 1, order[..., None].expand(-1, -1, 3))
    tokens[..., 2] /= tokens[:, :1, 2].clone()
    expected, _ = trained.network(tokens, torch.gather(mask, 1, order))
    assert torch.allclose(rotations, expected, atol=1e-5)


def test_it_is_an_indexer_like_the_other(trained):
    test = evaluation.make_test_set(trained, 0, "published", 8)
    assert isinstance(test.disks, BraggDisks)
    make = evaluation.methods_for(trained, "cpu", template=False)[evaluation.ALONE]
    found = make().index(test.disks)
    assert (found.indexed | (found.status == IndexingStatus.TOO_FEW_DISKS)).all()
    assert found.indexed.any()


def test_the_plan_asks_for_the_published_network_and_patterns(monkeypatch, tmp_path, copper):
    trained = create_autospec(run.train_model)
    monkeypatch.setattr(run, "train_model", trained)
    wanted = TrainingPlan(voltage=300, thinnest=50, thickest=500)
    run.train_plan([copper], wanted, tmp_path / "m.safetensors", patterns=512, architecture="published")
    asked = trained.call_args.kwargs
    assert asked["network"] == PublishedSettings()
    assert asked["synthesis"] == published_synthesis((50, 500))
    assert asked["settings"].learning_rate < TrainingSettings().learning_rate
    run.train_plan([copper], wanted, tmp_path / "m.safetensors", patterns=512)
    assert not isinstance(trained.call_args.kwargs["network"], PublishedSettings)


def test_a_turned_pattern_is_another_pattern_to_it(trained):
    disks, mask = some_disks(2, 12)
    quarter = about_beam(torch.tensor(math.pi / 2))[:2, :2]
    turned = torch.cat([disks[..., :2] @ quarter, disks[..., 2:]], -1)
    (one,), (other,) = propose(trained, disks, mask, range(1)), propose(trained, turned, mask, range(1))
    assert not torch.allclose(one @ about_beam(torch.tensor(math.pi / 2)), other, atol=1e-2)


def test_the_command_line_asks_for_it_by_name(monkeypatch, tmp_path, trained):
    from typer.testing import CliRunner

    from napari_4dstem_orient.cli import app

    planned = create_autospec(run.train_plan, return_value=trained)
    monkeypatch.setattr(run, "train_plan", planned)
    command = [
        "train",
        "--phase",
        "Cu",
        "--voltage",
        "300",
        "--k-max",
        "2.1",
        "-o",
        str(tmp_path / "m.safetensors"),
    ]
    assert CliRunner().invoke(app, [*command, "--architecture", "published"]).exit_code == 0
    assert planned.call_args.kwargs["architecture"] == "published"
    assert CliRunner().invoke(app, command).exit_code == 0
    assert planned.call_args.kwargs["architecture"] == "own"
    assert CliRunner().invoke(app, [*command, "--architecture", "other"]).exit_code == 2
