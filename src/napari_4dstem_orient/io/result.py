"""The result file: an orientation map in HDF5 that plain h5py reads.

Layout (ny, nx: scan positions down the rows and along the columns)::

    /                            attributes: format, format_version, program_version
    /orientation                 attributes: frame, method, r_pixel (nm; absent where unknown), r_aspect (absent for 1)
    /orientation/rotation        float32 (ny, nx, 3, 3)     see the attribute ``frame``
    /orientation/phase_id        int32   (ny, nx)           index into phases; -1 not indexed
    /orientation/score           float32 (ny, nx)           0 to 1
    /orientation/reason          uint8   (ny, nx)           attribute ``meaning`` spells the numbers out
    /orientation/explained       int32   (ny, nx)           disks explained by the answer
    /orientation/reliability     float32 (ny, nx)           probability that the answer is right *
    /orientation/phase_margin    float32 (ny, nx)           how much likelier its phase is than the next *
    /orientation/doubt           uint8   (ny, nx)           flags; attribute ``meaning`` spells them out *
    /orientation/probability     float32 (ny, nx, 1 + n)    of the answer itself and of each runner-up *
    /orientation/precision       float32 (ny, nx, 2)        standard deviation of a right answer about its best and
                                                            worst determined axis, degrees; NaN where unknown *
    /orientation/runner_up       float32 (ny, nx, n, 3, 3)  further hypotheses, best first
    /orientation/runner_up_score float32 (ny, nx, n)
    /orientation/neighbours      uint8   (ny, nx)           what they did to the answer; attribute ``meaning`` **
    /orientation/alone/NAME      as NAME (m, …)             what it was before neighbours spoke, and at which flat **
    /orientation/alone/NAME_at   int64   (m,)               positions it was another **
    /orientation/share           float32 (ny, nx)           of the light that all crystals of a pattern explain ***
    /orientation/strain          float32 (ny, nx, 4)        xx, yy, xy and rotation (rad); NaN where unknown ****
                                                            attributes ``reference`` and ``axes``: in words
    /orientation/strain_deviation float32 (ny, nx, 4)       their standard deviations ****
    /orientation/strain_disks    int32   (ny, nx)           disks that speak ****
    /orientation/phases          JSON text: list of crystals (name, cell, positions, numbers, occupancy)
    /provenance                  JSON text: program version, inputs, parameters, model hash, device
    /crystal_2, /crystal_3       each with an orientation and a provenance: further crystals of the same patterns ***

* only where the method knows it (not in template matching); ** only where neighbours were asked; *** only where a
pattern holds several crystals; **** only where strain was measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.atomic import hdf5_in_memory, write
from napari_4dstem_orient.core.certainty import AmbiguityFlag, Certainty, IndexingStatus
from napari_4dstem_orient.core.errors import LONGEST, UserError, one_line
from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.limits import MOST_CRYSTALS
from napari_4dstem_orient.core.orientation_map import OrientationMap, why_exploratory
from napari_4dstem_orient.core.pooled import Pooled, PoolVerdict
from napari_4dstem_orient.core.reading import from_json, reading, to_json
from napari_4dstem_orient.core.strain import COMPONENTS, Strain
from napari_4dstem_orient.crystals.phase import Phase

if TYPE_CHECKING:
    import h5py

KIND = "orientation map"
FORMAT = f"napari-4dstem-orient {KIND}"
FORMAT_VERSION = 1
FRAME = (
    "The columns of each rotation are the lab axes x, y, z in crystal Cartesian coordinates "
    "(a along x, c* along z): v_crystal = rotation @ v_lab, as in py4DSTEM and "
    "in an orix Orientation (lab to crystal). "
    "Lab x points down the rows of the map, y along its columns, z = x cross y towards the viewer; "
    "the beam travels along -z. Crystal symmetry acts on the left."
)
_DTYPES = {
    "rotation": np.float32,
    "phase_id": np.int32,
    "score": np.float32,
    "reason": np.uint8,
    "explained": np.int32,
    "runner_up": np.float32,
    "runner_up_score": np.float32,
}
_CERTAINTY = {
    "reliability": np.float32,
    "phase_margin": np.float32,
    "doubt": np.uint8,
    "probability": np.float32,
    "precision": np.float32,
}
_STRAIN = {"strain": "values", "strain_deviation": "deviation", "strain_disks": "disks"}
_ATTRIBUTES = {"reason": "status", "explained": "n_matched", "doubt": "ambiguity"}
"""What the program calls the arrays that the file calls otherwise."""
_NAMES = {name: _ATTRIBUTES.get(name, name) for name in (*_DTYPES, *_CERTAINTY)}
_SCORE = (0, 1 + 1e-3)  # rounding
_MOST_DISKS = 2**16  # in one pattern; detection keeps 2,000 at most
_RANGES = {
    "rotation": (-1.001, 1.001),
    "score": _SCORE,
    "reason": (0, max(IndexingStatus)),
    "explained": (0, _MOST_DISKS),
    "runner_up": (-1.001, 1.001),
    "runner_up_score": _SCORE,
    "reliability": _SCORE,
    "phase_margin": (-_SCORE[1], _SCORE[1]),
    "doubt": (0, sum(AmbiguityFlag)),
    "probability": _SCORE,
    "precision": (0, 180),
}
_METHOD = re.compile(r"\w[\w -]{,39}")
"""What a method may be called; which there are depends on what is installed."""


def save_map(orientation_map: OrientationMap, path: str | Path) -> None:
    """Write a result file (HDF5), completely or not at all.

    Raises
    ------
    UserError
        The file cannot be written, or the map was made from it.
    """
    from napari_4dstem_orient.core.version import VERSION

    with hdf5_in_memory() as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION, program_version=VERSION)
        write_map(orientation_map, file)
        file.flush()
        image = file.id.get_file_image()
    write(path, image, inputs=inputs_of(orientation_map.provenance))


def write_map(orientation_map: OrientationMap, parent: h5py.Group) -> None:
    """Write a map into a group as it stands at the top of a result file."""
    group = parent.create_group("orientation")
    group.attrs.update(frame=FRAME, method=orientation_map.method)
    if orientation_map.r_pixel is not None:
        group.attrs["r_pixel"] = float(orientation_map.r_pixel)
    if orientation_map.r_aspect != 1:
        group.attrs["r_aspect"] = float(orientation_map.r_aspect)
    certainty = orientation_map.certainty
    parts = [(orientation_map, _DTYPES), *([(certainty, _CERTAINTY)] if certainty else [])]
    for owner, dtypes in parts:
        for name, dtype in dtypes.items():
            if (values := getattr(owner, _ATTRIBUTES.get(name, name))) is not None:
                _write(group, name, np.asarray(values, dtype))
    group["reason"].attrs["meaning"] = to_json({int(status): status.text for status in IndexingStatus})
    if certainty:
        group["doubt"].attrs["meaning"] = to_json({int(flag): flag.text for flag in AmbiguityFlag})
    if orientation_map.pooled is not None:
        _write_pooled(orientation_map.pooled, group)
    if orientation_map.share is not None:
        _write(group, "share", orientation_map.share)
    if (strain := orientation_map.strain) is not None:
        for name, attribute in _STRAIN.items():
            _write(group, name, getattr(strain, attribute))
        group["strain"].attrs.update(reference=strain.reference, axes=strain.axes)
    for number, other in enumerate(orientation_map.beside, 2):
        write_map(other, parent.create_group(f"crystal_{number}"))
    group["phases"] = to_json([phase.to_dict() for phase in orientation_map.phases])
    parent["provenance"] = to_json(orientation_map.provenance)


def _write(group: h5py.Group, name: str, values: np.ndarray) -> None:
    packing = {"compression": "gzip", "shuffle": True} if values.size else {}
    group.create_dataset(name, data=values, **packing)


def _write_pooled(pooled: Pooled, group: h5py.Group) -> None:
    _write(group, "neighbours", pooled.verdict)
    group["neighbours"].attrs["meaning"] = to_json({int(verdict): verdict.text for verdict in PoolVerdict})
    alone = group.create_group("alone")
    for name, attribute in _NAMES.items():
        if attribute in pooled.where:
            _write(alone, f"{name}_at", pooled.where[attribute])
            _write(alone, name, pooled.before[attribute])


def is_map_file(path: str | Path) -> bool:
    """Tell, by looking inside, whether a file is a result file."""
    from napari_4dstem_orient.core import hdf5_access as hdf5

    return hdf5.whether(
        path, lambda file: file.attrs.get("format") == FORMAT or hdf5.member(file, "orientation/rotation")
    )


def made_from(path: str | Path) -> Path | None:
    """Return the file that a result file was made from; None where it does not say, or is no result file."""
    from napari_4dstem_orient.core import hdf5_access as hdf5

    try:
        with reading(path, "a result file") as path, hdf5.open_file(path) as file:
            source = str(from_json(hdf5.words(file, "provenance"), dict).get("input") or "")
    except UserError:
        return None
    return Path(source.partition("::")[0]).expanduser().absolute() if source else None


def load_map(path: str | Path) -> OrientationMap:
    """Read a result file.

    Raises
    ------
    UserError
        The file is missing, is no HDF5, is truncated or damaged, or is not a result file.
    """
    from napari_4dstem_orient.core import hdf5_access as hdf5

    with reading(path, "a result file") as path, hdf5.open_file(path) as file:
        refuse_foreign(file, FORMAT, (FORMAT_VERSION,), "a result file")
        return read_map(file)


def refuse_foreign(file: h5py.File, wanted: str, versions: Iterable[int], what: str) -> None:
    """Raise UserError for a file of another format, or of a version of it that is not among those known."""
    name = Path(file.filename).name
    if str(file.attrs.get("format")) != wanted:
        raise UserError(f"{name} is not {what} of this program; choose one that it saved.")
    known = tuple(map(str, versions))
    if (told := str(file.attrs.get("format_version"))) not in known:
        raise UserError(
            f"{name} has format version {told} and this program reads version {' and '.join(known)}; "
            "update the program or choose another file."
        )


def read_map(parent: h5py.Group) -> OrientationMap:
    """Read what ``write_map`` wrote; what a damaged file raises is for ``reading``."""
    from napari_4dstem_orient.core import hdf5_access as hdf5

    group = hdf5.group_at(parent, "orientation")
    certain = {name: dtype for name, dtype in _CERTAINTY.items() if name in group}
    dtypes = {**_DTYPES, **certain}
    arrays = {name: _as(hdf5.array(group, name), dtype, name) for name, dtype in dtypes.items()}
    phases = tuple(Phase.from_dict(values) for values in from_json(hdf5.words(group, "phases"), list))
    _check(arrays, len(phases))
    pooled = _read_pooled(group, arrays, len(phases)) if "neighbours" in group else None
    beside = _read_beside(parent, arrays["phase_id"], len(phases))
    share = _as(hdf5.array(group, "share"), np.float32, "share") if "share" in group else None
    if share is not None and (
        share.shape != arrays["phase_id"].shape or not ((share >= 0) & (share <= _SCORE[1])).all()
    ):
        raise ValueError("share holds what are no shares of the map's positions")
    named: dict[str, Any] = {_ATTRIBUTES.get(name, name): values for name, values in arrays.items()}
    certain_of = [_ATTRIBUTES.get(name, name) for name in certain]
    certainty = Certainty(**{name: named.pop(name) for name in certain_of}) if certain else None
    r_pixel, r_aspect = group.attrs.get("r_pixel"), float(group.attrs.get("r_aspect", 1.0))
    method = str(group.attrs["method"])
    if not _METHOD.fullmatch(method) or (r_pixel is not None and not 0 < float(r_pixel) < np.inf):
        raise ValueError(f"the method {method} with a scan step of {r_pixel} nm is none")
    if not 0 < r_aspect < np.inf:
        raise ValueError(f"scan steps with a ratio of {r_aspect} are none")
    provenance = from_json(hdf5.words(parent, "provenance"), dict)
    why_exploratory(provenance)
    return OrientationMap(
        phases=phases,
        method=method,
        r_pixel=None if r_pixel is None else float(r_pixel),
        r_aspect=r_aspect,
        provenance=provenance,
        certainty=certainty,
        pooled=pooled,
        beside=beside,
        share=share,
        strain=_read_strain(group, arrays["phase_id"].shape) if "strain" in group else None,
        **named,
    )


def _read_strain(group: h5py.Group, shape: tuple[int, ...]) -> Strain:
    """Read the strain; ValueError where it does not fit the map, or is none."""
    from napari_4dstem_orient.core import hdf5_access as hdf5

    dtypes = {"values": np.float32, "deviation": np.float32, "disks": np.int32}
    told = {key: _as(hdf5.array(group, name), dtypes[key], name) for name, key in _STRAIN.items()}
    if told["disks"].shape != shape or any(
        told[key].shape != (*shape, len(COMPONENTS)) for key in ("values", "deviation")
    ):
        raise ValueError("strain does not fit the map")
    words = {name: one_line(str(group["strain"].attrs[name]), LONGEST) for name in ("reference", "axes")}
    if np.isinf(told["values"]).any() or (told["deviation"] < 0).any() or (told["disks"] < 0).any():
        raise ValueError("strain holds what is no strain")
    return Strain(told["values"], told["deviation"], told["disks"], words["reference"], words["axes"])


def _read_beside(parent: h5py.Group, phase_id: np.ndarray, phases: int) -> tuple[OrientationMap, ...]:
    """Read the maps of further crystals; ValueError where they are not of the same scan and phases."""
    from napari_4dstem_orient.core import hdf5_access as hdf5

    names = [f"crystal_{number}" for number in range(2, MOST_CRYSTALS + 1) if f"crystal_{number}" in parent]
    beside = tuple(read_map(hdf5.group_at(parent, name)) for name in names)
    before = phase_id >= 0
    for name, other in zip(names, beside, strict=True):
        if other.scan_shape != phase_id.shape or len(other.phases) != phases or other.beside:
            raise ValueError(f"{name} does not fit the map")
        if (other.indexed & ~before).any():
            raise ValueError(f"{name} has crystals where there are none before it")
        before = other.indexed
    return beside


def _read_pooled(group: h5py.Group, arrays: dict[str, np.ndarray], phases: int) -> Pooled:
    """Read what ``_write_pooled`` wrote; ValueError where the map that it tells of could not have been."""
    from napari_4dstem_orient.core import hdf5_access as hdf5

    verdict = _as(hdf5.array(group, "neighbours"), np.uint8, "neighbours")
    positions = arrays["phase_id"].size
    if verdict.shape != arrays["phase_id"].shape or verdict.max(initial=0) > max(PoolVerdict):
        raise ValueError("neighbours holds what is no verdict on the map's positions")
    alone, where, before = hdf5.group_at(group, "alone"), {}, {}
    for name, now in arrays.items():
        at = _as(hdf5.array(alone, f"{name}_at"), np.int64, f"{name}_at")
        values = _as(hdf5.array(alone, name), now.dtype.type, name)
        inside = at.ndim == 1 and ((at >= 0) & (at < positions)).all() and (np.diff(at) > 0).all()
        if not inside or values.shape != (len(at), *now.shape[2:]):
            raise ValueError(f"alone/{name} does not fit the map")
        where[_NAMES[name]], before[_NAMES[name]] = at, values
    pooled = Pooled(verdict, where, before)
    was = pooled.undone({_NAMES[name]: values for name, values in arrays.items()})
    _check({name: was[_NAMES[name]] for name in arrays}, phases)
    return pooled


def _as(values: np.ndarray, dtype: type, name: str) -> np.ndarray:
    """Return numbers in the type they are kept in; ValueError where it cannot hold them."""
    kept: np.ndarray = values.astype(dtype, copy=False)
    if not np.can_cast(values.dtype, dtype, "same_kind") or (
        values.dtype.kind in "iu" and (kept != values).any()
    ):
        raise ValueError(f"{name} holds {values.dtype} that are no {np.dtype(dtype)}")
    return kept


def _check(arrays: dict[str, np.ndarray], phases: int) -> None:
    """Raise ValueError where the arrays contradict each other or physics."""
    shape = arrays["phase_id"].shape
    hypotheses = arrays["runner_up_score"].shape[2:]
    expected = {
        "rotation": (*shape, 3, 3),
        "runner_up": (*shape, *hypotheses, 3, 3),
        "runner_up_score": (*shape, *hypotheses),
        "probability": (*shape, *(1 + count for count in hypotheses)),
        "precision": (*shape, 2),
    }
    for name, values in arrays.items():
        if len(shape) != 2 or len(hypotheses) != 1 or values.shape != expected.get(name, shape):
            raise ValueError(f"{name} has the shape {values.shape} in a map of {shape}")
    ranges = {**_RANGES, "phase_id": (-1, phases - 1)}
    for name, values in arrays.items():
        low, high = ranges[name]
        if name == "precision":
            values = values[~np.isnan(values)]
        # Written so that NaN is outside.
        if values.size and not (low <= values.min() and values.max() <= high):
            raise ValueError(f"{name} holds values outside {low} to {high}")
    _check_rotations(arrays["rotation"][arrays["phase_id"] >= 0], "rotation")
    _check_rotations(arrays["runner_up"][arrays["runner_up_score"] > 0], "runner_up")


def _check_rotations(rotation: np.ndarray, name: str) -> None:
    unit = np.allclose(rotation @ rotation.swapaxes(1, 2), np.eye(3), atol=1e-3)
    if not unit or (np.linalg.det(rotation) < 0).any():
        raise ValueError(f"{name} holds matrices that are no rotations")
