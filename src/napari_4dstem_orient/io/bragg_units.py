"""What a py4DSTEM file says about where its Bragg disks are measured from, and in which unit."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.hdf5_access import member
from napari_4dstem_orient.core.scan import PLAUSIBLE_REACH, Calibration
from napari_4dstem_orient.io.formats import hdf5

LARGEST_PIXEL = 0.5
"""Å⁻¹: what is called a pixel and is larger is a unit, not a pixel of a detector."""

LARGEST = 2**26
"""Numbers that an origin may have: more scan positions than any file of disks."""

_CENTERED = 0.2
"""Share of the farthest coordinate by which centred disks lie on the negative side; raw ones never do."""


def calibration_told(lists: h5py.Dataset) -> tuple[Calibration, np.ndarray | None]:
    """Return the calibration that a file gives its disks, and their origin in px (scan_y, scan_x, 2), if any."""
    bundle = _bundle(lists)
    return hdf5.py4dstem_calibration(bundle), _origin(bundle.get("calibration"), lists.shape)


def in_their_unit(disks: BraggDisks, known: Calibration, raw: bool) -> tuple[BraggDisks, Calibration]:
    """Recognise disks that were centred, or brought to Å⁻¹, before they were stored.

    Parameters
    ----------
    disks : BraggDisks
        As stored.
    known : Calibration
        As the file tells it.
    raw : bool
        Whether the file says that positions are in pixels from the detector's corner.

    Returns
    -------
    disks : BraggDisks
        Calibrated if they are in Å⁻¹; with the origin at 0 if they are centred pixels; else as they were.
    calibration : Calibration
        What is still to be done to them.
    """
    if len(disks) and not raw and _centered(disks):
        disks = replace(disks, origin=np.zeros((*disks.scan_shape, 2)))
    if not len(disks) or disks.origin is None:
        return disks, known
    place = disks.origin.reshape(-1, 2)[disks.owner]
    qx, qy, spread = disks.qx - place[:, 0], disks.qy - place[:, 1], disks.uncertainty
    pixel, farthest = known.q_pixel or 0.0, float(np.hypot(qx, qy).max())
    low, high = PLAUSIBLE_REACH
    unit = pixel if pixel > LARGEST_PIXEL else 1.0
    in_unit = pixel > LARGEST_PIXEL or not (raw or pixel * farthest >= low)
    if not (in_unit and low <= farthest * unit <= high):
        return disks, known
    done = replace(
        disks,
        qx=(qx * unit).astype(np.float32),
        qy=(qy * unit).astype(np.float32),
        uncertainty=spread if spread is None else (spread * unit).astype(np.float32),
        calibrated=True,
        origin=None,
    )
    # Whoever brought them to Å⁻¹ turned them too, as py4DSTEM's .cal does.
    return done, known.with_(
        q_pixel=1.0,
        q_pixel_from="file",
        rotation=0.0,
        flip=False,
        rotation_from="file",
        distortion=(0.0, 0.0),
    )


def _centered(disks: BraggDisks) -> bool:
    farthest = max(np.abs(disks.qx).max(), np.abs(disks.qy).max())
    return bool(any(np.quantile(values, 0.02) < -_CENTERED * farthest for values in (disks.qx, disks.qy)))


def _bundle(lists: h5py.Dataset) -> dict[str, h5py.Group]:
    """Return the metadata groups of the nearest group above the lists that has a calibration."""
    group = lists.parent
    while True:
        for holder, names in ((member(group, "metadatabundle"), None), (group, ["calibration"])):
            if isinstance(holder, h5py.Group) and isinstance(member(holder, "calibration"), h5py.Group):
                found = {name: member(holder, name) for name in names or holder}
                return {name: one for name, one in found.items() if isinstance(one, h5py.Group)}
        if group.name == "/":
            return {}
        group = group.parent


def _origin(told: h5py.Group | None, shape: tuple[int, int]) -> np.ndarray | None:
    """Return py4DSTEM's qx0, qy0, or their means; what is missing of an array is its mean."""
    for names in (("qx0", "qy0"), ("qx0_mean", "qy0_mean")):
        values = [_numbers(member(told, name)) if told is not None else np.zeros(0) for name in names]
        if all(np.isfinite(value).any() for value in values):
            return np.stack([_everywhere(value, shape) for value in values], axis=-1)
    return None


def _numbers(found: h5py.Group | h5py.Dataset | None) -> np.ndarray:
    if isinstance(found, h5py.Dataset) and found.dtype.kind in "iuf" and 0 < found.size < LARGEST:
        return np.asarray(found[()], float)
    return np.zeros(0)


def _everywhere(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    mean = values[np.isfinite(values)].mean()
    return np.where(np.isfinite(values), values, mean) if values.shape == shape else np.full(shape, mean)
