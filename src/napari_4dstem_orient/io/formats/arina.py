"""Dectris Arina: a _master.h5 that links to the files holding the patterns.

Read by h5py: rosettasciio 0.15 cannot be lazy here, and exchanges the sides of a detector that is not square.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.formats import hdf5, named
from napari_4dstem_orient.io.source import Source
from napari_4dstem_orient.scan import Calibration

NAME = "Dectris Arina"
SUFFIXES = ("_master.h5",)
matches = named(SUFFIXES)


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the linked stacks as one, dead pixels (the detector's own mask) as zero."""
    file = hdf5.open_file(path)
    group = file.get("entry/data")
    if not isinstance(group, h5py.Group) or not len(group):
        raise UserError(f"{path.name} has no entry/data; it is not a Dectris master file.")
    mask = file.get("entry/instrument/detector/detectorSpecific/pixel_mask")
    parts = [_part(group, key, path) for key in sorted(group)]
    if isinstance(mask, h5py.Dataset) and mask.shape == parts[0].shape[1:] and mask[()].any():
        parts = [_Masked(part, mask[()] != 0) for part in parts]
    return [Source(parts, "", Calibration(voltage=voltage, r_pixel=_step(path)))]


def _part(group: h5py.Group, key: str, path: Path) -> h5py.Dataset:
    link = group.get(key, getlink=True)
    try:
        return group[key]
    except (KeyError, OSError) as error:
        missing = getattr(link, "filename", key)
        raise UserError(
            f"{missing}, which {path.name} points to, is missing or damaged; put it into the same folder."
        ) from error


class _Masked:
    """A stack of patterns whose dead pixels read as zero instead of the largest number there is."""

    def __init__(self, stack: h5py.Dataset, dead: np.ndarray) -> None:
        self._stack, self._dead = stack, dead
        self.shape, self.dtype = stack.shape, stack.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        block = self._stack[key]
        block[..., self._dead] = 0
        return block


def _step(path: Path) -> float | None:
    """Return the scan step in nm that the STEM's own file beside the master tells."""
    beside = path.with_name(path.name[: -len("_master.h5")] + ".h5")
    try:
        with h5py.File(beside, "r") as file:
            step = float(np.ravel(file["STEM Metadata"].attrs["Pixel Size"])[0])
    except (OSError, KeyError, ValueError):
        return None
    return step if step > 0 else None
