"""The transformer, as the registry of methods lists it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.indexing.methods import Asked, Method
from napari_4dstem_orient.indexing.settings import TransformerSettings

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.kinematic import Reflector
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.indexing.base import Indexer
    from napari_4dstem_orient.indexing.models import Choice
    from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer


def _choice(asked: Asked) -> Choice:
    """Return which models serve which phases: those that are named, or of those there are.

    Raises
    ------
    UserError
        Why a named one does not fit.
    """
    from napari_4dstem_orient.indexing.models import choose_models, list_models, named_models

    what = asked.phases, asked.voltage, asked.k_max, asked.precession
    return choose_models(list_models(), *what) if asked.models is None else named_models(asked.models, *what)


def _reflector(phase: Phase, asked: Asked) -> Reflector:
    """Return the reflections of a crystal without a model."""
    from napari_4dstem_orient.indexing.reflections import reflector_of

    return reflector_of(phase, asked.voltage, asked.template_reach, asked.precession)


def _make(asked: Asked) -> Indexer:
    from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer

    choice = _choice(asked)
    models = [use.load(asked.voltage, asked.precession) for use in choice.uses]
    others = [(phase, _reflector(phase, asked)) for phase in choice.others]
    return TransformerIndexer(models, asked.settings, asked.acceptance, asked.device, others)


def by_templates(asked: Asked, progress: Progress = silent) -> TransformerIndexer:
    """Return an indexer that asks no network, in the order of the phases; ``progress`` counts those made ready."""
    from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer

    phases = [(phase, _reflector(phase, asked)) for phase in asked.phases]
    return TransformerIndexer([], asked.settings, asked.acceptance, asked.device, phases, progress)


def _files(asked: Asked) -> list[Path]:
    from napari_4dstem_orient.indexing.verification.network import verifier_files

    return [*(use.path for use in _choice(asked).uses), *verifier_files(asked.precession)]


TRANSFORMER = Method(
    "Transformer",
    TransformerSettings,
    _make,
    _files,
    reads_models=True,
    knows_reliability=True,
    verifies=True,
)
