"""Candidates and why they are rejected; suggested settings and why."""

from dataclasses import fields, replace

import numpy as np
import pytest

from napari_4dstem_orient.detection.detect import detect_candidates, detect_patterns
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.selection import PeakStatus
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.detection.suggest import explain_settings, suggest

PLACES = [(32, 32, 400), (32, 48, 100), (16, 32, 50), (48, 32, 20), (32, 52, 60), (3, 32, 90)]
SETTINGS = DetectionSettings(
    min_intensity=10.0, min_relative_intensity=0.0, min_spacing=4.5, edge=5, smoothing=0.0
)


@pytest.fixture(scope="module")
def pattern():
    y, x = np.mgrid[:64, :64]
    image = np.zeros((64, 64), np.float32)
    for row, col, height in PLACES:
        image[np.hypot(y - row, x - col) <= 3] = height
    return image


@pytest.fixture(scope="module")
def probe():
    return synthetic_probe(3.0, (64, 64))


def fate_at(found, row, col):
    disks, status = found
    near = np.hypot(disks[:, 0] - row, disks[:, 1] - col) < 2
    return PeakStatus(int(status[near][disks[near, 2].argmax()]))


@pytest.mark.parametrize(
    ("change", "place", "why"),
    [
        ({}, (32, 48), PeakStatus.ACCEPTED),
        ({"min_intensity": 30.0}, (48, 32), PeakStatus.TOO_WEAK),
        (
            {"min_relative_intensity": 0.1, "min_intensity": 1.0},
            (48, 32),
            PeakStatus.TOO_WEAK_BESIDE_STRONGEST,
        ),
        ({"max_disks": 2}, (16, 32), PeakStatus.TOO_MANY),
        ({}, (3, 32), PeakStatus.AT_RIM),
        ({"min_spacing": 17.0}, (16, 32), PeakStatus.TOO_CLOSE),
    ],
)
def test_each_candidate_has_the_reason_of_its_rejection(pattern, probe, change, place, why):
    assert fate_at(detect_candidates(pattern, probe, replace(SETTINGS, **change)), *place) is why
    assert why.text


def test_accepted_candidates_are_the_disks(pattern, probe):
    noisy = np.random.default_rng(0).poisson(pattern + 2).astype(np.float32)
    for change in ({}, {"min_relative_intensity": 0.1}, {"max_disks": 3}, {"edge": 1, "min_spacing": 8.0}):
        settings = replace(SETTINGS, **change)
        candidates, status = detect_candidates(noisy, probe, settings)
        accepted = candidates[status == PeakStatus.ACCEPTED, :2]
        found = detect_patterns(noisy[None], probe, settings)[0][:, :2]
        np.testing.assert_allclose(accepted[np.lexsort(accepted.T)], found[np.lexsort(found.T)], atol=1e-5)
        assert len(candidates) > len(found)


def test_every_suggested_value_says_why(small_scan):
    probe = synthetic_probe(3.0, (64, 64))
    settings = suggest(small_scan, probe)[0]
    reasons = explain_settings(settings, probe)
    assert list(reasons) == [field.name for field in fields(settings)]
    assert f"{settings.gain:.3g} counts" in reasons["gain"]
