"""What a space group is called tells its operations, or that it does not."""

import gemmi
import numpy as np
import pytest

from helpers.cif_files import cubic, write_cif
from helpers.spglib_settings import operations_of, setting
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.crystals.cif.read import inspect_cif, read_cif
from napari_4dstem_orient.crystals.library import find_phase

GENERAL = (0.0855, 0.3366, 0.2113)
MONOCLINIC, ORTHORHOMBIC, HEXAGONAL = (
    (9, 10, 11, 90, 105, 90),
    (9, 10, 11, 90, 90, 90),
    (9, 9, 11, 90, 90, 120),
)
TETRAGONAL, RHOMBOHEDRAL = (9, 9, 11, 90, 90, 90), (9, 9, 9, 75, 75, 75)


@pytest.mark.parametrize(
    ("symbol", "cell", "hall"),
    [
        ("P 21/n", MONOCLINIC, 82),
        ("P21/n", MONOCLINIC, 82),
        ("P 1 21/n 1", MONOCLINIC, 82),
        ("P 21/c", MONOCLINIC, 81),
        ("P2(1)/c", MONOCLINIC, 81),
        ("P 2_1/c", MONOCLINIC, 81),
        ("P 21/a", MONOCLINIC, 83),
        ("I 2/a", MONOCLINIC, 92),
        ("C 2/c", MONOCLINIC, 90),
        ("A 2/n", MONOCLINIC, 91),
        ("C 2/m", MONOCLINIC, 63),
        ("C2/m:b1", MONOCLINIC, 63),
        ("B 1 1 2/b", (9, 10, 11, 90, 90, 105), 99),
        ("C m c a", ORTHORHOMBIC, 304),
        ("C m c e", ORTHORHOMBIC, 304),
        ("P n m a", ORTHORHOMBIC, 292),
        ("P b n m", ORTHORHOMBIC, 294),
        ("P m m n :2", ORTHORHOMBIC, 279),
        ("P m m n S", ORTHORHOMBIC, 278),
        ("P 4/n m m Z", TETRAGONAL, 409),
        ("I 41/a m d :1", TETRAGONAL, 426),
        ("I 41/a m d S", TETRAGONAL, 426),
        ("P 6/m m m", HEXAGONAL, 485),
        ("P6_3/mmc", HEXAGONAL, 488),
        ("R 3 m :H", HEXAGONAL, 450),
        ("R 3 m", HEXAGONAL, 450),
        ("R -3 m H", HEXAGONAL, 458),
        ("R 3 m :R", RHOMBOHEDRAL, 451),
        ("R 3 m", RHOMBOHEDRAL, 451),
        ("R -3 c R", RHOMBOHEDRAL, 461),
        ("F d -3 m :1", cubic(22), 525),
        ("F d -3 m :2", cubic(22), 526),
        ("F d -3 m Z", cubic(22), 526),
        ("FD-3MS", cubic(22), 525),
        ("F d 3 m :2", cubic(22), 526),
        ("I a -3 d", cubic(22), 530),
        ("P a 3", cubic(15), 501),
        ("P 2~1~/c", MONOCLINIC, 81),
        ("P 21/b", (9, 10, 11, 90, 90, 105), 86),
        ("P 21/b", (9, 10, 11, 105, 90, 90), 87),
        ("P 21/c 21/n 2/b", ORTHORHOMBIC, 289),
        ("I 4/m 2/m 2/m", TETRAGONAL, 424),
        ("P 63/m 2/m 2/c", HEXAGONAL, 488),
        ("R -3 2/m", HEXAGONAL, 458),
        ("P -3 2/m 1", HEXAGONAL, 456),
        ("F 4/m -3 2/m", cubic(22), 523),
        ("P 21/a -3", cubic(15), 501),
    ],
)
def test_a_symbol_alone_gives_the_operations_of_its_setting(tmp_path, symbol, cell, hall):
    """Of a general position, every image is there and no other."""
    path = write_cif(
        tmp_path / "x.cif", hall, cell, [("Cu", *GENERAL)], number=0, symbol=symbol, operations=[]
    )
    phase = read_cif(path)
    expected = {
        tuple(
            np.rint(np.mod(gemmi.Op(each.replace(" ", "")).apply_to_xyz(list(GENERAL)), 1) * 1e4).astype(int)
        )
        for each in operations_of(hall)
    }
    assert {tuple(place) for place in np.rint(phase.positions * 1e4).astype(int)} == expected
    assert len(phase.positions) == len(expected)


