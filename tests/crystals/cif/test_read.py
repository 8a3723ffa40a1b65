"""CIFs are read by their listed operations; whatever contradicts them is refused."""

import contextlib

import numpy as np
import pytest

from helpers.cif_files import BISMUTH_HEX, BISMUTH_RHOMB, R_3M, count, cubic, write_cif
from helpers.spglib_settings import operations_of
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.cif.read import inspect_cif, read_cif
from napari_4dstem_orient.crystals.library import bundled, find_phase
from napari_4dstem_orient.crystals.phase import Phase

# spglib's numbers of settings: (origin choice 1, origin choice 2), (hexagonal, rhombohedral axes)
PN_3M = (521, 522)
FD_3M = (525, 526)
FM_3M, HCP, PNMA, P21C = 523, 488, 292, 81


def shortest(phase: Phase, first: int, second: int) -> float:
    """Return the shortest distance between two elements in Å."""
    shifts = np.array(list(np.ndindex(3, 3, 3))) - 1
    one, two = (phase.positions[phase.numbers == z] for z in (first, second))
    away = np.linalg.norm((one[:, None, None] - two[:, None] - shifts) @ phase.lattice, axis=-1)
    return float(away[away > 1e-3].min())


def test_cuprite_in_origin_choice_2_is_not_turned_inside_out(tmp_path):
    sites = [("Cu", 0, 0, 0), ("O", 0.25, 0.25, 0.25)]
    path = write_cif(tmp_path / "cu2o.cif", PN_3M[1], cubic(4.2696), sites, "Cu2 O", 2)
    reading = inspect_cif(path)
    assert reading.notes == ()
    assert reading.phase.name == "Cu2O"
    assert count(reading.phase) == {8: 2, 29: 4}
    assert reading.phase.space_group == 224
    assert shortest(reading.phase, 29, 8) == pytest.approx(1.849, abs=1e-3)


def test_cuprite_in_origin_choice_1_is_the_same_crystal(tmp_path):
    sites = [("Cu", 0.25, 0.25, 0.25), ("O", 0, 0, 0)]
    phase = read_cif(write_cif(tmp_path / "cu2o.cif", PN_3M[0], cubic(4.2696), sites, "Cu2 O", 2))
    assert count(phase) == {8: 2, 29: 4}
    assert phase.same_crystal(find_phase("Cu2O"))


def test_atoms_of_one_origin_with_operations_of_the_other_are_refused(tmp_path):
    sites = [("Cu", 0, 0, 0), ("O", 0.25, 0.25, 0.25)]
    path = write_cif(tmp_path / "swapped.cif", PN_3M[0], cubic(4.2696), sites, "Cu2 O", 2)
    with pytest.raises(UserError, match=r"contradicts itself.*Cu2 O4.*declares Cu4 O2"):
        read_cif(path)


@pytest.mark.parametrize(("choice", "position"), [(0, 0.0), (1, 0.125)])
def test_diamond_in_both_origins(tmp_path, choice, position):
    path = write_cif(
        tmp_path / "si.cif", FD_3M[choice], cubic(5.431), [("Si", position, position, position)], "Si", 8
    )
    phase = read_cif(path)
    assert count(phase) == {14: 8}
    assert shortest(phase, 14, 14) == pytest.approx(2.352, abs=1e-3)
    assert phase.same_crystal(find_phase("Si"))


def test_diamond_in_the_wrong_origin_is_refused_by_the_number_of_formula_units(tmp_path):
    path = write_cif(tmp_path / "si.cif", FD_3M[1], cubic(5.431), [("Si", 0, 0, 0)], "Si", 8)
    with pytest.raises(UserError, match=r"Si16.*Si8"):
        read_cif(path)


@pytest.mark.parametrize(
    ("choice", "sites"),
    [
        (0, [("Mg", 0, 0, 0), ("Al", 0.625, 0.625, 0.625), ("O", 0.3887, 0.3887, 0.3887)]),
        (1, [("Mg", 0.125, 0.125, 0.125), ("Al", 0.5, 0.5, 0.5), ("O", 0.2637, 0.2637, 0.2637)]),
    ],
)
def test_spinel_in_both_origins(tmp_path, choice, sites):
    phase = read_cif(write_cif(tmp_path / "s.cif", FD_3M[choice], cubic(8.0806), sites, "Mg Al2 O4", 8))
    assert count(phase) == {8: 32, 12: 8, 13: 16}
    assert shortest(phase, 12, 8) == pytest.approx(1.941, abs=2e-3)
    assert shortest(phase, 13, 8) == pytest.approx(1.916, abs=2e-3)


