"""Crystals of any space group in any setting, made for tests of symmetry."""

import warnings
from functools import cache

import numpy as np
import spglib

from napari_4dstem_orient.crystals.phase import Phase

SETTINGS = range(1, 531)
"""spglib's numbers of all settings of all space groups."""

GENERAL = {14: (0.137, 0.071, 0.219), 26: (0.303, 0.421, 0.117), 8: (0.052, 0.337, 0.418)}
"""Three elements on general positions: no symmetry beyond that of the group."""
OBLIQUE = np.array([[5.1, 0.3, 0.7], [0.2, 6.3, -0.5], [-0.4, 0.9, 7.9]])
"""Lattice vectors in Å, one a row, without any symmetry."""


@cache
def setting(hall):
    """What spglib calls a setting: number, symbols, choice of origin or axes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of spglib's own, at every call
        return spglib.get_spacegroup_type(hall)


def setting_operations(hall):
    """Rotations (n, 3, 3) and translations (n, 3) of a setting on fractional coordinates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        found = spglib.get_symmetry_from_database(hall)
    return found["rotations"], found["translations"]


def in_setting(hall):
    """A crystal of spglib's setting ``hall`` (1 to 530), with a cell as oblique as the group allows."""
    rotations, translations = setting_operations(hall)
    metric = np.mean([each.T @ (OBLIQUE @ OBLIQUE.T) @ each for each in rotations], axis=0)
    positions, numbers = [], []
    for number, place in GENERAL.items():
        images = np.mod(rotations @ place + translations, 1.0)
        images = images[np.unique(np.round(images, 6), axis=0, return_index=True)[1]]
        positions.append(images)
        numbers += [number] * len(images)
    return Phase(
        f"{setting(hall).international_short} {setting(hall).choice}".strip(),
        _cell(metric),
        np.concatenate(positions),
        np.array(numbers),
        np.ones(len(numbers)),
    )


def on_other_axes(phase, change):
    """The same crystal with lattice vectors ``change`` (3, 3, whole numbers, determinant 1) times the old ones."""
    change = np.asarray(change)
    metric = change @ phase.lattice @ phase.lattice.T @ change.T
    positions = phase.positions @ np.linalg.inv(change)
    return Phase(phase.name, _cell(metric), np.mod(positions, 1.0), phase.numbers, phase.occupancy)


def _cell(metric):
    lengths = np.sqrt(np.diag(metric))
    cosines = metric / np.outer(lengths, lengths)
    angles = np.degrees(np.arccos([cosines[1, 2], cosines[0, 2], cosines[0, 1]]))
    return tuple(map(float, [*lengths, *angles]))
