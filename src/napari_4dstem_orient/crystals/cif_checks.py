"""Compare the atoms that a CIF's operations give with chemistry and with what else the file declares."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_4dstem_orient.crystals.cif_symmetry import Operations
from napari_4dstem_orient.crystals.cif_text import STRAY, Block, number
from napari_4dstem_orient.crystals.phase import Phase

TOO_CLOSE = 0.6
"""Å: no two atoms are this close; the shortest bond, H–H, has 0.74 Å."""
FULL = 1.02
"""Atoms whose occupancies add up to more than this cannot share a place."""


@dataclass(frozen=True, eq=False)
class Atoms:
    """Atoms of a cell: fractional positions, atomic numbers, occupancies."""

    positions: np.ndarray
    numbers: np.ndarray
    occupancy: np.ndarray


def distances(positions: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """Return the shortest periodic distances between all positions in Å, zero on the diagonal."""
    from pymatgen.core.lattice import Lattice

    return np.asarray(Lattice(lattice).get_all_distances(positions, positions))


def contradiction(block: Block, atoms: Atoms, lattice: np.ndarray) -> str | None:
    """Say how the atoms contradict chemistry or what the file declares, or None."""
    apart = distances(atoms.positions, lattice)
    shared = atoms.occupancy[:, None] + atoms.occupancy > FULL
    clash = shared & (apart < TOO_CLOSE) & ~np.eye(len(apart), dtype=bool)
    if clash.any():
        first, second = np.argwhere(clash)[0]
        return (
            f"its symmetry operations bring two atoms to {apart[first, second]:.2f} Å of each other "
            f"({_symbol(atoms.numbers[first])} and {_symbol(atoms.numbers[second])})"
        )
    declared = _formula(block.get("_chemical_formula_sum"))
    if declared is None:
        return None
    mine, units = contents(atoms), number(block.get("_cell_formula_units_z"))
    smallest = _smallest(declared)
    if np.isnan(units):
        possible = [_times(smallest, sum(mine.values()) / sum(smallest.values()))]
    else:  # Some programs write the formula of the whole cell beside the Z of the smallest formula.
        possible = [declared, _times(declared, units), _times(smallest, units)]
    if any(_same_contents(mine, each) for each in possible):
        return None
    expected = f"a multiple of {_text(smallest)}" if np.isnan(units) else _text(_times(declared, units))
    return f"its symmetry operations give a cell of {_text(mine)}, but it declares {expected}"


def _formula(text: Any) -> dict[str, float] | None:
    """Return the elements of a formula such as ``Cu2 O1`` or ``'O2 Ti'``, or None if there is none."""
    found = re.findall(r"([A-Z][a-z]?)\s*(\d*\.?\d*)", str(text)) if text and str(text) not in "?." else []
    formula: dict[str, float] = {}
    for symbol, count in found:
        symbol = "H" if symbol == "D" else symbol
        formula[symbol] = formula.get(symbol, 0.0) + float(count or 1)
    return formula or None


def contents(atoms: Atoms) -> dict[str, float]:
    """Return how many atoms of each element are in the cell."""
    found: dict[str, float] = {}
    for element, occupied in zip(atoms.numbers, atoms.occupancy, strict=True):
        found[_symbol(element)] = found.get(_symbol(element), 0.0) + float(occupied)
    return found


def _smallest(formula: dict[str, float]) -> dict[str, float]:
    """Divide a formula of whole numbers by their common divisor."""
    counts = np.array(list(formula.values()))
    divisor = np.gcd.reduce(counts.astype(int)) if np.all(counts == counts.astype(int)) else 1
    return _times(formula, 1 / divisor)


def _times(formula: dict[str, float], factor: float) -> dict[str, float]:
    return {symbol: count * factor for symbol, count in formula.items()}


def _same_contents(mine: dict[str, float], theirs: dict[str, float]) -> bool:
    """Compare contents; hydrogen, often not located, may be missing from the atoms."""
    elements = set(mine) | (set(theirs) - {"H"} if "H" not in mine else set(theirs))
    return all(np.isclose(mine.get(each, 0), theirs.get(each, 0), rtol=0.03, atol=0.02) for each in elements)


def _text(formula: dict[str, float]) -> str:
    return " ".join(symbol if count == 1 else f"{symbol}{count:g}" for symbol, count in formula.items())


def _symbol(atomic_number: int) -> str:
    from pymatgen.core.periodic_table import Element

    return str(Element.from_Z(int(atomic_number)).symbol)


def differences(block: Block, operations: Operations, phase: Phase) -> list[str]:
    """Return harmless differences between the file and its crystal."""
    notes = []
    if not operations.listed:
        notes.append(f"It lists no symmetry operations; those of {operations.symbol} were used.")
    if block[STRAY]:
        notes.append(f"It has text that belongs to nothing and was passed over: {', '.join(block[STRAY])}.")
    found, symbol = phase.space_group, phase.space_group_symbol
    if found != operations.number:
        notes.append(
            f"Its atoms have the symmetry {symbol} ({found}), higher than that of its operations, "
            f"{operations.symbol} ({operations.number}); {symbol} is used."
        )
    declared = _formula(block.get("_chemical_formula_sum"))
    if declared is None:
        notes.append("It declares no formula to compare the atoms with.")
    elif "H" in declared and 1 not in phase.numbers:
        notes.append("Its hydrogen atoms are not listed.")
    return notes
