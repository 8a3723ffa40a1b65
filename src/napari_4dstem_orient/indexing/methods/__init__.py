"""Ways of finding orientations: what each says of itself, and which there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.registry import Registry

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.indexing.base import Indexer
    from napari_4dstem_orient.indexing.settings import AcceptanceSettings


FARTHEST = 2.1
"""Å⁻¹; farther disks hardly sharpen a template, but its library grows with the cube of this."""


@dataclass(frozen=True)
class Asked:
    """What an indexer is made for.

    Attributes
    ----------
    phases : tuple of Phase
        The crystals there may be.
    voltage : float
        kV.
    precession : float
        Half-angle of the precession cone in degrees.
    k_max : float or None
        |q| in Å⁻¹ up to which disks could have been seen; None where the detector is not known.
    farthest : float
        |q| in Å⁻¹ of the farthest disk.
    settings : dataclass or None
        Of the method's own class; None for the defaults.
    acceptance : AcceptanceSettings or None
        Which answers are given at all.
    models : sequence of path or None
        Model files that were named; None for those that fit.
    device : str
        ``"auto"``, ``"cuda"``, ``"mps"`` or ``"cpu"``.
    """

    phases: tuple[Phase, ...]
    voltage: float
    precession: float = 0.0
    k_max: float | None = None
    farthest: float = 0.0
    settings: Any = None
    acceptance: AcceptanceSettings | None = None
    models: Sequence[str | Path] | None = None
    device: str = "auto"

    @property
    def template_reach(self) -> float:
        """|q| in Å⁻¹ up to which templates are made."""
        return min(self.k_max or self.farthest, FARTHEST)


@dataclass(frozen=True)
class Method:
    """A way of finding orientations.

    Attributes
    ----------
    title : str
        What the user is told.
    settings : type
        Dataclass of what may be set; its fields tell of themselves by ``core.parameters.parameter``.
    make : callable
        ``make(asked)`` returns the indexer; what is heavy is imported there.
    files : callable
        ``files(asked)`` returns the files, beside the program's code, that decide its answers; UserError where they do
        not serve what is asked.
    reads_models : bool
        Whether trained models may propose orientations.
    knows_reliability : bool
        Whether it says how likely its answers are right.
    verifies : bool
        Whether its indexer ``Verifies`` hypotheses of neighbours.
    """

    title: str
    settings: type[Any]
    make: Callable[[Asked], Indexer]
    files: Callable[[Asked], list[Path]] = lambda asked: []
    reads_models: bool = False
    knows_reliability: bool = False
    verifies: bool = False


METHODS: Registry[Method] = Registry(
    "napari_4dstem_orient.indexers",
    Method,
    {
        "template": "napari_4dstem_orient.indexing.methods.template:TEMPLATE",
        "transformer": "napari_4dstem_orient.indexing.methods.transformer:TRANSFORMER",
    },
)
"""By the name that stands in a map."""


def title_of(method: str) -> str:
    """Return what the user is told; of a method that is not installed here its name."""
    return METHODS[method].title if method in METHODS else method


def in_words(method: str) -> str:
    """Return a method's title as within a sentence."""
    title = title_of(method)
    return title[:1].lower() + title[1:]


def check_method(method: str) -> None:
    """Raise UserError for a method that there is not."""
    if method not in METHODS:
        raise UserError(f"There is no method {method!r}; choose one of {', '.join(METHODS)}.")
