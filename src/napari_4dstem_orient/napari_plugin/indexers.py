"""What the user chose to map with, and the indexers made of it: one set for each session.

The map widget sets the choice; it and the inspector take indexers from here, so a template library or a network
is made once.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.session import Session, Stage

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.indexing.indexer import Indexer

METHODS = {"template": "Template matching", "transformer": "Transformer"}
"""Name in a map to name on the screen."""
STAGES = {"template": Stage.TEMPLATE_MAP, "transformer": Stage.TRANSFORMER_MAP}


@dataclass(frozen=True)
class Choice:
    """Phases, model, device and settings for the next map.

    Attributes
    ----------
    phases : tuple of Phase
    model : path or None
        The transformer's model; None where none fits.
    why_no_model : str
        Said to the user where ``model`` is None.
    device : str
        ``"auto"``, ``"cuda"``, ``"mps"`` or ``"cpu"``.
    template : settings dataclass or None
        Of template matching; None for the defaults.
    """

    phases: tuple[Phase, ...] = ()
    model: Any = None
    why_no_model: str = "no model is chosen"
    device: str = "auto"
    template: Any = None


class Indexers:
    """The indexers of a session's current choice, made when first asked for (in whatever thread asks).

    Signals
    -------
    changed : Signal()
        The choice changed.
    """

    changed = Signal()

    def __init__(self) -> None:
        self.choice = Choice()
        self._made: dict[tuple[Any, ...], Indexer] = {}
        self._lock = threading.Lock()

    def choose(self, **fields: Any) -> None:
        """Replace fields of the choice."""
        choice = replace(self.choice, **fields)
        if choice != self.choice:
            self.choice = choice
            self.changed.emit()

    def can(self, method: str) -> bool:
        """Tell whether the choice is complete enough for a method."""
        return bool(self.choice.phases) and (method == "template" or self.choice.model is not None)

    def get(self, method: str, voltage: float | None) -> Indexer:
        """Return the indexer of a method (``"template"`` or ``"transformer"``) for electrons of ``voltage`` kV.

        Raises
        ------
        UserError
            No phase is chosen, no model fits, or the voltage is not known.
        """
        choice = self.choice
        if not choice.phases:
            raise UserError("No crystal phase is chosen; tick one in the Orientation map panel.")
        if voltage is None:
            raise UserError("The accelerating voltage is not known; enter it in the Data panel.")
        if method == "transformer":
            if choice.model is None:
                raise UserError(f"The transformer cannot run: {choice.why_no_model}.")
            key: tuple[Any, ...] = (method, choice.model, choice.device)
        else:
            key = (method, choice.phases, voltage, choice.template)
        with self._lock:
            if key not in self._made:
                self._made = {old: made for old, made in self._made.items() if old[0] != method}
                self._made[key] = _make(choice, method, voltage)
            return self._made[key]


def _make(choice: Choice, method: str, voltage: float) -> Indexer:
    if method == "transformer":
        from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer

        return TransformerIndexer.load(choice.model, device=choice.device)
    from napari_4dstem_orient.indexing.template import TemplateMatcher

    settings = () if choice.template is None else (choice.template,)
    return TemplateMatcher(choice.phases, voltage, *settings)


_of_session: WeakKeyDictionary[Session, Indexers] = WeakKeyDictionary()


def indexers_for(session: Session) -> Indexers:
    """Return the indexers of a session."""
    return _of_session.setdefault(session, Indexers())
