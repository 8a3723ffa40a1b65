"""Orientation maps as a file of arrays that ``py4DSTEM.read`` opens."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.atomic import writing
from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.ours import sign, signature
from napari_4dstem_orient.core.reading import to_json
from napari_4dstem_orient.export.base import Export

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.core.scan import Calibration
    from napari_4dstem_orient.io.emd import Axis


def save_py4dstem_map(
    orientation_map: OrientationMap, path: str | Path, calibration: Calibration | None = None
) -> None:
    """Write a map as an EMD file of arrays; ``py4DSTEM.read`` returns their tree.

    py4DSTEM has no file for its ``OrientationMap``, but these are its contents, and docs/formats.md has the lines
    that fill one: ``matrix``, shape (scan_y, scan_x, n, 3, 3), and ``corr``, shape (scan_y, scan_x, n), with the
    answer first and the runners-up after it; ``phase``, shape (scan_y, scan_x), -1 where there is no answer; and
    where it is known ``reliability``. The metadata ``phase_0``, ... are what py4DSTEM's ``Crystal`` is made of,
    ``orientation_map`` says frame and provenance, ``calibration`` has the scan step and voltage.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    from napari_4dstem_orient.io import emd

    with (
        writing(path, inputs=inputs_of(orientation_map.provenance)) as temporary,
        emd.create(temporary, "orientation_map") as file,
    ):
        sign(file, PY4DSTEM.hdf5)
        root = file["orientation_map"]
        for name, about in _descriptions(orientation_map).items():
            emd.add_metadata(root, name, about)
        told = emd.calibration_of(_microscope(orientation_map, calibration))
        emd.add_metadata(root, "calibration", told, "Calibration")
        for name, values in _contents(orientation_map).items():
            emd.add_array(root, name, values, _axes(orientation_map, values))


def _microscope(orientation_map: OrientationMap, calibration: Calibration | None) -> dict[str, Any]:
    """Return what py4DSTEM's calibration is told."""
    voltage = None if calibration is None else calibration.voltage
    step = (
        orientation_map.r_pixel if orientation_map.r_aspect == 1 else None
    )  # theirs knows one for both axes
    known: dict[str, Any] = {} if step is None else {"R_pixel_size": step, "R_pixel_units": "nm"}
    return known | ({} if voltage is None else {"voltage_kV": voltage})


def _descriptions(orientation_map: OrientationMap) -> dict[str, dict[str, Any]]:
    """Return the metadata dictionaries by name."""
    from napari_4dstem_orient.io.result import FRAME

    phases = {
        f"phase_{number}": {
            "name": phase.name,
            "cell": np.asarray(phase.cell, float),
            "positions": np.asarray(phase.positions, float),
            "numbers": np.asarray(phase.numbers, int),
            "occupancy": np.asarray(phase.occupancy, float),
        }
        for number, phase in enumerate(orientation_map.phases)
    }
    about = {
        "frame": FRAME,
        "method": orientation_map.method,
        "exploratory": orientation_map.exploratory,
        "phases": len(phases),
        "program": signature(),
        "provenance": to_json(orientation_map.provenance),
    }
    return {"orientation_map": about, **phases}


def _axes(orientation_map: OrientationMap, values: np.ndarray) -> list[Axis]:
    """Return the axes of an array; those after the scan's are counted."""
    unit = "positions" if orientation_map.steps is None else "nm"
    steps = [*(orientation_map.steps or (1.0, 1.0)), 1, 1, 1]
    names = ["row", "column", "match", "crystal axis", "lab axis"]
    return [
        (np.arange(2) * steps[axis], names[axis], unit if axis < 2 else "") for axis in range(values.ndim)
    ]


def _contents(orientation_map: OrientationMap) -> dict[str, np.ndarray]:
    score, rotation = orientation_map.score[..., None], orientation_map.rotation[:, :, None]
    known = {
        "matrix": np.concatenate([rotation, orientation_map.runner_up], axis=2),
        "corr": np.concatenate([score, orientation_map.runner_up_score], axis=2),
        "phase": orientation_map.phase_id,
    }
    if orientation_map.certainty is not None:
        known["reliability"] = orientation_map.certainty.reliability
    return known


PY4DSTEM = Export(
    "Orientations for py4DSTEM",
    "_py4dstem.emd",
    save_py4dstem_map,
    "py4DSTEM.read",
    takes=("calibration",),
    hdf5="orientations for py4DSTEM",
)
