"""Which atoms a CIF lists: elements, occupancies, sites that are shared, too many of them."""

import pytest

from helpers.cif_files import count, says, with_labels, written
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.cif.read import inspect_cif, read_cif
from napari_4dstem_orient.crystals.library import bundled


@pytest.mark.parametrize(
    ("label", "formula", "element"),
    [
        ("Cu1", "", 29),
        ("CU1", "", 29),
        ("CU1", "Cu", 29),
        ("Fe1A", "", 26),
        ("O", "", 8),
        ("O2-", "", 8),
        ("Si_1", "", 14),
        ("CaM2", "", 20),
        ("AlT1o", "Al", 13),
        ("Oa1", "O", 8),
        ("Oco1", "O", 8),
        ("Co1", "C", 6),
        ("CA1", "C", 6),
        ("D1", "", 1),
        ("Wat1", "", 8),
        ("OW1", "O H2", 8),
        ("OH", "", 8),
        ("W1", "W", 74),
        ("B2", "", 5),
    ],
)
def test_labels_name_the_element_that_they_mean(tmp_path, label, formula, element):
    phase = read_cif(written(tmp_path, with_labels(f"{label} 0 0 0", formula)))
    assert count(phase) == {element: 1}


@pytest.mark.parametrize(
    ("symbol", "element"),
    [
        ("Fe3+", 26),
        ("FE", 26),
        ("Fe+3", 26),
        ("Fe2.5+", 26),
        ("Fe0+", 26),
        ("O-2", 8),
        ("O2-", 8),
        ("D", 1),
        ("H", 1),
        ("CO", 27),
        ("Ho", 67),
        ("H2O", 8),
        ("OH1-", 8),
        ("U6+", 92),
    ],
)
def test_type_symbols_name_their_element(tmp_path, symbol, element):
    text = with_labels(f"X1 {symbol} 0 0 0", columns="label type_symbol")
    assert count(read_cif(written(tmp_path, text))) == {element: 1}


@pytest.mark.parametrize(
    "told", ["T1", "T", "M1", "A", "X1", "Q3", "Vac1", "Va", "Dum", "Cent", "Cat1", "Oct1", "1", "#"]
)
def test_labels_that_name_no_element_are_refused(tmp_path, told):
    assert "names no element" in says(tmp_path, with_labels(f"'{told}' 0 0 0"))
    if not told.startswith("#"):
        text = with_labels(f"Si1 {told} 0 0 0", columns="label type_symbol")
        assert "names no element" in says(tmp_path, text)


@pytest.mark.parametrize(
    ("label", "formula"), [("W1", "O2 H4"), ("B1", "Sr Ti O3"), ("Ca1", "Si O2"), ("T1", "Si O2")]
)
def test_a_label_that_names_an_element_outside_the_formula_is_refused(tmp_path, label, formula):
    assert "names no element" in says(tmp_path, with_labels(f"{label} 0 0 0", formula))


def test_an_unknown_type_symbol_leaves_the_label(tmp_path):
    text = with_labels("Sr1 ? 0 0 0\nTi1 . .5 .5 .5\nO1 O .5 .5 0", "Sr Ti O3", "label type_symbol")
    assert count(read_cif(written(tmp_path, text))) == {8: 3, 22: 1, 38: 1}


def test_dummies_vacancies_and_hydrogen_without_a_place_are_left_out(tmp_path):
    columns = "label type_symbol calc_flag occupancy"
    text = with_labels(
        "Si1 Si ? 1 0 0 0\nCg1 C dum 1 .5 .5 .5\nO1 O . 0 .5 .5 0\nH1 H . 1 ? ? ?", columns=columns
    )
    reading = inspect_cif(written(tmp_path, text))
    assert count(reading.phase) == {14: 1}
    assert any("Cg1 holds no atom" in note for note in reading.notes)


def test_some_hydrogen_may_be_missing_and_nothing_else(tmp_path):
    columns = "label type_symbol"
    rows = "C1 C 0 0 0\nO1 O .5 .5 .5\nH1 H .5 .2 .2"
    for formula in ("C O H3", "C O H4", "C O H12"):
        reading = inspect_cif(
            written(tmp_path, with_labels("C1 C 0 0 0\nO1 O .5 .5 .5\nH1 H .5 0 0", formula, columns))
        )
        assert count(reading.phase) == {1: 3, 6: 1, 8: 1}
        assert (formula != "C O H3") == ("Not all of its hydrogen" in " ".join(reading.notes))
    assert "declares" in says(tmp_path, with_labels(rows, "C O H3", columns))
    assert "declares" in says(tmp_path, with_labels("C1 C 0 0 0", "C O H3", columns))


def test_lists_that_do_not_belong_together_are_refused(tmp_path):
    rows = "Sr1 0 0 0\nloop_\n_atom_site_type_symbol\nSr\nTi"
    assert "lists of different lengths" in says(tmp_path, with_labels(rows))
    assert "lists no atoms" in says(tmp_path, with_labels("? ? ? ?"))


MAGNETITE = "Fe1 Fe2+ {a} 0 0 0\nFe2 Fe3+ {b} 0 0 0\nO1 O2- 1 .5 .5 .5"


