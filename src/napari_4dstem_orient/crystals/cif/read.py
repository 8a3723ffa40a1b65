"""Read a crystal from a CIF, exactly as its symmetry operations say, or refuse.

A CIF says the same thing several times: by its list of symmetry operations, by a space group's name and
number, by a formula and by a number of formula units. Readers differ in what they believe (one that trusts
the number puts the atoms of an "origin choice 2" file in the wrong places, silently). Here the listed
operations are obeyed, everything else is compared with what they give, and a contradiction is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from napari_4dstem_orient.core.errors import UserError, one_line
from napari_4dstem_orient.core.reading import reading
from napari_4dstem_orient.crystals.cif.atoms import FULL, MOST_ATOMS, Listed, listed_atoms
from napari_4dstem_orient.crystals.cif.checks import (
    SAME_SITE,
    Atoms,
    contents,
    contradiction,
    declared_formula,
    differences,
    distances,
    moves,
    wrong_unit,
)
from napari_4dstem_orient.crystals.cif.formula import formula_name
from napari_4dstem_orient.crystals.cif.rounding import Cell, restored, symmetric_cell
from napari_4dstem_orient.crystals.cif.symmetry import Operations, operations_of
from napari_4dstem_orient.crystals.cif.text import Block, crystal_block, number
from napari_4dstem_orient.crystals.phase import Phase

FARTHEST = 0.25
"""Å; no listed position is moved farther to the special one that it stands for."""
LONGEST_AXIS = 1e5
"""Å; what is longer was never meant as a cell."""


@dataclass(frozen=True)
class CifReading:
    """A crystal read from a CIF, and what is odd about the file but does no harm."""

    phase: Phase
    notes: tuple[str, ...]


def read_cif(path: str | Path, block: str | None = None) -> Phase:
    """Read the crystal of a CIF.

    Parameters
    ----------
    path : str or Path
        A CIF.
    block : str, optional
        Name of the data block, of a CIF that holds several crystals.

    Returns
    -------
    Phase
        In the cell and setting of the file; named by its formula, and its mineral where the file says so.

    Raises
    ------
    UserError
        If the file is not a CIF, holds no crystal or several, or contradicts itself about the crystal:
        operations that do not fit the cell, the declared space group or the formula, or atoms that are too
        close.
    """
    return inspect_cif(path, block).phase


def inspect_cif(path: str | Path, block: str | None = None) -> CifReading:
    """Read the crystal of a CIF as ``read_cif`` does, with notes on harmless oddities."""
    with reading(path, "a CIF") as path:
        return _inspect(path, block)


def _inspect(path: Path, block: str | None) -> CifReading:
    found, name = crystal_block(path, block), path.name
    _refuse_what_is_no_plain_crystal(found, name)
    cell = _cell(found, name)
    listed = listed_atoms(found, set(declared_formula(found)), name)
    lattice = _lattice(cell)
    settings = operations_of(found, lattice, name)
    operations, atoms = _fitting(found, listed, settings, lattice, name)
    phase = Phase(
        _name(found, atoms),
        symmetric_cell(cell, lattice, operations.rotations),
        atoms.positions,
        atoms.numbers,
        atoms.occupancy,
    )
    try:
        phase = restored(phase, listed.unit, _angle_unit(found))
        notes = [*listed.notes, *differences(found, operations, phase), *moves(listed.written, phase)]
    except ValueError as error:
        raise UserError(f"{name} cannot be read: {error}; correct the CIF or take another one.") from error
    return CifReading(phase, tuple(notes))


def _refuse_what_is_no_plain_crystal(block: Block, name: str) -> None:
    """Refuse structures that one cell does not describe, or whose operations are of another kind."""
    modulated = ("_cell_modulation_dimension", "_cell_wave_vector", "_space_group_ssg_", "_cell_subsystem")
    magnetic = ("_space_group_symop_magn", "_space_group_magn")
    if block.has(*modulated) and block.text("_cell_modulation_dimension") != "0":
        raise UserError(f"{name} describes a modulated structure; take a CIF of its average structure.")
    if block.has(*magnetic):
        raise UserError(f"{name} describes a magnetic structure; take a CIF of the crystal without moments.")


def _fitting(
    block: Block, listed: Listed, settings: list[Operations], lattice: np.ndarray, name: str
) -> tuple[Operations, Atoms]:
    """Return the one setting, and its atoms, that contradicts nothing else in the file."""
    crystals = [(operations, _expand(listed, operations, lattice, name)) for operations in settings]
    impossible = [wrong_unit(atoms, lattice) for _, atoms in crystals]
    if all(impossible):
        raise UserError(f"{name} cannot be read: {impossible[0]}.")
    problems = [contradiction(block, atoms, lattice) for _, atoms in crystals]
    fitting = [crystal for crystal, problem in zip(crystals, problems, strict=True) if problem is None]
    if len(fitting) == 1:
        return fitting[0]
    if len(settings) == 1:
        raise UserError(f"{name} contradicts itself: {problems[0]}; correct the CIF or take another one.")
    symbols = ", ".join(operations.symbol for operations, _ in fitting or crystals)
    raise UserError(
        f"{name} lists no symmetry operations, and {len(fitting) or 'none'} of the {len(settings)} settings that its "
        f"space group may mean ({one_line(symbols, 150)}) fit its atoms; write it again with its symmetry operations "
        "listed."
    )


def _cell(block: Block, name: str) -> Cell:
    lengths = [number(block.text(f"_cell_length_{axis}")) for axis in "abc"]
    angles = [number(block.text(f"_cell_angle_{angle}") or "90") for angle in ("alpha", "beta", "gamma")]
    a, b, g = np.cos(np.deg2rad(angles))
    volume = 1 - a * a - b * b - g * g + 2 * a * b * g
    possible = [0 < length < LONGEST_AXIS for length in lengths] + [0 < angle < 180 for angle in angles]
    if not (all(possible) and volume > 1e-6):
        raise UserError(
            f"{name} gives no possible unit cell ({lengths} Å, {angles}°); check its _cell_ lines."
        )
    return (lengths[0], lengths[1], lengths[2], angles[0], angles[1], angles[2])


def _lattice(cell: Cell) -> np.ndarray:
    return Phase("", cell, np.zeros((0, 3)), np.zeros(0, int), np.zeros(0)).lattice


def _angle_unit(block: Block) -> float:
    """Return the last decimal place, in degrees, of the angles that symmetry does not fix."""
    texts = [block.text(f"_cell_angle_{angle}") or "90" for angle in ("alpha", "beta", "gamma")]
    decimals = [re.sub(r"^[^.]*\.?|\(.*", "", text) for text in texts if number(text) not in (60, 90, 120)]
    return max((10.0 ** -len(places) for places in decimals), default=0.0)


def _expand(listed: Listed, operations: Operations, lattice: np.ndarray, name: str) -> Atoms:
    """Return all atoms of the cell.

    A listed position that some operations map onto itself, nearly, is first moved to the mean of those
    images: the special position that a rounded coordinate (0.333) stands for.
    """
    near = float(np.clip(1.1 * listed.unit * np.linalg.norm(lattice, axis=1).max(), SAME_SITE, FARTHEST))
    positions: list[np.ndarray] = []
    rows: list[int] = []
    for row, position in enumerate(listed.positions):
        images = operations.apply(position)
        shift = images - position
        shift -= np.rint(shift)
        own = np.linalg.norm(shift @ lattice, axis=1) < near
        orbit: list[np.ndarray] = []
        for image in operations.apply(position + shift[own].mean(axis=0)):
            away = np.reshape([image - known for known in orbit], (-1, 3))
            if not np.any(np.linalg.norm((away - np.rint(away)) @ lattice, axis=1) < SAME_SITE):
                orbit.append(image)
        positions += orbit
        rows += [row] * len(orbit)
        if len(positions) > MOST_ATOMS:
            raise UserError(f"{name} has more than {MOST_ATOMS} atoms in its cell; take a smaller one.")
    wrapped = np.mod(np.round(positions, 12), 1.0)
    return _sharing(listed, wrapped, rows, lattice)


def _sharing(listed: Listed, positions: np.ndarray, rows: list[int], lattice: np.ndarray) -> Atoms:
    """Put atoms that share a site in exactly one place, and what one element has there together.

    Fe2+ and Fe3+ on one site are iron. An atom that the file lists twice, in places that its operations make the
    same, counts once.
    """
    site_of = (distances(positions, lattice) < SAME_SITE).argmax(axis=1)  # the first atom there
    place_of = (distances(listed.positions, lattice) < SAME_SITE).argmax(axis=1)
    kept: dict[tuple[int, int], tuple[int, float]] = {}
    for site, row in zip(site_of.tolist(), rows, strict=True):
        element, share = int(listed.numbers[row]), float(listed.occupancy[row])
        first, filled = kept.setdefault((site, element), (row, 0.0))
        another = place_of[row] == place_of[first] or listed.species[row] != listed.species[first]
        if filled == 0 or (another and filled + share <= FULL):
            kept[site, element] = first, min(filled + share, 1.0)
    where, elements = np.array(list(kept)).T
    return Atoms(positions[where], elements, np.array([filled for _, filled in kept.values()]))


def _name(block: Block, atoms: Atoms) -> str:
    """Return the formula, with the mineral's name where the file has one."""
    formula = formula_name(contents(atoms))
    mineral = block.text("_chemical_name_mineral")
    return f"{formula} ({one_line(mineral, 60)})" if mineral else formula
