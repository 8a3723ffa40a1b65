"""Electron counting in training patterns, held to what detection makes of multislice patterns with Poisson noise."""

from functools import lru_cache

import numpy as np
import pytest
import torch

import napari_4dstem_orient as orient
from helpers.multislice import multislice_patterns, multislice_scan
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.detection.noise import faintest
from napari_4dstem_orient.detection.probe import probe_for
from napari_4dstem_orient.detection.suggest import settings_for_probe
from napari_4dstem_orient.training.counting import CountingSettings
from napari_4dstem_orient.training.synthesis import PatternSource, SynthesisSettings

FLOOR, NEAREST = 0.7, 0.479
DETECTED = 128


@lru_cache(maxsize=4)
def detected(dose, patterns=60):
    """Return position, S/N and pattern of the peaks that detection finds with hardly any floor, and the true places."""
    from dataclasses import replace

    every = multislice_patterns("cu")
    scan = multislice_scan(every, dose)
    probe = probe_for(scan)
    settings = replace(
        settings_for_probe(probe),
        min_signal_to_noise=FLOOR,
        min_relative_intensity=0.0,
        min_intensity=faintest(probe, 1.0, 1.0, FLOOR),
        smoothing=1.0,
        max_disks=DETECTED,
        subpixel="fit",
    )
    disks, _ = orient.calibrate(orient.detect_disks(scan, probe, settings), scan.calibration)
    reflector = Reflector.of(find_phase("Cu"), 300.0, 2.2)
    g = reflector.in_lab(torch.as_tensor(every.rotation[:patterns], dtype=torch.float32))
    strong = 1 / (1 + (reflector.excitation_errors(g)[0] * reflector.extinction).square()) > 1e-3
    true = [lab[some, :2].numpy() for lab, some in zip(g, strong, strict=True)]
    owner = disks.owner
    use = (owner < patterns) & (np.hypot(disks.qx, disks.qy) > 0.85 * NEAREST)
    q = np.stack([disks.qx, disks.qy], 1)[use]
    off = [np.linalg.norm(true[i] - place, axis=1).min() for i, place in zip(owner[use], q, strict=True)]
    return disks.snr[use], np.array(off), patterns


@lru_cache(maxsize=4)
def simulated(dose):
    counting = CountingSettings(
        dose=(dose, dose), radius=(0.15, 0.15), diffuse=(0.05, 0.25), halo=(0.25, 0.25), ringed=0.0, unknown=0.0,
        floor=(FLOOR, FLOOR),
    )  # fmt: skip
    settings = SynthesisSettings(
        thickness=(30.0, 400.0), second_crystal=0.0, missing=0.0, edge=(1.0, 1.0), counting=counting
    )
    source = PatternSource(find_phase("Cu"), 300, 2.1, settings)
    batch = source.draw(256, DETECTED, torch.Generator().manual_seed(0), canonical=False)
    use = batch.mask & (batch.disks[..., :2].norm(dim=-1) > 0.85 * NEAREST)
    return batch.snr[use].numpy(), len(batch.mask)


@pytest.mark.parametrize(("dose", "faintest"), [(1e4, 1.0), (2e5, 1.6)])
def test_as_many_peaks_of_each_signal_to_noise_as_detection_finds(dose, faintest):
    """Where disks lie close, fewer of the faintest noise is drawn: nobody looks at it."""
    real, _, patterns = detected(dose)
    made, count = simulated(dose)
    for low, high in ((faintest, 1.6), (1.6, 2.5), (2.5, 6), (6, 50))[faintest == 1.6 :]:
        expected = ((real >= low) & (real < high)).sum() / patterns
        ours = ((made >= low) & (made < high)).sum() / count
        assert 0.5 * expected < ours < 2.0 * expected, (low, high, ours, expected)


def test_disks_scatter_as_those_of_multislice_patterns_of_the_same_signal_to_noise():
    from napari_4dstem_orient.training.counting import PLACED

    snr, off, _ = detected(2e5)
    factor, power, _ = PLACED
    radius = 0.15 * NEAREST
    for low, high in ((3, 5), (6, 10), (12, 30)):
        near = off[(snr >= low) & (snr < high)]
        near = near[near < 0.05]
        measured = np.sqrt(np.mean(near**2) / 2)
        ours = radius * np.hypot(factor * np.sqrt(low * high) ** -power, 0.04)
        assert 0.7 * measured < ours < 1.4 * measured, (low, measured, ours)


def test_what_networks_are_trained_with_is_what_it_was():
    """Nothing of counting touches it: the models that ship could be trained again."""
    source = PatternSource(find_phase("Cu"), 300, 1.8, SynthesisSettings())
    batch = source.draw(64, 32, torch.Generator().manual_seed(0))
    assert batch.snr is None
    assert int(batch.mask.sum()) == 825
    np.testing.assert_allclose(
        batch.disks.abs().double().sum((0, 1)), [532.4295, 434.9877, 137.4570], rtol=1e-4
    )


def test_lists_that_do_not_tell_the_signal_to_noise_are_drawn_too():
    counting = CountingSettings(unknown=0.5)
    source = PatternSource(find_phase("Cu"), 300, 1.8, SynthesisSettings(counting=counting))
    batch = source.draw(256, 64, torch.Generator().manual_seed(1))
    known = (batch.snr > 0).any(1)
    assert 0.35 < known.float().mean() < 0.65
    assert (batch.snr > 0)[known][batch.mask[known]].float().mean() > 0.97
