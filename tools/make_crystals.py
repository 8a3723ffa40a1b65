"""Write the bundled crystals, ``resources/crystals/*.cif``: ``python tools/make_crystals.py``.

Each row of the table is a crystal with the source of its lattice constants. The symmetry operations of its
setting (gemmi's) are listed in full, so that no reader has to guess the origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gemmi

OUT = Path(__file__).parents[1] / "resources" / "crystals"

KING = "H. W. King, Bulletin of Alloy Phase Diagrams 2 (1981) 401, 25 C"
WYCKOFF = "R. W. G. Wyckoff, Crystal Structures 1 (1963)"
Site = tuple[str, float, float, float]


@dataclass(frozen=True)
class Crystal:
    """One file; ``c`` is None in a cubic crystal."""

    name: str
    setting: str
    a: float
    c: float | None
    sites: tuple[Site, ...]
    formula: str
    units: int
    common: str
    source: str
    mineral: str = "?"


def element(symbol: str, setting: str, a: float, common: str, source: str = KING) -> Crystal:
    """Return a cubic element with one atom for each lattice point."""
    units = {"Fm-3m": 4, "Im-3m": 2}[setting]
    return Crystal(symbol, setting, a, None, ((symbol, 0, 0, 0),), symbol, units, common, source)


def diamond(symbol: str, a: float, common: str, source: str) -> Crystal:
    """Return an element with the diamond structure, origin at the centre of inversion."""
    return Crystal(symbol, "Fd-3m:2", a, None, ((symbol, 1 / 8, 1 / 8, 1 / 8),), symbol, 8, common, source)


def hexagonal(symbol: str, a: float, c: float, common: str) -> Crystal:
    """Return a hexagonal close-packed element."""
    return Crystal(symbol, "P6_3/mmc", a, c, ((symbol, 1 / 3, 2 / 3, 1 / 4),), symbol, 2, common, KING)


def rock_salt(metal: str, other: str, a: float, mineral: str, source: str) -> Crystal:
    """Return a compound with the rock-salt structure."""
    sites = ((metal, 0.0, 0.0, 0.0), (other, 0.5, 0.5, 0.5))
    return Crystal(f"{metal}{other}", "Fm-3m", a, None, sites, f"{metal} {other}", 4, "?", source, mineral)


CRYSTALS = [
    element("Cu", "Fm-3m", 3.6149, "copper", "M. E. Straumanis, L. S. Yu, Acta Cryst. A 25 (1969) 676"),
    element(
        "Ag", "Fm-3m", 4.08, "silver", "value of the SPED_Ag data set, Zenodo 15490547 (King 1981: 4.0857)"
    ),
    element("Au", "Fm-3m", 4.0782, "gold"),
    element("Al", "Fm-3m", 4.0496, "aluminium"),
    element("Ni", "Fm-3m", 3.5240, "nickel"),
    element("Pt", "Fm-3m", 3.9236, "platinum"),
    element("Pd", "Fm-3m", 3.8903, "palladium"),
    element("Fe", "Im-3m", 2.8665, "alpha iron"),
    element("W", "Im-3m", 3.1652, "tungsten"),
    element("Mo", "Im-3m", 3.1470, "molybdenum"),
    diamond("Si", 5.4310, "silicon", "CODATA 2018: 5.431020511"),
    diamond("Ge", 5.6574, "germanium", KING),
    hexagonal("Ti", 2.9506, 4.6835, "alpha titanium"),
    hexagonal("Mg", 3.2094, 5.2107, "magnesium"),
    Crystal(
        "Cu2O",
        "Pn-3m:2",
        4.2696,
        None,
        (("Cu", 0, 0, 0), ("O", 1 / 4, 1 / 4, 1 / 4)),
        "Cu2 O",
        2,
        "copper(I) oxide",
        WYCKOFF,
        "Cuprite",
    ),
    rock_salt("Na", "Cl", 5.6402, "Halite", "H. E. Swanson, R. K. Fuyat, NBS Circular 539 vol. II (1953)"),
    rock_salt("Mg", "O", 4.211, "Periclase", "R. M. Hazen, American Mineralogist 61 (1976) 266"),
    Crystal(
        "GaAs",
        "F-43m",
        5.6533,
        None,
        (("Ga", 0, 0, 0), ("As", 1 / 4, 1 / 4, 1 / 4)),
        "Ga As",
        4,
        "gallium arsenide",
        "J. S. Blakemore, J. Appl. Phys. 53 (1982) R123, 300 K",
    ),
    Crystal(
        "TiO2",
        "P4_2/mnm",
        4.593,
        2.959,
        (("Ti", 0, 0, 0), ("O", 0.3051, 0.3051, 0)),
        "Ti O2",
        2,
        "titanium dioxide",
        "E. P. Meagher, G. A. Lager, Canadian Mineralogist 17 (1979) 77, 25 C",
        "Rutile",
    ),
    Crystal(
        "SrTiO3",
        "Pm-3m",
        3.905,
        None,
        (("Sr", 0, 0, 0), ("Ti", 0.5, 0.5, 0.5), ("O", 0.5, 0.5, 0)),
        "Sr Ti O3",
        1,
        "strontium titanate",
        "Landolt-Boernstein III/16a (1981), room temperature",
        "Tausonite",
    ),
]


def cif(crystal: Crystal) -> str:
    """Return the text of a crystal's CIF."""
    group = gemmi.find_spacegroup_by_name(crystal.setting)
    operations = [operation.triplet().replace(",", ", ") for operation in group.operations()]
    symbol = group.hm + (f" :{group.ext}" if group.ext.strip("\0 ") else "")
    title = crystal.common if crystal.common != "?" else crystal.mineral
    gamma = 120 if crystal.setting.startswith("P6") else 90
    lines = [
        f"# {title}; lattice constants: {crystal.source}",
        "# Written by tools/make_crystals.py of napari-4dstem-orient.",
        f"data_{crystal.name}",
        f"_chemical_name_mineral  {crystal.mineral}",
        f"_chemical_name_common  '{crystal.common}'",
        f"_chemical_formula_sum  '{crystal.formula}'",
        f"_cell_formula_units_Z  {crystal.units}",
        f"_cell_length_a  {crystal.a}",
        f"_cell_length_b  {crystal.a}",
        f"_cell_length_c  {crystal.c or crystal.a}",
        "_cell_angle_alpha  90",
        "_cell_angle_beta  90",
        f"_cell_angle_gamma  {gamma}",
        f"_space_group_IT_number  {group.number}",
        f"_space_group_name_H-M_alt  '{symbol}'",
        "loop_",
        "_space_group_symop_operation_xyz",
        *(f"'{operation}'" for operation in operations),
        "loop_",
        "_atom_site_label",
        "_atom_site_type_symbol",
        "_atom_site_fract_x",
        "_atom_site_fract_y",
        "_atom_site_fract_z",
        "_atom_site_occupancy",
        *(f"{site[0]}1 {site[0]} {site[1]:.6g} {site[2]:.6g} {site[3]:.6g} 1" for site in crystal.sites),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write all files."""
    OUT.mkdir(parents=True, exist_ok=True)
    for crystal in CRYSTALS:
        (OUT / f"{crystal.name}.cif").write_text(cif(crystal))


if __name__ == "__main__":
    main()
