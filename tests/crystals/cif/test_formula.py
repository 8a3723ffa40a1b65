"""Formulas as CIFs and chemists write them."""

import pytest

from napari_4dstem_orient.crystals.cif.formula import alike, formula_name, parse, smallest, times, words


@pytest.mark.parametrize(
    ("text", "atoms"),
    [
        ("Cu2O1", {"Cu": 2, "O": 1}),
        ("CO", {"C": 1, "O": 1}),
        ("Co", {"Co": 1}),
        ("Ca5(PO4)3F", {"Ca": 5, "P": 3, "O": 12, "F": 1}),
        ("K[Al(SO4)2](H2O)12", {"K": 1, "Al": 1, "S": 2, "O": 20, "H": 24}),
        ("Fe0.5Ni1.50", {"Fe": 0.5, "Ni": 1.5}),
        ("D2OT1", {"H": 3, "O": 1}),
        ("", {}),
    ],
)
def test_formulas_are_counted(text, atoms):
    assert parse(text) == pytest.approx(atoms)


@pytest.mark.parametrize("text", ["cu2o", "Xx2", "Ca(OH", "CaOH)2", "Cu-2", "Cu1e5", "?", "H2·O"])
def test_what_is_no_formula_is_refused(text):
    with pytest.raises(ValueError, match=r"formula|element|closes|opens"):
        parse(text)


def test_chemists_name_the_smallest_in_the_order_of_electronegativity():
    names = {"O2Cu4": "Cu2O", "O3SrTi": "SrTiO3", "AsGa": "GaAs", "ClNa": "NaCl", "O4SiMg2": "Mg2SiO4"}
    names |= {"C24": "C", "Ni3.5Fe0.5": "Fe0.5Ni3.5"}
    assert {text: formula_name(parse(text)) for text in names} == names


def test_arithmetic():
    assert times(parse("Cu2O"), 2) == {"Cu": 4, "O": 2}
    assert smallest(parse("Ti2O4")) == {"Ti": 1, "O": 2}
    assert smallest(parse("Fe0.5Ni1.5")) == {"Fe": 0.5, "Ni": 1.5}
    assert words(parse("Cu4O1")) == "Cu4 O"
    assert alike(parse("Cu4O2"), parse("Cu4.1O2"))
    assert not alike(parse("Cu4O2"), parse("Cu4.2O2"))
    assert not alike(parse("Cu4O2"), parse("Cu4"))
