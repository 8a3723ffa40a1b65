"""HDF5: py4DSTEM's EMD 1.0 and older, Berkeley's EMD, abTEM, NeXus, and any file with a 4D dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import h5py
import numpy as np

from napari_4dstem_orient.core.distortion import from_ratio_and_axis
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.hdf5_access import member, open_file, places, storage
from napari_4dstem_orient.core.hdf5_pieces import guarded
from napari_4dstem_orient.core.scan import LARGEST_DISTORTION, Calibration
from napari_4dstem_orient.core.units import finite, kilovolts, positive, text, whether
from napari_4dstem_orient.io.formats import ScanFormat
from napari_4dstem_orient.io.formats.axes import Axes, detector_first, from_axes
from napari_4dstem_orient.io.source import Source, Transposed, why_unfit

_CROWDED = 2000  # members of a group: older files keep one group for each scan position's peaks
_UNEVEN = 0.01  # of a step: what positions in single precision may differ by
_LONGEST_AXIS = 2**24


def read(path: Path, voltage: float | None = None) -> list[Source]:
    """Return the file's 4D datasets and 3D stacks, and what else might have been meant for one."""
    file = open_file(path)
    found = []
    for name, dataset in members(file):
        if dataset.dtype.kind in "uifbcV" and len(dataset.shape or ()) > 1:
            axes = _axes(dataset)
            # HyperSpy writes Berkeley's EMD with all axes turned round.
            turned = detector_first(axes)
            data = Transposed(guarded(dataset), (3, 2, 1, 0)) if turned else guarded(dataset)
            if unfit := why_unfit(data.shape, data.dtype):
                found.append(Source([data], name, unfit=unfit))
                continue
            check_parts(dataset, path)
            told = calibration(dataset, axes[::-1] if turned else axes, data.shape, voltage)
            found.append(Source([data], name, told, metadata=_metadata(dataset), stored_at=address(dataset)))
    return found


def check_parts(dataset: h5py.Dataset, path: Path) -> None:
    """Refuse a dataset put together from other files where one is absent: HDF5 would read zeros in its place.

    Raises
    ------
    UserError
        Naming the absent one.
    """
    for name in storage(dataset) if dataset.is_virtual else ():
        if not any(place.is_file() for place in places(dataset.file.filename, name)):
            raise UserError(
                f"{PurePath(name).name}, from which {path.name} takes a part of {dataset.name}, is missing; put it "
                "into the same folder."
            )


def members(file: h5py.File) -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield every dataset once for each name, but for those in crowded groups and behind broken links.

    Each after its name here: what a link to another file leads to has another name there.
    """
    waiting: list[tuple[str, h5py.Group]] = [("", file)]
    seen = set()
    while waiting:
        path, group = waiting.pop(0)
        if len(group) > _CROWDED or address(group) in seen:
            continue
        seen.add(address(group))
        for key in group:
            found = member(group, key)
            if isinstance(found, h5py.Group):
                waiting.append((f"{path}/{key}", found))
            elif isinstance(found, h5py.Dataset):
                yield f"{path}/{key}", found


def address(one: h5py.HLObject) -> tuple[int, int]:
    """Return what tells that two names mean the same group or dataset: which file, and where in it."""
    about = h5py.h5o.get_info(one.id)
    return about.fileno, about.addr


def calibration(
    dataset: h5py.Dataset, axes: Axes, shape: Sequence[int], voltage: float | None = None
) -> Calibration:
    """Return what the file says: py4DSTEM's calibration of the whole tree, else the axes of data of such a shape."""
    root = dataset.name.strip("/").split("/")[0]
    bundle = member(dataset.file, f"{root}/metadatabundle")
    if isinstance(bundle, h5py.Group):
        found = ((name, member(bundle, name)) for name in bundle)
        return py4dstem_calibration(
            {name: one for name, one in found if isinstance(one, h5py.Group)}, voltage
        )
    return from_axes(axes, voltage, shape=shape)


