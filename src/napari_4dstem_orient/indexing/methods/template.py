"""Template matching, as the registry of methods lists it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_4dstem_orient.indexing.methods import Asked, Method
from napari_4dstem_orient.indexing.settings import TemplateSettings

if TYPE_CHECKING:
    from napari_4dstem_orient.indexing.base import Indexer


def _make(asked: Asked) -> Indexer:
    """Make templates as far as the detector, or a disk, reaches."""
    from napari_4dstem_orient.indexing.methods.transformer import by_templates
    from napari_4dstem_orient.indexing.template.indexer import TemplateMatcher

    return TemplateMatcher(
        asked.phases,
        asked.voltage,
        asked.template_reach,
        asked.precession,
        asked.settings,
        asked.acceptance,
        device=asked.device,
        judge=by_templates(replace(asked, settings=None)) if _verifies(asked) else None,
    )


def _verifies(asked: Asked) -> bool:
    return (asked.settings or TemplateSettings()).verify


def _files(asked: Asked) -> list[Path]:
    from napari_4dstem_orient.indexing.verification.network import verifier_files

    return verifier_files(asked.precession) if _verifies(asked) else []


TEMPLATE = Method("Template matching", TemplateSettings, _make, _files, knows_reliability=True, verifies=True)
