"""Phases against py4DSTEM, orix and spglib: reflections, symmetry, axes and conversions."""

import json

import numpy as np
import pytest

from napari_4dstem_orient.core.resource_files import resource
from napari_4dstem_orient.crystals.cif.read import read_cif
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.crystals.phase import Phase

PYRITE = (205, (5.418, 5.418, 5.418, 90, 90, 90), [("Fe", 0, 0, 0), ("S", 0.385, 0.385, 0.385)])
OLIVINE = (62, (10.207, 5.98, 4.756, 90, 90, 90), [("Mg", 0, 0, 0), ("Si", 0.094, 0.25, 0.4262)])
BADDELEYITE = (14, (5.1505, 5.2116, 5.3173, 90, 99.23, 90), [("Zr", 0.2754, 0.0395, 0.2083)])
CORUNDUM = (167, (4.759, 4.759, 12.991, 90, 90, 120), [("Al", 0, 0, 0.3523), ("O", 0.3064, 0, 0.25)])
SCHEELITE = (88, (5.243, 5.243, 11.376, 90, 90, 90), [("W", 0, 0.25, 0.125), ("O", 0.1507, 0.0086, 0.2106)])
SETTINGS = {205: 501, 62: 292, 14: 81, 167: 460, 88: 365}
"""spglib's numbers of the settings (of 88, the second origin)."""


@pytest.fixture(scope="module")
def crystal(tmp_path_factory):
    """Return a function that reads a crystal of the table above through a CIF."""
    from helpers.cif_files import write_cif

    folder = tmp_path_factory.mktemp("cif")

    def read(table: tuple) -> Phase:
        number, cell, sites = table
        return read_cif(write_cif(folder / f"{number}.cif", SETTINGS[number], cell, sites))

    return read


def same_set(one: np.ndarray, other: np.ndarray) -> bool:
    apart = np.abs(np.asarray(one)[:, None] - np.asarray(other)).max(axis=(2, 3))
    return len(one) == len(other) and bool((apart.min(axis=1) < 1e-3).all())


@pytest.mark.py4dstem
@pytest.mark.parametrize("name", ["Cu", "Ti", "TiO2", "Cu2O", "GaAs"])
def test_reflections_are_py4dstems(name):
    phase = find_phase(name)
    reference = phase.to_py4dstem()
    reference.calculate_structure_factors(1.5)
    mine = phase.reflections(1.5)
    beside = np.abs(reference.hkl).sum(axis=0) > 0
    assert np.array_equal(mine.hkl, reference.hkl.T[beside])
    assert np.allclose(mine.g, reference.g_vec_all.T[beside], atol=1e-6)
    assert np.allclose(mine.intensity, reference.struct_factors_int[beside])


@pytest.mark.parametrize("name", ["Cu", "Ti", "TiO2"])
def test_reflections_lie_on_the_reciprocal_lattice(name):
    phase = find_phase(name)
    reflections = phase.reflections(1.5)
    assert np.allclose(reflections.g @ phase.lattice.T, reflections.hkl, atol=1e-5)
    lengths = np.linalg.norm(reflections.g, axis=1)
    assert lengths.min() > 0.1
    assert lengths.max() <= 1.5


def test_reflections_of_copper_are_unmixed_and_in_orixs_places():
    from orix.vector import Miller

    phase = find_phase("Cu")
    reflections = phase.reflections(1.2)
    odd = np.abs(reflections.hkl % 2).sum(axis=1)
    assert set(odd) == {0, 3}  # all even or all odd
    assert len(reflections.hkl) == 8 + 6 + 12 + 24 + 8 + 6
    for name in ("Cu", "Ti", "TiO2"):
        phase = find_phase(name)
        reflections = phase.reflections(1.2)
        theirs = Miller(hkl=reflections.hkl, phase=phase.to_orix()).data
        assert np.allclose(theirs, reflections.g, atol=1e-5)


