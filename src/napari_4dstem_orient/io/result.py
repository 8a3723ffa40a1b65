"""The result file: an orientation map in HDF5 that plain h5py reads.

Layout (ny, nx: scan positions down the rows and along the columns)::

    /                            attributes: format, format_version, program_version
    /orientation                 attributes: frame, method, r_pixel (nm; absent where unknown)
    /orientation/rotation        float32 (ny, nx, 3, 3)     see the attribute ``frame``
    /orientation/phase_id        int32   (ny, nx)           index into phases; -1 not indexed
    /orientation/score           float32 (ny, nx)           0 to 1
    /orientation/reason          uint8   (ny, nx)           attribute ``meaning`` spells the numbers out
    /orientation/explained       int32   (ny, nx)           disks explained by the answer
    /orientation/reliability     float32 (ny, nx)           probability that the answer is right *
    /orientation/phase_margin    float32 (ny, nx)           how much likelier its phase is than the next *
    /orientation/doubt           uint8   (ny, nx)           flags; attribute ``meaning`` spells them out *
    /orientation/runner_up       float32 (ny, nx, n, 3, 3)  further hypotheses, best first
    /orientation/runner_up_score float32 (ny, nx, n)
    /orientation/phases          JSON text: list of crystals (name, cell, positions, numbers, occupancy)
    /provenance                  JSON text: program version, inputs, parameters, model hash, device

* only where the method knows it (not in template matching).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.atomic import writing
from napari_4dstem_orient.orientation_map import Certainty, Doubt, OrientationMap, Reason

if TYPE_CHECKING:
    import h5py

FORMAT = "napari-4dstem-orient orientation map"
FORMAT_VERSION = 1
FRAME = (
    "The columns of each rotation are the lab axes x, y, z in crystal Cartesian coordinates "
    "(a along x, c* along z): v_crystal = rotation @ v_lab, as in py4DSTEM and "
    "in an orix Orientation (lab to crystal). "
    "Lab x points down the rows of the map, y along its columns, z = x cross y towards the viewer; "
    "the beam travels along -z. Crystal symmetry acts on the left."
)
DAMAGED = (OSError, RuntimeError, KeyError, TypeError, ValueError)
"""What a damaged file makes h5py, JSON and the nouns complain about."""
_DTYPES = {
    "rotation": np.float32,
    "phase_id": np.int32,
    "score": np.float32,
    "reason": np.uint8,
    "explained": np.int32,
    "runner_up": np.float32,
    "runner_up_score": np.float32,
}
_CERTAINTY = {"reliability": np.float32, "phase_margin": np.float32, "doubt": np.uint8}


def save_map(orientation_map: OrientationMap, path: str | Path) -> None:
    """Write a result file (HDF5), completely or not at all.

    Raises
    ------
    UserError
        The file cannot be written.
    """
    import h5py

    from napari_4dstem_orient import __version__

    # HDF5 never recovers from a full disk, it keeps the file open and complains for good; so it works in memory.
    with h5py.File("result", "w", driver="core", backing_store=False) as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION, program_version=__version__)
        write_map(orientation_map, file)
        file.flush()
        image = file.id.get_file_image()
    with writing(path) as temporary:
        temporary.write_bytes(image)


def write_map(orientation_map: OrientationMap, parent: h5py.Group, compress: bool = True) -> None:
    """Write a map into a group as it stands at the top of a result file."""
    group = parent.create_group("orientation")
    group.attrs.update(frame=FRAME, method=orientation_map.method)
    if orientation_map.r_pixel is not None:
        group.attrs["r_pixel"] = float(orientation_map.r_pixel)
    certainty = orientation_map.certainty
    parts = [(orientation_map, _DTYPES), *([(certainty, _CERTAINTY)] if certainty else [])]
    for owner, dtypes in parts:
        for name, dtype in dtypes.items():
            values = np.asarray(getattr(owner, name), dtype)
            packing = {"compression": "gzip", "shuffle": True} if values.size and compress else {}
            group.create_dataset(name, data=values, **packing)
    group["reason"].attrs["meaning"] = _json({int(reason): reason.text for reason in Reason})
    if certainty:
        group["doubt"].attrs["meaning"] = _json({int(doubt): doubt.text for doubt in Doubt})
    group["phases"] = _json([phase.to_dict() for phase in orientation_map.phases])
    parent["provenance"] = _json(orientation_map.provenance)


def is_map_file(path: str | Path) -> bool:
    """Tell, by looking inside, whether a file is a result file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT or "orientation/rotation" in file)
    except OSError:
        return False


