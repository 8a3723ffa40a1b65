"""What spglib knows of the settings of space groups: the truth that CIFs are made with."""

import warnings

import gemmi
import numpy as np
import spglib


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
    return [_listed(w, t) for w, t in zip(found["rotations"], found["translations"], strict=True)]


def _listed(rotation, translation) -> str:
    """Write an operation as CIFs list it; gemmi counts in 1/24."""
    operation = gemmi.Op()
    operation.rot = (gemmi.Op.DEN * np.asarray(rotation)).tolist()
    operation.tran = np.rint(gemmi.Op.DEN * np.asarray(translation)).astype(int).tolist()
    return operation.triplet().replace(",", ", ")
