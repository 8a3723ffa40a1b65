"""HyperSpy's own files: .hspy (HDF5) and .zspy (zarr), which hold the same tree.

Read by h5py and zarr: rosettasciio 0.15 makes a dask task of every stored chunk (0.7 s a pattern where each is a chunk
of its own, a million in all) and opens .zspy for writing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.formats import hdf5
from napari_4dstem_orient.io.formats.axes import from_axes
from napari_4dstem_orient.io.source import Source
from napari_4dstem_orient.io.units import kilovolts, text

NAME = "HyperSpy"
SUFFIXES = (".hspy", ".zspy")


def matches(path: Path) -> bool:
    """Whether the file holds HyperSpy's ``Experiments``."""
    if path.suffix.lower() in SUFFIXES:
        return True
    if not path.is_file() or not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path, "r") as file:
            return "Experiments" in file and "file_format_version" in file.attrs
    except OSError:
        return False


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the file's signals that are scans or stacks."""
    root = _open_zarr(path) if path.suffix.lower() == ".zspy" else hdf5.open_file(path)
    if "Experiments" not in root:
        raise UserError(f"{path.name} holds no HyperSpy signal; save it again from HyperSpy.")
    return list(_signals(root["Experiments"], voltage))


def _open_zarr(path: Path) -> Any:
    import zarr

    try:
        return zarr.open(str(path), mode="r")
    except (zarr.errors.PathNotFoundError, zarr.errors.GroupNotFoundError) as error:
        raise UserError(f"{path.name} is not a zarr file, or parts are missing; copy it again.") from error


def _signals(experiments: Any, typed: float | None) -> Iterator[Source]:
    for name in experiments:
        group = experiments[name]
        data = group.get("data")
        if data is None or data.dtype.kind not in "uif" or len(data.shape) not in (3, 4):
            continue
        if 0 < min(data.shape[-2:]) < hdf5.SMALLEST_DETECTOR:
            continue
        microscope = _attributes(group, "metadata/Acquisition_instrument/TEM")
        axes = [_attributes(group, f"axis-{axis}") for axis in range(len(data.shape))]
        told = from_axes(
            [(axis.get("scale"), axis.get("units")) for axis in axes],
            typed or kilovolts(microscope.get("beam_energy")),
            float(microscope.get("convergence_angle") or 0) or None,
        )
        precession = math.degrees(float(microscope.get("rocking_angle") or 0) / 1e3)  # pyxem notes mrad
        yield Source(
            [data],
            f"/Experiments/{name}/data",
            told.with_(precession=precession),
            metadata={
                "title": text(_attributes(group, "metadata/General").get("title")),
                "signal_type": text(_attributes(group, "metadata/Signal").get("signal_type")),
            },
        )


def _attributes(group: Any, path: str) -> dict[str, Any]:
    return dict(group[path].attrs) if path in group else {}
