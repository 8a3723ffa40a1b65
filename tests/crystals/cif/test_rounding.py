"""Rounded coordinates and cells stand for symmetric crystals, and lower no symmetry."""

import numpy as np
import pytest

from helpers.cif_files import write_cif
from napari_4dstem_orient.crystals.cif.atoms import coordinate
from napari_4dstem_orient.crystals.cif.read import inspect_cif, read_cif
from napari_4dstem_orient.crystals.library import find_phase


@pytest.mark.parametrize(
    "third", [("0.333", "0.667"), (".3333", ".6667"), (".333", ".666"), ("0.33", "0.67"), (".33", ".66")]
)
def test_rounded_thirds_keep_the_symmetry_whatever_operations_are_listed(tmp_path, third):
    """Of hexagonal titanium, with its own operations, and with every atom listed (P 1)."""
    cell, (one, two) = (2.9506, 2.9506, 4.6835, 90, 90, 120), third
    own = write_cif(tmp_path / "own.cif", 488, cell, [("Ti", one, two, 0.25)], "Ti", 2)
    all_atoms = [("Ti", one, two, 0.25), ("Ti", two, one, 0.75)]
    single = write_cif(tmp_path / "single.cif", 1, cell, all_atoms, "Ti", 2)
    for path in (own, single):
        reading = inspect_cif(path)
        assert reading.phase.space_group == 194, path
        assert reading.phase.same_crystal(find_phase("Ti"))
        said = any("rounded coordinates were moved" in note for note in reading.notes)
        assert said == (len(one.lstrip("0")) < 5)
    # Two atoms fix no origin, but what lies between them is exact.
    between = np.mod(np.subtract(*reading.phase.positions), 1)
    np.testing.assert_allclose(np.sort(between[:2]), [1 / 3, 2 / 3], atol=1e-9)


def test_other_rounded_coordinates_keep_the_symmetry_too(tmp_path):
    """Bismuth with every atom listed to three decimals: z, z + 1/3 and 1/3 - z are all rounded."""
    cell, z = (4.546, 4.546, 11.863, 90, 90, 120), 0.2338
    shifts = ((0, 0, 0), (2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3))
    atoms = [
        ("Bi", *(f"{value % 1:.3f}" for value in (x, y, sign * z + dz)))
        for x, y, dz in shifts
        for sign in (1, -1)
    ]
    reading = inspect_cif(write_cif(tmp_path / "bi.cif", 1, cell, atoms, "Bi", 6))
    assert reading.phase.space_group == 166
    assert len(reading.phase.symmetry) == 6
    assert any("rounded coordinates were moved" in note for note in reading.notes)
    exact = [("Bi", x % 1, y % 1, (sign * z + dz) % 1) for x, y, dz in shifts for sign in (1, -1)]
    assert reading.phase.same_crystal(read_cif(write_cif(tmp_path / "e.cif", 1, cell, exact, "Bi", 6)))


def test_a_rounded_primitive_cell_keeps_the_symmetry(tmp_path):
    """Tungsten's primitive cell: its angle is 109.4712 degrees."""
    for angle in ("109.4712", "109.47", "109.5"):
        cell = (2.7412, 2.7412, 2.7412, angle, angle, angle)
        reading = inspect_cif(write_cif(tmp_path / "w.cif", 1, cell, [("W", 0, 0, 0)], "W", 1))
        assert reading.phase.space_group == 229, angle
        assert len(reading.phase.symmetry) == 24


@pytest.mark.parametrize(
    "sites",
    [
        [
            ("Ba", 0, 0, 0),
            ("Ti", 0.5, 0.5, 0.51),
            ("O", 0.5, 0.5, "0.02"),
            ("O", 0.5, 0, 0.52),
            ("O", 0, 0.5, 0.52),
        ],
        [
            ("Ba", 0, 0, 0),
            ("Ti", 0.5, 0.5, "0.5150(3)"),
            ("O", 0.5, 0.5, "-0.0240"),
            ("O", 0.5, 0, 0.485),
            ("O", 0, 0.5, 0.485),
        ],
    ],
)
def test_a_crystal_that_is_really_less_symmetric_stays_so(tmp_path, sites):
    """Barium titanate, whose titanium lies 0.05 Å beside the middle."""
    tetragonal = (3.994, 3.994, 4.034, 90, 90, 90)
    assert read_cif(write_cif(tmp_path / "b.cif", 1, tetragonal, sites, "Ba Ti O3", 1)).space_group == 99
    pseudo_cubic = (4.01, 4.01, 4.01, 90, 90, 90)
    assert read_cif(write_cif(tmp_path / "b.cif", 1, pseudo_cubic, sites, "Ba Ti O3", 1)).space_group == 99


def test_a_cell_that_says_it_is_less_symmetric_is_believed(tmp_path):
    cell = (4.00, 4.00, 4.03, 90, 90, 90)
    atoms = [
        ("Sr", 0, 0, 0),
        ("Ti", 0.5, 0.5, 0.5),
        ("O", 0.5, 0.5, 0),
        ("O", 0.5, 0, 0.5),
        ("O", 0, 0.5, 0.5),
    ]
    assert read_cif(write_cif(tmp_path / "s.cif", 1, cell, atoms, "Sr Ti O3", 1)).space_group == 123


def test_a_cell_that_its_operations_fit_nearly_is_made_to_fit(tmp_path):
    cell = (3.6149, 3.6152, 3.6146, 90, 90.02, 90)
    phase = read_cif(write_cif(tmp_path / "cu.cif", 523, cell, [("Cu", 0, 0, 0)], "Cu", 4))
    assert phase.space_group == 225
    assert len(set(phase.cell[:3])) == 1
    assert phase.cell[0] == pytest.approx(3.6149, abs=1e-4)
    assert phase.cell[3:] == (90, 90, 90)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.333", 1 / 3),
        (".3333", 1 / 3),
        ("0.667", 2 / 3),
        ("0.666", 2 / 3),
        ("-0.33333", -1 / 3),
        ("0.167", 1 / 6),
        ("0.1666", 1 / 6),
        ("0.833", 5 / 6),
        ("1.333", 4 / 3),
        ("0.334", 0.334),
        ("0.33", 0.33),
        ("0.333(2)", 0.333),
        ("0.3335", 0.3335),
        ("0.083", 0.083),
        ("0.250", 0.25),
        ("0.5", 0.5),
    ],
)
def test_a_written_third_or_sixth_is_meant_and_a_measured_one_is_not(text, value):
    assert coordinate(text) == value
