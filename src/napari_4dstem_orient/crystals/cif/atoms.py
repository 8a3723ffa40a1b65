"""The atoms that a CIF lists, before any symmetry: elements, coordinates as they were meant, occupancies."""

from __future__ import annotations

import re
from collections.abc import Set
from dataclasses import dataclass

import numpy as np

from napari_4dstem_orient.core.errors import UserError, one_line
from napari_4dstem_orient.crystals.cif.text import Block, number

FULL = 1.02
"""A place holds no more than this; rounded occupancies may add up to a little more than 1."""
MOST_ATOMS = 2000
"""In a cell; diffraction from a larger one cannot be simulated here in reasonable time."""
HEAVIEST = 98
"""Atomic number of the last element whose scattering factor is known."""
FARTHEST = 1000.0
"""Cells; a coordinate beyond was never meant as a fraction of one."""
WATER = ("wat", "ow", "oh")
"""Beginnings of the labels of oxygen atoms that stand for a whole molecule or group."""
_TYPE = re.compile(r"[A-Za-z]{1,2}[-+_]?\d*\.?\d*[-+]?")


@dataclass(frozen=True, eq=False)
class Listed:
    """The atoms that a CIF lists.

    Attributes
    ----------
    positions : ndarray, shape (n, 3)
        Fractional coordinates.
    written : ndarray, shape (n, 3)
        The same as they stand there, 0.333 for a third.
    numbers : ndarray, int, shape (n,)
        Atomic numbers.
    occupancy : ndarray, shape (n,)
    species : tuple of str
        What the file calls each kind of atom, such as ``Fe3+``.
    unit : float
        The last decimal place that coordinates are given to, such as 0.001; 0 where none needs a decimal.
    notes : tuple of str
        What had to be understood, or was left out.
    """

    positions: np.ndarray
    written: np.ndarray
    numbers: np.ndarray
    occupancy: np.ndarray
    species: tuple[str, ...]
    unit: float
    notes: tuple[str, ...]


def listed_atoms(block: Block, formula: Set[str], name: str) -> Listed:
    """Read the atoms of a block.

    Parameters
    ----------
    block : Block
    formula : set of str
        The elements that the file declares; none if it does not.
    name : str
        The file, for messages.

    Raises
    ------
    UserError
        An atom has no place, is no element, or fills its place more than once; or there are none, or too many.
    """
    columns = [block.column(f"_atom_site_fract_{axis}") for axis in "xyz"]
    rows = len(columns[0])
    if any(len(column) != rows for column in columns):
        raise UserError(
            f"{name} lists atoms without all three coordinates; get the CIF again from its source."
        )
    if rows > MOST_ATOMS:
        raise UserError(
            f"{name} lists {rows} atoms; take a crystal of no more than {MOST_ATOMS} in its cell."
        )
    symbols, labels, occupancies, flags = (
        block.column(f"_atom_site_{what}") or [None] * rows
        for what in ("type_symbol", "label", "occupancy", "calc_flag")
    )
    if any(len(column) != rows for column in (symbols, labels, occupancies, flags)):
        raise UserError(f"{name} tells of its atoms in lists of different lengths; correct the CIF.")
    notes: dict[str, None] = {}
    positions, numbers, occupancy, species, texts = [], [], [], [], []
    for row in range(rows):
        label, written = labels[row] or symbols[row] or "?", [column[row] for column in columns]
        if label == "?" and not any(written):
            continue
        occupied = _occupancy(occupancies[row], label, name)
        if (flags[row] or "").lower() == "dum" or occupied == 0:
            notes[f"Its site {one_line(label, 20)} holds no atom and was left out."] = None
            continue
        element, note = _element(symbols[row], label, formula, name)
        notes |= dict.fromkeys(note)
        position = [coordinate(text) for text in written]
        if np.isnan(position).any() and element == 1:
            continue  # hydrogen is often listed and not located; that it is missing is noted
        if not (np.abs(position) < FARTHEST).all():
            raise UserError(
                f"{name} gives no coordinates for the atom {label}; remove it or complete the CIF."
            )
        positions.append(position)
        numbers.append(element)
        occupancy.append(occupied)
        species.append(symbols[row] or re.sub(r"\d.*", "", label))
        texts += [text for text in written if text]
    if not positions:
        raise UserError(f"{name} lists no atoms; choose a CIF of a crystal structure.")
    return Listed(
        np.array(positions),
        np.array([number(text) for text in texts]).reshape(-1, 3),
        np.array(numbers),
        np.array(occupancy),
        tuple(species),
        _unit(texts),
        tuple(notes),
    )


