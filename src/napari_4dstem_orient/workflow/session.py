"""What one viewer's user has loaded and computed so far, in stages; knows neither Qt nor napari.

Widgets read and write the session and listen to its signals; they never talk to each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from psygnal import Signal

from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.indexing.methods import METHODS
from napari_4dstem_orient.workflow.job import Job, Key, MapBy, Stage, stage_of
from napari_4dstem_orient.workflow.session_state import Record, SessionState

__all__ = [
    "MADE_WITH",
    "NEEDS_CALIBRATION",
    "UPSTREAM",
    "MapBy",
    "Session",
    "Stage",
]

UPSTREAM: dict[Stage, tuple[Stage, ...]] = {
    Stage.SCAN: (),
    Stage.PROBE: (Stage.SCAN,),
    Stage.DISKS: (Stage.PROBE,),
    Stage.CALIBRATED: (Stage.DISKS,),
    Stage.MAP: (Stage.CALIBRATED,),
}

NEEDS_CALIBRATION: dict[str, tuple[Stage, ...]] = {
    "q_pixel": (Stage.CALIBRATED,),
    "rotation": (Stage.CALIBRATED,),
    "flip": (Stage.CALIBRATED,),
    "distortion": (Stage.CALIBRATED,),
    "voltage": (Stage.MAP,),
    "precession": (Stage.MAP,),
}
"""Which results were made with which field of the calibration."""
_STEPS = ("r_pixel", "r_aspect")
"""The fields that decide nothing in a map, and that it has all the same."""
_TURN = ("rotation", "flip")
_OF_DISKS = (
    "q_pixel_from",
    "rotation_from",
    *(name for name, made in NEEDS_CALIBRATION.items() if Stage.CALIBRATED in made),
)


MADE_WITH: dict[Stage, tuple[str, ...]] = {
    Stage.SCAN: ("path", "dataset", "scan_shape", "part", "sample", "calibration"),
    Stage.PROBE: ("probe",),
    Stage.DISKS: ("detection", "engine", "device", "memory"),
    Stage.CALIBRATED: ("centring", "ring_crystal", "calibration"),
    Stage.MAP: ("calibration", "phases", "parents", "method", "settings", "models", "acceptance", "device"),
}
"""Which fields of a job each result is made with, beside those of the results that it needs."""


class Session:
    """The results of one viewer; its maps have its scan steps, whatever they were made with.

    Signals
    -------
    replaced : Signal()
        Another scan, or another session's work, took the place of all there was; told before ``changed``.
    superseded : Signal(Key, SessionState)
        Another result is about to take the place of one that took time to make; with all that there is until then.
    changed : Signal(Key)
        A result came, went, or became stale; ``Stage.SCAN`` also when the calibration changed.
    position_changed : Signal(int, int)
        The inspected scan position (row, column) moved.
    pins_changed : Signal()
        The user pinned a scan position, or took a pin away.
    crystal_changed : Signal(int)
        Another crystal of each pattern is looked at.
    job_changed : Signal()
        Something else is chosen for the next results.
    """

    replaced = Signal()
    superseded = Signal(object, object)
    changed = Signal(object)
    position_changed = Signal(int, int)
    pins_changed = Signal()
    crystal_changed = Signal(int)
    job_changed = Signal()

    def __init__(self) -> None:
        self._job = Job()
        self._results: dict[Key, Any] = {}
        self._stale: set[Key] = set()
        self._records: dict[Key, Record] = {}
        self._position: tuple[int, int] | None = None
        self._pins: tuple[tuple[int, int], ...] = ()
        self._crystal = 0
        self._calibration = self._read_calibration = Calibration()

    def get(self, key: Key) -> Any:
        """Return a result, stale or not, or None."""
        return self._results.get(key)

    def made(self, stage: Stage) -> list[Key]:
        """Return the keys of a stage's results: of ``Stage.MAP`` one for each map, in the order of the registry."""
        keys = [MapBy(method) for method in self.maps] if stage is Stage.MAP else [stage]
        return [key for key in keys if key in self._results]

    @property
    def maps(self) -> dict[str, Any]:
        """The maps by their methods, in the order of the registry."""
        found = {key.method: made for key, made in self._results.items() if isinstance(key, MapBy)}
        return {method: found[method] for method in (*METHODS, *found) if method in found}

    @property
    def job(self) -> Job:
        """What is chosen for the next results; the panels edit it."""
        return self._job

    def choose(self, **fields: Any) -> None:
        """Replace fields of the job."""
        job = replace(self._job, **fields)
        if job != self._job:
            self._job = job
            self.job_changed.emit()

    def job_for(self, key: Key) -> Job:
        """Return the job that makes a result from what there is: what is chosen for it, and what made that."""
        above = next((self._records[way].job for way in _way_up(key) if way in self._records), Job())
        stage = stage_of(key)
        fields = {name: getattr(self._job, name) for name in MADE_WITH[stage]}
        if "calibration" in fields:
            known = asdict(self._calibration)
            if stage is Stage.MAP and Stage.CALIBRATED in self._stale:  # disks are as they were calibrated
                told = self._results[Stage.CALIBRATED].provenance.get("calibration", {})
                known |= {name: told[name] for name in _OF_DISKS if name in told}
            fields["calibration"] = {name: known[name] for name in known if known[name] not in (None, "")}
        return replace(above, **fields)

    def put(self, key: Key, result: Any, job: Job | None = None, still_stale: bool = False) -> Any:
        """Set a stage's result; what was made from the former becomes stale, or goes with a new scan.

        Parameters
        ----------
        key : Key
            ``Stage.MAP`` for a map of any method.
        result
        job : Job, optional
            What it was made with, for its ``Record``.
        still_stale : bool
            The result is another reading of the former one, and stays stale where that was.

        Returns
        -------
        object
            The result as it is kept: a map has the session's scan steps.
        """
        if key is Stage.MAP:
            key = MapBy(result.method)
        if key in self._results and key not in (Stage.SCAN, Stage.PROBE) and not still_stale:
            self.superseded.emit(key, self.state)
        below = [later for later in self._results if key in _ancestors(later)]
        if key is Stage.SCAN:
            self._drop(below)
            self._crystal = 0
            self._calibration = self._read_calibration = result.calibration
        self._results[key] = result
        self._records[key] = Record(job=job or Job())
        if self._calibration.steps is not None:
            self._give_steps((key,))
        if _ancestors(key) & self._stale:  # made of what has changed since
            self._stale.add(key)
        elif not still_stale:
            self._stale.discard(key)
        if key is not Stage.SCAN:
            self._stale.update(below)
        rows, cols = self.scan_shape or (1, 1)
        if key is Stage.SCAN or self._position is None:
            self._position = rows // 2, cols // 2
            self.set_pins(())
        if key is Stage.SCAN:
            self.replaced.emit()
        for touched in (key, *below):
            self.changed.emit(touched)
        return self._results[key]

    def record(self, key: Key) -> Record | None:
        """Return when and with which settings a result was made; None where there never was one."""
        return self._records.get(key)

    @property
    def state(self) -> SessionState:
        """All that there is now; later changes do not touch it."""
        return SessionState(
            {key: self._results[key] for stage in Stage for key in self.made(stage)},
            frozenset(self._stale),
            dict(self._records),
            self._calibration,
            self._read_calibration,
            self._position,
            self._pins,
            self._job,
        )

    def restore(self, state: SessionState) -> None:
        """Become what a session was when its ``state`` was taken."""
        touched = {**self._results, **state.results}
        self._results, self._records = dict(state.results), dict(state.records)
        self._stale = set(state.stale) & set(self._results)
        self._calibration, self._read_calibration = state.calibration, state.read_calibration
        self._pins, self._crystal = tuple(state.pins), 0
        if self._calibration.steps is not None:
            self._give_steps(self.made(Stage.MAP))
        rows, cols = self.scan_shape or (1, 1)
        row, col = state.position or (rows // 2, cols // 2)
        self._position = min(row, rows - 1), min(col, cols - 1)
        self.replaced.emit()
        for stage in dict.fromkeys((Stage.SCAN, *touched)):
            self.changed.emit(stage)
        self.pins_changed.emit()
        self.position_changed.emit(*self._position)

    def go_back(self, state: SessionState) -> None:
        """Have the results of an earlier state of the same scan again; position, pins and choices stay."""
        touched = dict.fromkeys((Stage.SCAN, *self._results, *state.results))
        self._results, self._records = dict(state.results), dict(state.records)
        self._stale = set(state.stale)
        self._calibration, self._read_calibration = state.calibration, state.read_calibration
        for key in touched:
            self.changed.emit(key)

    def is_stale(self, key: Key) -> bool:
        """Tell whether something upstream of this result has changed since it was made."""
        return key in self._stale

    def missing(self, key: Key) -> list[Stage]:
        """Return the stages that must be done before this one, in order.

        Nothing is missing above a result that is there: disks read from a file need neither scan nor probe.
        """
        needed: list[Stage] = []
        for earlier in UPSTREAM[stage_of(key)]:
            if earlier not in self._results:
                needed += [*self.missing(earlier), earlier]
        return needed

    @property
    def scan_shape(self) -> tuple[int, int] | None:
        """Scan positions along (y, x) of what is loaded: a scan, or disks or a map from a file."""
        shapes = (made.scan_shape for key, made in self._results.items() if key is not Stage.PROBE)
        return next(shapes, None)

    @property
    def calibration(self) -> Calibration:
        """What calibrates the data, also where only disks were read."""
        return self._calibration

    def set_calibration(self, calibration: Calibration) -> None:
        """Calibrate the same data otherwise; what was made with a field that changed becomes stale.

        Scan steps decide nothing in a map, so maps get new ones and stay what they are.
        """
        old, self._calibration = self._calibration, calibration
        fields = [name for name in vars(calibration) if getattr(old, name) != getattr(calibration, name)]
        if not fields:
            return
        if Stage.SCAN in self._results:
            self._results[Stage.SCAN] = self._results[Stage.SCAN].with_calibration(calibration)
        made_with = {stage for name in fields for stage in NEEDS_CALIBRATION.get(name, ())}
        stale = [later for later in self._results if made_with & {stage_of(later), *_ancestors(later)}]
        self._stale.update(stale)
        stepped = self.made(Stage.MAP) if set(fields) & set(_STEPS) else []
        self._give_steps(stepped)
        for touched in dict.fromkeys((Stage.SCAN, *stale, *stepped)):
            self.changed.emit(touched)

    def _give_steps(self, keys: Iterable[Key]) -> None:
        """Give maps, and the jobs that make them again, the session's scan steps."""
        steps = {name: getattr(self._calibration, name) for name in _STEPS}
        for key in keys:
            if not isinstance(found := self._results[key], OrientationMap):
                continue
            self._results[key] = found.with_steps(**steps)
            record = self._records.get(key)
            if record is not None and record.job.calibration:
                job = replace(record.job, calibration={**record.job.calibration, **steps})
                self._records[key] = replace(record, job=job)

    def learn(self, told: Calibration) -> None:
        """Take from a file of disks what is not known yet; nothing is kept of a former file of disks."""
        alone = Stage.SCAN not in self._results
        others = alone and (Stage.DISKS in self._results or Stage.CALIBRATED in self._results)
        usual, now = Calibration(), self._calibration
        of_maps = now if self.maps else usual
        known = usual.with_(r_pixel=of_maps.r_pixel, r_aspect=of_maps.r_aspect) if others else now
        unknown = [name for name in vars(usual) if getattr(known, name) == getattr(usual, name)]
        for size, about in (("q_pixel", "q_pixel_from"), ("r_pixel", "r_aspect")):
            if size not in unknown and about in unknown:
                unknown.remove(about)
        turned = (
            {*_TURN, "rotation_from"} if known.rotation_is_known else set()
        )  # known together: 0 may be typed
        news = {name: getattr(told, name) for name in unknown if name not in turned}
        self._read_calibration = self._read_calibration.with_(**news)
        self.set_calibration(known.with_(**news))

    def known_from(self, field: str) -> str:
        """Tell where a field of the calibration comes from: "file", "typed", "fitted", "instrument" or "unknown"."""
        value = getattr(self._calibration, field)
        if value is None:
            return "unknown"
        if field == "q_pixel":
            return self._calibration.q_pixel_from
        if field in _TURN and not self._calibration.rotation_is_known:
            return "unknown"
        if field in _TURN and self._calibration.rotation_from != "unknown":
            return self._calibration.rotation_from
        return "file" if value == getattr(self._read_calibration, field) else "typed"

    @property
    def position(self) -> tuple[int, int] | None:
        """The inspected scan position (row, column)."""
        return self._position

    def move_to(self, row: int, col: int) -> None:
        """Inspect another scan position, kept inside the scan."""
        if self.scan_shape is None:
            return
        rows, cols = self.scan_shape
        position = int(np.clip(row, 0, rows - 1)), int(np.clip(col, 0, cols - 1))
        if position != self._position:
            self._position = position
            self.position_changed.emit(*position)

    @property
    def pins(self) -> tuple[tuple[int, int], ...]:
        """Scan positions (row, column) that the user keeps in sight, in the order in which they were pinned."""
        return self._pins

    def set_pins(self, pins: Iterable[tuple[int, int]]) -> None:
        """Keep these scan positions in sight, each once."""
        kept = tuple(dict.fromkeys((int(row), int(col)) for row, col in pins))
        if kept != self._pins:
            self._pins = kept
            self.pins_changed.emit()

    @property
    def crystals(self) -> int:
        """The most crystals that any map has of one pattern; 1 without a map."""
        return max((1 + len(found.beside) for found in self.maps.values()), default=1)

    @property
    def crystal(self) -> int:
        """Which crystal of each pattern is looked at, 1 for the first; 0 for all, of which maps show the first."""
        return self._crystal if self._crystal <= self.crystals else 0

    def look_at_crystal(self, number: int) -> None:
        """Look at another crystal of each pattern, or at all where no map has such a one; the maps stay whole."""
        former, self._crystal = self.crystal, int(number) if number <= self.crystals else 0
        if self.crystal != former:
            self.crystal_changed.emit(self.crystal)

    def _drop(self, keys: list[Key]) -> None:
        for key in keys:
            del self._results[key]
            self._records.pop(key, None)
            self._stale.discard(key)


def _way_up(key: Key) -> Iterator[Stage]:
    """Yield what a result needs, what that needs, and so on."""
    for above in UPSTREAM[stage_of(key)]:
        yield above
        yield from _way_up(above)


def _ancestors(key: Key) -> set[Key]:
    return {*_way_up(key)}
