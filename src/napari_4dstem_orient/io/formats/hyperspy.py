"""HyperSpy's own files: .hspy (HDF5) and .zspy (zarr), which hold the same tree.

Read by h5py and numcodecs: rosettasciio 0.15 makes a dask task of every stored chunk (0.7 s a pattern where each is a
chunk of its own, a million in all) and opens .zspy for writing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py

from napari_4dstem_orient.core import hdf5_access
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.hdf5_pieces import guarded
from napari_4dstem_orient.core.units import kilovolts, positive, text
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.formats.axes import Axes, detector_first, from_axes
from napari_4dstem_orient.io.source import Source, Transposed, why_unfit


def _holds(path: Path) -> bool:
    """Whether there are HyperSpy's ``Experiments``."""
    return hdf5_access.whether(
        path, lambda file: "Experiments" in file and "file_format_version" in file.attrs
    )


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the file's signals that are scans or stacks."""
    root = hdf5_access.open_file(path) if path.is_file() and h5py.is_hdf5(path) else _open_other(path)
    if not isinstance(experiments := _at(root, "Experiments"), Mapping):
        raise UserError(f"{path.name} holds no HyperSpy signal; save it again from HyperSpy.")
    return list(_signals(experiments, voltage))


def _open_other(path: Path) -> Any:
    if path.suffix.lower() == ".hspy":
        return hdf5_access.open_file(path)
    from napari_4dstem_orient.io.formats.zarr_files import open_zarr

    return open_zarr(path)


def _signals(experiments: Any, typed: float | None) -> Iterator[Source]:
    for name in experiments:
        group = _at(experiments, name)
        data, where = _at(group, "data"), f"/Experiments/{name}/data"
        if data is None:
            continue
        data = guarded(data)
        axes = [_attributes(group, f"axis-{axis}") for axis in range(len(data.shape))]
        steps: Axes = [(axis.get("scale"), axis.get("units")) for axis in axes]
        if detector_first(steps):
            data, steps = Transposed(data, (2, 3, 0, 1)), [*steps[2:], *steps[:2]]
        if unfit := why_unfit(data.shape, data.dtype):
            yield Source([data], where, unfit=unfit)
            continue
        microscope = _attributes(group, "metadata/Acquisition_instrument/TEM")
        told = from_axes(
            steps,
            typed or kilovolts(microscope.get("beam_energy")),
            positive(microscope.get("convergence_angle")),
            data.shape,
        )
        precession = math.degrees(
            (positive(microscope.get("rocking_angle")) or 0.0) / 1e3
        )  # pyxem notes mrad
        yield Source(
            [data],
            where,
            told.with_(precession=precession),
            metadata={
                "title": text(_attributes(group, "metadata/General").get("title")),
                "signal_type": text(_attributes(group, "metadata/Signal").get("signal_type")),
            },
        )


def _attributes(group: Any, path: str) -> dict[str, Any]:
    found = _at(group, path)
    return {} if found is None else dict(found.attrs)


def _at(group: Any, path: str) -> Any:
    """Return what lies at a path of an HDF5 or zarr group; None where nothing does, or in an array.

    Looked into by name, an array is read, whatever size it says.
    """
    if isinstance(group, h5py.Group):
        return hdf5_access.member(group, path)
    return group[path] if isinstance(group, Mapping) and path in group else None


HYPERSPY = ScanFormat("HyperSpy", (".hspy", ".zspy", ".zspy.zip"), read, holds=_holds, folders=True)
