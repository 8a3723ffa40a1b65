"""A map as plain numbers, one image for each quantity: what tables, TIFF stacks and signals are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_4dstem_orient.analysis.channels import CHANNELS
from napari_4dstem_orient.core.strain import COMPONENTS
from napari_4dstem_orient.export.ebsd import CRYSTAL_FRAME, EULER_FRAME, bunge_angles

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap

GRID = "x counts along the columns, y down the rows, both from the first position"
"""How positions are numbered in these files: as pictures are, and .ang and .ctf files too."""


class Quantity(NamedTuple):
    """One quantity at every scan position.

    Attributes
    ----------
    name, unit : str
        ASCII; the unit is empty for plain numbers.
    values : ndarray, float64, shape (scan_y, scan_x)
        NaN where there is no answer.
    """

    name: str
    unit: str
    values: np.ndarray


def quantities(orientation_map: OrientationMap) -> list[Quantity]:
    """Return Euler angles, phase, the scalar channels that the window shows, under the same names, and σ of strains."""
    indexed = orientation_map.indexed

    def known(name: str, unit: str, values: np.ndarray) -> Quantity:
        return Quantity(name, unit, np.where(indexed, values, np.nan))

    angles = np.rad2deg(bunge_angles(orientation_map.rotation))
    found = [known(name, "deg", angles[..., i]) for i, name in enumerate(("phi1", "Phi", "phi2"))]
    found.append(known("phase", "", orientation_map.phase_id + 1))
    for channel in CHANNELS.values():
        values = channel.values(orientation_map) if channel.values is not None else None
        if values is not None:
            found.append(known(channel.title.replace(" ", "_"), channel.unit, values))
    return found + [known(*each) for each in _strain_deviations(orientation_map)]


def _strain_deviations(orientation_map: OrientationMap) -> list[Quantity]:
    """Return how uncertain strains are, in the units of these, and how many disks speak."""
    if (strain := orientation_map.strain) is None:
        return []
    found = []
    for number, component in enumerate(COMPONENTS):
        channel, values = CHANNELS[f"strain-{component}"], strain.deviation[..., number]
        values = np.rad2deg(values) if channel.unit == "deg" else 100 * values
        found.append(Quantity(f"{channel.title.replace(' ', '_')}_deviation", channel.unit, values))
    return [*found, Quantity("strain_disks", "", strain.disks)]


def step_text(steps: tuple[float, float] | None, digits: str) -> str:
    """Return what a reader of a map is told of its scan steps (nm)."""
    if steps is None:
        return "The scan step is unknown"
    down, along = (f"{step:{digits}}" for step in steps)
    return f"Scan step {along} nm" if down == along else f"Scan steps {along} nm along x, {down} nm along y"


def conventions(orientation_map: OrientationMap) -> list[str]:
    """Return the sentences that a reader of the numbers needs, without full stops."""
    names = (f"{number} {phase.name}" for number, phase in enumerate(orientation_map.phases, start=1))
    return [
        f"{EULER_FRAME}; the beam travels along -z",
        CRYSTAL_FRAME,
        GRID,
        step_text(orientation_map.steps, ".6g"),
        f"Phases: {', '.join(names)}",
        f"Method: {orientation_map.method}; where there is no answer there is no number",
        *filter(None, (orientation_map.which_crystal, orientation_map.exploratory)),
        *((orientation_map.strain.text,) if orientation_map.strain is not None else ()),
    ]
