"""The transformer, as the registry of methods lists it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_4dstem_orient.indexing.methods import Asked, Method
from napari_4dstem_orient.indexing.settings import TransformerSettings

if TYPE_CHECKING:
    from napari_4dstem_orient.indexing.base import Indexer
    from napari_4dstem_orient.indexing.models import Use


def _uses(asked: Asked) -> list[Use]:
    """Return models that together know all phases: those that are named, or of those there are.

    Raises
    ------
    UserError
        Why a named one, or every one there is, does not fit.
    """
    from napari_4dstem_orient.indexing.models import choose_models, list_models, named_models

    what = asked.phases, asked.voltage, asked.k_max, asked.precession
    return named_models(asked.models, *what) if asked.models else choose_models(list_models(), *what)


def _make(asked: Asked) -> Indexer:
    from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer

    models = [use.load(asked.voltage, asked.precession) for use in _uses(asked)]
    return TransformerIndexer(models, asked.settings, asked.acceptance, device=asked.device)


def _files(asked: Asked) -> list[Path]:
    from napari_4dstem_orient.indexing.verification.network import verifier_files

    return [*(use.path for use in _uses(asked)), *verifier_files(asked.precession)]


TRANSFORMER = Method(
    "Transformer",
    TransformerSettings,
    _make,
    _files,
    needs_models=True,
    knows_reliability=True,
    verifies=True,
)
