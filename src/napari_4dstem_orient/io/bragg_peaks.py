"""Bragg disks in py4DSTEM's files: BraggVectors (0.14, 0.13) and the PointListArrays of older versions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from napari_4dstem_orient.core import hdf5_access
from napari_4dstem_orient.core.atomic import writing
from napari_4dstem_orient.core.bragg_disks import SURE, BraggDisks
from napari_4dstem_orient.core.distortion import ratio_and_axis
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.ours import sign
from napari_4dstem_orient.core.reading import RESULT_BYTES, check_room, from_json, reading, to_json
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.io import emd
from napari_4dstem_orient.io.bragg_units import calibration_told, in_their_unit
from napari_4dstem_orient.io.formats import hdf5

if TYPE_CHECKING:
    from napari_4dstem_orient.detection.probe import Probe

KIND = "Bragg disks"
"""What the attribute ``format`` of these files says after the program's name."""

_FIELDS = ("qx", "qy", "intensity")
_DISK = np.dtype([(name, np.float64) for name in _FIELDS])  # py4DSTEM's own
_EXTRA = ("uncertainty", "snr")  # further fields, which py4DSTEM reads and writes with the others
_NOTES = "disks"
_UNSURE = "unsure_disks"  # beside all that py4DSTEM reads


def is_disk_file(path: str | Path) -> bool:
    """Tell whether a file holds Bragg disks; False for whatever is not HDF5 or not there."""
    return hdf5_access.whether(path, lambda file: next(_disk_lists(file), None) is not None)


def open_disks(path: str | Path, name: str | None = None) -> tuple[BraggDisks, Calibration]:
    """Read Bragg disks from a py4DSTEM file, and all that it says about them.

    Parameters
    ----------
    path : path
    name : str, optional
        Which set, where the file holds several: its path in the file, or the last part of that.

    Returns
    -------
    disks : BraggDisks
        In detector pixels as py4DSTEM's ``.raw`` has them, with the direct beam (``origin``) that the file tells;
        or calibrated, where the file's lists are in Å⁻¹ already. Disks without a finite position and intensity are
        left out; ``provenance["left_out"]`` counts them.
    calibration : Calibration
        What the file says.

    Raises
    ------
    UserError
        No such file, no Bragg disks in it, several sets and no name, or damaged.
    """
    path = Path(path).expanduser()
    with _opened(path) as file:
        lists = _choose(file, path, name)
        bundle = hdf5_access.subgroup(lists.parent.parent, "metadatabundle")
        ours = hdf5_access.subgroup(bundle, _NOTES)
        notes = {} if ours is None else hdf5.scalars(ours)
        shape = None
        if bundle is not None and "_braggvectors_shape" in bundle and notes.get("detector_known", True):
            rows, cols = hdf5_access.array(bundle, "_braggvectors_shape/Qshape")
            shape = int(rows), int(cols)
        counts, values, left_out = _read(lists, path)
        provenance = {**from_json(notes.get("provenance", "{}"), dict), "source": f"{path}::{_name(lists)}"}
        known, origin = calibration_told(lists)
        disks = BraggDisks(
            (int(lists.shape[0]), int(lists.shape[1])),
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            **values,
            detector_shape=shape,
            provenance={**provenance, "left_out": left_out} if left_out else provenance,
            origin=origin,
        )
        if ours is not None and _UNSURE in file and file[_UNSURE].shape == lists.shape:
            counts, values, _ = _read(file[_UNSURE], path)
            offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            disks = disks.with_others(replace(disks, offsets=offsets, **values))
        return in_their_unit(disks, known, raw=ours is not None)  # of ours nobody needs to guess


def load_disks(path: str | Path, name: str | None = None) -> BraggDisks:
    """Read Bragg disks from a py4DSTEM file; the first of what ``open_disks`` returns."""
    return open_disks(path, name)[0]


