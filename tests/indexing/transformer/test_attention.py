"""What the transformer looked at: the same encoder, attention that adds up, in the disks' own order."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.indexing.transformer.attention import attention_at, disk_attention, encode
from napari_4dstem_orient.indexing.transformer.checkpoint import Model, ModelCard, build_network
from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer
from napari_4dstem_orient.indexing.transformer.network import NetworkSettings
from napari_4dstem_orient.indexing.transformer.tokens import canonical_frame

SIZE = NetworkSettings(tokens=6, width=16, heads=2, layers=2, feedforward=32)


@pytest.fixture(scope="module")
def model(copper):
    card = ModelCard(
        phases=[copper.to_dict()],
        voltage=300.0,
        k_max=2.1,
        precession=0.0,
        q_span=2.2,
        network=asdict(SIZE),
        synthesis={},
        training={},
        data_hash="",
    )
    torch.manual_seed(4)
    return Model(card, build_network(card).eval(), (copper,), (Reflector.of(copper, 300, 2.1),))


def some_disks(disks, seed=0):
    generator = torch.Generator().manual_seed(seed)
    angle = 6.28 * torch.rand(2, disks, generator=generator)
    length = 0.5 + 1.4 * torch.rand(2, disks, generator=generator)
    strength = torch.rand(2, disks, generator=generator) + 0.01
    return torch.stack([length * angle.cos(), length * angle.sin(), strength], -1)


def test_the_slow_encoder_answers_as_the_fast_one_does(model):
    network, disks = model.network, some_disks(6)
    mask = torch.ones(2, 6, dtype=torch.bool)
    mask[0, 4:] = False
    with torch.inference_mode():
        tokens = network.embed(disks)
        fast = network.encoder(tokens, src_key_padding_mask=~mask)
        slow, attention = encode(network.encoder, tokens, mask)
    torch.testing.assert_close(slow[mask], fast[mask], atol=1e-5, rtol=1e-4)
    assert len(attention) == SIZE.layers
    for layer in attention:
        torch.testing.assert_close(layer.sum(-1), torch.ones(2, 6))
        assert not layer[0, :, 4:].any()


def test_attention_adds_up_and_follows_the_disks_wherever_they_stand_in_the_list(model):
    disks = some_disks(9)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[:, 2] = False
    share = disk_attention(model, disks, mask, 3)
    read = ~share.isnan()
    assert read.sum(1).tolist() == [SIZE.tokens] * 2  # the weakest are not read, nor is what is masked out
    assert not read[:, 2].any()
    torch.testing.assert_close(share.nansum(1), torch.ones(2))
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    shuffled = disk_attention(model, disks[:, order], mask[:, order], 3)
    torch.testing.assert_close(shuffled, share[:, order], equal_nan=True)


def test_attention_is_that_of_all_layers(model):
    """Of disks in the network's own frame: the first on +x, intensities relative to it, strongest first."""
    disks, mask = some_disks(5).sort(1, descending=True).values, torch.ones(2, 5, dtype=torch.bool)
    disks = canonical_frame(disks)[0]
    with torch.inference_mode():
        _, layers = encode(model.network.encoder, model.network.embed(disks), mask)
    through = torch.eye(5)
    for layer in layers:
        through = (layer + torch.eye(5)) / 2 @ through
    share = disk_attention(model, disks, mask)
    torch.testing.assert_close(share, through.mean(1))
    assert (share - layers[-1].mean(1)).abs().max() > 1e-3


def test_equal_disks_get_equal_attention_whichever_the_weights(model):
    """Rollout of disks that are all alike to the network: everybody gets 1/n."""
    disks = torch.tensor([[[0.9, 0.0, 1.0]] * 4])
    share = disk_attention(model, disks, torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(share, torch.full((1, 4), 0.25))


def test_a_scan_position_leaves_out_the_direct_beam(model, copper, silver):
    disks = np.array([[0, 0, 50], [0.5, 0.1, 9], [-0.5, 0.3, 8], [0.2, 0.8, 7], [0.1, 5.0, 6]], np.float32)
    one = BraggDisks.from_lists((1, 1), [disks], calibrated=True)
    indexer = TransformerIndexer([model], device="cpu")
    share = attention_at(indexer, one, copper)
    np.testing.assert_array_equal(np.isnan(share), [True, False, False, False, True])
    assert np.nansum(share) == pytest.approx(1, abs=1e-5)
    nothing = BraggDisks.from_lists((1, 1), [disks[:1]], calibrated=True)
    assert np.isnan(attention_at(indexer, nothing, copper)).all()
    with pytest.raises(UserError, match="Ag"):
        attention_at(indexer, one, silver)