def py4dstem_calibration(groups: Mapping[str, h5py.Group], voltage: float | None = None) -> Calibration:
    """Return the calibration in the groups of a py4DSTEM file's ``metadatabundle``."""
    values = {key: value for group in groups.values() for key, value in scalars(group).items()}
    voltage = voltage or next((kilovolts(values[key]) for key in _VOLTAGE_KEYS if key in values), None)
    step, pixel = ((values.get(f"{of}_pixel_size"), values.get(f"{of}_pixel_units")) for of in "RQ")
    told = from_axes([step, step, pixel, pixel], voltage)
    q_pixel = told.q_pixel
    ellipse = scalars(groups["calibration"]) if "calibration" in groups else {}
    distortion = _distortion(*(ellipse.get(key) for key in ("a", "b", "theta")))
    if q_pixel is not None and any(distortion):  # theirs is of the axis called b
        e = float(np.hypot(*distortion))
        q_pixel *= 1 - e if ellipse["a"] > ellipse["b"] else 1 + e
    semiangles = (positive(values.get(key)) for key in _SEMIANGLE_KEYS)
    rotation = finite(values.get("QR_rotation_degrees"))
    if rotation is None:
        rotation = float(np.rad2deg(finite(values.get("QR_rotation")) or 0.0))
    return told.with_(
        q_pixel=q_pixel,
        semiangle=next(filter(None, semiangles), None),
        rotation=rotation,
        flip=whether(values.get("QR_flip")),
        rotation_from="file" if any(name.startswith("QR_rotation") for name in values) else "unknown",
        distortion=distortion,
    )


def _distortion(a: Any, b: Any, theta: Any) -> tuple[float, float]:
    """Return what py4DSTEM's ellipse (semiaxes; angle of ``a`` in radians from qx) says, where it is a usable one."""
    if not all(isinstance(value, int | float) and np.isfinite(value) for value in (a, b, theta)):
        return 0.0, 0.0
    if a <= 0 or b <= 0 or abs(a - b) >= LARGEST_DISTORTION * (a + b):
        return 0.0, 0.0
    return from_ratio_and_axis(a / b, float(np.rad2deg(theta)))


_VOLTAGE_KEYS = ("voltage_kV", "accelerating_voltage", "beam_energy", "voltage", "high_tension")
_SEMIANGLE_KEYS = ("probe_convergence_semiangle_mrad", "convergence_semiangle_mrad", "semiangle_mrad")


def scalars(group: h5py.Group) -> dict[str, Any]:
    """Return the single numbers and words stored as datasets of an EMD metadata group."""
    found = {}
    for key in group:
        one = member(group, key)
        if not isinstance(one, h5py.Dataset) or one.shape != ():
            continue
        if h5py.check_string_dtype(one.dtype) is not None:
            value: Any = text(one[()])
            found[key] = None if value == "_None" else value
        elif one.dtype.kind in "uifb":
            found[key] = one[()].item()
    return found


def _axes(dataset: h5py.Dataset) -> Axes:
    """Return step and units of each axis, from wherever the file's format keeps them."""
    group = dataset.parent
    if len(found := _datasets(group, ["array", "sampling", "units"])) == 3:  # abTEM
        return list(zip(found[1][:4], found[2][:4], strict=False))
    if "axes" in group.attrs and np.size(group.attrs["axes"]) == dataset.ndim:  # NeXus; "." just counts
        names = [text(name) for name in np.ravel(group.attrs["axes"])]
    else:  # EMD counts from 0 or from 1
        first = 0 if "dim0" in group else 1
        names = [f"dim{axis + first}" for axis in range(dataset.ndim)]
    vectors = [member(group, name) if name.strip("./") else None for name in names]
    return [
        (_step(vector), vector.attrs.get("units", ""))
        if isinstance(vector, h5py.Dataset) and vector.dtype.kind in "uif"
        else (None, "")
        for vector in vectors
    ]


def _datasets(group: h5py.Group, names: list[str]) -> list[h5py.Dataset]:
    """Return those of the datasets of a group that there are."""
    return [found for name in names if isinstance(found := member(group, name), h5py.Dataset)]


def _step(vector: h5py.Dataset) -> float | None:
    """Return the step between the positions along an axis; NaN where they are not evenly spaced."""
    if vector.ndim != 1 or not 2 <= len(vector) <= _LONGEST_AXIS:
        return None
    steps = np.diff(np.asarray(vector[()], float))
    return float(steps.mean()) if np.ptp(steps) <= _UNEVEN * abs(steps.mean()) else float("nan")


def _metadata(dataset: h5py.Dataset) -> dict[str, Any]:
    """Return the attributes of a dataset and its group that are numbers or words."""
    attributes = {**dataset.parent.attrs, **dataset.attrs}
    kept = {key: value for key, value in attributes.items() if np.ndim(value) == 0}
    return {
        key: value.item() if isinstance(value, np.generic) else text(value) for key, value in kept.items()
    }


HDF5 = ScanFormat(
    "HDF5 / EMD",
    (".h5", ".hdf5", ".emd", ".py4dstem", ".nxs", ".hdf", ".he5"),
    read,
    holds=h5py.is_hdf5,
    last=True,
)