def test_operations_that_contradict_the_declared_group_are_refused(tmp_path):
    sites = [("Cu", 0, 0, 0)]
    path = write_cif(tmp_path / "cu.cif", FM_3M, cubic(3.6149), sites, "Cu", 4, number=221)
    with pytest.raises(UserError, match=r"Fm-3m \(225\), but it declares 221"):
        read_cif(path)
    path = write_cif(tmp_path / "cu.cif", FM_3M, cubic(3.6149), sites, "Cu", 4, symbol="I m -3 m")
    with pytest.raises(UserError, match=r"Fm-3m \(225\), but it declares I m -3 m"):
        read_cif(path)


def test_a_cut_list_of_operations_is_refused(tmp_path):
    operations = operations_of(FM_3M)[:100]
    path = write_cif(tmp_path / "cu.cif", FM_3M, cubic(3.6149), [("Cu", 0, 0, 0)], operations=operations)
    with pytest.raises(UserError, match="form no group"):
        read_cif(path)


@pytest.mark.parametrize("written", [(1 / 3, 2 / 3), (0.3333, 0.6667), (0.333, 0.667), (0.33, 0.67)])
def test_rounded_special_positions_of_titanium_do_not_double(tmp_path, written):
    cell = (2.9506, 2.9506, 4.6835, 90, 90, 120)
    phase = read_cif(write_cif(tmp_path / "ti.cif", HCP, cell, [("Ti", *written, 0.25)], "Ti", 2))
    assert count(phase) == {22: 2}
    assert phase.space_group == 194
    assert len(phase.symmetry) == 12
    assert np.allclose(np.sort(phase.positions[:, 0]), [1 / 3, 2 / 3])


def test_bismuth_in_hexagonal_and_rhombohedral_axes(tmp_path):
    z = 0.23389
    hexagonal = read_cif(write_cif(tmp_path / "h.cif", R_3M[0], BISMUTH_HEX, [("Bi", 0, 0, z)], "Bi", 6))
    rhombohedral = read_cif(write_cif(tmp_path / "r.cif", R_3M[1], BISMUTH_RHOMB, [("Bi", z, z, z)], "Bi", 2))
    assert count(hexagonal) == {83: 6}
    assert count(rhombohedral) == {83: 2}
    assert hexagonal.space_group == rhombohedral.space_group == 166
    assert len(hexagonal.symmetry) == len(rhombohedral.symmetry) == 6
    assert shortest(hexagonal, 83, 83) == pytest.approx(3.072, abs=5e-3)
    assert shortest(rhombohedral, 83, 83) == pytest.approx(3.072, abs=5e-3)


def test_hexagonal_operations_on_a_rhombohedral_cell_are_refused(tmp_path):
    path = write_cif(tmp_path / "bi.cif", R_3M[0], BISMUTH_RHOMB, [("Bi", 0, 0, 0.23389)], "Bi", 6)
    with pytest.raises(UserError, match="do not fit its unit cell"):
        read_cif(path)


def test_without_operations_the_only_fitting_setting_is_used_and_said(tmp_path):
    copper = write_cif(tmp_path / "cu.cif", FM_3M, cubic(3.6149), [("Cu", 0, 0, 0)], "Cu", 4, operations=[])
    reading = inspect_cif(copper)
    assert count(reading.phase) == {29: 4}
    assert "F m -3 m" in reading.notes[0]
    cuprite = write_cif(
        tmp_path / "cu2o.cif",
        PN_3M[1],
        cubic(4.2696),
        [("Cu", 0, 0, 0), ("O", 0.25, 0.25, 0.25)],
        "Cu2 O",
        2,
        operations=[],
    )
    reading = inspect_cif(cuprite)  # only the second origin gives Cu4 O2
    assert count(reading.phase) == {8: 2, 29: 4}
    assert "P n -3 m:2" in reading.notes[0]
    bismuth = write_cif(tmp_path / "bi.cif", R_3M[1], BISMUTH_RHOMB, [("Bi", *[0.23389] * 3)], operations=[])
    assert count(read_cif(bismuth)) == {83: 2}  # the cell tells the axes