def test_two_valences_on_one_site_are_one_element(tmp_path):
    columns = "label type_symbol occupancy"
    rows = MAGNETITE.format(a="0.5", b="0.5")
    phase = read_cif(written(tmp_path, with_labels(rows, "Fe O", columns, "F m -3 m")))
    assert len(phase.numbers) == 8
    assert (phase.occupancy == 1).all()
    plain = read_cif(
        written(tmp_path, with_labels("Fe Fe 1 0 0 0\nO O 1 .5 .5 .5", "Fe O", columns, "F m -3 m"))
    )
    assert phase.same_crystal(plain)
    third = MAGNETITE.format(a="0.3333", b="0.6667")
    assert (read_cif(written(tmp_path, with_labels(third, "", columns, "F m -3 m"))).occupancy == 1).all()


def test_a_shared_site_whose_coordinates_differ_a_little_is_one_place(tmp_path):
    columns = "label type_symbol occupancy"
    rows = "Fe1 Fe .5 .2501 0 0\nMg1 Mg .3 .2503 0 0\nFe2 Fe3+ .2 .2499 0 0\nO O 1 .5 .5 .5"
    phase = read_cif(written(tmp_path, with_labels(rows, columns=columns).replace("4.2", "8.2")))
    assert count(phase) == {8: 1, 12: pytest.approx(1.8), 26: pytest.approx(4.2)}
    assert len(phase.sites[0]) == 7
    assert phase.space_group == 221


def test_an_atom_listed_twice_counts_once_and_half_atoms_are_not_added_up(tmp_path):
    columns = "label type_symbol occupancy"
    rows = "Cu1 Cu .5 0 0 0\nCu2 Cu .5 0 .5 .5\nCu3 Cu .5 .5 0 .5\nCu4 Cu .5 .5 .5 0"
    assert count(read_cif(written(tmp_path, with_labels(rows, "", columns, "F m -3 m")))) == {29: 2}
    assert count(read_cif(written(tmp_path, with_labels("Cu1 Cu 1 0 0 0\nCu2 Cu 1 0 0 0", "", columns)))) == {
        29: 1
    }


@pytest.mark.parametrize(
    ("occupancies", "reason"),
    [
        (("1.5", "0"), "occupancy 1.5"),
        (("100", "0"), "percentage"),
        (("-0.5", "0"), "occupancy -0.5"),
        (("abc", "0"), "occupancy abc"),
        (("0.75", "0.75"), "Fe and Mg on one site add up to 1.5"),
        (("0.6", "0.6"), "add up to 1.2"),
    ],
)
def test_a_site_that_is_more_than_full_is_refused(tmp_path, occupancies, reason):
    rows = "Fe Fe {} 0 0 0\nMg Mg {} 0 0 0".format(*occupancies)
    assert reason in says(tmp_path, with_labels(rows, columns="label type_symbol occupancy"))


def test_three_on_a_site_are_added_up(tmp_path):
    columns = "label type_symbol occupancy"
    rows = "Fe Fe .4 0 0 0\nMg Mg .4 0 0 0\nMn Mn .4 0 0 0"
    assert "add up to 1.2" in says(tmp_path, with_labels(rows, columns=columns))
    rows = "Fe Fe .34 0 0 0\nMg Mg .33(1) 0 0 0\nMn Mn .34 0 0 0"
    assert len(read_cif(written(tmp_path, with_labels(rows, columns=columns))).numbers) == 3


@pytest.mark.parametrize(
    ("formula", "units"),
    [
        ("Ti O2", 2),
        ("TI O2", 2),
        ("O2 Ti", 2),
        ("TiO2", 2),
        ("Ti2 O4", 2),
        ("(Ti O2)2", 1),
        ("Ti(O)2", 2),
        ("?", 2),
    ],
)
def test_a_formula_is_understood_however_it_is_spelled(tmp_path, formula, units):
    text = bundled()["TiO2"].read_text()
    assert "'Ti O2'" in text
    text = text.replace("'Ti O2'", f"'{formula}'").replace("units_Z  2", f"units_Z  {units}")
    assert count(read_cif(written(tmp_path, text))) == {8: 4, 22: 2}


def test_a_protein_or_another_huge_cell_is_refused_at_once(tmp_path):
    rows = "\n".join(f"C{n} C {n / 3000:.5f} 0 0" for n in range(3000))
    assert "lists 3000 atoms" in says(tmp_path, with_labels(rows, columns="label type_symbol"))
    rows = "\n".join(f"C{n} C {n / 400 + 0.01:.4f} .21 .37" for n in range(100))
    text = with_labels(rows, columns="label type_symbol", symbol="F m -3 m").replace("4.2", "60")
    assert "c.cif has more than 2000 atoms" in says(tmp_path, text)


def test_reflections_of_a_large_cell_are_refused_before_they_are_made(tmp_path):
    phase = read_cif(written(tmp_path, with_labels("Si Si 0 0 0\nO O .5 .5 .5", columns="label type_symbol")))
    assert len(phase.reflections(2.0).g)
    with pytest.raises(UserError, match="too many reflections"):
        phase.reflections(60.0)
    layers = "\n".join(f"C{n} C 0 0 {n / 100:.2f}" for n in range(100))
    text = with_labels(layers, columns="label type_symbol", symbol="P 1")
    long = read_cif(written(tmp_path, text.replace("_length_c 4.2", "_length_c 420.0")))
    assert long.nearest == pytest.approx(1 / 4.2)
    with pytest.raises(UserError, match=r"4\.2 × 4\.2 × 420 Å.* too many reflections"):
        long.reflections(2.0)