@pytest.mark.parametrize(
    ("hall_symbol", "cell", "hall"),
    [
        ("-P 2yn", MONOCLINIC, 82),
        ("-P 2ybc (x-z,y,z)", MONOCLINIC, 82),
        ("-F 4vw 2vw 3", cubic(22), 526),
        ("F_4d_2_3_-1d", cubic(22), 525),
    ],
)
def test_a_hall_symbol_alone_gives_its_operations(tmp_path, hall_symbol, cell, hall):
    extra = f"_space_group_name_Hall '{hall_symbol}'"
    alone = write_cif(
        tmp_path / "x.cif", hall, cell, [("Cu", *GENERAL)], number=0, operations=[], extra=extra
    )
    listed = write_cif(tmp_path / "y.cif", hall, cell, [("Cu", *GENERAL)])
    places = [
        np.unique(np.rint(np.mod(read_cif(path).positions, 1) * 1e4), axis=0) for path in (alone, listed)
    ]
    np.testing.assert_array_equal(*places)


def test_a_number_alone_is_refused_where_settings_differ(tmp_path):
    sites = [("Cu", *GENERAL)]
    path = write_cif(tmp_path / "x.cif", 81, MONOCLINIC, sites, operations=[])
    with pytest.raises(UserError, match=r"3 of the 3 settings .*P 1 21/c 1, P 1 21/n 1, P 1 21/a 1"):
        read_cif(path)
    path = write_cif(tmp_path / "x.cif", 2, (5, 6, 7, 80, 95, 100), sites, operations=[])
    assert len(read_cif(path).positions) == 2  # P -1 leaves nothing open


CENTRED = {
    "A": [(0, 0.5, 0.5)],
    "B": [(0.5, 0, 0.5)],
    "C": [(0.5, 0.5, 0)],
    "F": [(0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)],
    "I": [(0.5, 0.5, 0.5)],
}


@pytest.mark.parametrize("centring", CENTRED)
@pytest.mark.parametrize(("number", "inverted"), [(1, False), (2, True)])
def test_a_symbol_of_an_unusual_lattice_beside_its_number(tmp_path, centring, number, inverted):
    """The number does not tell the setting, so it does not put another one into question."""
    sites = [("Cu", *GENERAL), ("O", 0.6, 0.1, 0.85)]
    path = write_cif(
        tmp_path / "x.cif",
        number,
        (9, 10, 11, 80, 95, 100),
        sites,
        symbol=f"{centring} {'-' if inverted else ''}1",
        operations=[],
    )
    found = read_cif(path)
    expected = {
        tuple(np.rint(np.mod(sign * np.array(place) + shift, 1) * 1e4).astype(int))
        for _, *place in sites
        for sign in ((1, -1) if inverted else (1,))
        for shift in [(0, 0, 0), *CENTRED[centring]]
    }
    assert {tuple(place) for place in np.rint(found.positions * 1e4).astype(int)} == expected


@pytest.mark.parametrize(("symbol", "number"), [("C -4 b 2", 117), ("F 41/d", 88), ("C 4/m m m", 123)])
def test_a_number_does_not_overrule_the_lattice_of_a_symbol_that_is_in_no_table(tmp_path, symbol, number):
    hall = next(hall for hall in range(1, 531) if setting(hall).number == number)
    path = write_cif(tmp_path / "x.cif", hall, TETRAGONAL, [("Cu", *GENERAL)], symbol=symbol, operations=[])
    with pytest.raises(UserError, match=r"names no space group that fits its cell \(but "):
        read_cif(path)


def test_a_declared_setting_beside_operations_of_another_is_noted(tmp_path):
    sites = [("Cu", 0.25, 0.25, 0.25), ("O", 0, 0, 0)]
    path = write_cif(tmp_path / "x.cif", 521, cubic(4.2696), sites, "Cu2 O", 2, symbol="P n -3 m :2")
    reading = inspect_cif(path)
    assert reading.phase.same_crystal(find_phase("Cu2O"))
    assert "about another origin" in reading.notes[0]
