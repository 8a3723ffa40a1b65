"""The project file: everything that was loaded, computed and chosen in one window, in HDF5.

Layout::

    /                     attributes: format, format_version, program_version
    /session              JSON text: calibration, stale stages, records, position, pins; the scan by reference
                          (``io.reference``); choice of models and settings; display of the layers; notes
    /phases               JSON text: the crystals chosen, whole
    /probe                float32 (det_y, det_x), the template; attribute ``about``: JSON text
    /disks, /calibrated   offsets, qx, qy, intensity as in ``BraggDisks``; attribute ``about``: JSON text
    /transformer map      as at the top of a result file (``io.result``)
    /template map         the same

The patterns themselves stay where they are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.atomic import writing
from napari_4dstem_orient.io.partial import from_arrays, to_arrays
from napari_4dstem_orient.io.reference import open_reference, reference_of, sealed
from napari_4dstem_orient.io.result import DAMAGED, read_map, write_map
from napari_4dstem_orient.progress import Progress, silent
from napari_4dstem_orient.scan import Calibration, Scan
from napari_4dstem_orient.session import Record, SessionState, Stage

if TYPE_CHECKING:
    import h5py

FORMAT = "napari-4dstem-orient project"
FORMAT_VERSION = 1
SUFFIX = ".4dorient.h5"
_DISKS, _MAPS = (Stage.DISKS, Stage.CALIBRATED), (Stage.TRANSFORMER_MAP, Stage.TEMPLATE_MAP)


@dataclass(frozen=True, eq=False)
class Project:
    """What a project file holds.

    Attributes
    ----------
    state : SessionState
        Results, stale flags, records, calibration, position, pins. Its scan is missing where it could not be opened.
    phases : tuple of Phase
        The crystals chosen for the next map.
    models : tuple of Path
        The model files chosen.
    settings : dict
        Device and settings for the next map, as plain JSON values (see ``records.choice_settings``).
    layers : dict
        How each layer is displayed, by what it shows, as plain JSON values.
    warnings : tuple of str
        What could not be opened again, and what to do; only of a project that was read.
    """

    state: SessionState = field(default_factory=SessionState)
    phases: tuple[Phase, ...] = ()
    models: tuple[Path, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def save_project(
    project: Project, path: str | Path, progress: Progress = silent, private: bool = False
) -> None:
    """Write a project file, completely or not at all; a private one for its owner only.

    Raises
    ------
    UserError
        The file cannot be written.
    Cancelled
        ``progress`` raised it.
    """
    import h5py

    from napari_4dstem_orient import __version__

    path, results = Path(path).expanduser(), project.state.results
    steps = len(results) + 1
    # In memory, as in ``io.result``.
    with h5py.File("project", "w", driver="core", backing_store=False) as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION, program_version=__version__)
        file["session"] = json.dumps(_session(project, path.absolute().parent), default=_plain)
        file["phases"] = json.dumps([phase.to_dict() for phase in project.phases])
        for done, (stage, result) in enumerate(results.items()):
            progress(done, steps)
            _write(file, stage, result)
        progress(steps - 1, steps)
        file.flush()
        image = file.id.get_file_image()
    with writing(path, private) as temporary:
        temporary.write_bytes(image)
    progress(steps, steps)


def is_project_file(path: str | Path) -> bool:
    """Tell, by looking inside, whether a file is a project file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return bool(file.attrs.get("format") == FORMAT)
    except OSError:
        return False


def load_project(path: str | Path, model_folders: Sequence[str | Path] = ()) -> Project:
    """Read a project file, and open its scan again where that is still the same.

    Parameters
    ----------
    path : path
    model_folders : sequence of path
        Where to look for models that are not where they were; they are known by their hash.

    Raises
    ------
    UserError
        The file is missing, is no HDF5, is damaged, or is not a project file.
    """
    import h5py

    path = Path(path).expanduser()
    if not path.is_file():
        raise UserError(f"There is no file {path}; choose a project file ({SUFFIX}).")
    try:
        with h5py.File(path, "r") as file:
            _refuse_foreign(file, path)
            told = json.loads(file["session"].asstr()[()])
            phases = tuple(Phase.from_dict(values) for values in json.loads(file["phases"].asstr()[()]))
            results = {stage: _read(file, stage) for stage in Stage if stage.value in file}
        state, warnings = _state(told, results, path.absolute().parent)
        models = _find_models(told["models"], model_folders, warnings)
    except (*DAMAGED, AttributeError) as error:
        detail = " ".join(str(error).split())
        raise UserError(
            f"Cannot read {path}: the file is damaged or not a project file ({detail}); choose another file."
        ) from error
    return Project(state, phases, models, told["settings"], told["layers"], tuple(warnings))


