"""The symmetry operations of a CIF: those it lists, or those its space group's only fitting setting has."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_4dstem_orient.crystals.space_groups import (
    SETTINGS,
    setting,
    setting_operations,
    type_of_operations,
)
from napari_4dstem_orient.errors import UserError

OPERATION_NAMES = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
SYMBOL_NAMES = ("_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m", "_space_group_name_h-m_full")
NUMBER_NAMES = ("_space_group_it_number", "_symmetry_int_tables_number")
HALL_NAMES = ("_space_group_name_hall", "_symmetry_space_group_name_hall")
OLD_CHOICES = {"s": "1", "z": "2", "h": "H", "r": "R"}
"""Origin choice or axes at the end of older symbols: ``F d -3 m Z``, ``R -3 m H``."""


@dataclass(frozen=True, eq=False)
class Operations:
    """Symmetry operations x' = W x + w on fractional coordinates.

    Attributes
    ----------
    rotations : ndarray, int, shape (n, 3, 3)
    translations : ndarray, shape (n, 3)
    number : int
        Space-group number that these operations have, whatever the file says.
    symbol : str
        Its short Hermann-Mauguin symbol.
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


def operations_of(block: dict[str, Any], lattice: np.ndarray, name: str) -> list[Operations]:
    """Return the operations of a CIF block.

    Parameters
    ----------
    block : dict
        Lower-case CIF names to texts.
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
    declared = _declared_settings(block)
    texts = next((block[key] for key in OPERATION_NAMES if block.get(key)), None)
    if texts is None:
        possible = set.intersection(*declared.values()) if declared else set()
        settings = [_of_setting(hall) for hall in sorted(possible)]
        settings = [each for each in settings if _fits(each.rotations, lattice)]
        if not settings:
            raise UserError(
                f"{name} lists no symmetry operations and names no space group that fits its cell; write it "
                "again with its symmetry operations listed."
            )
        return settings
    operations = _listed([texts] if isinstance(texts, str) else texts, lattice, name)
    for text, halls in declared.items():
        if operations.number not in {setting(hall).number for hall in halls}:
            raise UserError(
                f"{name} contradicts itself: its symmetry operations are those of {operations.symbol} "
                f"({operations.number}), but it declares {text}; correct the CIF or take another one."
            )
    return [operations]


def _listed(texts: list[str], lattice: np.ndarray, name: str) -> Operations:
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


def _parsed(texts: list[str], name: str) -> tuple[np.ndarray, np.ndarray]:
    from pymatgen.core.operations import SymmOp

    term = r"(\d+(\.\d+)?(/[1-9]\d*)?|(\d\*?)?[xyz])"
    row = re.compile(rf"[+-]?{term}([+-]{term})*")
    operations = []
    for text in texts:
        compact = text.replace(" ", "").lower()
        if not (compact.count(",") == 2 and all(row.fullmatch(part) for part in compact.split(","))):
            raise UserError(
                f"{name} lists a symmetry operation that cannot be read: {text!r}; correct the CIF."
            )
        operations.append(SymmOp.from_xyz_str(compact.replace("*", "")))
    rotations = np.array([operation.rotation_matrix for operation in operations])
    translations = np.array([operation.translation_vector for operation in operations])
    # Translations are multiples of 1/24; a file may round them to 0.3333.
    return np.rint(rotations).astype(np.intc), np.mod(np.rint(translations * 24) / 24, 1.0)


def _is_group(rotations: np.ndarray, translations: np.ndarray) -> bool:
    """Tell whether every product of two operations is listed, up to lattice translations."""

    def keys(w: np.ndarray, t: np.ndarray) -> np.ndarray:
        return np.concatenate(
            [w.reshape(-1, 9), np.mod(np.rint(t.reshape(-1, 3) * 24), 24).astype(int)], axis=1
        )

    known = {tuple(key) for key in keys(rotations, translations)}
    products = rotations[:, None] @ rotations
    shifts = np.einsum("aij,bj->abi", rotations, translations) + translations[:, None]
    return {tuple(key) for key in np.unique(keys(products, shifts), axis=0)} == known


def _fits(rotations: np.ndarray, lattice: np.ndarray) -> bool:
    """Tell whether the operations leave the cell's lengths and angles as they are, within 1 %."""
    metric = lattice @ lattice.T
    size = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    turned = np.swapaxes(rotations, 1, 2) @ metric @ rotations
    return bool(np.all(np.abs(turned - metric) < 0.01 * size))


def _declared_settings(block: dict[str, Any]) -> dict[str, set[int]]:
    """Return what the block calls its space group, each with spglib's numbers of the settings it may mean.

    A symbol that is in no table (a setting or a spelling of its own) says nothing and is left out.
    """
    declared = {}
    for names, means in ((HALL_NAMES, _is_hall), (SYMBOL_NAMES, _is_symbol), (NUMBER_NAMES, _is_number)):
        text = next((str(block[key]).strip() for key in names if key in block), "?")
        if halls := {hall for hall in SETTINGS if means(text, hall)}:
            declared[text] = halls
    return declared


def _is_hall(text: str, hall: int) -> bool:
    return (
        text.replace(" ", "").replace("_", "").lower() == setting(hall).hall_symbol.replace(" ", "").lower()
    )


def _is_symbol(text: str, hall: int) -> bool:
    base, _, choice = text.partition(":")
    plain = _plain(base)
    if not choice and len(plain) > 2 and plain[-1] in OLD_CHOICES:
        plain, choice = plain[:-1], OLD_CHOICES[plain[-1]]
    found = setting(hall)
    spellings = (found.international_short, found.international_full, *found.international.split("="))
    return choice.strip().upper() in ("", found.choice.upper()) and plain in map(_plain, spellings)


def _is_number(text: str, hall: int) -> bool:
    return text.isdigit() and int(text) == setting(hall).number


def _plain(symbol: str) -> str:
    return re.sub(r"[\s_()]", "", symbol).lower()


def _of_setting(hall: int) -> Operations:
    found = setting(hall)
    symbol = found.international_short + (f":{found.choice}" if found.choice else "")
    return Operations(*setting_operations(hall), int(found.number), symbol, False)
