"""CIFs of small made-up crystals, and what the program says of them."""

from pathlib import Path

import numpy as np
import pytest

from helpers.spglib_settings import operations_of, setting
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.cif.read import read_cif
from napari_4dstem_orient.crystals.phase import Phase


def written(tmp_path, content: str | bytes):
    path = tmp_path / "c.cif"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def says(tmp_path, content: str | bytes) -> str:
    with pytest.raises(UserError) as refused:
        read_cif(written(tmp_path, content))
    assert "c.cif" in str(refused.value)
    return str(refused.value)


def with_labels(rows: str, formula: str = "", columns: str = "label", symbol: str = "P m -3 m") -> str:
    names = "".join(f"_atom_site_{name}\n" for name in (*columns.split(), "fract_x", "fract_y", "fract_z"))
    declared = f"_chemical_formula_sum '{formula}'\n" if formula else ""
    cell = "".join(f"_cell_length_{axis} 4.2\n" for axis in "abc")
    return f"data_x\n{declared}{cell}_symmetry_space_group_name_H-M '{symbol}'\nloop_\n{names}{rows}\n"


R_3M = (458, 459)


def write_cif(
    path: Path,
    hall: int,
    cell: tuple[float, ...],
    sites: list[tuple],
    formula: str | None = None,
    units: int | None = None,
    number: int | None = None,
    symbol: str | None = None,
    operations: list[str] | None = None,
    extra: str = "",
) -> Path:
    """Write a CIF; by default it lists the setting's operations and declares its number."""
    declared = setting(hall).number if number is None else number
    listed = operations_of(hall) if operations is None else operations
    names = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = ["data_test", extra]
    lines += [f"_cell_{name} {value}" for name, value in zip(names, cell, strict=True)]
    lines += [f"_chemical_formula_sum '{formula}'"] if formula else []
    lines += [f"_cell_formula_units_Z {units}"] if units else []
    lines += [f"_space_group_IT_number {declared}"] if declared else []
    lines += [f"_symmetry_space_group_name_H-M '{symbol}'"] if symbol else []
    if listed:
        lines += ["loop_", "_symmetry_equiv_pos_as_xyz", *(f"'{operation}'" for operation in listed)]
    lines += ["loop_", *(f"_atom_site_{name}" for name in ("type_symbol", "fract_x", "fract_y", "fract_z"))]
    lines += ["_atom_site_occupancy"] if len(sites[0]) == 5 else []
    lines += [" ".join(str(value) for value in site) for site in sites]
    path.write_text("\n".join(lines) + "\n")
    return path


def cubic(a: float) -> tuple[float, ...]:
    return (a, a, a, 90, 90, 90)


def count(phase: Phase) -> dict[int, float]:
    return {int(z): float(phase.occupancy[phase.numbers == z].sum()) for z in np.unique(phase.numbers)}


BISMUTH_HEX = (4.546, 4.546, 11.863, 90, 90, 120)


BISMUTH_RHOMB = (4.7459, 4.7459, 4.7459, 57.23, 57.23, 57.23)


SALT = """data_salt
_chemical_formula_sum 'Na Cl'
_cell_formula_units_Z 4
_cell_length_a 5.6402
_cell_length_b 5.6402
_cell_length_c 5.6402
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Na1 Na1+ 0 0 0
Cl1 Cl1- 0.5 0.5 0.5
"""


OTHER = (
    SALT.replace("data_salt", "data_other").replace("5.6402", "4.2").replace("Na", "Mg").replace("Cl", "O")
)
