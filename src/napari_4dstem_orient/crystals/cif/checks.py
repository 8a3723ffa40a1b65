"""Compare the atoms that a CIF's operations give with chemistry and with what else the file declares."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from napari_4dstem_orient.crystals.cif.atoms import FULL
from napari_4dstem_orient.crystals.cif.formula import Formula, alike, parse, smallest, times, words
from napari_4dstem_orient.crystals.cif.symmetry import Operations, declared_settings
from napari_4dstem_orient.crystals.cif.text import Block, number
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.crystals.space_groups import TOLERANCE

SAME_SITE = 0.05
"""Å: atoms closer than this are on one site (coordinates are often rounded to three digits)."""
TOO_CLOSE = 0.6
"""Å: no two atoms are this close; the shortest bond, H–H, has 0.74 Å."""
VOLUME = (0.5, 300.0)
"""Å³ of the cell for each atom; diamond has 5.7, the emptiest frameworks some 100. Less than 2 is told by distances."""


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms of a cell: fractional positions, atomic numbers, occupancies."""

    positions: np.ndarray
    numbers: np.ndarray
    occupancy: np.ndarray


def distances(positions: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Return the periodic distances between all positions in Å, zero on the diagonal; exact up to ``TOO_CLOSE``."""
    apart = positions[:, None] - positions
    apart -= np.rint(apart)
    # A vector has no coordinate larger than its length times that of the reciprocal vector.
    reciprocal = np.linalg.norm(np.linalg.inv(lattice), axis=0)
    cells = [range(-most, most + 1) for most in (TOO_CLOSE * reciprocal + 0.5).astype(int)]
    found = np.full(apart.shape[:2], np.inf)
    for cell in product(*cells):
        np.minimum(found, np.linalg.norm((apart + cell) @ lattice, axis=2), out=found)
    return found


def wrong_unit(atoms: Atoms, lattice: np.ndarray) -> str | None:
    """Say that the cell is far too large or small for its atoms, and what its unit may be, or None."""
    volume = abs(float(np.linalg.det(lattice))) / len(atoms.numbers)
    least, most = VOLUME
    if least <= volume <= most:
        return None
    units = {"picometres (pm)": 1e-6, "nanometres (nm)": 1e3}
    likely = [unit for unit, factor in units.items() if least <= volume * factor <= most]
    hint = f"; they look like {likely[0]}" if likely else ""
    return f"its cell lengths give {volume:.3g} Å³ for each atom, which no crystal has{hint}: write them in Å"


def contradiction(block: Block, atoms: Atoms, lattice: np.ndarray) -> str | None:
    """Say how the atoms contradict chemistry or what the file declares, or None."""
    apart = distances(atoms.positions, lattice)
    filled = (apart < SAME_SITE) @ atoms.occupancy
    if filled.max() > FULL:
        there = np.flatnonzero(apart[filled.argmax()] < SAME_SITE)
        names = " and ".join(dict.fromkeys(_symbol(atoms.numbers[atom]) for atom in there))
        return f"the occupancies of {names} on one site add up to {filled.max():.4g}"
    shared = atoms.occupancy[:, None] + atoms.occupancy > FULL
    clash = shared & (apart < TOO_CLOSE) & ~np.eye(len(apart), dtype=bool)
    if clash.any():
        first, second = np.argwhere(clash)[0]
        return (
            f"its symmetry operations bring two atoms to {apart[first, second]:.2f} Å of each other "
            f"({_symbol(atoms.numbers[first])} and {_symbol(atoms.numbers[second])})"
        )
    declared = declared_formula(block)
    if not declared:
        return None
    mine, units = contents(atoms), number(block.text("_cell_formula_units_z"))
    least = smallest(declared)
    if not units > 0:
        heavy = [sum(what.values()) - what.get("H", 0) for what in (mine, least)]
        ratio = heavy[0] / heavy[1] if heavy[1] else sum(mine.values()) / sum(least.values())
        possible = [times(least, ratio)]
    else:  # Some programs write the formula of the whole cell beside the Z of the smallest formula.
        possible = [declared, times(declared, units), times(least, units)]
    if any(_same_contents(mine, each) for each in possible):
        return None
    expected = f"a multiple of {words(least)}" if not units > 0 else words(times(declared, units))
    return f"its symmetry operations give a cell of {words(mine)}, but it declares {expected}"


def declared_formula(block: Block) -> Formula:
    """Return a formula such as ``Cu2 O1``, ``CU2 O1`` or ``Ca5(PO4)3F``; an empty one if it is none."""
    text = block.text("_chemical_formula_sum") or ""
    if text == text.upper() and len(text.split()) > 1:
        text = text.title()  # its words are elements
    try:
        formula = parse(text.replace(" ", ""))
    except ValueError:
        return {}
    return formula if all(0 < count < 1e6 for count in formula.values()) else {}


def contents(atoms: Atoms | Phase) -> Formula:
    """Return how many atoms of each element are in the cell."""
    found: Formula = {}
    for element, occupied in zip(atoms.numbers, atoms.occupancy, strict=True):
        found[_symbol(element)] = found.get(_symbol(element), 0.0) + float(occupied)
    return found


def _same_contents(mine: Formula, theirs: Formula) -> bool:
    """Compare contents; hydrogen, often not located, may be missing from the atoms, or some of it."""
    hydrogen = max(mine.get("H", 0.0), theirs.get("H", 0.0))
    return alike({**mine, "H": hydrogen}, theirs)


def _symbol(atomic_number: int) -> str:
    import gemmi

    return str(gemmi.Element(int(atomic_number)).name)


def differences(block: Block, operations: Operations, phase: Phase) -> list[str]:
    """Return harmless differences between the file and its crystal."""
    notes = list(block.notes)
    if not operations.listed:
        notes.append(f"It lists no symmetry operations; those of {operations.symbol} were used.")
    for text, settings in declared_settings(block).items():
        if not any(each.same_as(operations) for each in settings):
            notes.append(
                f"It calls its setting {text}, but lists operations about another origin or axes; they were used."
            )
            break
    found, symbol = phase.space_group, phase.space_group_symbol
    if found != operations.number:
        higher = phase.operation_count > len(operations.rotations)
        notes.append(
            f"Its atoms have the symmetry {symbol} ({found}), {'higher' if higher else 'other'} than that of its "
            f"operations, {operations.symbol} ({operations.number}); {symbol} is used."
        )
    volume = number(block.text("_cell_volume"))
    actual = abs(float(np.linalg.det(phase.lattice)))
    if volume > 0 and abs(volume / actual - 1) > 0.02:
        notes.append(f"It declares a volume of {volume:g} Å³, but its cell has {actual:.4g} Å³.")
    declared = declared_formula(block)
    if not declared:
        notes.append("It declares no formula to compare the atoms with.")
    elif "H" in declared:
        hydrogen = phase.occupancy[phase.numbers == 1].sum() / phase.occupancy.sum()
        if hydrogen < 0.97 * declared["H"] / sum(declared.values()):
            notes.append("Not all of its hydrogen atoms are listed.")
    if block.has("_atom_site_moment"):
        notes.append("Its magnetic moments were left out.")
    return notes


def moves(written: np.ndarray, phase: Phase) -> list[str]:
    """Say how far listed atoms were moved to the symmetric places that their rounded coordinates stand for."""
    away = written[:, None] - phase.positions
    away -= np.rint(away)
    farthest = float(np.linalg.norm(away @ phase.lattice, axis=2).min(axis=1).max())
    if farthest <= TOLERANCE:
        return []
    return [
        f"Its rounded coordinates were moved to the symmetric places that they stand for ({farthest:.3f} Å)."
    ]
