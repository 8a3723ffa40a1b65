"""Every device that torch has here gives the CPU's answers; the CPU gives them with any number of threads."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.indexing.transformer.network import NetworkSettings
from napari_4dstem_orient.training import trainer
from napari_4dstem_orient.training.synthesis import Batch, PatternSource, SynthesisSettings
from napari_4dstem_orient.training.trainer import TrainingSettings
from napari_4dstem_orient.training.training import new_card
from napari_4dstem_orient_evaluation.benchmarks import mapping
from napari_4dstem_orient_evaluation.benchmarks.workloads import Pool, draw_pool, find_pool_disks, tile_disks

PRESENT = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
DEVICES = [name for name, there in PRESENT.items() if there]
METHODS = (*mapping.TRANSFORMERS, mapping.EVERYTHING, mapping.TEMPLATE)
COPPER = find_phase("Cu")


@pytest.fixture(scope="module")
def pool() -> Pool:
    return draw_pool(128, every=48)


@pytest.fixture(scope="module")
def disks(pool: Pool) -> BraggDisks:
    return find_pool_disks(pool, "cpu")


@pytest.fixture(scope="module")
def maps(disks: BraggDisks) -> dict[str, OrientationMap]:
    return mapped(tile_disks(disks, (4, 6)), "cpu")


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def other_threads(disks: BraggDisks, maps: dict[str, OrientationMap]) -> Iterator[None]:
    """Another number of threads than made what is compared with."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if threads > 1 else 2)
    yield
    torch.set_num_threads(threads)


def mapped(disks: BraggDisks, device: str) -> dict[str, OrientationMap]:
    methods = mapping.make_methods(disks, COPPER, 300.0, device)
    return {name: methods[name].index(disks) for name in METHODS}


@pytest.mark.usefixtures("other_threads")
def test_disks_are_the_same(device: str, pool: Pool, disks: BraggDisks) -> None:
    found = find_pool_disks(pool, device)
    same = np.flatnonzero((found.counts == disks.counts).ravel())
    assert len(same) >= 0.95 * disks.counts.size
    for row in same:
        ours, theirs = found.at(0, row)[:, :2], disks.at(0, row)[:, :2]
        np.testing.assert_allclose(ours, theirs, atol=0.02 * pool.calibration.q_pixel)


@pytest.mark.usefixtures("other_threads")
def test_maps_are_the_same(device: str, disks: BraggDisks, maps: dict[str, OrientationMap]) -> None:
    """Networks multiply in half precision where a device is built for it, so some answers near a tie differ."""
    for name, found in mapped(tile_disks(disks, (4, 6)), device).items():
        both = (found.phase_id >= 0) & (maps[name].phase_id >= 0)
        apart = misorientation(found.rotation[both], maps[name].rotation[both], COPPER)
        print(name, both.mean(), np.quantile(apart, [0.5, 0.9, 1]))
        assert both.sum() >= 0.95 * (maps[name].phase_id >= 0).sum(), name
        assert np.median(apart) < 0.2, name
        assert (apart < 1).mean() > 0.9, name


def test_simulated_patterns_are_the_same(device: str) -> None:
    def drawn(where: str) -> Batch:
        source = PatternSource(COPPER, 300.0, 1.5, SynthesisSettings(), device=where)
        return source.draw(64, 40, torch.Generator().manual_seed(3))

    ours, theirs = drawn(device), drawn("cpu")
    assert ours.disks.device.type == device
    count, expected = ours.mask.sum(1).cpu(), theirs.mask.sum(1)
    assert (count == expected).float().mean() > 0.9
    farthest, expected = (batch.disks[..., :2].norm(dim=-1).amax(1).cpu() for batch in (ours, theirs))
    assert torch.isclose(farthest, expected, rtol=1e-3).float().mean() > 0.9


def test_a_training_learns_the_same(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "VALIDATION_PATTERNS", 32)

    def losses(where: str) -> list[float]:
        settings = TrainingSettings(patterns=256, batch=64, every=256)
        small = NetworkSettings(width=32, heads=2, layers=2, feedforward=64)
        card = new_card([COPPER], 300.0, 1.2, 0.0, settings, SynthesisSettings(), small, (), None)
        training = trainer.Trainer(card, settings, torch.device(where))
        return [training.step() for _ in range(3)]

    assert losses(device) == pytest.approx(losses("cpu"), rel=0.02)
