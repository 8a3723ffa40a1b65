"""A coarse template library of any crystal: where to look first, for the verifier to decide."""

from __future__ import annotations

from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.indexing.template.library import Templates

COARSE = TemplateSettings(zone_axis_step=2.5, in_plane_step=2.5, intensity_power=0.25)
"""The pre-verifier recognizes what is so much off."""


def coarse_library(phase: Phase, reflector: Reflector) -> Templates:
    """Make a crystal's coarse library; a tenth of a second, for large cells without symmetry some seconds."""
    return Templates.covering(phase, reflector, COARSE)
