"""What the user chose to map with, and the indexers made of it: one set for each session.

The map widget sets the choice; it and the inspector take indexers from here, so a template library or a
network is made once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.napari_plugin.qt.libraries import import_libraries
from napari_4dstem_orient.napari_plugin.state.preferences import preferences
from napari_4dstem_orient.workflow.records import FORMS, choice_settings
from napari_4dstem_orient.workflow.session import Session, Stage

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.indexing.base import Indexer
    from napari_4dstem_orient.indexing.models import AvailableModel
    from napari_4dstem_orient.indexing.settings import (
        AcceptanceSettings,
        TemplateSettings,
        TransformerSettings,
    )
    from napari_4dstem_orient.napari_plugin.state.snapshot import Illumination

METHODS = {"template": "Template matching", "transformer": "Transformer"}
"""Name in a map to name on the screen."""
STAGES = {"template": Stage.TEMPLATE_MAP, "transformer": Stage.TRANSFORMER_MAP}


@dataclass(frozen=True)
class Choice:
    """Phases, models, device and settings for the next map.

    Attributes
    ----------
    phases : tuple of Phase
    models : tuple of Path
        The transformer's model files; empty where none fits.
    why_no_model : str
        Said to the user where there are none.
    device : str
        ``"auto"``, ``"cuda"``, ``"mps"`` or ``"cpu"``.
    transformer : TransformerSettings or None
    template : TemplateSettings or None
    acceptance : AcceptanceSettings or None
        Of both methods. None for the defaults, as in the two above.
    """

    phases: tuple[Phase, ...] = ()
    models: tuple[Path, ...] = ()
    why_no_model: str = "Choose a model in the Map panel."
    device: str = "auto"
    transformer: TransformerSettings | None = None
    template: TemplateSettings | None = None
    acceptance: AcceptanceSettings | None = None

    def record(self) -> dict[str, Any]:
        """Return the choice as plain JSON values, for a ``Record``."""
        forms = {name: getattr(self, name) for name in FORMS}
        return choice_settings(self.phases, self.models, self.device, **forms)


class Indexers:
    """The indexers of a session's current choice, made when first asked for (in whatever thread asks).

    Signals
    -------
    changed : Signal()
        The choice changed.
    models_added : Signal()
        There is another model file to choose from.
    """

    changed = Signal()
    models_added = Signal()

    def __init__(self) -> None:
        self.choice = Choice()
        self.more_models: tuple[Path, ...] = ()
        self._made: dict[str, tuple[tuple[Any, ...], Indexer]] = {}
        self._lock = threading.Lock()

    def choose(self, **fields: Any) -> None:
        """Replace fields of the choice."""
        choice = replace(self.choice, **fields)
        if choice != self.choice:
            self.choice = choice
            self.changed.emit()

    def add_model(self, path: Path) -> None:
        """Offer a model file beside the bundled ones and those of the preferences' folder, before them."""
        self.more_models = (path, *(other for other in self.more_models if other != path))
        self.models_added.emit()

    def can(self, method: str) -> bool:
        """Tell whether the choice is complete enough for a method."""
        return bool(self.choice.phases) and (method == "template" or bool(self.choice.models))

    def get(self, method: str, light: Illumination | None) -> Indexer:
        """Return the indexer of a method, ``"template"`` or ``"transformer"``.

        Raises
        ------
        UserError
            No phase is chosen, no model fits, or the voltage is not known.
        """
        choice = self.choice
        if not choice.phases:
            raise UserError("No crystal phase is chosen; tick one in the Map panel.")
        if light is None:
            raise UserError("The accelerating voltage is not known; enter it in the Data panel.")
        if method == "transformer" and not choice.models:
            raise UserError(f"The transformer cannot run: {choice.why_no_model}")
        key = (
            (choice.models, choice.phases, choice.device, choice.transformer, choice.acceptance, light)
            if method == "transformer"
            else (choice.phases, choice.device, choice.template, choice.acceptance, light)
        )
        import_libraries()
        with self._lock:
            if method not in self._made or self._made[method][0] != key:
                self._made[method] = key, _make(method, choice, light)
            return self._made[method][1]


def _make(method: str, choice: Choice, light: Illumination) -> Indexer:
    if method == "transformer":
        from napari_4dstem_orient.indexing.models import uses_of
        from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer

        uses = uses_of(choice.models, choice.phases)
        models = [use.load(light.voltage, light.precession) for use in uses]
        return TransformerIndexer(models, choice.transformer, choice.acceptance, device=choice.device)
    from napari_4dstem_orient.indexing.make import FARTHEST_TEMPLATE
    from napari_4dstem_orient.indexing.template.indexer import TemplateMatcher

    k_max = min(light.k_max, FARTHEST_TEMPLATE)
    return TemplateMatcher(
        choice.phases,
        light.voltage,
        k_max,
        light.precession,
        choice.template,
        choice.acceptance,
        device=choice.device,
    )


_of_session: WeakKeyDictionary[Session, Indexers] = WeakKeyDictionary()


def indexers_for(session: Session) -> Indexers:
    """Return the indexers of a session."""
    return _of_session.setdefault(session, Indexers())


@dataclass(frozen=True, eq=False)
class Fit:
    """Which models there are for the phases, voltage and k range at hand.

    Attributes
    ----------
    available : list of AvailableModel
    reasons : list of str
        Why each does not fit; empty for those that do.
    chosen : tuple of Path
        The fewest that know all phases.
    why_none : str
        Why nothing is chosen.
    """

    available: list[AvailableModel]
    reasons: list[str]
    chosen: tuple[Path, ...]
    why_none: str


def fit_models(phases: tuple[Phase, ...], light: Illumination | None, more: tuple[Path, ...] = ()) -> Fit:
    """Compare the bundled and the user's models, and ``more`` files, with what is to be mapped; slow."""
    from napari_4dstem_orient.indexing.models import AvailableModel, choose_models, list_models, why_not
    from napari_4dstem_orient.indexing.transformer.checkpoint import read_card

    available = [AvailableModel(path, read_card(path)) for path in more]
    known = {path.resolve() for path in more}
    found = list_models(preferences().models_folder)
    available += [model for model in found if model.path.resolve() not in known]
    import_libraries()
    if not phases:
        return Fit(available, ["tick a phase first" for _ in available], (), "Tick a crystal phase first.")
    scan = (None, None) if light is None else (light.voltage, light.k_max, light.precession)
    reasons = [why_not(model.card, phases, *scan) or "" for model in available]
    try:
        chosen = tuple(dict.fromkeys(use.path for use in choose_models(available, phases, *scan)))
    except UserError as error:
        return Fit(available, reasons, (), str(error))
    return Fit(available, reasons, chosen, "")
