"""The project file: everything that was loaded, computed and chosen in one window, in HDF5.

Layout::

    /                     attributes: format, format_version, program_version
    /session              JSON text: calibration, stale stages, records, position, pins; the scan by reference
                          (``workflow.reference``); choice of models and settings; display of the layers; notes
    /phases               JSON text: the crystals chosen, whole
    /probe                float32 (det_y, det_x), the template; attribute ``about``: JSON text
    /disks, /calibrated   offsets, qx, qy, intensity as in ``BraggDisks``; attribute ``about``: JSON text
    /transformer map      as at the top of a result file (``io.result``)
    /template map         the same

The patterns themselves stay where they are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from napari_4dstem_orient.core.atomic import hdf5_in_memory, writing
from napari_4dstem_orient.core.errors import LONGEST, UserError, one_line
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.reading import file_hash, from_json, reading
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.io.result import read_map, refuse_foreign, write_map
from napari_4dstem_orient.workflow.records import check_choice, check_record, files_read
from napari_4dstem_orient.workflow.reference import open_reference, reference_of, sealed
from napari_4dstem_orient.workflow.session import Record, SessionState, Stage
from napari_4dstem_orient.workflow.store import from_arrays, to_arrays

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
        Device and settings for the next map, as plain JSON values (see ``workflow.records.choice_settings``).
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
        The file cannot be written, or what is in the project was read from it.
    Cancelled
        ``progress`` raised it.
    """

    from napari_4dstem_orient.core.version import program_version

    path, results = Path(path).expanduser(), project.state.results
    steps = len(results) + 1
    with hdf5_in_memory() as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION, program_version=program_version())
        file["session"] = json.dumps(_session(project, path.absolute().parent), default=_plain)
        file["phases"] = json.dumps([phase.to_dict() for phase in project.phases])
        for done, (stage, result) in enumerate(results.items()):
            progress(done, steps)
            _write(file, stage, result)
        progress(steps - 1, steps)
        file.flush()
        image = file.id.get_file_image()
    with writing(path, private, [*files_read(project.state), *project.models]) as temporary:
        temporary.write_bytes(image)
    progress(steps, steps)


def is_project_file(path: str | Path) -> bool:
    """Tell, by looking inside, whether a file is a project file."""
    from napari_4dstem_orient.core import hdf5_access as hdf5

    return hdf5.whether(path, lambda file: file.attrs.get("format") == FORMAT)


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
    from napari_4dstem_orient.core import hdf5_access as hdf5

    with reading(path, "a project file") as path, hdf5.open_file(path) as file:
        refuse_foreign(file, FORMAT, FORMAT_VERSION, "a project file")
        told = from_plain(_Told, from_json(hdf5.words(file, "session"), dict))
        phases = tuple(Phase.from_dict(values) for values in from_json(hdf5.words(file, "phases"), list))
        results = {stage: _read(file, stage) for stage in Stage if stage.value in file}
        warnings: list[str] = []
        state = _state(told, results, path.absolute().parent, warnings)
        models = _find_models(told.models, model_folders, warnings)
        settings = _or_nothing(check_choice, told.settings, "settings for the next map", warnings)
        layers = {name: display for name, display in told.layers.items() if _is_display(display)}
    return Project(state, phases, models, settings, layers, tuple(warnings))


@dataclass(frozen=True)
class _Told:
    """What the text ``session`` says."""

    scan: dict[str, Any] | None
    patterns: tuple[list[int], str] | None
    calibration: dict[str, Any]
    read_calibration: dict[str, Any]
    stale: list[str]
    records: dict[str, _Made]
    position: tuple[int, int] | None
    pins: list[tuple[int, int]]
    models: list[_Model]
    settings: dict[str, Any]
    layers: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _Made:
    made: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class _Model:
    path: str
    sha256: str


@dataclass(frozen=True)
class _Display:
    visible: bool
    opacity: Annotated[float, {"min": 0, "max": 1}]
    contrast_limits: tuple[float, float] = (0.0, 1.0)
    colormap: str = ""
    channel: str = ""
    look: dict[str, Any] = field(default_factory=dict)


