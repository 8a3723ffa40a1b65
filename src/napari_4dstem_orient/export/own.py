"""The two files that this program opens again: a map, and Bragg disks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.export.base import Export
from napari_4dstem_orient.io import bragg_peaks, result

if TYPE_CHECKING:
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.core.scan import Calibration


def _save_disks(
    orientation_map: OrientationMap, path: Path, disks: BraggDisks | None, calibration: Calibration | None
) -> None:
    if disks is None:
        raise UserError("There are no Bragg disks to export as emd; detect or load disks first.")
    bragg_peaks.save_disks(disks, path, calibration=calibration)


RESULT = Export(
    "Result file", ".h5", result.save_map, "everything, reopens here", whole=True, hdf5=result.KIND
)
DISKS = Export(
    "Bragg disks for py4DSTEM",
    "_disks.emd",
    _save_disks,
    "py4DSTEM.read",
    takes=("disks", "calibration"),
    whole=True,
    hdf5=bragg_peaks.KIND,
)