def save_disks(
    disks: BraggDisks, path: str | Path, calibration: Calibration | None = None, probe: Probe | None = None
) -> None:
    """Write Bragg disks as py4DSTEM's BraggVectors; ``py4DSTEM.read`` gives the sure ones back, ``load_disks`` all.

    py4DSTEM stores detector pixels and calibrates when asked. Disks in pixels are stored as they are, beside
    ``calibration`` (pixel sizes, rotation, flip). Calibrated disks are put back on pixels of
    ``calibration.q_pixel`` (1 Å⁻¹ where that is unknown) around the middle of the detector, stored as
    origin; they are already turned into the scan frame, so no rotation is stored, and py4DSTEM's ``.cal``
    gives the same Å⁻¹.

    Parameters
    ----------
    disks : BraggDisks
    path : path
    calibration : Calibration, optional
    probe : Probe, optional
        The template they were found with, stored beside them.

    Raises
    ------
    UserError
        The file cannot be written, or the disks are from it.
    """
    calibration = calibration or Calibration()
    pixel = (calibration.q_pixel or 1.0) if disks.calibrated else 1.0
    detector = disks.detector_shape or _reach(disks, pixel)
    origin = (detector[0] / 2, detector[1] / 2) if disks.calibrated else (0.0, 0.0)
    with (
        writing(path, inputs=inputs_of(disks.provenance)) as temporary,
        emd.create(temporary, "braggvectors_root") as file,
    ):
        sign(file, KIND)
        told = _described(disks, calibration, origin, pixel)
        calibrated = emd.calibration_of(told, ["/braggvectors"])
        emd.add_metadata(file["braggvectors_root"], "calibration", calibrated, "Calibration")
        vectors = emd.add_node(file["braggvectors_root"], "braggvectors", "custom", "BraggVectors")
        shapes = {"Rshape": tuple(map(int, disks.scan_shape)), "Qshape": tuple(map(int, detector))}
        emd.add_metadata(vectors, "_braggvectors_shape", shapes)
        notes = {"provenance": to_json(disks.provenance), "detector_known": disks.detector_shape is not None}
        emd.add_metadata(vectors, _NOTES, notes)
        if probe is not None:
            _add_probe(vectors, probe)
        raw = emd.add_node(vectors, "_v_uncal", "custom_pointlistarray", "PointListArray")
        _write(disks.sure(), raw, "data", origin, pixel)
        if disks.snr is not None:
            _write(disks.where(disks.snr < SURE), file, _UNSURE, origin, pixel)


def _write(disks: BraggDisks, file: h5py.Group, name: str, origin: tuple[float, float], pixel: float) -> None:
    lists = file.create_dataset(name, disks.scan_shape, h5py.vlen_dtype(_dtype(disks)))
    for row in range(disks.scan_shape[0]):
        # Plain assignment would take lists of equal length for a second dimension.
        lists.write_direct(_row(disks, row, origin, pixel), dest_sel=np.s_[row])


def _add_probe(node: h5py.Group, probe: Probe) -> None:
    both = np.stack([probe.image, probe.kernel])
    # The axes of each of the two.
    axes = [(np.arange(2), f"dim{number}", "pixels") for number in range(2)]
    stored = emd.add_array(node, "probe", both, axes, "intensity", "Probe")
    emd.add_labels(stored, ["probe", "kernel"])
    emd.add_metadata(stored, "params", {"alpha": None, "origin": None})


def _reach(disks: BraggDisks, pixel: float) -> tuple[int, int]:
    """Return a detector that holds all disks, for py4DSTEM always wants one."""
    reach = [float(np.abs(values).max(initial=0)) / pixel for values in (disks.qx, disks.qy)]
    sides = (2 * size if disks.calibrated else size for size in reach)
    rows, cols = (int(np.ceil(size)) + 1 for size in sides)
    return rows, cols


def _described(
    disks: BraggDisks, ours: Calibration, origin: tuple[float, float], pixel: float
) -> dict[str, Any]:
    """Return what py4DSTEM's calibration is told."""
    theirs: dict[str, Any] = {}
    if disks.calibrated:
        theirs |= _origin(*origin) | {"Q_pixel_size": pixel, "Q_pixel_units": "A^-1"}
    else:
        if disks.origin is not None:
            theirs |= _origin(disks.origin[..., 0], disks.origin[..., 1])
        e = float(np.hypot(*ours.distortion))
        if e:  # theirs shrinks the long axis to the short one, ours keeps the mean of both
            ratio, axis = ratio_and_axis(ours.distortion)
            theirs |= {"a": 1.0, "b": 1 / ratio, "theta": float(np.deg2rad(axis))}
        if ours.q_pixel is not None:
            theirs |= {"Q_pixel_size": ours.q_pixel / (1 - e), "Q_pixel_units": "A^-1"}
        if ours.rotation_is_known:
            theirs["QR_rotation"] = float(np.deg2rad(ours.rotation))
            theirs["QR_rotation_degrees"] = float(ours.rotation)
            theirs["QR_flip"] = bool(ours.flip)
    if ours.r_pixel is not None and ours.r_aspect == 1:  # theirs knows one for both axes
        theirs |= {"R_pixel_size": ours.r_pixel, "R_pixel_units": "nm"}
    known = {"convergence_semiangle_mrad": ours.semiangle, "voltage_kV": ours.voltage}
    return theirs | {name: value for name, value in known.items() if value is not None}


def _origin(*places: Any) -> dict[str, Any]:
    """Return the direct beam's rows and columns as py4DSTEM keeps them: numbers, or arrays over the scan."""
    told: dict[str, Any] = {}
    for name, place in zip(("qx0", "qy0"), places, strict=True):
        mean = float(np.mean(place))
        told |= {name: place, f"{name}_mean": mean, f"{name}_shift": place - mean}
    return told


