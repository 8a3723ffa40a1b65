"""Libraries of every kind of crystal hold a template near each orientation, and no more than memory does."""

import numpy as np
import torch

from helpers.made_crystals import SETTINGS, in_setting, setting
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.crystals.rotations import random_rotations
from napari_4dstem_orient.indexing.reflections import reflector_of
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.indexing.template.library import Templates
from napari_4dstem_orient.indexing.template.matching import likeliest

SETTINGS_OF_GROUP = {setting(hall).number: hall for hall in reversed(SETTINGS)}
STEP, LIKELY, FAINT = 5.0, 8, 1e-4


def test_of_every_space_group_the_truth_is_among_the_likeliest_templates():
    assert len(SETTINGS_OF_GROUP) == 230
    for number, hall in SETTINGS_OF_GROUP.items():
        phase = in_setting(hall)
        reflector = reflector_of(phase, 200.0, 1.0)
        truth = random_rotations(6, torch.Generator().manual_seed(number))
        place, intensity = reflector.brightest(truth, 0.02, 1.0, 40)
        seen = intensity > FAINT * intensity[:, :1]
        templates = Templates.covering(
            phase, reflector, TemplateSettings(zone_axis_step=STEP, in_plane_step=STEP)
        )
        found = likeliest(templates, place, intensity, seen, LIKELY)
        expected = truth[:, None].expand_as(found)
        apart = misorientation(found.numpy().astype(float), expected.numpy().astype(float), phase).min(1)
        assert np.all(apart < 1.2 * STEP), phase.name