def test_the_lattice_is_orixs_for_a_skewed_cell(crystal):
    phase = crystal(BADDELEYITE)
    theirs = phase.to_orix().structure.lattice.base
    assert np.allclose(theirs, phase.lattice, atol=1e-6)
    assert np.allclose(phase.lattice[0, 1:], 0)  # a along x
    assert np.allclose(phase.lattice[:2, 2], 0)  # c* along z


@pytest.mark.parametrize(
    ("name", "proper"),
    [("Cu", 24), ("Cu2O", 24), ("GaAs", 24), ("Ti", 12), ("TiO2", 8)],
)
def test_symmetry_is_orixs_proper_laue_group(name, proper):
    from orix.quaternion.symmetry import get_point_group

    phase = find_phase(name)
    theirs = get_point_group(phase.space_group).laue_proper_subgroup
    assert len(phase.symmetry) == proper
    assert same_set(phase.symmetry, theirs.to_matrix())
    assert np.allclose(np.linalg.det(phase.symmetry), 1)


@pytest.mark.parametrize(
    ("table", "proper"),
    [(PYRITE, 12), (OLIVINE, 4), (CORUNDUM, 6), (SCHEELITE, 4)],
    ids=["cubic m-3", "orthorhombic", "trigonal", "tetragonal 4/m"],
)
def test_symmetry_of_lower_classes_is_orixs(crystal, table, proper):
    from orix.quaternion.symmetry import get_point_group

    phase = crystal(table)
    assert phase.space_group == table[0]
    assert len(phase.symmetry) == proper
    assert same_set(phase.symmetry, get_point_group(table[0]).laue_proper_subgroup.to_matrix())


def test_monoclinic_symmetry_turns_about_b_here_and_in_orix(crystal):
    phase = crystal(BADDELEYITE)
    about_b = np.diag([-1.0, 1.0, -1.0])
    assert same_set(phase.symmetry, np.array([np.eye(3), about_b]))
    theirs = phase.to_orix()
    assert same_set(theirs.point_group.laue_proper_subgroup.to_matrix(), phase.symmetry)
    assert theirs.point_group.name == "2/m"
    assert theirs.point_group.size == 4


def test_trigonal_symmetry_depends_on_the_setting(tmp_path):
    from helpers.cif_files import BISMUTH_HEX, BISMUTH_RHOMB, R_3M, write_cif

    z = 0.23389
    hexagonal = read_cif(write_cif(tmp_path / "h.cif", R_3M[0], BISMUTH_HEX, [("Bi", 0, 0, z)]))
    rhombohedral = read_cif(write_cif(tmp_path / "r.cif", R_3M[1], BISMUTH_RHOMB, [("Bi", z, z, z)]))
    assert threefold_axis(hexagonal) == pytest.approx([0, 0, 1], abs=1e-6)
    body_diagonal = rhombohedral.lattice.sum(axis=0)
    body_diagonal /= np.linalg.norm(body_diagonal)
    assert threefold_axis(rhombohedral) == pytest.approx(body_diagonal, abs=1e-3)
    for phase in (hexagonal, rhombohedral):
        theirs = phase.to_orix().point_group
        assert theirs.name == "-3m"
        assert same_set(theirs[~theirs.improper].to_matrix(), phase.symmetry)


def threefold_axis(phase: Phase) -> np.ndarray:
    """Return the axis of the operations that turn by 120°, its z positive."""
    turn = next(r for r in phase.symmetry if np.trace(r) == pytest.approx(0, abs=1e-6))
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    return axis / np.linalg.norm(axis) * np.sign(axis[2])


@pytest.mark.parametrize("name", ["Cu", "Cu2O", "Ti", "TiO2", "GaAs"])
def test_symmetry_leaves_the_reflections_as_they_are(name):
    phase = find_phase(name)
    reflections = phase.reflections(1.2)
    for operation in phase.symmetry:
        turned = reflections.g @ operation.T
        apart = np.linalg.norm(turned[:, None] - reflections.g, axis=2)
        partner = apart.argmin(axis=1)
        assert apart.min(axis=1).max() < 1e-4
        # GaAs: a proper part of an improper operation may exchange Friedel partners, of equal intensity.
        assert np.allclose(reflections.intensity[partner], reflections.intensity, rtol=1e-3, atol=1e-6)