def _row(disks: BraggDisks, row: int, origin: tuple[float, float], pixel: float) -> np.ndarray:
    """Return the lists of one scan row, an array of arrays."""
    cols = disks.scan_shape[1]
    ends = disks.offsets[row * cols : (row + 1) * cols + 1]
    part = slice(ends[0], ends[-1])
    flat = np.empty(int(ends[-1] - ends[0]), _dtype(disks))
    flat["qx"] = disks.qx[part].astype(float) / pixel + origin[0]
    flat["qy"] = disks.qy[part].astype(float) / pixel + origin[1]
    flat["intensity"] = disks.intensity[part]
    if disks.uncertainty is not None:
        flat["uncertainty"] = disks.uncertainty[part].astype(float) / pixel
    if disks.snr is not None:
        flat["snr"] = disks.snr[part]
    lists = np.empty(cols, h5py.vlen_dtype(flat.dtype))
    for col, (start, stop) in enumerate(zip(ends[:-1] - ends[0], ends[1:] - ends[0], strict=True)):
        lists[col] = flat[start:stop]
    return lists


def _dtype(disks: BraggDisks) -> np.dtype:
    """Return what is stored of each disk."""
    return np.dtype([*_DISK.descr, *((name, np.float64) for name in _EXTRA if name in disks.values)])


def _read(lists: h5py.Dataset, path: Path) -> tuple[np.ndarray, dict[str, Any], int]:
    """Return the number of disks at each position and what is known of each disk; one scan row at a time.

    The flat qx, qy, intensity, and what else is known of each, by name; and how many were left out, not being finite.
    """
    check_room(lists.size * RESULT_BYTES, f"The disks of {lists.size:,} scan positions")
    if lists.size and not lists.id.get_storage_size():
        raise UserError(
            f"{path.name} promises disks at {lists.size:,} scan positions and holds none; copy it again."
        )
    known = h5py.check_vlen_dtype(lists.dtype).names
    fields = [*_FIELDS, *(name for name in _EXTRA if name in known)]
    counts, left_out = np.zeros(lists.shape, np.int64), 0
    rows: list[np.ndarray] = []
    try:
        for number in range(lists.shape[0]):
            row = lists[number]
            joined, found = np.concatenate(row), [len(disks) for disks in row]
            with np.errstate(over="ignore"):  # beyond float32 is not finite either
                values = np.stack([joined[name].astype(np.float32) for name in fields])
            good = np.isfinite(values[:3]).all(axis=0)
            column = np.repeat(np.arange(len(row)), found)
            counts[number] = np.bincount(column[good], minlength=len(row))
            left_out += int((~good).sum())
            rows.append(values[:, good])
    except OSError as error:
        raise UserError(
            f"{path.name} is damaged: row {len(rows)} of its Bragg disks cannot be read."
        ) from error
    flat = np.concatenate(rows, axis=1) if rows else np.zeros((len(fields), 0), np.float32)
    return counts.ravel(), dict(zip(fields, np.ascontiguousarray(flat), strict=True)), left_out


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[h5py.File]:
    with reading(path, "Bragg disks") as path:
        if not h5py.is_hdf5(path):
            raise UserError(f"{path.name} is not an HDF5 file, so it holds no Bragg disks of py4DSTEM's.")
        with hdf5_access.open_file(path) as file:
            yield file


def _disk_lists(file: h5py.File) -> Iterator[h5py.Dataset]:
    """Yield the datasets that hold a list of disks at each scan position."""
    for _, member in hdf5.members(file):
        listed = h5py.check_vlen_dtype(member.dtype)
        named = getattr(listed, "names", None) or ()
        # 0.13 kept the calibrated vectors too; the raw ones usually lie beside them.
        again = "/_v_cal/" in member.name and member.name.replace("/_v_cal/", "/_v_uncal/") in file
        aside = again or member.name == f"/{_UNSURE}"
        if len(member.shape or ()) == 2 and set(_FIELDS) <= set(named) and not aside:
            yield member


def _name(lists: h5py.Dataset) -> str:
    return str(lists.name).removesuffix("/data").removesuffix("/_v_uncal").removesuffix("/_v_cal")


def _choose(file: h5py.File, path: Path, name: str | None) -> h5py.Dataset:
    found = {_name(lists): lists for lists in _disk_lists(file)}
    if not found:
        raise UserError(f"{path.name} holds no Bragg disks; detect them first, or choose another file.")
    if name is None and len(found) == 1:
        return next(iter(found.values()))
    if name is None:
        raise UserError(f"{path.name} holds several sets of Bragg disks, choose one: {', '.join(found)}.")
    wanted = [key for key in found if key == "/" + name.strip("/") or key.rsplit("/", 1)[-1] == name]
    if len(wanted) != 1:
        raise UserError(f"{path.name} has no Bragg disks {name}; it has: {', '.join(found)}.")
    return found[wanted[0]]
