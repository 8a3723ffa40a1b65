"""A map as a table (CSV): one line for each scan position, for spreadsheets, pandas and R."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.atomic import write
from napari_4dstem_orient.core.certainty import AmbiguityFlag, IndexingStatus
from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.ours import signature
from napari_4dstem_orient.export.base import Export
from napari_4dstem_orient.export.quantities import conventions, quantities

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap


def save_csv(orientation_map: OrientationMap, path: str | Path) -> None:
    """Write a table of the whole map (UTF-8).

    Lines that begin with ``#`` state the conventions: ``pandas.read_csv(path, comment="#")``. Columns: row,
    column; x_nm along the columns, y_nm down the rows; phase (its name); phi1_deg, Phi_deg, phi2_deg (Bunge);
    zone_axis (along lab z) and in_plane_axis (along lab x, down the rows); score; where they are known
    reliability and phase_margin; explained_disks; status; and doubt. Fields without an answer are empty.

    Where patterns hold several crystals, the lines of the second and third ones follow those of all positions; the
    columns crystal (1, 2, 3) and share (of the light that a pattern's crystals explain) tell them apart; crystals is
    their number.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    columns = _columns(orientation_map)
    if orientation_map.beside:
        columns = _of_all_crystals(orientation_map)
    text = io.StringIO(newline="")
    for line in (*conventions(orientation_map), signature()):
        text.write(f"# {line}\n")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(zip(*columns.values(), strict=True))
    write(path, text.getvalue(), inputs=inputs_of(orientation_map.provenance))


def _of_all_crystals(orientation_map: OrientationMap) -> dict[str, list[str]]:
    """Return the columns of the first crystals, then of the further ones, where there are any."""
    size = orientation_map.phase_id.size
    in_all = _texts(orientation_map.crystals.ravel(), ".0f")
    joined = _columns(orientation_map) | {"crystals": list(in_all), "crystal": ["1"] * size}
    for number, one in enumerate(orientation_map.beside, 2):
        own = _columns(one) | {"crystals": in_all, "crystal": [str(number)] * size}
        there = np.flatnonzero(one.indexed)
        for name, values in joined.items():  # what neighbours did is known of the first only
            known = own.get(name)
            values += [known[position] if known else "" for position in there.tolist()]
    return joined


def _columns(orientation_map: OrientationMap) -> dict[str, list[str]]:
    rows, cols = orientation_map.scan_shape
    row, col = np.divmod(np.arange(rows * cols), cols)
    down, along = orientation_map.steps or (np.nan, np.nan)
    columns = {
        "row": [str(number) for number in row.tolist()],
        "column": [str(number) for number in col.tolist()],
        "x_nm": _texts(col * along, ".6g"),
        "y_nm": _texts(row * down, ".6g"),
        # A # begins a comment for readers of such tables, even in the middle of a line.
        "phase": _named(orientation_map, [p.name.replace("#", "no. ") for p in orientation_map.phases]),
    }
    for name, unit, values in quantities(orientation_map):
        if name == "phase":
            columns |= _axes(orientation_map)
        else:
            style = ".0f" if name in ("explained_disks", "crystals", "strain_disks") else ".4f"
            columns[f"{name}_{unit}" if unit else name] = _texts(values.ravel(), style)
    columns["status"] = [IndexingStatus(number).text for number in orientation_map.status.ravel().tolist()]
    if orientation_map.certainty is not None:
        columns["doubt"] = [
            AmbiguityFlag(flags).text for flags in orientation_map.certainty.ambiguity.ravel().tolist()
        ]
    return columns


def _texts(values: np.ndarray, style: str) -> list[str]:
    return ["" if value != value else format(value, style) for value in values.tolist()]


def _named(orientation_map: OrientationMap, names: list[str]) -> list[str]:
    return ["" if number < 0 else names[number] for number in orientation_map.phase_id.ravel().tolist()]


def _axes(orientation_map: OrientationMap) -> dict[str, list[str]]:
    """Return the lattice directions along lab z and lab x as text."""
    from napari_4dstem_orient.crystals.directions import in_plane_directions, zone_axes

    found = {}
    for name, directions in (("zone_axis", zone_axes), ("in_plane_axis", in_plane_directions)):
        texts = np.full(orientation_map.phase_id.size, "", object)
        for number, phase in enumerate(orientation_map.phases):
            here = np.flatnonzero(orientation_map.phase_id.ravel() == number)
            indices, _ = directions(orientation_map.rotation.reshape(-1, 3, 3)[here], phase)
            texts[here] = [f"[{' '.join(map(str, uvw))}]" for uvw in indices.tolist()]
        found[name] = texts.tolist()
    return found


CSV = Export("Table of the whole map", ".csv", save_csv, "spreadsheets, pandas, R", whole=True)
