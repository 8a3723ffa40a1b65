"""Dectris Arina: a _master.h5 that links to the files holding the patterns.

Read by h5py: rosettasciio 0.15 cannot be lazy here, and exchanges the sides of a detector that is not square.
"""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath
from typing import Any

import h5py
import numpy as np

from napari_4dstem_orient.core import hdf5_access
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.hdf5_pieces import guarded
from napari_4dstem_orient.core.units import shape_text
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.formats.axes import Axes, from_axes
from napari_4dstem_orient.io.source import Source, why_unfit

_PART = re.compile(r"data_(\d+)")


def _holds(path: Path) -> bool:
    """Whether there are numbered parts in entry/data."""
    return hdf5_access.whether(path, lambda file: _keys(hdf5_access.member(file, "entry/data")))


def _keys(group: Any) -> list[str]:
    """Return the names of the numbered parts in order."""
    parts = [_PART.fullmatch(key) for key in group] if isinstance(group, h5py.Group) else []
    return [part[0] for part in sorted(filter(None, parts), key=lambda part: int(part[1]))]


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the linked stacks as one, dead pixels (the detector's own mask) as zero."""
    file = hdf5_access.open_file(path)
    group = hdf5_access.member(file, "entry/data")
    if not isinstance(group, h5py.Group) or not len(group):
        raise UserError(f"{path.name} has no entry/data; it is not a Dectris master file.")
    parts: list[Any] = [_part(group, key, path) for key in _keys(group) or sorted(group)]
    detector, dtype = parts[0].shape[1:], parts[0].dtype
    for part in parts:
        if (part.ndim != 3 and len(parts) > 1) or part.shape[1:] != detector or part.dtype != dtype:
            raise UserError(
                f"{path.name} links to parts that do not fit together: {part.name} of {Path(part.file.filename).name} "
                f"is {part.dtype} of shape {shape_text(part.shape)}, the first {dtype} of {shape_text(parts[0].shape)}."
            )
    parts = [guarded(part) for part in parts]
    mask = hdf5_access.member(file, "entry/instrument/detector/detectorSpecific/pixel_mask")
    if unfit := why_unfit(parts[0].shape, dtype):
        return [Source(parts[:1], unfit=unfit)]
    if (
        isinstance(mask, h5py.Dataset)
        and mask.dtype.kind in "uib"
        and mask.shape == detector
        and mask[()].any()
    ):
        parts = [_Masked(part, mask[()] != 0) for part in parts]
    return [Source(parts, "", from_axes([*_steps(path), (None, ""), (None, "")], voltage))]


def _part(group: h5py.Group, key: str, path: Path) -> h5py.Dataset:
    link = group.get(key, getlink=True)
    part = hdf5_access.member(group, key)
    if not isinstance(part, h5py.Dataset):
        missing = PureWindowsPath(getattr(link, "filename", key)).name
        raise UserError(
            f"{missing}, which {path.name} points to, is missing or damaged; put it into the same folder."
        )
    return part


class _Masked:
    """A stack of patterns whose dead pixels read as zero instead of the largest number there is."""

    def __init__(self, stack: h5py.Dataset, dead: np.ndarray) -> None:
        self._stack, self._dead = stack, dead
        self.shape, self.dtype = stack.shape, stack.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        block = self._stack[key]
        block[..., self._dead] = 0
        return block


def _steps(path: Path) -> Axes:
    """Return the scan steps, with their units, that the STEM's own file beside the master tells."""
    beside = path.with_name(re.sub("_master$", "", path.stem) + path.suffix)
    try:
        if beside != path:
            with hdf5_access.open_file(beside) as file:
                told = hdf5_access.group_at(file, "STEM Metadata").attrs
                along_x, *along_y = np.ravel(told["Pixel Size"])
                return [(along_y[0] if along_y else along_x, "nm"), (along_x, "nm")]
    except (UserError, OSError, KeyError, ValueError):
        pass
    return [(None, "nm"), (None, "nm")]


ARINA = ScanFormat("Dectris Arina", ("_master.h5",), read, holds=_holds)
