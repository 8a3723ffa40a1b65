"""Everything that decides a result, told once.

The command line builds a job, panels edit one, the queue maps many, a project keeps it, a script prints it, and
``workflow.run.run`` does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from typing import Any

from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.limits import MOST_CRYSTALS
from napari_4dstem_orient.core.memory import MEMORY
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.core.part import Part
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.indexing.methods import METHODS
from napari_4dstem_orient.indexing.settings import AcceptanceSettings
from napari_4dstem_orient.workflow.instruments import Instrument


class Stage(StrEnum):
    """The results of a job, in order; see ``session.UPSTREAM``."""

    SCAN = "scan"
    PROBE = "probe"
    DISKS = "disks"
    CALIBRATED = "calibrated"
    MAP = "map"


@dataclass(frozen=True)
class MapBy:
    """A result of ``Stage.MAP``: there may be one by each method."""

    method: str

    def __str__(self) -> str:
        return f"{self.method} map"


Key = Stage | MapBy
"""One result among all that a session may hold."""


def stage_of(key: Key) -> Stage:
    """Return the stage that makes a result."""
    return Stage.MAP if isinstance(key, MapBy) else key


def key_named(name: str) -> Key:
    """Return the key whose ``str`` this is; ValueError where there is none."""
    if name.endswith(" map"):
        return MapBy(name.removesuffix(" map"))
    if name == Stage.MAP:
        raise ValueError("a map without a method")
    return Stage(name)


Region = tuple[tuple[int, int | None], tuple[int, int | None]]
"""First row and one past the last, the same of columns; None for the scan's end."""

_FORMS: dict[str, type[Any]] = {
    "detection": DetectionSettings,
    "centring": CalibrationSettings,
    "acceptance": AcceptanceSettings,
    "instrument": Instrument,
}


@dataclass(frozen=True)
class Job:
    """What is to be made of what, and how. Plain values only; what lies in memory is given to ``run`` beside it.

    Attributes
    ----------
    path : str or None
        A scan or a file of Bragg peaks; with ``sample`` None too, the input is in memory.
    dataset : str or None
        Which dataset of a file that holds several.
    scan_shape : (int, int) or str such as "256x256", or None
        Scan rows and columns of a flat stack of patterns.
    part : Part or None
        Which positions of the file's scan; None: all of them.
    sample : str or None
        Name of a sample (``samples.library``).
    calibration : dict
        Fields of ``Calibration`` that a person gave; the others are the file's.
    instrument : Instrument or None
        A microscope that tells what neither the file nor a person does.
    probe : float, str, Region or None
        Radius in px of the disk to draw, a vacuum file as ``FILE[::/path]``, or a region of vacuum in the scan; None:
        a disk as large as the scan's.
    detection : DetectionSettings or None
        None: suggested from the scan.
    engine : "torch", "py4DSTEM" or None
        What finds disks, whatever the settings say.
    centring : CalibrationSettings or None
    ring_crystal : Phase or None
        The crystal to whose rings the detector pixel is fitted; see ``pixel.with_fitted_pixel``.
    phases : tuple of Phase
        The crystals there may be.
    parents : tuple of str
        Names of those among them that may be everywhere, such as a matrix. In the disks that all crystals leave only
        the others are looked for.
    method : str
        Of ``indexing.methods.METHODS``.
    settings : dict
        Settings of methods, by their name; only those of ``method`` count.
    models : tuple of str, or None
        The transformer's model files; None: the shipped ones that fit. Templates propose for the other phases.
    acceptance : AcceptanceSettings or None
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    memory : int
        MiB that patterns read ahead and at work may take in each process; no result depends on it.
    """

    path: str | None = None
    dataset: str | None = None
    scan_shape: tuple[int, int] | str | None = None
    part: Part | None = None
    sample: str | None = None
    calibration: Mapping[str, Any] = field(default_factory=dict)
    instrument: Instrument | None = None
    probe: float | str | Region | None = None
    detection: DetectionSettings | None = None
    engine: str | None = None
    centring: CalibrationSettings | None = None
    ring_crystal: Phase | None = None
    phases: tuple[Phase, ...] = ()
    parents: tuple[str, ...] = ()
    method: str = "transformer"
    settings: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] | None = None
    acceptance: AcceptanceSettings | None = None
    device: str = "auto"
    memory: int = MEMORY

    @property
    def given(self) -> dict[str, Any]:
        """The fields of the calibration that are given; pixel size and rotation were typed if nothing else is said."""
        given = {name: value for name, value in self.calibration.items() if value is not None}
        if "q_pixel" in given:
            given = {"q_pixel_from": "typed", **given}
        return {"rotation_from": "typed", **given} if given.keys() & {"rotation", "flip"} else given

    @property
    def own_settings(self) -> Any:
        """The settings of the method, or None."""
        return self.settings.get(self.method)

    def passes(self) -> tuple[Job, Job | None]:
        """Return the job of all crystals and, where there are parents, that of what these leave.

        Raises
        ------
        UserError
            A parent is none of the phases, or all of them are parents.
        """
        if not self.parents:
            return self, None
        names = [phase.name for phase in self.phases]
        if unknown := [name for name in self.parents if name not in names]:
            raise UserError(
                f"The parent {unknown[0]} is none of the crystals ({', '.join(names)}); add it to them."
            )
        others = tuple(phase for phase in self.phases if phase.name not in self.parents)
        if not others:
            raise UserError("All crystals are parents; add the one that is looked for in what they leave.")
        asked = self.acceptance or AcceptanceSettings()
        most = min(asked.crystals, MOST_CRYSTALS - 1)
        first = replace(self, parents=(), acceptance=replace(asked, crystals=most))
        return first, replace(self, phases=others, parents=(), acceptance=replace(asked, crystals=1))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values from which ``from_dict`` makes the same job."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        """Make the job that ``to_dict`` described; the values may come from anywhere.

        Raises
        ------
        KeyError, TypeError, ValueError
            They describe no job, saying what is wrong.
        """
        told = dict(values)
        phases = tuple(Phase.from_dict(phase) for phase in told.pop("phases", ()))
        rings = told.pop("ring_crystal", None)
        ring_crystal = None if rings is None else Phase.from_dict(rings)
        forms: dict[str, Any] = {
            name: from_plain(kind, told.pop(name)) for name, kind in _FORMS.items() if told.get(name)
        }
        settings = {
            method: from_plain(METHODS[method].settings, told_of)
            for method, told_of in dict(told.pop("settings", {})).items()
        }
        made = from_plain(cls, told)
        job = replace(made, phases=phases, ring_crystal=ring_crystal, settings=settings, **forms)
        from_plain(Calibration, job.given)
        if job.method not in METHODS:
            raise ValueError(f"there is no method {job.method!r}")
        return job


def _plain(value: Any) -> Any:
    if isinstance(value, Phase):
        return value.to_dict()
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, tuple | list) else value
