"""The grains of a map as a table: for the window, and as a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.atomic import writing
from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.crystals.directions import standard_variant, zone_axis
from napari_4dstem_orient.export.ebsd import bunge_angles

if TYPE_CHECKING:
    from napari_4dstem_orient.analysis.grains import Grains

Columns = dict[str, list]
"""Heading with its unit to one value for each grain."""
_SIZE, _AREA, _DIAMETER = "size (positions)", "area (nm²)", "diameter (nm)"


def grain_columns(grains: Grains, progress: Progress = silent) -> Columns:
    """Return what is known of each grain, the largest grain first.

    Euler angles (Bunge, lab to crystal as in the .ang files) and zone axis are those of the mean orientation, in the
    symmetry variant whose zone axis lies in the standard triangle.
    """
    phases = [grains.orientation_map.phases[number] for number in grains.phase_id]
    variants, zones = [], []
    for done, (mean, phase) in enumerate(zip(grains.mean, phases, strict=True)):
        variants.append(standard_variant(mean, phase))
        zones.append(zone_axis(mean, phase).text)
        if done % 100 == 0:
            progress(done, len(grains))
    angles = np.rad2deg(bunge_angles(np.reshape(variants, (-1, 3, 3)))).round(2)
    columns: Columns = {
        "grain": list(range(1, len(grains) + 1)),
        "phase": [phase.name for phase in phases],
        _SIZE: grains.size.tolist(),
    }
    columns |= {f"{name} (°)": angles[:, axis].tolist() for axis, name in enumerate(("φ1", "Φ", "φ2"))}
    columns |= {"zone axis": zones, "spread (°)": grains.spread.round(3).tolist()}
    columns["score"] = grains.score.round(3).tolist()
    if grains.reliability is not None:
        columns["reliability"] = grains.reliability.round(3).tolist()
    columns |= {"row": grains.middle[:, 0].tolist(), "column": grains.middle[:, 1].tolist()}
    return with_sizes(columns, grains)


def with_sizes(columns: Columns, grains: Grains) -> Columns:
    """Return the table with areas and diameters as the map's scan steps make them, without where they are unknown."""
    sizes = {}
    if grains.area is not None and grains.diameter is not None:
        sizes[_AREA], sizes[_DIAMETER] = (
            values.round(2).tolist() for values in (grains.area, grains.diameter)
        )
    rest = {name: values for name, values in columns.items() if name not in (_AREA, _DIAMETER)}
    head = {name: rest.pop(name) for name in ("grain", "phase", _SIZE)}
    return {**head, **sizes, **rest}


def save_grain_table(grains: Grains, path: str | Path) -> None:
    """Write the table as CSV (UTF-8); comment lines, which begin with ``#``, say what made it.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    columns, settings = grain_columns(grains), grains.settings
    found = grains.orientation_map
    notes = [
        f"Grains of the {found.method} map: boundary above {settings.threshold:g}°, "
        f"at least {settings.smallest} positions",
        "Euler angles (Bunge): lab x down the rows, lab y along the columns, lab z towards the viewer",
        "Spread: mean misorientation from the grain's mean orientation; row and column: a position in its middle",
        *([found.exploratory] if found.exploratory else []),
    ]
    inputs = inputs_of(found.provenance)
    with (
        writing(path, inputs=inputs) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        file.writelines(f"# {note}\n" for note in notes)
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
