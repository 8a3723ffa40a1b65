"""Template matching, as the registry of methods lists it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_4dstem_orient.indexing.methods import Asked, Method
from napari_4dstem_orient.indexing.settings import TemplateSettings

if TYPE_CHECKING:
    from napari_4dstem_orient.indexing.base import Indexer

FARTHEST = 2.1
"""Å⁻¹; farther disks hardly sharpen a template, but its library grows with the cube of this."""


def _make(asked: Asked) -> Indexer:
    """Make templates as far as the detector, or a disk, reaches."""
    from napari_4dstem_orient.indexing.template.indexer import TemplateMatcher

    return TemplateMatcher(
        asked.phases,
        asked.voltage,
        min(asked.k_max or asked.farthest, FARTHEST),
        asked.precession,
        asked.settings,
        asked.acceptance,
        device=asked.device,
    )


TEMPLATE = Method("Template matching", TemplateSettings, _make, verifies=True)
