"""What a rounded description of a crystal stands for: the symmetric one within the decimals that it is given to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.crystals.space_groups import TOLERANCE, symmetry_of_atoms

Cell = tuple[float, float, float, float, float, float]

ATTEMPTS = 4
"""Tolerances that are tried, each half of the one before: a larger one may find more than is there."""
MANY_SITES = 500
"""Of so many, symmetry takes seconds to look for, and one tolerance must do."""
MOST_IMAGES = 5_000_000
"""Operations times sites; more are those of a cell that repeats a small one many times."""
FARTHEST = 0.05
"""Å; however few decimals there are, no atom is moved farther to make a crystal symmetric."""


def symmetric_cell(cell: Cell, lattice: np.ndarray, rotations: np.ndarray) -> Cell:
    """Return the cell that operations leave exactly as it is: the mean of what they make of a nearly fitting one."""
    metric = lattice @ lattice.T
    turned = np.swapaxes(rotations, 1, 2) @ metric @ rotations
    if np.abs(turned - metric).max() < 1e-9 * metric.max():
        return cell
    mean = turned.mean(axis=0)
    lengths = np.sqrt(np.diag(mean))
    cosines = [mean[i, j] / lengths[i] / lengths[j] for i, j in ((1, 2), (0, 2), (0, 1))]
    a, b, c, alpha, beta, gamma = (float(x) for x in np.round([*lengths, *np.rad2deg(np.arccos(cosines))], 9))
    return a, b, c, alpha, beta, gamma


def restored(phase: Phase, unit: float, angle_unit: float) -> Phase:
    """Return the more symmetric crystal that this one is a rounded description of, or this one.

    Parameters
    ----------
    phase : Phase
    unit : float
        The last decimal place of its coordinates.
    angle_unit : float
        Of its angles, degrees.
    """
    # An image misses its atom by twice what an atom misses its place, and more about a threefold axis.
    slack = min(2.2 * max(unit, np.deg2rad(angle_unit)) * max(phase.cell[:3]), 4 * FARTHEST)
    for attempt in range(ATTEMPTS if len(phase.sites[0]) < MANY_SITES else 1):
        tried = slack / 2**attempt
        if tried > TOLERANCE and (found := _symmetric_within(phase, tried, unit, angle_unit)) is not None:
            return found
    return phase


def _symmetric_within(phase: Phase, slack: float, unit: float, angle_unit: float) -> Phase | None:
    """Return the crystal of the symmetry found with a tolerance of ``slack`` Å, if its numbers are rounded to these."""
    places, kinds, of_atom = phase.sites
    found = symmetry_of_atoms(phase.lattice, places, kinds, slack)
    if found is None or not phase.operation_count < len(found.rotations) <= MOST_IMAGES / len(places):
        return None
    cell = symmetric_cell(phase.cell, phase.lattice, found.rotations)
    change = np.abs(np.subtract(cell, phase.cell))
    if (change[:3] > max(2e-4, np.deg2rad(angle_unit)) * np.array(cell[:3])).any() or (
        change[3:] > max(0.01, 0.75 * angle_unit)
    ).any():
        return None  # the cell, given more exactly, says that it is less symmetric
    moved = _averaged(places, kinds, found.rotations, found.translations)
    if moved is None:
        return None
    by = moved - places
    if (
        np.abs(by).max() > max(0.55 * unit, 1e-6)
        or np.linalg.norm(by @ phase.lattice, axis=1).max() > FARTHEST
    ):
        return None
    return replace(phase, cell=cell, positions=np.mod(np.round(moved[of_atom], 12), 1.0))


def _averaged(
    places: np.ndarray, kinds: np.ndarray, rotations: np.ndarray, translations: np.ndarray
) -> np.ndarray | None:
    """Return the mean of what all operations make of the places, which is exactly symmetric; None if they do not fit.

    Each translation is first made the mean of what the places say: then products of operations are operations, exactly.
    """
    from scipy.spatial import cKDTree

    tree = cKDTree(_inside(places), boxsize=1.0)
    total = np.zeros_like(places)
    for rotation, translation in zip(rotations, translations, strict=True):
        images = places @ rotation.T + translation
        goal = tree.query(_inside(images))[1]
        if len(set(goal)) < len(places) or (kinds[goal] != kinds).any():
            return None
        off = places[goal] - images
        off -= np.rint(off)
        total += (off - off.mean(axis=0)) @ np.linalg.inv(rotation).T  # for the place that is moved there
    return places + total / len(rotations)


def _inside(positions: np.ndarray) -> np.ndarray:
    wrapped = np.mod(positions, 1.0)
    return np.where(wrapped >= 1, 0.0, wrapped)