def made_from(path: str | Path) -> Path | None:
    """Return the file that a result file was made from; None where it does not say, or is no result file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            source = json.loads(file["provenance"].asstr()[()]).get("input")
    except (*DAMAGED, AttributeError):
        return None
    return Path(source.partition("::")[0]).expanduser().absolute() if source else None


def load_map(path: str | Path) -> OrientationMap:
    """Read a result file.

    Raises
    ------
    UserError
        The file is missing, is no HDF5, is truncated or damaged, or is not a result file.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise UserError(f"There is no file {path}; choose a result file (.h5).")
    try:
        with h5py.File(path, "r") as file:
            _refuse_foreign(file, path)
            return read_map(file)
    except DAMAGED as error:
        detail = " ".join(str(error).split())
        raise UserError(
            f"Cannot read {path}: the file is damaged or not a result file ({detail}); choose another file."
        ) from error


def _refuse_foreign(file: h5py.File, path: Path) -> None:
    if file.attrs.get("format") != FORMAT:
        raise UserError(f"{path} is not a result file of this program; choose one that it saved.")
    version = file.attrs.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {version} and this program reads version {FORMAT_VERSION}; "
            "update the program or choose another file."
        )


def read_map(parent: h5py.Group) -> OrientationMap:
    """Read what ``write_map`` wrote; a damaged file raises one of ``DAMAGED``."""
    group = parent["orientation"]
    arrays = {name: np.asarray(group[name][()], dtype) for name, dtype in _DTYPES.items()}
    phases = tuple(Phase.from_dict(values) for values in json.loads(group["phases"].asstr()[()]))
    certain = {
        name: np.asarray(group[name][()], dtype) for name, dtype in _CERTAINTY.items() if name in group
    }
    _check({**arrays, **certain}, len(phases))
    r_pixel = group.attrs.get("r_pixel")
    return OrientationMap(
        phases=phases,
        method=str(group.attrs["method"]),
        r_pixel=None if r_pixel is None else float(r_pixel),
        provenance=json.loads(parent["provenance"].asstr()[()]),
        certainty=Certainty(**certain) if certain else None,
        **arrays,
    )


def _check(arrays: dict[str, np.ndarray], phases: int) -> None:
    """Raise ValueError where the arrays contradict each other or physics."""
    shape = arrays["phase_id"].shape
    hypotheses = arrays["runner_up_score"].shape[2:]
    expected = {
        "rotation": (*shape, 3, 3),
        "runner_up": (*shape, *hypotheses, 3, 3),
        "runner_up_score": (*shape, *hypotheses),
    }
    for name, values in arrays.items():
        if len(shape) != 2 or len(hypotheses) != 1 or values.shape != expected.get(name, shape):
            raise ValueError(f"{name} has the shape {values.shape} in a map of {shape}")
    if arrays["phase_id"].size and not -1 <= arrays["phase_id"].min() <= arrays["phase_id"].max() < phases:
        raise ValueError(f"a phase_id lies outside the {phases} phases")
    rotation = arrays["rotation"][arrays["phase_id"] >= 0]
    unit = np.allclose(rotation @ rotation.swapaxes(1, 2), np.eye(3), atol=1e-3)
    if not unit or (np.linalg.det(rotation) < 0).any():
        raise ValueError("rotation holds matrices that are no rotations")


def _json(value: Any) -> str:
    return json.dumps(value, default=lambda other: other.item() if hasattr(other, "item") else str(other))
