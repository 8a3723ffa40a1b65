"""Whether answers are as precise as they say: their errors in units of the standard deviations that the map tells."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.memory import parts
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer

BATCH = 256


def turns_off(rotation: np.ndarray, truth: np.ndarray, phase: Phase) -> np.ndarray:
    """Return by which turns about lab x, y, z orientations miss the equivalent truth that is nearest.

    Parameters
    ----------
    rotation, truth : ndarray, shape (n, 3, 3)
    phase : Phase

    Returns
    -------
    ndarray, float64, shape (n, 3)
        Rotation vectors, degrees.
    """
    between = np.einsum("nji,kjl,nlm->nkim", rotation, phase.symmetry, truth)
    nearest = np.trace(between, axis1=2, axis2=3).argmax(1)
    return np.rad2deg(Rotation.from_matrix(between[np.arange(len(truth)), nearest]).as_rotvec())


def in_deviations(
    found: OrientationMap,
    disks: BraggDisks,
    truth: np.ndarray,
    where: np.ndarray,
    indexer: TransformerIndexer,
) -> np.ndarray:
    """Return errors about the best and the worst determined axis in units of ``Certainty.precision``.

    Parameters
    ----------
    found : OrientationMap
        That knows its precision.
    disks : BraggDisks
        Calibrated; those it was made from.
    truth : ndarray, shape (scan_y, scan_x, 3, 3)
    where : ndarray, bool, shape (scan_y, scan_x)
        Answers to look at; of the right phase.
    indexer : TransformerIndexer
        Of the same models, which knows the axes.

    Returns
    -------
    ndarray, float64, shape (number of ``where``, 2)
        Not negative; 68 % of them below 1 where errors are normal and the map is honest.
    """
    assert found.certainty is not None
    assert found.certainty.precision is not None
    place, reach = np.flatnonzero(where), indexer.reach(disks)
    rotation, truth = found.rotation.reshape(-1, 3, 3), truth.reshape(-1, 3, 3)
    phase_id, told = found.phase_id.ravel(), found.certainty.precision.reshape(-1, 2)
    errors = np.zeros((len(place), 2))
    for part in parts(len(place), BATCH):
        batch = place[part]
        _, measured = indexer.read(disks, batch, reach)
        answers = torch.from_numpy(rotation[batch]).to(indexer.device)
        covariance = indexer.covariance(measured, answers, phase_id[batch])
        axes = np.linalg.eigh(covariance.cpu().numpy().astype(np.float64))[1][:, :, [0, 2]]
        turns = np.zeros((len(batch), 3))
        for number, phase in enumerate(found.phases):
            rows = phase_id[batch] == number
            turns[rows] = turns_off(rotation[batch][rows], truth[batch][rows], phase)
        errors[part] = np.abs(np.einsum("ni,nij->nj", turns, axes)) / told[batch]
    return errors
