"""A crystal: its cell, atoms, symmetry and reflections."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.errors import UserError, one_line
from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.core.optional import import_py4dstem
from napari_4dstem_orient.crystals.laue import same_operations
from napari_4dstem_orient.crystals.scattering import structure_factors

if TYPE_CHECKING:
    import orix.crystal_map
    import orix.quaternion
    import py4DSTEM.process.diffraction

MOST_TRIED = 10_000_000
"""Miller indices that are tried for reflections, of some 100 bytes each: a cell of 51 Å up to 2.1 Å⁻¹."""
MOST_TERMS = 100_000_000
"""Reflections times atoms, of 8 bytes each."""
WEAKEST = 1e-4
"""Å⁻²; a structure factor over the cell's volume that is smaller counts as absent, as in py4DSTEM."""
_LONGEST_NAME = 120


@dataclass(frozen=True, eq=False)
class Reflections:
    """Reflections of a phase up to some k_max, the direct beam left out.

    Attributes
    ----------
    hkl : ndarray, int64, shape (n, 3)
        Miller indices.
    g : ndarray, float64, shape (n, 3)
        Reciprocal lattice vectors in crystal Cartesian coordinates, Å⁻¹.
    intensity : ndarray, float64, shape (n,)
        Squared modulus of the structure factor over the cell's volume, Å⁻⁴, as in py4DSTEM.
    """

    hkl: np.ndarray
    g: np.ndarray
    intensity: np.ndarray


