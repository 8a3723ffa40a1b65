"""Where a map comes from: everything that made it, as plain JSON values."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.core.version import VERSION, code, libraries

if TYPE_CHECKING:
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.orientation_map import OrientationMap


def remembered(disks: BraggDisks) -> Calibration:
    """Return how disks were calibrated, as far as they remember it."""
    told = disks.provenance.get("calibration", {})
    names = (field.name for field in fields(Calibration))
    return Calibration(**{name: told[name] for name in names if name in told})


def with_origin(
    answer: OrientationMap, disks: BraggDisks, known: Calibration, source: str | None = None
) -> OrientationMap:
    """Return a map that knows where it comes from: everything that made it, as plain JSON values.

    Parameters
    ----------
    answer : OrientationMap
        As an indexer returned it.
    disks : BraggDisks
        What it was made from, with the settings that made them.
    known : Calibration
        Of the scan; gives the scan step.
    source : str, optional
        The scan's file; by default what the disks remember of it.
    """
    provenance = {
        **environment(),
        "input": source or disks.provenance.get("source"),
        "calibration": asdict(known),
        "exploratory": [*known.exploratory, *answer.disagreements],
        "disks": disks.provenance,
        "phases": [phase.to_dict() for phase in answer.phases],
        **answer.provenance,
    }
    return replace(answer, provenance=provenance).with_steps(known.r_pixel, known.r_aspect)


def environment() -> dict[str, Any]:
    """Return which program, with which libraries, ran when."""
    return {
        "program": "napari-4dstem-orient",
        "version": VERSION,
        "code": code()[:12],
        "libraries": libraries(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