def test_orixs_orientation_is_the_same_matrix():
    """orix turns lab vectors into the crystal's; our R does so by its columns, g_crystal = R g_lab."""
    from orix.quaternion import Orientation
    from orix.vector import Miller
    from scipy.spatial.transform import Rotation

    phase = find_phase("Ti")
    rotation = Rotation.from_euler("zxz", (20, 35, 50), degrees=True).as_matrix()
    theirs = Orientation.from_matrix(rotation, symmetry=phase.to_orix().point_group)
    reflections = phase.reflections(0.8)
    g_crystal = Miller(hkl=reflections.hkl, phase=phase.to_orix())
    g_lab = (~theirs).outer(g_crystal).data.reshape(-1, 3)
    assert np.allclose(g_lab, reflections.g @ rotation, atol=1e-5)
    assert not np.allclose(g_lab, reflections.g @ rotation.T, atol=0.05)


def test_to_orix_keeps_name_cell_and_atoms(crystal):
    phase = crystal(CORUNDUM)
    theirs = phase.to_orix()
    assert theirs.name == phase.name
    assert theirs.space_group.number == 167
    assert np.allclose(theirs.structure.lattice.abcABG(), phase.cell)
    assert np.allclose(np.array([atom.xyz for atom in theirs.structure]), phase.positions)
    assert [atom.element for atom in theirs.structure] == ["Al"] * 12 + ["O"] * 18


def test_a_phase_survives_json():
    phase = find_phase("TiO2")
    again = Phase.from_dict(json.loads(json.dumps(phase.to_dict())))
    assert again.name == phase.name
    assert again.cell == phase.cell
    for field in ("positions", "numbers", "occupancy"):
        assert np.array_equal(getattr(again, field), getattr(phase, field))
    assert again.same_crystal(phase)


def changed(phase: Phase, **changes: object) -> Phase:
    return Phase.from_dict(phase.to_dict() | changes)


def test_same_crystal_looks_at_cell_atoms_and_symmetry_not_at_the_name():
    copper = find_phase("Cu")
    assert copper.same_crystal(changed(copper, name="something else"))
    assert copper.same_crystal(changed(copper, cell=[3.62, 3.62, 3.62, 90, 90, 90]))
    shifted = np.mod(copper.positions + 0.25, 1).tolist()
    assert copper.same_crystal(changed(copper, positions=shifted))
    assert not copper.same_crystal(changed(copper, name="Cu", cell=[3.7, 3.7, 3.7, 90, 90, 90]))
    assert not copper.same_crystal(changed(copper, numbers=[28] * 4))
    assert not copper.same_crystal(changed(copper, numbers=[28, 29, 29, 29]))
    assert not copper.same_crystal(
        changed(copper, positions=[[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.4, 0.4, 0]])
    )


def test_swapped_atoms_are_another_crystal():
    cuprite = find_phase("Cu2O")
    inside_out = changed(cuprite, numbers=np.where(cuprite.numbers == 8, 29, 8).tolist())
    assert not cuprite.same_crystal(inside_out)
    rutile = find_phase("TiO2")
    stretched = changed(
        rutile, positions=np.where(rutile.positions == 0.3051, 0.33, rutile.positions).tolist()
    )
    assert not rutile.same_crystal(stretched)


def test_partial_occupancy_weakens_reflections():
    copper = find_phase("Cu")
    half = changed(copper, occupancy=[0.5] * 4)
    ratio = half.reflections(1.0).intensity / copper.reflections(1.0).intensity
    assert np.allclose(ratio, 0.25)


@pytest.mark.parametrize("path", sorted(resource("crystals").glob("*.cif")), ids=lambda path: path.stem)
def test_the_shortest_reflection_is_the_one_with_a_structure_factor(path):
    phase = find_phase(path.stem)
    found = phase.reflections(3.0 / min(phase.cell[:3]))
    assert phase.nearest == pytest.approx(np.linalg.norm(found.g, axis=1).min(), rel=1e-9)