def test_an_ambiguous_origin_is_refused(tmp_path):
    # Spinel-like positions fit the formula in both origins of Fd-3m: 8 atoms on 0 0 0 or on 1/8 1/8 1/8.
    sites = [("Si", 0.1, 0.1, 0.1)]
    path = write_cif(tmp_path / "x.cif", FD_3M[0], cubic(12.0), sites, operations=[], symbol="F d -3 m")
    with pytest.raises(UserError, match="2 of the 2 settings"):
        read_cif(path)
    path = write_cif(tmp_path / "x.cif", FD_3M[0], cubic(12.0), sites, operations=[], symbol="F d -3 m :1")
    assert "F d -3 m:1" in inspect_cif(path).notes[0]
    path = write_cif(tmp_path / "x.cif", FD_3M[0], cubic(12.0), sites, operations=[], symbol="F d -3 m Z")
    assert "F d -3 m:2" in inspect_cif(path).notes[0]


def test_no_symmetry_at_all_is_refused(tmp_path):
    path = write_cif(tmp_path / "x.cif", FM_3M, cubic(3.6), [("Cu", 0, 0, 0)], number=0, operations=[])
    with pytest.raises(UserError, match="lists no symmetry operations"):
        read_cif(path)


def test_atoms_on_top_of_each_other_are_refused(tmp_path):
    path = write_cif(tmp_path / "x.cif", FM_3M, cubic(3.6149), [("Cu", 0, 0, 0), ("Au", 0.02, 0, 0)])
    with pytest.raises(UserError, match=r"two atoms to 0.07 Å"):
        read_cif(path)


def test_a_site_shared_by_two_elements_is_kept(tmp_path):
    sites = [("Cu", 0, 0, 0, 0.75), ("Au", 0, 0, 0, 0.25)]
    phase = read_cif(write_cif(tmp_path / "cu3au.cif", FM_3M, cubic(3.75), sites, "Cu3 Au", 1))
    assert count(phase) == {29: 3, 79: 1}
    assert phase.space_group == 225
    assert len(phase.symmetry) == 24
    assert phase.same_crystal(Phase.from_dict(phase.to_dict()))


def test_the_formula_of_the_whole_cell_beside_z_is_understood(tmp_path):
    path = write_cif(tmp_path / "si.cif", FD_3M[0], cubic(5.431), [("Si", 0, 0, 0)], "Si8", 8)
    assert count(read_cif(path)) == {14: 8}


def test_cells_written_in_p1_get_the_symmetry_of_their_atoms(tmp_path):
    sites = [("Cu", 0, 0, 0), ("Cu", 0, 0.5, 0.5), ("Cu", 0.5, 0, 0.5), ("Cu", 0.5, 0.5, 0)]
    reading = inspect_cif(write_cif(tmp_path / "cu.cif", 1, cubic(3.6149), sites, "Cu", 4))
    assert reading.phase.same_crystal(find_phase("Cu"))
    assert "higher" in reading.notes[0]


