"""Orientation maps to and from py4DSTEM's ``OrientationMap``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.orientation_map import OrientationMap, Reason

if TYPE_CHECKING:
    import py4DSTEM.process.diffraction.utils

    from napari_4dstem_orient.crystals.phase import Phase


def to_py4dstem(
    orientation_map: OrientationMap, phase: int = 0
) -> py4DSTEM.process.diffraction.utils.OrientationMap:
    """Return the part of a map that belongs to one phase, as py4DSTEM holds it.

    Parameters
    ----------
    orientation_map : OrientationMap
    phase : int
        Which of the map's phases; py4DSTEM keeps one map for each crystal.

    Returns
    -------
    py4DSTEM OrientationMap
        ``num_x`` counts the rows. Match 0 is the answer, further matches the runners-up; ``matrix`` is
        the same matrix, ``corr`` the score. Identity and zero at positions that are not indexed or belong
        to another phase.
    """
    from py4DSTEM.process.diffraction.utils import OrientationMap as Theirs

    matrix = np.concatenate([orientation_map.rotation[:, :, None], orientation_map.runner_up], axis=2)
    corr = np.concatenate([orientation_map.score[..., None], orientation_map.runner_up_score], axis=2)
    elsewhere = orientation_map.phase_id != phase
    matrix[elsewhere] = np.eye(3)
    corr[elsewhere] = 0
    theirs = Theirs(*orientation_map.scan_shape, corr.shape[2])
    theirs.matrix[:] = matrix
    theirs.corr[:] = corr
    return theirs


def from_py4dstem(
    theirs: py4DSTEM.process.diffraction.utils.OrientationMap, phase: Phase, r_pixel: float | None = None
) -> OrientationMap:
    """Make a map from py4DSTEM's ``OrientationMap`` of one crystal.

    Parameters
    ----------
    theirs : py4DSTEM OrientationMap
        Positions whose best correlation is 0 are not indexed.
    phase : Phase
    r_pixel : float, optional
        Scan step in nm.

    Returns
    -------
    OrientationMap
        ``score`` is py4DSTEM's correlation as it stands, which may exceed 1.
    """
    corr = np.asarray(theirs.corr, np.float32)
    matrix = np.asarray(theirs.matrix, np.float32).copy()
    indexed = corr[:, :, 0] > 0
    matrix[~indexed] = np.eye(3)
    return OrientationMap(
        phases=(phase,),
        rotation=matrix[:, :, 0],
        phase_id=np.where(indexed, 0, -1).astype(np.int32),
        score=corr[:, :, 0],
        reason=np.where(indexed, Reason.INDEXED, Reason.LOW_SCORE).astype(np.uint8),
        explained=np.zeros(indexed.shape, np.int32),
        runner_up=matrix[:, :, 1:],
        runner_up_score=corr[:, :, 1:],
        method="template",
        r_pixel=r_pixel,
        provenance={"inputs": ["py4DSTEM OrientationMap"]},
    )
