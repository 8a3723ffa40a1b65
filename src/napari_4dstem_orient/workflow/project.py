"""The project file: everything that was loaded, computed and chosen in one window, in HDF5.

Layout::

    /                     attributes: format, format_version, program_version
    /session              JSON text: calibration, stale stages, the job of each result, position, pins; the scan by
                          reference (``workflow.reference``); the job chosen next; display of the layers, from the
                          bottom to the top; camera, and what the panels show beside results
    /probe                float32 (det_y, det_x), the template; attribute ``about``: JSON text
    /disks, /calibrated   offsets, qx, qy, intensity as in ``BraggDisks``; attribute ``about``: JSON text
    /METHOD map           as at the top of a result file (``io.result``), for each map

The patterns themselves stay where they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from napari_4dstem_orient.core.atomic import hdf5_in_memory, write
from napari_4dstem_orient.core.errors import LONGEST, UserError, one_line
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.reading import file_hash, from_json, reading, to_json
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.io.result import read_map, refuse_foreign, write_map
from napari_4dstem_orient.workflow.former import job_of_choice, jobs_of_records
from napari_4dstem_orient.workflow.job import Job, Key, MapBy, Stage, key_named
from napari_4dstem_orient.workflow.reference import Reference, open_reference, reference_of, with_fingerprint
from napari_4dstem_orient.workflow.session_state import Record, SessionState, files_read
from napari_4dstem_orient.workflow.store import from_arrays, to_arrays

if TYPE_CHECKING:
    import h5py

FORMAT = "napari-4dstem-orient project"
FORMAT_VERSION = 2
"""0.1.0 wrote 1 (``workflow.former``)."""
SUFFIX = ".4dorient.h5"
_DISKS = (Stage.DISKS, Stage.CALIBRATED)


@dataclass(frozen=True)
class View:
    """How a window looks at its scan.

    Attributes
    ----------
    center : (float, float) or None
        Of the camera, in the coordinates of the layers; None where it is not known.
    zoom : float
    panels : dict
        What each panel shows beside results, by its title, as plain JSON values.
    """

    center: tuple[float, float] | None = None
    zoom: Annotated[float, {"min": 1e-9, "max": 1e9}] = 1.0
    panels: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Project:
    """What a project file holds.

    Attributes
    ----------
    state : SessionState
        Results, stale flags, records, calibration, position, pins, and the job chosen for the next results. Its scan
        is missing where it could not be opened, and its job's models that are not there.
    layers : dict
        How each layer is displayed, by what it shows, as plain JSON values; from the bottom to the top.
    view : View
    warnings : tuple of str
        What could not be opened again, and what to do; only of a project that was read.
    """

    state: SessionState = field(default_factory=SessionState)
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    view: View = field(default_factory=View)
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
    from napari_4dstem_orient.core.version import VERSION

    path, results = Path(path).expanduser(), project.state.results
    steps = len(results) + 1
    with hdf5_in_memory() as file:
        file.attrs.update(format=FORMAT, format_version=FORMAT_VERSION, program_version=VERSION)
        file["session"] = to_json(_session(project, path.absolute().parent))
        for done, (key, result) in enumerate(results.items()):
            progress(done, steps)
            _write(file, key, result)
        progress(steps - 1, steps)
        file.flush()
        image = file.id.get_file_image()
    write(path, image, private, [*files_read(project.state), *(project.state.job.models or ())])
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
        refuse_foreign(file, FORMAT, (1, FORMAT_VERSION), "a project file")
        session = from_json(hdf5.words(file, "session"), dict)
        if file.attrs["format_version"] == 1:
            session = _as_now(session, from_json(hdf5.words(file, "phases"), list))
        told = from_plain(_Told, session)
        maps = [key_named(name) for name in file if name.endswith(" map")]
        results = {key: _read(file, key) for key in (Stage.PROBE, *_DISKS, *maps) if str(key) in file}
        warnings: list[str] = []
        state = _state(told, results, path.absolute().parent, warnings)
        models = None if told.models is None else _find_models(told.models, model_folders, warnings)
        job = _job_or_nothing(told.job, "settings for the next map", warnings)
        state = replace(state, job=replace(job, models=models))
        layers = {name: display for name, display in told.layers.items() if _is_display(display)}
    return Project(state, layers, _view(told.view), tuple(warnings))


def _as_now(told: dict[str, Any], phases: list[Any]) -> dict[str, Any]:
    """Return what a project of 0.1.0 told, as it is told now."""
    records, choice = told["records"], told.pop("settings")
    jobs = jobs_of_records({stage: made["settings"] for stage, made in records.items()}, told["scan"] or {})
    now = {stage: {"made": made["made"], "job": jobs.get(stage, {})} for stage, made in records.items()}
    return {**told, "models": told["models"] or None, "records": now, "job": job_of_choice(choice, phases)}


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
    models: list[_Model] | None
    job: dict[str, Any]
    layers: dict[str, dict[str, Any]]
    view: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Made:
    made: str
    job: dict[str, Any]


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


def _view(told: dict[str, Any]) -> View:
    """Return how the window looked; as a new one where that cannot be read."""
    try:
        return from_plain(View, told)
    except ValueError:
        return View()


def _job_or_nothing(told: dict[str, Any], what: str, warnings: list[str]) -> Job:
    """Return a job that holds what it should; else an empty one, and say so."""
    try:
        job = Job.from_dict(told)
    except (KeyError, TypeError, ValueError, UserError) as error:
        warnings.append(one_line(f"The project's {what} cannot be read ({error}) and are left out.", LONGEST))
        return Job()
    if "q_pixel_from" not in job.calibration:
        return job
    # A whole calibration, of which older projects do not say who told the rotation.
    return replace(job, calibration={"rotation_from": "unknown", **job.calibration})


def _session(project: Project, beside: Path) -> dict[str, Any]:
    state = project.state
    scan, record = state.results.get(Stage.SCAN), state.records.get(Stage.SCAN)
    # A scan that could not be opened is still known by the record that came with it.
    known = dict(record.reference) if record is not None else None
    return {
        "scan": known if scan is None else with_fingerprint(reference_of(scan), beside),
        "patterns": None if scan is None else [list(scan.data.shape), str(scan.data.dtype)],
        "calibration": asdict(state.calibration),
        "read_calibration": asdict(state.read_calibration),
        "stale": sorted(map(str, state.stale)),
        "records": {
            str(key): {"made": made.made.isoformat(), "job": made.job.to_dict()}
            for key, made in state.records.items()
        },
        "position": state.position,
        "pins": state.pins,
        "models": _told_models(state.job.models),
        "job": state.job.to_dict(),
        "layers": project.layers,
        "view": asdict(project.view),
    }


def _write(file: h5py.File, key: Key, result: Any) -> None:
    packing = {"compression": "gzip", "shuffle": True}
    if key is Stage.PROBE:
        file.create_dataset(key, data=np.asarray(result.kernel, np.float32), **packing)
        about = {"radius": result.radius, "kind": result.kind, "provenance": result.provenance}
        file[key].attrs["about"] = to_json(about)
    elif key in _DISKS:
        group = file.create_group(str(key))
        group.attrs["about"], arrays = to_arrays(result)
        for name, values in arrays.items():
            group.create_dataset(name, data=values, **(packing if values.size else {}))
    elif isinstance(key, MapBy):
        write_map(result, file.create_group(str(key)))


def _read(file: h5py.File, key: Key) -> Any:
    from napari_4dstem_orient.core import hdf5_access as hdf5

    if key is Stage.PROBE:
        from napari_4dstem_orient.detection.probe import Probe

        if (found := hdf5.member(file, key)) is None:  # never file[…]: a link may lead to a pipe
            raise ValueError(f"it holds no {key}")
        about = from_plain(_AboutProbe, from_json(found.attrs["about"], dict))
        return Probe(hdf5.array(file, key).astype(np.float32), **vars(about))
    group = hdf5.group_at(file, str(key))
    if key in _DISKS:
        return from_arrays(group.attrs["about"], {name: hdf5.array(group, name) for name in group})
    found = read_map(group)
    if key != MapBy(found.method):
        raise ValueError(f"its {key} is of the method {found.method!r}")
    return found


@dataclass(frozen=True)
class _AboutProbe:
    radius: float
    kind: str
    provenance: dict[str, Any]


def _state(told: _Told, results: dict[Key, Any], beside: Path, warnings: list[str]) -> SessionState:
    records = {
        key_named(name): Record(
            datetime.fromisoformat(made.made), _job_or_nothing(made.job, f"record of the {name}", warnings)
        )
        for name, made in told.records.items()
    }
    calibration = from_plain(Calibration, told.calibration)
    if told.scan is not None:
        from_plain(Reference, told.scan)
        records[Stage.SCAN] = replace(records.get(Stage.SCAN, Record()), reference=told.scan)
        try:
            scan = _open_scan(told, beside)
            results = {Stage.SCAN: scan.with_calibration(calibration), **results}
        except UserError as error:
            warnings.append(str(error))
    shapes = {result.scan_shape for key, result in results.items() if key is not Stage.PROBE}
    if len(shapes) > 1:
        raise ValueError(f"its results cover scans of different shapes: {sorted(shapes)}")
    rows, cols = next(iter(shapes), (0, 0))
    return SessionState(
        results,
        frozenset(map(key_named, told.stale)),
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


def _told_models(models: tuple[str, ...] | None) -> list[dict[str, str]] | None:
    return None if models is None else [{"path": model, "sha256": _hash(Path(model))} for model in models]


def _find_models(told: list[_Model], folders: Sequence[str | Path], warnings: list[str]) -> tuple[str, ...]:
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
            found.append(str(same))
    return tuple(found)


def _hash(path: Path) -> str:
    """Return the hash of a model file; empty where it is not there, or is none."""
    try:
        return file_hash(path)
    except (OSError, UserError):
        return ""
