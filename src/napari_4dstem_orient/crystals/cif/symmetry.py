"""The symmetry operations of a CIF: those it lists, or those of the settings that its space group's name may mean."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.errors import UserError, one_line
from napari_4dstem_orient.crystals.cif.text import Block, Column
from napari_4dstem_orient.crystals.space_groups import type_of_operations

if TYPE_CHECKING:
    import gemmi

OPERATION_NAMES = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
SYMBOL_NAMES = ("_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m", "_space_group_name_h-m_full")
NUMBER_NAMES = ("_space_group_it_number", "_symmetry_int_tables_number")
HALL_NAMES = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
OLD_CHOICES = {"s": "1", "z": "2", "h": "H", "r": "R"}
"""Origin choice or axes at the end of older symbols: ``F d -3 m Z``, ``R -3 m H``."""
MOST_OPERATIONS = 768
"""A space group has at most 192 in its own cell, and four times as many in a cell of four."""
_CENTRING = re.compile(r"([PABCIFR])[ _]*[-1-6ABCDEMN]")
_OPERATION = re.compile(r"([+-]?(\d{1,4}|\d?\.\d{1,9}|\d{1,2}/\d{1,2}|[xyz]|[1-9]\.\d{0,9}))+")


@dataclass(frozen=True, eq=False)
class Operations:
    """Symmetry operations x' = W x + w on fractional coordinates.

    Attributes
    ----------
    rotations : ndarray, int, shape (n, 3, 3)
    translations : ndarray, shape (n, 3)
        From 0 to 1, in steps of 1/24.
    number : int
        Space-group number that these operations have, whatever the file says.
    symbol : str
        Its Hermann-Mauguin symbol.
    listed : bool
        Whether the file lists them.
    """

    rotations: np.ndarray
    translations: np.ndarray
    number: int
    symbol: str
    listed: bool

    def apply(self, position: np.ndarray) -> np.ndarray:
        """Return the images of a fractional position, shape (n, 3)."""
        return np.asarray(self.rotations @ position + self.translations)

    def same_as(self, other: Operations) -> bool:
        """Tell whether these are the same operations, about the same origin and axes."""
        mine, theirs = (_keys(each.rotations, each.translations) for each in (self, other))
        return {tuple(key) for key in mine} == {tuple(key) for key in theirs}


def operations_of(block: Block, lattice: np.ndarray, name: str) -> list[Operations]:
    """Return the operations of a CIF block.

    Parameters
    ----------
    block : Block
    lattice : ndarray, shape (3, 3)
        Lattice vectors in Å, one a row.
    name : str
        The file, for messages.

    Returns
    -------
    list of Operations
        One entry if the file lists them; else those of every setting that its name or number may mean and
        that fits the cell.

    Raises
    ------
    UserError
        If they are no group, do not fit the cell, contradict the declared space group, or are not given at
        all.
    """
    declared, texts = declared_settings(block), block.column(*OPERATION_NAMES)
    if texts:
        operations = _listed(texts, lattice, name)
        for text, settings in declared.items():
            if operations.number not in {each.number for each in settings}:
                raise UserError(
                    f"{name} contradicts itself: its symmetry operations are those of {operations.symbol} "
                    f"({operations.number}), but it declares {text}; correct the CIF or take another one."
                )
        return [operations]
    settings = _common(list(declared.values()))
    if declared and not settings:
        raise UserError(
            f"{name} contradicts itself: it declares the space groups {' and '.join(declared)}; correct the CIF."
        )
    symbol = block.text(*SYMBOL_NAMES) or ""
    if symbol not in declared and (lattice_type := _CENTRING.match(symbol.upper())):
        # A symbol that is in no table still tells the lattice.
        settings = [each for each in settings if each.symbol.lstrip("-")[0] == lattice_type[1]]
    settings = [each for each in settings if _fits(each.rotations, lattice)]
    if not settings:
        told = block.text(*SYMBOL_NAMES, *HALL_NAMES, *NUMBER_NAMES)
        raise UserError(
            f"{name} lists no symmetry operations and names no space group that fits its cell"
            f"{f' (but {told})' if told else ''}; write it again with its symmetry operations listed."
        )
    return settings


def declared_settings(block: Block) -> dict[str, list[Operations]]:
    """Return what the block calls its space group, each with the settings that it may mean.

    A symbol that is in no table (a setting or a spelling of its own) says nothing and is left out.
    """
    declared = {}
    for names, settings_of in ((HALL_NAMES, _of_hall), (SYMBOL_NAMES, _of_symbol)):
        text = block.text(*names)
        if text and (settings := settings_of(text)):
            declared[text] = settings
    number = block.text(*NUMBER_NAMES)
    if number and (settings := _of_number(number, alone=not declared)):
        declared[number] = settings
    return declared


def _common(declared: list[list[Operations]]) -> list[Operations]:
    """Return the settings that all declarations may mean.

    If they agree on the space group and not on its setting, any of theirs may be meant.
    """
    settings: list[Operations] = []
    for further in declared:
        numbers = {each.number for each in further}
        if not settings:
            settings = further
            continue
        both = [each for each in settings if any(each.same_as(other) for other in further)]
        settings = both or [
            each for each in settings + further if each.number in numbers & {one.number for one in settings}
        ]
        if not settings:
            return []
    return settings


def _of_hall(text: str) -> list[Operations]:
    import gemmi

    try:
        group = gemmi.symops_from_hall(text.replace("_", " "))
        rotations, translations = _arrays(list(group))
    except (RuntimeError, ValueError):
        return []
    found = gemmi.find_spacegroup_by_ops(group)
    if found is not None:
        return [_tabulated(found)]
    kind = type_of_operations(rotations, translations)
    return [Operations(rotations, translations, int(kind.number), text, False)] if kind else []


def _of_symbol(text: str) -> list[Operations]:
    """Return the settings of a Hermann-Mauguin symbol, short or full, spaced or not: all that it may mean."""
    import gemmi

    symbol = re.sub(r"\(\s*((no\.?|#)\s*\d+|\d\d+)\s*\)|#\s*\d+", "", text, flags=re.I)  # (No. 225)
    symbol = re.sub(r"[_()~]", "", symbol).strip()  # P 2(1)/c, P 2~1~/c
    base, _, choice = (part.strip() for part in symbol.partition(":"))
    if len(base) > 2 and not choice and base[-1].lower() in OLD_CHOICES and base[-2] != "/":
        base, choice = base[:-1].strip(), OLD_CHOICES[base[-1].lower()]
    if len(base) > 40 or not base.isascii():
        return []
    named = filter(None, map(gemmi.find_spacegroup_by_name, (base, _shortened(base))))
    found = [next(named, None)]
    if (
        found == [None] and len(words := base.partition("/")[0].split()) == 2
    ):  # P 21/b: about another axis than b
        lattice, rest = words[0], base.split(maxsplit=1)[1]
        found = [
            gemmi.find_spacegroup_by_name(f"{lattice} {axes}") for axes in (f"1 1 {rest}", f"{rest} 1 1")
        ]
    meant = {(each.number, each.hm) for each in found if each}
    table = [each for each in gemmi.spacegroup_table() if (each.number, each.hm) in meant]
    return [_tabulated(each) for each in table if choice.lower() in ("", each.ext.lower(), each.qualifier)]


def _shortened(symbol: str) -> str:
    """Return the short form of a full symbol, as ``F m -3 m`` for ``F 4/m -3 2/m``."""
    lattice, *axes = symbol.split()
    first = [] if "-3" in axes or not axes or axes[0][0] not in "46" else axes[:1]
    if len(axes) < 2 or sum("/" in axis for axis in axes) < 2 - ("-3" in axes):
        return symbol
    return " ".join([lattice, *first, *(axis.rpartition("/")[2] for axis in axes[len(first) :])])


def _of_number(text: str, alone: bool) -> list[Operations]:
    """Return the settings of a number: those of the International Tables where nothing beside it tells which."""
    import gemmi

    table = gemmi.spacegroup_table_itb() if alone else gemmi.spacegroup_table()
    return [_tabulated(each) for each in table if text.isdecimal() and each.number == int(text)]


def _tabulated(group: gemmi.SpaceGroup) -> Operations:
    return Operations(*_arrays(list(group.operations())), group.number, group.xhm(), False)


def _arrays(operations: list[gemmi.Op]) -> tuple[np.ndarray, np.ndarray]:
    """Return rotations and translations of gemmi's operations, which count in 1/24."""
    rotations = np.array([operation.rot for operation in operations])
    if (rotations % 24).any():
        raise ValueError("an operation is no symmetry of a lattice")
    translations = np.array([operation.tran for operation in operations])
    return (rotations // 24).astype(np.intc), np.mod(translations, 24) / 24


def _listed(texts: Column, lattice: np.ndarray, name: str) -> Operations:
    rotations, translations = _parsed(texts, name)
    if not _is_group(rotations, translations):
        raise UserError(f"{name} lists symmetry operations that form no group; its list may be cut short.")
    if not _fits(rotations, lattice):
        raise UserError(
            f"{name} contradicts itself: its symmetry operations do not fit its unit cell (are hexagonal and "
            "rhombohedral axes mixed up?); correct the CIF or take another one."
        )
    found = type_of_operations(rotations, translations, lattice)
    if found is None:
        raise UserError(f"{name} lists symmetry operations that belong to no space group; check its list.")
    return Operations(rotations, translations, int(found.number), str(found.international_short), True)


def _parsed(texts: Column, name: str) -> tuple[np.ndarray, np.ndarray]:
    import gemmi

    # Without quotes, "x, y, z" is three values.
    together = " ".join("".join((text or "?").split()) for text in texts)
    lines = list(dict.fromkeys(re.sub(r"\s*,\s*", ",", together).lower().split()))
    if len(lines) > MOST_OPERATIONS:
        raise UserError(f"{name} lists {len(lines)} symmetry operations; no crystal here has so many.")
    operations = []
    for line in lines:
        try:
            if not all(_OPERATION.fullmatch(part) for part in line.split(",")):
                raise ValueError(line)
            operations.append(gemmi.Op(line.replace("*", "")))
            _arrays(operations[-1:])
        except (ValueError, RuntimeError) as error:
            raise UserError(
                f"{name} lists a symmetry operation that cannot be read: {one_line(line, 80)!r}; correct the CIF."
            ) from error
    return _arrays(operations)


def _is_group(rotations: np.ndarray, translations: np.ndarray) -> bool:
    """Tell whether every product of two operations is listed, up to lattice translations."""
    known = {tuple(key) for key in _keys(rotations, translations)}
    for one, shift in zip(rotations, translations, strict=True):
        if any(tuple(key) not in known for key in _keys(one @ rotations, translations @ one.T + shift)):
            return False
    return True


def _keys(rotations: np.ndarray, translations: np.ndarray) -> np.ndarray:
    """Return whole numbers that tell operations apart, shape (n, 12)."""
    shifts = np.mod(np.rint(translations * 24), 24).astype(int)
    return np.concatenate([rotations.reshape(-1, 9), shifts], axis=1)


def _fits(rotations: np.ndarray, lattice: np.ndarray) -> bool:
    """Tell whether the operations leave the cell's lengths and angles as they are, within 1 %."""
    metric = lattice @ lattice.T
    size = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    turned = np.swapaxes(rotations, 1, 2) @ metric @ rotations
    return bool(np.all(np.abs(turned - metric) < 0.01 * size))
