"""What spglib knows of the settings of space groups: the truth that CIFs are made with."""

import warnings

import spglib
from pymatgen.core.operations import SymmOp


def setting(hall: int):
    """Return spglib's ``SpaceGroupType`` of a setting, by its number from 1 to 530."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return spglib.get_spacegroup_type(hall)


def operations_of(hall: int) -> list[str]:
    """Return a setting's operations as a CIF lists them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = spglib.get_symmetry_from_database(hall)
    pairs = zip(found["rotations"], found["translations"], strict=True)
    return [SymmOp.from_rotation_and_translation(w, t).as_xyz_str() for w, t in pairs]