def _is_display(told: dict[str, Any]) -> bool:
    """Tell whether it says how a layer is displayed; where not, the layer looks as a new one."""
    try:
        low, high = from_plain(_Display, told).contrast_limits
    except ValueError:
        return False
    return low < high


def _or_nothing(
    check: Callable[[dict[str, Any]], None], settings: dict[str, Any], what: str, warnings: list[str]
) -> dict[str, Any]:
    """Return settings that hold what they should; else none, and say so."""
    try:
        check(settings)
    except (KeyError, TypeError, ValueError) as error:
        warnings.append(one_line(f"The project's {what} cannot be read ({error}) and are left out.", LONGEST))
        return {}
    return settings


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
    from napari_4dstem_orient.core import hdf5_access as hdf5

    if stage is Stage.PROBE:
        from napari_4dstem_orient.detection.probe import Probe

        if (found := hdf5.member(file, stage.value)) is None:  # never file[…]: a link may lead to a pipe
            raise ValueError(f"it holds no {stage.value}")
        about = from_plain(_AboutProbe, from_json(found.attrs["about"], dict))
        return Probe(hdf5.array(file, stage.value).astype(np.float32), **vars(about))
    group = hdf5.group_at(file, stage.value)
    if stage in _DISKS:
        return from_arrays(group.attrs["about"], {name: hdf5.array(group, name) for name in group})
    return read_map(group)


@dataclass(frozen=True)
class _AboutProbe:
    radius: float
    kind: str
    provenance: dict[str, Any]


def _state(told: _Told, results: dict[Stage, Any], beside: Path, warnings: list[str]) -> SessionState:
    records = {
        stage: Record(
            datetime.fromisoformat(made.made),
            _or_nothing(partial(check_record, stage), made.settings, f"record of the {stage}", warnings),
        )
        for stage, made in ((Stage(name), made) for name, made in told.records.items())
    }
    calibration = from_plain(Calibration, told.calibration)
    if told.scan is not None:
        check_record(Stage.SCAN, told.scan)
        records[Stage.SCAN] = Record(
            records[Stage.SCAN].made if Stage.SCAN in records else Record().made, told.scan
        )
        try:
            scan = _open_scan(told, beside)
            results = {Stage.SCAN: scan.with_calibration(calibration), **results}
        except UserError as error:
            warnings.append(str(error))
    shapes = {result.scan_shape for stage, result in results.items() if stage is not Stage.PROBE}
    if len(shapes) > 1:
        raise ValueError(f"its results cover scans of different shapes: {sorted(shapes)}")
    rows, cols = next(iter(shapes), (0, 0))
    return SessionState(
        results,
        frozenset(Stage(stage) for stage in told.stale),
        records,
        calibration,
        from_plain(Calibration, told.read_calibration),
        told.position if told.position and min(told.position) >= 0 else None,
        tuple((row, col) for row, col in told.pins if 0 <= row < rows and 0 <= col < cols),
    )


def _open_scan(told: _Told, beside: Path) -> Scan:
    scan = open_reference(told.scan or {}, beside)
    if told.patterns not in (None, (list(scan.data.shape), str(scan.data.dtype))):
        raise UserError(
            f"{scan.source} holds other patterns than when the project was saved; it stays closed. "
            "Open it in Data to work on it as a new scan."
        )
    return scan


def _find_models(told: list[_Model], folders: Sequence[str | Path], warnings: list[str]) -> tuple[Path, ...]:
    from napari_4dstem_orient.core.resource_files import resource

    found = []
    for model in told:
        known = Path(model.path)
        ways = [known, *(Path(folder) / known.name for folder in (resource("models"), *folders))]
        same = next((path for path in ways if (made := _hash(path)) and made == model.sha256), None)
        if same is None:
            warnings.append(
                f"The model {known} is not there or has changed; choose or open another in Map before the next map."
            )
        else:
            found.append(same)
    return tuple(found)


def _hash(path: Path) -> str:
    """Return the hash of a model file; empty where it is not there, or is none."""
    try:
        return file_hash(path)
    except (OSError, UserError):
        return ""


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
