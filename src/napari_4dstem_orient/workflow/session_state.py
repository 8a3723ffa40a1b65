"""All that a session holds at one moment: what a project keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.workflow.job import Job, Key, Stage, stage_of


@dataclass(frozen=True)
class Record:
    """How a result came to be.

    Attributes
    ----------
    made : datetime
        When, with its time zone.
    job : Job
        What makes it again; of a result that was read, only its file; empty where nobody told.
    reference : dict
        Of a scan that could not be opened again: what its project told (``workflow.reference``).
    """

    made: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    job: Job = Job()  # noqa: RUF009 - it is frozen
    reference: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SessionState:
    """All that a session holds at one moment, to be kept and taken up again.

    Attributes
    ----------
    results : dict of Key to result
    stale : frozenset of Key
    records : dict of Key to Record
        That of the scan stays where the scan itself could not be opened again.
    calibration, read_calibration : Calibration
        As it is, and as the file had it.
    position : (int, int) or None
        The inspected scan position.
    pins : tuple of (int, int)
    job : Job
        What is chosen for the next results.
    """

    results: Mapping[Key, Any] = field(default_factory=dict)
    stale: frozenset[Key] = frozenset()
    records: Mapping[Key, Record] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    read_calibration: Calibration = field(default_factory=Calibration)
    position: tuple[int, int] | None = None
    pins: tuple[tuple[int, int], ...] = ()
    job: Job = Job()  # noqa: RUF009 - it is frozen


def files_read(state: SessionState) -> list[str]:
    """Return what a session's work was read from: the scan, disks, a vacuum pattern; not maps, which are results."""
    told: list[Mapping[str, Any]] = []
    for key, record in state.records.items():
        if stage_of(key) is not Stage.MAP:
            probe = record.job.probe
            told.append({"path": record.job.path, "file": probe if isinstance(probe, str) else None})
    held = [state.results[stage] for stage in (Stage.DISKS, Stage.CALIBRATED) if stage in state.results]
    told += [disks.provenance for disks in held]
    if Stage.SCAN in state.results:
        told.append({"source": state.results[Stage.SCAN].source})
    return list(dict.fromkeys(file for one in told for file in inputs_of(one)))
