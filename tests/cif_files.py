"""CIFs of small made-up crystals, and what the program says of them."""

import pytest

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.cif.read import read_cif


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
