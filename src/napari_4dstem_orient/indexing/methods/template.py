"""Template matching, as the registry of methods lists it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_4dstem_orient.indexing.methods import Asked, Method
from napari_4dstem_orient.indexing.settings import TemplateSettings

if TYPE_CHECKING:
    from napari_4dstem_orient.indexing.base import Indexer


def _make(asked: Asked) -> Indexer:
    """Make templates as far as the detector, or a disk, reaches."""
    from napari_4dstem_orient.indexing.template.indexer import TemplateMatcher

    return TemplateMatcher(
        asked.phases,
        asked.voltage,
        asked.template_reach,
        asked.precession,
        asked.settings,
        asked.acceptance,
        device=asked.device,
    )


TEMPLATE = Method("Template matching", TemplateSettings, _make, verifies=True)