def test_uncertainties_ions_and_dotted_names_are_understood(tmp_path):
    text = write_cif(
        tmp_path / "nacl.cif",
        FM_3M,
        cubic(5.6402),
        [("Na1+", 0, 0, 0), ("Cl1-", "0.5000(2)", 0, 0)],
        "Na Cl",
        4,
    ).read_text()
    text = text.replace("_cell_length_a 5.6402", "_cell_length_a 5.6402(3)").replace(
        "_symmetry_equiv_pos_as_xyz", "_space_group_symop.operation_xyz"
    )
    path = tmp_path / "dotted.cif"
    path.write_text(text.replace("_atom_site_", "_atom_site."))
    assert read_cif(path).same_crystal(find_phase("NaCl"))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("garbage.cif", b"this is no crystal\n" * 5, "not a CIF"),
        ("empty.cif", b"", "is empty"),
        ("binary.cif", bytes(range(256)) * 40, "not a CIF"),
        ("zipped.cif", b"PK\x03\x04\x00\x00data_x", "not a CIF"),
        ("no-atoms.cif", b"data_x\n_cell_length_a 4\n", "lists no atoms"),
        ("loop.cif", b"data_x\nloop_\n_atom_site_label\n_atom_site_fract_x\n", "broken CIF|lists no atoms"),
    ],
)
def test_what_is_no_crystal_gets_one_clear_sentence(tmp_path, name, content, says):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=says) as refused:
        read_cif(path)
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_several_crystals_in_one_file_are_refused(tmp_path):
    text = bundled()["Cu"].read_text()
    path = tmp_path / "two.cif"
    path.write_text(text + text)
    with pytest.raises(UserError, match="holds 2 crystals"):
        read_cif(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("_cell_length_b  3.6149", "", "no possible unit cell"),
        ("_cell_length_b  3.6149", "_cell_length_b  -3.6149", "no possible unit cell"),
        ("_cell_angle_gamma  90", "_cell_angle_gamma  190", "no possible unit cell"),
        ("_cell_length_b  3.6149", "_cell_length_b  4.9", "do not fit its unit cell"),
        ("Cu1 Cu 0 0 0", "Cu1 Qq 0 0 0", "names no element"),
        ("Cu1 Cu 0 0 0", "Cu1 Cu ? 0 0", "no coordinates"),
        ("'x, y, z'", "'x, y, w'", "cannot be read"),
        ("'x, y, z'", "'x, y'", "cannot be read"),
        ("_chemical_formula_sum  'Cu'", "_chemical_formula_sum  'Ni'", "declares Ni4"),
        ("_cell_formula_units_Z  4", "_cell_formula_units_Z  2", "declares Cu2"),
    ],
)
def test_each_damage_to_a_cif_is_named(tmp_path, old, new, says):
    text = bundled()["Cu"].read_text()
    assert old in text
    path = tmp_path / "cu.cif"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=says):
        read_cif(path)


def test_a_symbol_without_quotes_is_noted(tmp_path):
    path = tmp_path / "cu.cif"
    path.write_text(bundled()["Cu"].read_text().replace("'F m -3 m'", "F m -3 m"))
    reading = inspect_cif(path)
    assert count(reading.phase) == {29: 4}
    assert reading.notes == ("Its value 'F m -3 m' lacks quotes and was taken as one.",)


def test_damaged_files_are_read_or_refused_never_a_crash(tmp_path):
    """Every cut and 100 scrambled copies of a CIF; what is still read has the right number of atoms."""
    text = bundled()["TiO2"].read_text()
    lines = text.splitlines()
    damaged = ["\n".join(lines[:end]) for end in range(len(lines))]
    rng = np.random.default_rng(3)
    for _ in range(100):
        letters = list(text)
        for place in rng.integers(len(letters), size=4):
            letters[place] = rng.choice(list("ab019.,-'\n ;_#?"))
        damaged.append("".join(letters))
    path = tmp_path / "damaged.cif"
    for content in damaged:
        path.write_text(content)
        with contextlib.suppress(UserError):
            assert count(read_cif(path)) == {8: 4, 22: 2}


def test_bundled_crystals_read_without_notes_and_as_pymatgen_reads_them():
    parser = pytest.importorskip("pymatgen.io.cif", reason="pymatgen is only the referee").CifParser
    for name, path in bundled().items():
        reading = inspect_cif(path)
        assert reading.notes == (), name
        (theirs,) = parser(path).parse_structures(primitive=False, on_error="raise")
        mine = reading.phase
        assert len(theirs) == len(mine.numbers), name
        assert np.allclose(theirs.lattice.parameters, mine.cell)
        apart = theirs.lattice.get_all_distances(theirs.frac_coords, mine.positions)
        nearest = apart.argmin(axis=1)
        assert apart.min(axis=1).max() < 1e-3, name
        assert np.array_equal(np.array(theirs.atomic_numbers), mine.numbers[nearest]), name


def test_phases_are_found_by_name_in_any_case_or_by_path():
    assert find_phase("cu2o").space_group == 224
    assert find_phase("CU").same_crystal(read_cif(bundled()["Cu"]))
    assert find_phase(bundled()["Ag"]).name == "Ag"
    assert find_phase("Ag").cell[0] == 4.08


def test_an_unknown_phase_names_its_neighbours():
    with pytest.raises(UserError, match=r"nearest: SrTiO3.*Ag, Al") as refused:
        find_phase("SrTi3")
    assert "path of a CIF" in str(refused.value)
    with pytest.raises(UserError, match="does not exist"):
        find_phase("nowhere.cif")