@dataclass(frozen=True, eq=False)
class Phase:
    """A crystal.

    Crystal Cartesian coordinates: a along x, c* along z, as in py4DSTEM and orix.

    Attributes
    ----------
    name : str
        One line that begins no formula of a spreadsheet: it stands in lists, headers and tables.
    cell : tuple of six floats
        a, b, c in Å, α, β, γ in degrees.
    positions : ndarray, shape (n, 3)
        Fractional coordinates of all atoms of the cell.
    numbers : ndarray, int, shape (n,)
        Atomic numbers.
    occupancy : ndarray, shape (n,)
        Site occupancies.
    """

    name: str
    cell: tuple[float, float, float, float, float, float]
    positions: np.ndarray
    numbers: np.ndarray
    occupancy: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", one_line(self.name, _LONGEST_NAME).lstrip("=+-@"))

    @cached_property
    def lattice(self) -> np.ndarray:
        """Direct lattice vectors in Å, one a row, shape (3, 3)."""
        a, b, c = self.cell[:3]
        cos_a, cos_b, cos_g = np.cos(np.deg2rad(self.cell[3:]))
        sin_g = np.sin(np.deg2rad(self.cell[5]))
        c_y = (cos_a - cos_b * cos_g) / sin_g
        c_z = np.sqrt(1 - cos_b**2 - c_y**2)
        return np.array([[a, 0, 0], [b * cos_g, b * sin_g, 0], [c * cos_b, c * c_y, c * c_z]])

    @cached_property
    def _spglib(self) -> Any:
        from napari_4dstem_orient.crystals.space_groups import symmetry_of_atoms

        found = symmetry_of_atoms(self.lattice, *self.sites[:2])
        if found is None:
            raise ValueError(f"no symmetry is found for {self.name}: do two atoms coincide?")
        return found

    @cached_property
    def sites(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places that hold atoms, shape (m, 3); a number for what each holds, (m,); the place of each atom, (n,).

        Atoms that share a place are one site, and sites are alike if they hold the same elements in equal
        shares.
        """
        held: dict[tuple[float, ...], list[tuple[int, float]]] = {}
        first: list[int] = []
        owner: dict[tuple[float, ...], int] = {}
        of_atom = np.zeros(len(self.numbers), int)
        for atom, (position, number, share) in enumerate(
            zip(self.positions, self.numbers, self.occupancy, strict=True)
        ):
            place = tuple(np.round(np.mod(position + 1e-4, 1.0), 3))
            if place not in owner:
                owner[place] = len(first)
                first.append(atom)
            of_atom[atom] = owner[place]
            held.setdefault(place, []).append((int(number), round(float(share), 3)))
        contents = [tuple(sorted(atoms)) for atoms in held.values()]
        different = sorted(set(contents))
        kinds = np.array([different.index(atoms) for atoms in contents])
        return self.positions[first], kinds, of_atom

    @property
    def operation_count(self) -> int:
        """How many symmetry operations the cell has, those of its centring included."""
        return len(self._spglib.rotations)

    @property
    def space_group(self) -> int:
        """Number in the International Tables, as spglib finds it from the atoms."""
        return int(self._spglib.number)

    @property
    def space_group_symbol(self) -> str:
        """Short Hermann-Mauguin symbol."""
        return str(self._spglib.international)

    @cached_property
    def symmetry(self) -> np.ndarray:
        """Proper rotations of the Laue group in crystal Cartesian coordinates, shape (n, 3, 3).

        Diffraction adds inversion to the point group, so an improper operation counts as its proper part.
        They act on the left of an orientation matrix.
        """
        operations = self._point_operations
        proper = operations * np.sign(np.linalg.det(operations))[:, None, None]
        _, first = np.unique(np.round(proper, 4) + 0.0, axis=0, return_index=True)
        return proper[np.sort(first)]

    @cached_property
    def _point_operations(self) -> np.ndarray:
        """Operations of the point group in crystal Cartesian coordinates, shape (n, 3, 3)."""
        rotations = np.unique(self._spglib.rotations, axis=0)
        to_cartesian = self.lattice.T
        return np.asarray(to_cartesian @ rotations @ np.linalg.inv(to_cartesian))

    @property
    def inversion_centre(self) -> np.ndarray:
        """A centre of inversion in fractional coordinates, shape (3,); the origin where the crystal has none."""
        for rotation, translation in zip(self._spglib.rotations, self._spglib.translations, strict=True):
            if (rotation == -np.eye(3)).all():
                return np.asarray(translation / 2)
        return np.zeros(3)

    def check_reflections(self, k_max: float) -> None:
        """Raise UserError where the reflections up to ``k_max`` (Å⁻¹) are too many to compute."""
        near = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
        length = np.linalg.norm(near @ np.linalg.inv(self.lattice).T, axis=1)
        tried = (2 * np.ceil(k_max / length[length > 0].min()) + 1) ** 3  # as py4DSTEM looks for them
        inside = 4 / 3 * np.pi * k_max**3 * abs(np.linalg.det(self.lattice))
        self._refuse_more_than(float(tried), float(inside), k_max)

    def _refuse_more_than(self, tried: float, inside: float, k_max: float) -> None:
        if tried > MOST_TRIED or inside * len(self.numbers) > MOST_TERMS:
            a, b, c = self.cell[:3]
            raise UserError(
                f"{self.name}, {len(self.numbers)} atoms in a cell of {a:.4g} × {b:.4g} × {c:.4g} Å, has too many "
                f"reflections up to {k_max:.3g} Å⁻¹; check its cell, or take a crystal with a smaller one."
            )

    def reflections(self, k_max: float) -> Reflections:
        """Return all reflections with 0 < |g| ≤ k_max (Å⁻¹) and a structure factor.

        Raises
        ------
        UserError
            They are too many.
        """
        return _reflections(self, float(k_max))

    def same_crystal(self, other: Phase, tolerance: float = 0.005) -> bool:
        """Tell whether the other phase has the same cell (relative tolerance), atoms and symmetry."""
        return self._is_described_like(other) or (
            np.allclose(self.cell, other.cell, rtol=tolerance)
            and len(self.numbers) == len(other.numbers)
            and sorted(self.numbers) == sorted(other.numbers)
            and self.space_group == other.space_group
            and self._same_strong_reflections(other)
        )

    def _is_described_like(self, other: Phase) -> bool:
        """Tell whether cell and atoms are given by the same numbers: no structure factors are needed to compare."""
        return self.cell == other.cell and all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in ("positions", "numbers", "occupancy")
        )

    def _same_strong_reflections(self, other: Phase) -> bool:
        k_max = 3.0 / min(self.cell[:3])
        mine, theirs = self.reflections(k_max), other.reflections(k_max)
        return len(mine.hkl) == len(theirs.hkl) and np.allclose(
            np.sort(mine.intensity), np.sort(theirs.intensity), rtol=0.02, atol=1e-3 * mine.intensity.max()
        )

    @property
    def nearest(self) -> float:
        """Length of the shortest reflection, Å⁻¹."""
        return _shortest_reflection(self)

    def stretch_to(self, other: Phase) -> float:
        """Return how much farther out the other crystal's reflections lie (the shortest one's length tells)."""
        return other.nearest / self.nearest

    def to_py4dstem(self) -> py4DSTEM.process.diffraction.Crystal:
        """Return py4DSTEM's ``Crystal``.

        Raises
        ------
        UserError
            py4DSTEM is not installed.
        """
        diffraction = import_py4dstem("py4DSTEM.process.diffraction")
        crystal = diffraction.Crystal(self.positions, self.numbers, self.cell)
        crystal.occupancy = self.occupancy
        return crystal

    def to_orix(self) -> orix.crystal_map.Phase:
        """Return orix's ``Phase``, with its atoms and space group.

        orix ties axes to a space group's number (the twofold axis of every monoclinic group along z). Where
        the crystal's own axes are others (b unique, rhombohedral axes), the phase gets this crystal's point
        group instead of a space group.
        """
        import gemmi
        from diffpy.structure import Atom, Lattice, Structure
        from orix.crystal_map import Phase as OrixPhase
        from orix.quaternion.symmetry import get_point_group

        atoms = [
            Atom(gemmi.Element(int(z)).name, xyz, occupancy=float(occ))
            for z, xyz, occ in zip(self.numbers, self.positions, self.occupancy, strict=True)
        ]
        # With a base of diffpy's own choice orix would turn the cell and leave the atoms where they are.
        structure = Structure(atoms=atoms, lattice=Lattice(base=self.lattice))
        usual = get_point_group(self.space_group)
        if same_operations(usual.laue_proper_subgroup.to_matrix(), self.symmetry):
            return OrixPhase(name=self.name, space_group=self.space_group, structure=structure)
        return OrixPhase(name=self.name, point_group=self._point_group(usual.name), structure=structure)

    def _point_group(self, name: str) -> orix.quaternion.Symmetry:
        """Return the crystal's point group, improper operations included, as orix's ``Symmetry``."""
        from orix.quaternion import Symmetry
        from scipy.spatial.transform import Rotation

        operations = self._point_operations
        improper = np.linalg.det(operations) < 0
        proper = np.where(improper[:, None, None], -operations, operations)
        # Not orix's own from_matrix: it may get half turns wrong.
        group = Symmetry(np.roll(Rotation.from_matrix(proper).as_quat(), 1, axis=1))
        group.improper = improper
        group.name = name
        return group

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values from which ``from_dict`` makes the same phase."""
        return {
            "name": self.name,
            "cell": [float(value) for value in self.cell],
            "positions": np.asarray(self.positions, float).tolist(),
            "numbers": np.asarray(self.numbers, int).tolist(),
            "occupancy": np.asarray(self.occupancy, float).tolist(),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Phase:
        """Make the phase that ``to_dict`` described.

        Raises
        ------
        KeyError, TypeError, ValueError
            It describes no crystal, or one whose reflections could not be computed.
        """
        numbers = np.asarray(values["numbers"])
        if not isinstance(values["name"], str) or numbers.dtype.kind not in "iu":
            raise ValueError("a crystal has a name and atomic numbers")
        phase = cls(
            values["name"],
            tuple(float(value) for value in values["cell"]),  # type: ignore[arg-type]
            np.asarray(values["positions"], float).reshape(-1, 3),
            numbers.astype(int),
            np.asarray(values["occupancy"], float),
        )
        if not _is_crystal(phase):
            raise ValueError(f"{phase.name} is described as no possible crystal")
        return phase


def _is_crystal(phase: Phase) -> bool:
    """Tell whether cell and atoms are possible, and few enough to compute with."""
    cell, atoms = np.asarray(phase.cell), len(phase.numbers)
    if cell.shape != (6,) or not (np.isfinite(cell).all() and (cell > 0).all() and (cell[3:] < 180).all()):
        return False
    a, b, c = np.cos(np.deg2rad(cell[3:]))
    if 1 - a * a - b * b - c * c + 2 * a * b * c <= 1e-6 or len(phase.positions) != atoms:
        return False
    possible = (
        phase.occupancy.shape == (atoms,)
        and np.isfinite(phase.positions).all()
        and ((phase.numbers > 0) & (phase.numbers < 120)).all()
        and ((phase.occupancy > 0) & (phase.occupancy <= 1.01)).all()
    )
    return bool(possible) and 0 < atoms * np.prod(2 * _farthest(phase) + 1.0) < MOST_TERMS


def _farthest(phase: Phase) -> np.ndarray:
    """Return the Miller indices up to which the shortest reflection is looked for."""
    lengths = np.asarray(phase.cell[:3])
    return np.ceil(3.0 / lengths.min() * lengths)


@lru_cache(maxsize=64)
def _shortest_reflection(phase: Phase) -> float:
    """Return the length of the shortest reflection that is not absent, Å⁻¹.

    Which ones are absent does not depend on how strongly the atoms scatter, so that any numbers will do that do not
    cancel by chance: unlike the true ones they need no more of a long cell than its first reflections.
    """
    most = _farthest(phase)
    box = float(np.prod(2 * most + 1))
    phase._refuse_more_than(box, box, 3.0 / min(phase.cell[:3]))
    hkl = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in most.astype(int)), indexing="ij"), -1).reshape(
        -1, 3
    )
    strength = phase.occupancy * np.asarray(phase.numbers, float) ** 0.77
    length = np.linalg.norm(hkl @ np.linalg.inv(phase.lattice).T, axis=1)
    order = np.argsort(length, kind="stable")
    some = max(1, 1_000_000 // len(strength))  # at a time: all at once, a large cell's take gigabytes
    for part in (order[portion] for portion in parts(len(order), some)):
        present = (
            np.abs(np.exp(2j * np.pi * hkl[part] @ phase.positions.T) @ strength) > 1e-3 * strength.sum()
        )
        if (found := length[part][present & (length[part] > 1e-6)]).size:
            return float(found[0])
    raise UserError(f"{phase.name} has no reflections; check its atoms.")


@lru_cache(maxsize=64)
def _reflections(phase: Phase, k_max: float) -> Reflections:
    hkl, g, factor = structure_factors(phase, k_max)
    there = (np.abs(factor) > WEAKEST) & hkl.any(axis=1)
    return Reflections(hkl[there], g[there], np.abs(factor[there]) ** 2)