def _session(project: Project, beside: Path) -> dict[str, Any]:
    state = project.state
    scan, record = state.results.get(Stage.SCAN), state.records.get(Stage.SCAN)
    # A scan that could not be opened is still known by the record that came with it.
    known = dict(record.settings) if record is not None else None
    return {
        "scan": known if scan is None else sealed(reference_of(scan), beside),
        "patterns": None if scan is None else [list(scan.data.shape), str(scan.data.dtype)],
        "calibration": asdict(state.calibration),
        "read_calibration": asdict(state.read_calibration),
        "stale": sorted(state.stale),
        "records": {
            stage: {"made": made.made.isoformat(), "settings": made.settings}
            for stage, made in state.records.items()
        },
        "position": state.position,
        "pins": state.pins,
        "models": [{"path": str(model), "sha256": _hash(model)} for model in project.models],
        "settings": project.settings,
        "layers": project.layers,
    }


def _write(file: h5py.File, stage: Stage, result: Any) -> None:
    packing = {"compression": "gzip", "shuffle": True}
    if stage is Stage.PROBE:
        file.create_dataset(stage.value, data=np.asarray(result.kernel, np.float32), **packing)
        about = {"radius": result.radius, "kind": result.kind, "provenance": result.provenance}
        file[stage.value].attrs["about"] = json.dumps(about, default=_plain)
    elif stage in _DISKS:
        group = file.create_group(stage.value)
        group.attrs["about"], arrays = to_arrays(result)
        for name, values in arrays.items():
            group.create_dataset(name, data=values, **(packing if values.size else {}))
    elif stage in _MAPS:
        write_map(result, file.create_group(stage.value))


def _read(file: h5py.File, stage: Stage) -> Any:
    group = file[stage.value]
    if stage is Stage.PROBE:
        from napari_4dstem_orient.detection.probe import Probe

        return Probe(np.asarray(group[()], np.float32), **json.loads(group.attrs["about"]))
    if stage in _DISKS:
        return from_arrays(group.attrs["about"], {name: values[()] for name, values in group.items()})
    return read_map(group)


def _refuse_foreign(file: h5py.File, path: Path) -> None:
    if file.attrs.get("format") != FORMAT:
        raise UserError(f"{path} is not a project file of this program; choose one that it saved.")
    version = file.attrs.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {version} and this program reads version {FORMAT_VERSION}; "
            "update the program or choose another file."
        )


def _state(told: dict[str, Any], results: dict[Stage, Any], beside: Path) -> tuple[SessionState, list[str]]:
    warnings: list[str] = []
    records = {
        Stage(stage): Record(datetime.fromisoformat(made["made"]), made["settings"])
        for stage, made in told["records"].items()
    }
    calibration = Calibration(**told["calibration"])
    if told["scan"] is not None:
        records[Stage.SCAN] = Record(
            records[Stage.SCAN].made if Stage.SCAN in records else Record().made, told["scan"]
        )
        try:
            scan = _open_scan(told, beside)
            results = {Stage.SCAN: scan.with_calibration(calibration), **results}
        except UserError as error:
            warnings.append(str(error))
    shapes = {result.scan_shape for stage, result in results.items() if stage is not Stage.PROBE}
    if len(shapes) > 1:
        raise ValueError(f"its results cover scans of different shapes: {sorted(shapes)}")
    return SessionState(
        results,
        frozenset(Stage(stage) for stage in told["stale"]),
        records,
        calibration,
        Calibration(**told["read_calibration"]),
        tuple(told["position"]) if told["position"] else None,  # type: ignore[arg-type]
        tuple((int(row), int(col)) for row, col in told["pins"]),
    ), warnings


def _open_scan(told: dict[str, Any], beside: Path) -> Scan:
    scan = open_reference(told["scan"], beside)
    patterns = [list(scan.data.shape), str(scan.data.dtype)]
    if told["patterns"] is not None and patterns != told["patterns"]:
        raise UserError(
            f"{scan.source} holds other patterns than when the project was saved; it stays closed. "
            "Open it in Data to work on it as a new scan."
        )
    return scan


def _find_models(
    told: list[dict[str, Any]], folders: Sequence[str | Path], warnings: list[str]
) -> tuple[Path, ...]:
    from napari_4dstem_orient.resource_files import resource

    found = []
    for model in told:
        known = Path(model["path"])
        ways = [known, *(Path(folder) / known.name for folder in (resource("models"), *folders))]
        same = next((path for path in ways if (made := _hash(path)) and made == model["sha256"]), None)
        if same is None:
            warnings.append(
                f"The model {known} is not there or has changed; choose or open another in Map before the next map."
            )
        else:
            found.append(same)
    return tuple(found)


def _hash(path: Path) -> str:
    """Return the hash of a model file; empty where it is not there."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
