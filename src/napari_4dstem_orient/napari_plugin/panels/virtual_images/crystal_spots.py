"""The virtual detector of one crystal: discs where its reflections were measured. Knows no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.detection.virtual_detector import SpotsDetector
from napari_4dstem_orient.napari_plugin.pattern_view.inspection import answer_at, measured_at

if TYPE_CHECKING:
    from napari_4dstem_orient.napari_plugin.state.snapshot import Snapshot


def spots_of_crystal(
    snapshot: Snapshot, method: str, where: tuple[int, int], crystal: int, radius: float
) -> SpotsDetector:
    """Return discs at the disks that one crystal of a pattern explains, and no other crystal of it.

    Where other crystals explain all of its disks, too, all count.

    Parameters
    ----------
    snapshot : Snapshot
    method : str
        Whose map says which crystals there are.
    where : (int, int)
        Row and column of the pattern.
    crystal : int
        1 for the pattern's first; 0 as 1.
    radius : float
        Of the discs, in pixels.

    Raises
    ------
    UserError
        The map has no such crystal there, or no disk is known that it explains.
    """
    row, col = where
    answer = answer_at(snapshot.maps[method], row, col, snapshot.beam)
    every = {one.crystal: one for one in answer.of_crystals()}
    one = every.get(max(crystal, 1))
    if one is None or one.phase is None:
        which = "crystal" if crystal <= 1 else f"crystal {crystal}"
        raise UserError(
            f"The map knows no {which} at row {row}, column {col}; click where it shows one, then press again."
        )
    position = measured_at(snapshot, row, col)
    explained = {number: position.marks(each.spots).explained for number, each in every.items()}
    own = explained.pop(one.crystal)
    if not own.any():
        raise UserError(
            f"No Bragg disk at row {row}, column {col} belongs to {one.phase.name}; find disks in Bragg disks, "
            "or click elsewhere."
        )
    alone = own & ~np.any([np.zeros_like(own), *explained.values()], axis=0)
    places = position.disks[position.beside][alone if alone.any() else own] + position.origin
    which = f", crystal {one.crystal}," if len(every) > 1 else ""
    title = f"Dark field of {one.phase.name}{which} at row {row}, column {col}"
    return SpotsDetector(title, tuple((float(y), float(x)) for y, x in places), radius)
