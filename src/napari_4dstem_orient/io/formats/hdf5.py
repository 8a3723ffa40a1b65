"""HDF5: py4DSTEM's EMD 1.0 and older, Berkeley's EMD, abTEM, NeXus, and any file with a 4D dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.source import Source
from napari_4dstem_orient.io.units import kilovolts, reciprocal_pixel, scan_step, text
from napari_4dstem_orient.scan import Calibration

NAME = "HDF5 / EMD"
SUFFIXES = (".h5", ".hdf5", ".emd", ".py4dstem", ".nxs", ".hdf", ".he5")

_SMALLEST_DETECTOR = 8  # pixels on a side: below that a 4D dataset is a map of matrices, not of patterns
_CROWDED = 2000  # members of a group: older files keep one group for each scan position's peaks
_CACHE = 64 * 2**20


def matches(path: Path) -> bool:
    """Whether the content, or else the name, is HDF5's."""
    return path.is_file() and (h5py.is_hdf5(path) or path.suffix.lower() in SUFFIXES)


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the file's 4D datasets and 3D stacks."""
    file = open_file(path)
    return [
        Source([dataset], name, calibration(file, dataset, voltage), metadata=_metadata(dataset))
        for name, dataset in datasets(file)
    ]


def open_file(path: Path) -> h5py.File:
    """Open an HDF5 file for reading.

    Raises
    ------
    UserError
        Not HDF5, or cut short.
    """
    import hdf5plugin  # noqa: F401  (registers the compressions that detectors use)

    try:
        return h5py.File(path, "r", rdcc_nbytes=_CACHE, locking="best-effort")
    except OSError as error:
        if "truncated" in str(error):
            raise UserError(
                f"{path.name} is cut short (its HDF5 content is not complete); copy it again."
            ) from error
        if not h5py.is_hdf5(path):
            raise UserError(f"{path.name} is not an HDF5 file, or its beginning is damaged.") from error
        raise


def datasets(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield path and dataset of whatever may be a scan: numbers in four dimensions, or a stack."""
    return ((member.name, member) for member in walk(file) if _may_be_scan(member))


def walk(file: h5py.File) -> Iterator[h5py.Dataset]:
    """Yield every dataset once, but for those in crowded groups and behind broken links."""
    waiting: list[h5py.Group] = [file]
    seen = set()
    while waiting:
        group = waiting.pop(0)
        address = h5py.h5o.get_info(group.id).addr
        if len(group) > _CROWDED or address in seen:
            continue
        seen.add(address)
        for key in group:
            try:
                member = group[key]
            except (KeyError, OSError):
                continue
            if isinstance(member, h5py.Group):
                waiting.append(member)
            elif isinstance(member, h5py.Dataset):
                yield member


def _may_be_scan(member: h5py.Dataset) -> bool:
    return (
        member.dtype.kind in "uif"
        and len(member.shape or ()) in (3, 4)
        and (0 in member.shape or min(member.shape[-2:]) >= _SMALLEST_DETECTOR)
    )


def calibration(file: h5py.File, dataset: h5py.Dataset, voltage: float | None = None) -> Calibration:
    """Return what the file says: py4DSTEM's calibration, else axes beside the dataset, else abTEM's."""
    root = dataset.name.strip("/").split("/")[0]
    bundle = file.get(f"{root}/metadatabundle")
    if isinstance(bundle, h5py.Group):
        return py4dstem_calibration(bundle, voltage)
    axes = _emd_axes(dataset) or _abtem_axes(file)
    if not axes:
        return Calibration(voltage=voltage)
    return from_axes(axes, voltage)


def from_axes(
    axes: list[tuple[Any, Any]], voltage: float | None, semiangle: float | None = None
) -> Calibration:
    """Return the calibration that (size, units) of each axis mean; the last two are the detector's."""
    q_pixel = reciprocal_pixel(*axes[-1], voltage)
    r_pixel = scan_step(*axes[-3]) if len(axes) > 3 else None
    return Calibration(
        voltage, q_pixel, r_pixel, semiangle, q_pixel_from="file" if q_pixel is not None else "unknown"
    )


def py4dstem_calibration(bundle: h5py.Group, voltage: float | None = None) -> Calibration:
    """Return the calibration in a py4DSTEM file's ``metadatabundle``."""
    values = {key: value for group in bundle.values() for key, value in scalars(group).items()}
    voltage = voltage or next((kilovolts(values[key]) for key in _VOLTAGE_KEYS if key in values), None)
    q_pixel = reciprocal_pixel(values.get("Q_pixel_size"), values.get("Q_pixel_units"), voltage)
    semiangles = (values.get(key) for key in _SEMIANGLE_KEYS)
    semiangle = next(
        (float(value) for value in semiangles if isinstance(value, int | float) and value > 0), None
    )
    rotation = values.get("QR_rotation_degrees")
    if rotation is None:
        rotation = np.rad2deg(values.get("QR_rotation") or 0.0)
    return Calibration(
        voltage,
        q_pixel,
        scan_step(values.get("R_pixel_size"), values.get("R_pixel_units")),
        semiangle,
        float(rotation),
        bool(values.get("QR_flip") or False),
        "file" if q_pixel is not None else "unknown",
    )


_VOLTAGE_KEYS = ("voltage_kV", "accelerating_voltage", "beam_energy", "voltage", "high_tension")
_SEMIANGLE_KEYS = ("probe_convergence_semiangle_mrad", "convergence_semiangle_mrad", "semiangle_mrad")


def scalars(group: h5py.Group) -> dict[str, Any]:
    """Return the single numbers and words stored as datasets of an EMD metadata group."""
    found = {}
    for key, member in group.items():
        if isinstance(member, h5py.Dataset) and member.shape == ():
            value = member[()]
            value = text(value) if isinstance(value, bytes) else value.item()
            found[key] = None if value == "_None" else value
    return found


def _emd_axes(dataset: h5py.Dataset) -> list[tuple[Any, Any]]:
    """Return (size, units) from the ``dim`` vectors beside an EMD array, which count from 0 or from 1."""
    first = 0 if "dim0" in dataset.parent else 1
    vectors = [dataset.parent.get(f"dim{axis + first}") for axis in range(dataset.ndim)]
    if not all(isinstance(vector, h5py.Dataset) and vector.dtype.kind in "uif" for vector in vectors):
        return []
    return [(_step(vector), vector.attrs.get("units", "")) for vector in vectors]


def _step(vector: h5py.Dataset) -> float | None:
    return float(vector[1]) - float(vector[0]) if vector.ndim == 1 and len(vector) > 1 else None


def _abtem_axes(file: h5py.File) -> list[tuple[Any, Any]]:
    if not all(isinstance(file.get(key), h5py.Dataset) for key in ("array", "sampling", "units")):
        return []
    return list(zip(file["sampling"][()], file["units"][()], strict=False))


def _metadata(dataset: h5py.Dataset) -> dict[str, Any]:
    """Return the attributes of a dataset and its group that are numbers or words."""
    attributes = {**dataset.parent.attrs, **dataset.attrs}
    kept = {key: value for key, value in attributes.items() if np.ndim(value) == 0}
    return {
        key: value.item() if isinstance(value, np.generic) else text(value) for key, value in kept.items()
    }
