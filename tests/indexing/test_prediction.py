"""Predicted patterns: whatever the physics, each reflection lies where its indices say."""

import numpy as np
import pytest
import torch

from helpers.gui_scan import LEFT
from napari_4dstem_orient.crystals.bloch import BlochWaves
from napari_4dstem_orient.indexing.prediction import BEAMS, predicted_pattern
from napari_4dstem_orient.indexing.settings import PredictionSettings


@pytest.mark.parametrize("physics", ["kinematic", "two-beam", "Bloch waves"])
def test_reflections_lie_where_their_indices_say(silver, physics):
    spots = predicted_pattern(silver, LEFT, 200.0, 1.2, settings=PredictionSettings(physics=physics))
    g_lab = spots[:, 3:] @ np.linalg.inv(silver.lattice).T @ LEFT
    np.testing.assert_allclose(spots[:, :2], g_lab[:, :2], atol=1e-5)
    assert spots[0, 2] == 1
    assert (np.diff(spots[:, 2]) <= 0).all()
    assert not (spots[:, 3:] == 0).all(axis=1).any()  # no direct beam


def test_bloch_waves_are_those_of_the_thickness_asked_for(silver):
    settings = PredictionSettings(physics="Bloch waves", thickness=450.0)
    spots = predicted_pattern(silver, LEFT, 200.0, 1.2, settings=settings)
    waves = BlochWaves.of(silver, 200.0, 1.2)
    _, intensity = waves.diffract(torch.from_numpy(LEFT)[None], torch.tensor([[450.0, 200.0]]), beams=BEAMS)
    expected, other = (np.sort(each / each.max())[::-1][:12] for each in intensity[0].numpy())
    np.testing.assert_allclose(spots[:12, 2], expected, atol=1e-4)
    assert not np.allclose(spots[:12, 2], other, atol=0.02)
