"""What one viewer's user has loaded and computed so far, in stages; knows neither Qt nor napari.

Widgets read and write the session and listen to its signals; they never talk to each other.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np
from psygnal import Signal


class Stage(StrEnum):
    """The steps of the job; each needs those listed in ``UPSTREAM``."""

    SCAN = "scan"
    PROBE = "probe"
    DISKS = "disks"
    CALIBRATED = "calibrated"
    TRANSFORMER_MAP = "transformer map"
    TEMPLATE_MAP = "template map"


UPSTREAM: dict[Stage, tuple[Stage, ...]] = {
    Stage.SCAN: (),
    Stage.PROBE: (Stage.SCAN,),
    Stage.DISKS: (Stage.PROBE,),
    Stage.CALIBRATED: (Stage.DISKS,),
    Stage.TRANSFORMER_MAP: (Stage.CALIBRATED,),
    Stage.TEMPLATE_MAP: (Stage.CALIBRATED,),
}


class Session:
    """The results of one viewer.

    Signals
    -------
    changed : Signal(Stage)
        A stage got a new result or became stale.
    position_changed : Signal(int, int)
        The inspected scan position (row, column) moved.
    """

    changed = Signal(Stage)
    position_changed = Signal(int, int)

    def __init__(self) -> None:
        self._results: dict[Stage, Any] = {}
        self._stale: set[Stage] = set()
        self._position: tuple[int, int] | None = None

    def get(self, stage: Stage) -> Any:
        """Return a stage's result, stale or not, or None."""
        return self._results.get(stage)

    def put(self, stage: Stage, result: Any) -> None:
        """Set a stage's result; what was made from the former one becomes stale, or is dropped for a new scan."""
        self._results[stage] = result
        self._stale.discard(stage)
        below = [later for later in Stage if stage in _ancestors(later) and later in self._results]
        for later in below:
            if stage is Stage.SCAN:
                del self._results[later]
                self._stale.discard(later)
            else:
                self._stale.add(later)
        if stage is Stage.SCAN:
            rows, cols = result.scan_shape
            self._position = (rows // 2, cols // 2)
        for touched in (stage, *below):
            self.changed.emit(touched)

    def is_stale(self, stage: Stage) -> bool:
        """Tell whether something upstream of this result has changed since it was made."""
        return stage in self._stale

    def missing(self, stage: Stage) -> list[Stage]:
        """Return the stages that must be done before this one, in order."""
        return [earlier for earlier in Stage if earlier in _ancestors(stage) and earlier not in self._results]

    @property
    def position(self) -> tuple[int, int] | None:
        """The inspected scan position (row, column)."""
        return self._position

    def move_to(self, row: int, col: int) -> None:
        """Inspect another scan position, kept inside the scan."""
        scan = self.get(Stage.SCAN)
        if scan is None:
            return
        rows, cols = scan.scan_shape
        position = int(np.clip(row, 0, rows - 1)), int(np.clip(col, 0, cols - 1))
        if position != self._position:
            self._position = position
            self.position_changed.emit(*position)


def _ancestors(stage: Stage) -> set[Stage]:
    direct = UPSTREAM[stage]
    return set(direct).union(*(_ancestors(earlier) for earlier in direct))
