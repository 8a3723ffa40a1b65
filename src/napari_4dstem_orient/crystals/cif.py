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

from napari_4dstem_orient.crystals.cif_checks import (
    FULL,
    Atoms,
    contents,
    contradiction,
    differences,
    distances,
)
from napari_4dstem_orient.crystals.cif_symmetry import Operations, operations_of
from napari_4dstem_orient.crystals.cif_text import Block, crystal_block, number
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.errors import UserError

SAME_SITE = 0.05
"""Å: atoms closer than this are one site written twice (coordinates are often rounded to three digits)."""
MOST_ATOMS = 2000
"""In a cell; diffraction from a larger one cannot be simulated here in reasonable time."""


@dataclass(frozen=True)
class CifReading:
    """A crystal read from a CIF, and what is odd about the file but does no harm."""

    phase: Phase
    notes: tuple[str, ...]


def read_cif(path: str | Path) -> Phase:
    """Read the crystal of a CIF.

    Parameters
    ----------
    path : str or Path
        A CIF holding one crystal.

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
    return inspect_cif(path).phase


def inspect_cif(path: str | Path) -> CifReading:
    """Read the crystal of a CIF as ``read_cif`` does, with notes on harmless oddities."""
    path = Path(path)
    block = crystal_block(path)
    cell = _cell(block, path.name)
    listed = _listed_atoms(block, path.name)
    lattice = Phase("", cell, listed.positions, listed.numbers, listed.occupancy).lattice
    settings = operations_of(block, lattice, path.name)
    operations, atoms = _fitting(block, listed, settings, lattice, path.name)
    phase = Phase(_name(block, atoms), cell, atoms.positions, atoms.numbers, atoms.occupancy)
    return CifReading(phase, tuple(differences(block, operations, phase)))


def _fitting(
    block: Block, listed: Atoms, settings: list[Operations], lattice: np.ndarray, name: str
) -> tuple[Operations, Atoms]:
    """Return the one setting, and its atoms, that contradicts nothing else in the file."""
    crystals = [(operations, _expand(listed, operations, lattice)) for operations in settings]
    problems = [contradiction(block, atoms, lattice) for _, atoms in crystals]
    fitting = [crystal for crystal, problem in zip(crystals, problems, strict=True) if problem is None]
    if len(fitting) == 1:
        return fitting[0]
    if len(settings) == 1:
        raise UserError(f"{name} contradicts itself: {problems[0]}; correct the CIF or take another one.")
    raise UserError(
        f"{name} lists no symmetry operations, and {len(fitting)} of the {len(settings)} settings that its "
        "space group may mean fit its atoms; write it again with its symmetry operations listed."
    )


def _cell(block: Block, name: str) -> tuple[float, float, float, float, float, float]:
    lengths = [number(block.get(f"_cell_length_{axis}")) for axis in "abc"]
    angles = [number(block.get(f"_cell_angle_{angle}", 90)) for angle in ("alpha", "beta", "gamma")]
    a, b, g = np.cos(np.deg2rad(angles))
    volume = 1 - a * a - b * b - g * g + 2 * a * b * g
    possible = [0 < length < 1000 for length in lengths] + [0 < angle < 180 for angle in angles]
    if not (all(possible) and volume > 1e-6):
        raise UserError(
            f"{name} gives no possible unit cell ({lengths} Å, {angles}°); check its _cell_ lines."
        )
    return (lengths[0], lengths[1], lengths[2], angles[0], angles[1], angles[2])


def _listed_atoms(block: Block, name: str) -> Atoms:
    """Return the atoms as the file lists them, before any symmetry."""
    columns = [block.get(f"_atom_site_fract_{axis}") for axis in "xyz"]
    rows = len(columns[0] or [])
    if not all(isinstance(column, list) and len(column) == rows for column in columns):
        raise UserError(
            f"{name} lists atoms without all three coordinates; get the CIF again from its source."
        )
    parsed = [[number(value) for value in column] for column in columns if column]
    positions = np.array(parsed, dtype=np.float64).T
    labels = block.get("_atom_site_type_symbol") or block.get("_atom_site_label") or [""] * rows
    occupancy = np.array([number(value) for value in block.get("_atom_site_occupancy", [1] * rows)])
    occupancy = np.where(np.isnan(occupancy), 1.0, occupancy)
    numbers = np.array([_atomic_number(label, name) for label in labels])
    unknown = np.isnan(positions).any(axis=1)
    if unknown.any():
        label = labels[int(np.flatnonzero(unknown)[0])]
        raise UserError(f"{name} gives no coordinates for the atom {label}; remove it or complete the CIF.")
    keep = occupancy > 0
    if not keep.any():
        raise UserError(f"{name} lists no atoms; choose a CIF of a crystal structure.")
    return Atoms(positions[keep], numbers[keep], occupancy[keep])


def _atomic_number(label: str, name: str) -> int:
    """Return the atomic number of a type symbol or label such as ``Cu``, ``CU1``, ``O2-`` or ``D``."""
    from pymatgen.core.periodic_table import Element

    letters = (re.match(r"[A-Za-z]*", label) or [""])[0]
    for symbol in (letters[:2].capitalize(), letters[:1].upper()):
        if symbol in ("D", "T"):
            return 1
        if symbol and Element.is_valid_symbol(symbol):
            return int(Element(symbol).Z)
    raise UserError(f"{name} has an atom {label!r}, which names no element; correct its type symbol.")


def _expand(listed: Atoms, operations: Operations, lattice: np.ndarray) -> Atoms:
    """Return all atoms of the cell.

    A listed position that some operations map onto itself, nearly, is first moved to the mean of those
    images: the special position that a rounded coordinate (0.333) stands for.
    """
    positions, numbers, occupancy = [], [], []
    for position, element, occupied in zip(listed.positions, listed.numbers, listed.occupancy, strict=True):
        images = operations.apply(position)
        shift = images - position
        shift -= np.rint(shift)
        own = np.linalg.norm(shift @ lattice, axis=1) < SAME_SITE
        orbit: list[np.ndarray] = []
        for image in operations.apply(position + shift[own].mean(axis=0)):
            away = np.reshape([image - known for known in orbit], (-1, 3))
            if not np.any(np.linalg.norm((away - np.rint(away)) @ lattice, axis=1) < SAME_SITE):
                orbit.append(image)
        positions += orbit
        numbers += [element] * len(orbit)
        occupancy += [occupied] * len(orbit)
        if len(positions) > MOST_ATOMS:
            raise UserError(
                f"The CIF's cell has more than {MOST_ATOMS} atoms; take a crystal with a smaller cell."
            )
    wrapped = np.mod(np.round(positions, 12), 1.0)
    return _merged(Atoms(wrapped, np.array(numbers), np.array(occupancy)), lattice)


def _merged(atoms: Atoms, lattice: np.ndarray) -> Atoms:
    """Leave out atoms that the file lists twice: the same element filling the same place."""
    close = distances(atoms.positions, lattice) < SAME_SITE
    filled = atoms.occupancy[:, None] + atoms.occupancy > FULL
    same = (close & filled & (atoms.numbers[:, None] == atoms.numbers)) | np.eye(len(close), dtype=bool)
    first = same.argmax(axis=1) == np.arange(len(atoms.numbers))
    return Atoms(atoms.positions[first], atoms.numbers[first], atoms.occupancy[first])


def _name(block: Block, atoms: Atoms) -> str:
    """Return the formula, with the mineral's name where the file has one."""
    from pymatgen.core.composition import Composition

    formula = Composition(contents(atoms)).reduced_formula
    mineral = str(block.get("_chemical_name_mineral", "?")).strip()
    return formula if mineral in ("?", ".", "") else f"{formula} ({mineral})"