def coordinate(text: str | None) -> float:
    """Return a coordinate: of 0.333, 0.6667 or 0.166, rounded or cut off, the third or sixth that it stands for.

    A value with a standard uncertainty was measured and stands for itself.
    """
    value = number(text)
    found = re.fullmatch(r"[+-]?\d*\.(\d{3,})", text or "")
    sixth = round(value * 6) if found and abs(value) < 100 else 0
    if not found or sixth % 3 == 0:
        return value
    exact, scale = sixth / 6, 10.0 ** len(found[1])
    near = (round(exact * scale), int(exact * scale))
    return exact if round(value * scale) in near else value


def _unit(texts: list[str]) -> float:
    """Return the last decimal place of the coordinates that need one; a file may leave out zeros at the end."""
    places = []
    for text in texts:
        found = re.match(r"[+-]?\d*\.(\d+)", text)
        value = coordinate(text)
        if found and value * 8 % 1 and (len(found[1]) < 3 or value == number(text)):
            places.append(len(found[1]))
    return 10.0 ** -max(places) if places else 0.0


def _occupancy(text: str | None, label: str, name: str) -> float:
    occupied = 1.0 if text is None else number(text)
    if not 0 <= occupied <= FULL:
        percent = " (a percentage?)" if 2 < occupied <= 100 else ""
        raise UserError(
            f"{name} gives its atom {label} the occupancy {text}{percent}; correct it to a number from 0 to 1."
        )
    return min(occupied, 1.0)


def _element(symbol: str | None, label: str, formula: Set[str], name: str) -> tuple[int, list[str]]:
    """Return the atomic number of an atom, and what had to be understood.

    A type symbol (``Cu``, ``CU1+``, ``O2-``, ``D``) names its element. A label is free: what it seems to begin with
    counts if the formula has it, or without a formula if nothing else can be meant. So ``T1`` is no tritium.
    """
    told = symbol or label
    letters = (re.match(r"[A-Za-z]*", told) or [""])[0]
    both = dict.fromkeys((letters[:2].capitalize(), letters[:1].upper()))
    found = [each for each in both if _number(each)]
    if symbol and _TYPE.fullmatch(symbol) and found and found[0].upper() == letters.upper():
        return _number(found[0]), []
    water = letters.lower().startswith(WATER) or (symbol or "").lower().startswith("h2o")
    if water and (not formula or "O" in formula):
        return 8, [f"Its atom {one_line(told, 20)} was taken for oxygen, without any hydrogen that it has."]
    known = [each for each in found if ("H" if each == "D" else each) in formula]
    if known:
        return _number(known[0]), []
    plain = [each for each in found if not letters[len(each) :][:1].islower()]
    if plain and not formula:
        doubtful = len(plain) > 1 or plain[0].upper() != letters.upper()
        note = f"Its atom {one_line(told, 20)} was taken for {plain[0]}, as it gives no type symbol."
        return _number(plain[0]), [note] if doubtful else []
    meant = "element of its formula" if found and formula else "element"
    raise UserError(
        f"{name} has an atom {one_line(told, 20)!r}, which names no {meant}; correct its _atom_site_type_symbol."
    )


def _number(symbol: str) -> int:
    """Return an element's atomic number, 0 if there is none of this name."""
    import gemmi

    found = gemmi.Element(symbol or "X").atomic_number
    return found if found <= HEAVIEST else 0
