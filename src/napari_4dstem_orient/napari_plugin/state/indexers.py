"""Which models there are for a session's job, and the indexers that answer for single positions of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from psygnal import Signal

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.indexing.methods import METHODS
from napari_4dstem_orient.napari_plugin.qt.libraries import import_libraries
from napari_4dstem_orient.napari_plugin.state.preferences import preferences
from napari_4dstem_orient.workflow.session import Session

if TYPE_CHECKING:
    from napari_4dstem_orient.core.scan import Calibration
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.indexing.base import Indexer
    from napari_4dstem_orient.indexing.models import AvailableModel
    from napari_4dstem_orient.napari_plugin.state.snapshot import BeamConditions, Snapshot
    from napari_4dstem_orient.workflow.job import Job


class Indexers:
    """The indexers of a session's job, for single positions; made when first asked for, in whatever thread asks.

    Signals
    -------
    models_added : Signal()
        There is another model file to choose from.
    """

    models_added = Signal()

    def __init__(self) -> None:
        self.more_models: tuple[Path, ...] = ()
        self._made: dict[str, tuple[tuple[Any, ...], Indexer]] = {}
        self._lock = threading.Lock()

    def add_model(self, path: Path) -> None:
        """Offer a model file beside the bundled ones and those of the preferences' folder, before them."""
        self.more_models = (path, *(other for other in self.more_models if other != path))
        self.models_added.emit()

    def get(self, method: str, snapshot: Snapshot) -> Indexer:
        """Return the indexer of a method as a map would be made with.

        Raises
        ------
        UserError
            No phase is chosen, a chosen model does not fit, or the voltage is not known.
        """
        from napari_4dstem_orient.workflow.steps import Indexing

        job, known, disks = replace(snapshot.job, method=method), snapshot.calibration, snapshot.calibrated
        self.check(job, known)
        assert disks is not None
        beam = disks, known.voltage, known.precession
        key = (*beam, job.phases, job.own_settings, job.models, job.device, job.acceptance)
        import_libraries()
        with self._lock:
            if method not in self._made or self._made[method][0] != key:
                self._made[method] = key, Indexing.of(disks, job, known).make()
            return self._made[method][1]

    def check(self, job: Job, known: Calibration) -> None:
        """Raise UserError where a job cannot make a map, saying in which panel to choose what it lacks."""
        if not job.phases:
            raise UserError("No crystal phase is chosen; tick one in the Map panel.")
        if known.voltage is None:
            raise UserError("The accelerating voltage is not known; enter it in the Data panel.")


def can_map(job: Job, method: str) -> bool:
    """Tell whether a job is complete enough for a method."""
    return bool(job.phases and method in METHODS)


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
    without : str
        Which phases have none, and why; empty if each has one.
    """

    available: list[AvailableModel]
    reasons: list[str]
    chosen: tuple[Path, ...]
    without: str


def fit_models(phases: tuple[Phase, ...], beam: BeamConditions | None, more: tuple[Path, ...] = ()) -> Fit:
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
    scan = (None, None) if beam is None else (beam.voltage, beam.k_max, beam.precession)
    reasons = [why_not(model.card, phases, *scan) or "" for model in available]
    choice = choose_models(available, phases, *scan)
    return Fit(available, reasons, tuple(dict.fromkeys(use.path for use in choice.uses)), choice.why)
