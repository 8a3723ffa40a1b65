"""From what was asked for to an indexer: which method, with which models or templates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.indexing.base import Indexer
    from napari_4dstem_orient.indexing.models import Use
    from napari_4dstem_orient.indexing.settings import AcceptanceSettings

METHODS = ("transformer", "template")

FARTHEST_TEMPLATE = 2.1
"""Å⁻¹; farther disks hardly sharpen a template, but its library grows with the cube of this."""


def check_method(method: str) -> None:
    """Raise UserError for a method that there is not."""
    if method not in METHODS:
        raise UserError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")


def check_asked(disks: BraggDisks, phases: Sequence[Phase], voltage: float | None, method: str) -> None:
    """Raise UserError where no indexer can be made, whichever models there are."""
    check_method(method)
    if not phases:
        raise UserError("No crystal phase is given; give a CIF file or the name of a bundled crystal.")
    if not len(disks):
        raise UserError("There are no Bragg disks at any scan position; change the detection settings.")
    if not disks.calibrated:
        raise UserError("The Bragg disks are not calibrated; call calibrate first.")
    if voltage is None:
        raise UserError("The accelerating voltage (kV) is not known; give it, for example --voltage 300.")


def make_indexer(
    disks: BraggDisks,
    phases: Sequence[Phase],
    voltage: float | None,
    *,
    method: str = "transformer",
    settings: Any = None,
    models: Sequence[str | Path] = (),
    device: str = "auto",
    precession: float = 0.0,
    acceptance: AcceptanceSettings | None = None,
) -> Indexer:
    """Return what will index these disks.

    Parameters
    ----------
    disks : BraggDisks
        Calibrated: in Å⁻¹, centred, in the scan frame.
    phases : sequence of Phase
        The crystals there may be.
    voltage : float
        kV.
    method : "transformer" or "template"
    settings : TransformerSettings or TemplateSettings, optional
        Of the method.
    models : sequence of path
        The transformer's model files; none for the shipped models that fit.
    device : "auto", "cpu", "cuda" or "mps"
        Where the method runs.
    precession : float
        Half-angle of the precession cone in degrees.
    acceptance : AcceptanceSettings, optional
        Which answers are given at all.

    Raises
    ------
    UserError
        No disks anywhere, disks not calibrated, or no model fits (and why).
    """
    check_asked(disks, phases, voltage, method)
    assert voltage is not None
    if method == "template":
        from napari_4dstem_orient.indexing.template.indexer import TemplateMatcher

        reach = template_reach(disks)
        return TemplateMatcher(phases, voltage, reach, precession, settings, acceptance, device=device)
    from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer

    uses = fitting_models(phases, voltage, disks.reach, precession, models)
    loaded = [use.load(voltage, precession) for use in uses]
    return TransformerIndexer(loaded, settings, acceptance, device=device)


def template_reach(disks: BraggDisks) -> float:
    """Return |q| in Å⁻¹ up to which templates are made: as far as the detector, or a disk, reaches."""
    reach = disks.reach or float(np.hypot(disks.qx, disks.qy).max())
    return min(reach, FARTHEST_TEMPLATE)


def fitting_models(
    phases: Sequence[Phase],
    voltage: float | None,
    reach: float | None,
    precession: float,
    models: Sequence[str | Path] = (),
) -> list[Use]:
    """Return models that together know all phases: those that are named, or of those there are.

    Raises
    ------
    UserError
        Why a named one, or every one there is, does not fit.
    """
    from napari_4dstem_orient.indexing.models import choose_models, list_models, named_models

    if models:
        return named_models(models, phases, voltage, reach, precession)
    return choose_models(list_models(), phases, voltage, reach, precession)
