"""What a ``Record`` of the session says a stage was made with: plain JSON values, and back to settings.

=================  ==============================================================================
stage              settings
=================  ==============================================================================
scan               ``path``, ``dataset``, ``scan_shape``, ``voltage``; or ``sample``; or nothing
probe              ``kind`` and the probe's provenance (radius and width, or the source in vacuum)
disks              ``detection`` (``DetectionSettings``) and ``device``; or ``file``
calibrated         ``centring`` (``CalibrationSettings``) and ``calibration``; or ``file``
maps               ``method`` and what ``choice_settings`` returns; or ``file``
=================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.inputs import inputs_of
from napari_4dstem_orient.core.memory import MEMORY
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.workflow.session import Session, SessionState, Stage

if TYPE_CHECKING:
    from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.detection.probe import Probe
    from napari_4dstem_orient.detection.settings import DetectionSettings
    from napari_4dstem_orient.workflow.store import Partial

MAPS = {"transformer": Stage.TRANSFORMER_MAP, "template": Stage.TEMPLATE_MAP}
FORMS = ("transformer", "template", "acceptance")


def files_read(state: SessionState) -> list[str]:
    """Return what a session's work was read from: the scan, disks, a vacuum pattern; not maps, which are results."""
    told = [record.settings for stage, record in state.records.items() if stage not in MAPS.values()]
    held = [state.results[stage] for stage in (Stage.DISKS, Stage.CALIBRATED) if stage in state.results]
    told += [disks.provenance for disks in held]
    if Stage.SCAN in state.results:
        told.append({"source": state.results[Stage.SCAN].source})
    return list(dict.fromkeys(file for one in told for file in inputs_of(one)))


def probe_settings(probe: Probe) -> dict[str, Any]:
    """Return the settings of a probe's record."""
    return {"kind": probe.kind, **probe.provenance}


def detection_record(settings: DetectionSettings, device: str) -> dict[str, Any]:
    """Return the settings of the record of disks that were found."""
    return {"detection": asdict(settings), "device": device}


def calibration_record(settings: CalibrationSettings, calibration: Calibration) -> dict[str, Any]:
    """Return the settings of the record of calibrated disks."""
    return {"centring": asdict(settings), "calibration": asdict(calibration)}


def choice_settings(
    phases: Sequence[Phase], models: Sequence[Path], device: str, **forms: Any
) -> dict[str, Any]:
    """Return what a map is made with.

    Parameters
    ----------
    phases, models, device
    **forms
        ``transformer``, ``template`` and ``acceptance``: settings, or None for the defaults.
    """
    return {
        "phases": [phase.to_dict() for phase in phases],
        "models": [str(model) for model in models],
        "device": device,
        **{name: asdict(forms[name]) if forms.get(name) is not None else None for name in FORMS},
    }


def form_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings dataclasses that ``choice_settings`` took apart, by name; those that were given."""
    from napari_4dstem_orient.indexing.settings import (
        AcceptanceSettings,
        TemplateSettings,
        TransformerSettings,
    )

    kinds = (TransformerSettings, TemplateSettings, AcceptanceSettings)
    return {
        name: from_plain(kind, settings[name])
        for name, kind in zip(FORMS, kinds, strict=True)
        if settings.get(name)
    }


def check_record(stage: Stage, settings: Mapping[str, Any]) -> None:
    """Refuse settings of a record, which may come from anywhere, that are not of the types they should be.

    Raises
    ------
    KeyError, TypeError, ValueError
        Saying which.
    """
    from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
    from napari_4dstem_orient.detection.settings import DetectionSettings
    from napari_4dstem_orient.workflow.reference import Reference

    if stage is Stage.SCAN:
        from_plain(Reference, settings)
    elif stage in MAPS.values() and "phases" in settings:
        check_choice(settings)
    for name, kind in {
        "detection": DetectionSettings,
        "centring": CalibrationSettings,
        "calibration": Calibration,
    }.items():
        if settings.get(name) is not None:
            from_plain(kind, settings[name])
    _check_words(settings)


def check_choice(settings: Mapping[str, Any]) -> None:
    """Refuse what ``choice_settings`` could not have returned, as ``check_record``."""
    for values in settings.get("phases", ()):
        Phase.from_dict(values)
    models = settings.get("models", [])
    if not isinstance(models, list) or not all(isinstance(model, str) for model in models):
        raise TypeError("models are no list of paths")
    form_settings(settings)
    _check_words(settings)


def _check_words(settings: Mapping[str, Any]) -> None:
    for name in ("file", "device", "method", "kind", "source", "region"):
        if not isinstance(settings.get(name), str | None):
            raise TypeError(f"{name} is no text")


@dataclass(frozen=True, eq=False)
class Recipe:
    """How the open scan was mapped, to map others in the same way.

    Attributes
    ----------
    probe : Probe or None
    detection : DetectionSettings or None
        None lets each scan suggest its own.
    centring : CalibrationSettings or None
    method : str
    choice : dict
        See ``choice_settings``.
    typed : dict
        Fields of the calibration that the user gave; the others are left to each file.
    scan_shape : (int, int) or None
        For flat stacks that do not say theirs.
    dataset : str or None
    """

    probe: Probe | None
    detection: DetectionSettings | None
    centring: CalibrationSettings | None
    method: str
    choice: Mapping[str, Any]
    typed: Mapping[str, Any]
    scan_shape: tuple[int, int] | None = None
    dataset: str | None = None

    @classmethod
    def of(cls, session: Session) -> Recipe:
        """Return how the newest map of a session was made.

        Raises
        ------
        UserError
            No map was made here.
        """
        from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
        from napari_4dstem_orient.detection.settings import DetectionSettings

        made = {
            method: record
            for method, stage in MAPS.items()
            if (record := session.record(stage)) is not None and "phases" in record.settings
        }
        if not made:
            raise UserError(
                "No map was made here yet; map the open scan first, the others are mapped like it."
            )
        method = max(made, key=lambda name: made[name].made)
        scan, disks, calibrated = (
            session.record(stage) for stage in (Stage.SCAN, Stage.DISKS, Stage.CALIBRATED)
        )
        detection = disks.settings.get("detection") if disks else None
        centring = calibrated.settings.get("centring") if calibrated else None
        known = session.calibration
        names = ("voltage", "q_pixel", "r_pixel", "semiangle", "precession", "rotation", "flip")
        typed = {
            name: getattr(known, name)
            for name in names
            if session.known_from(name) in ("typed", "fitted", "doubtful")
        }
        return cls(
            session.get(Stage.PROBE) if detection else None,
            from_plain(DetectionSettings, detection) if detection else None,
            from_plain(CalibrationSettings, centring) if centring else None,
            method,
            made[method].settings,
            typed,
            session.scan_shape,
            scan.settings.get("dataset") if scan else None,
        )

    def map(
        self,
        source: str | Path | Scan,
        progress: Progress = silent,
        partial: Partial | None = None,
        memory: int = MEMORY,
    ) -> tuple[OrientationMap, BraggDisks]:
        """Map another scan, within some MiB of memory for patterns.

        Raises
        ------
        UserError
            As ``workflow.run.map_scan``.
        """
        from napari_4dstem_orient.workflow.run import map_scan

        shape = None if isinstance(source, Scan) or not _asks_for_shape(source) else self.scan_shape
        return map_scan(
            source,
            [Phase.from_dict(values) for values in self.choice["phases"]],
            method=self.method,
            model=self.choice["models"] or None,
            device=self.choice["device"],
            dataset=self.dataset,
            scan_shape=shape,
            probe=self.probe,
            settings=self.detection,
            centring=self.centring,
            partial=partial,
            memory=memory,
            report=lambda step: progress,
            **form_settings(self.choice),
            **self.typed,
        )


def _asks_for_shape(path: str | Path) -> bool:
    """Tell whether a file is a flat stack that does not say its scan shape; other files say what they are."""
    from napari_4dstem_orient.io.load import inspect

    try:
        return any(facts.flat and facts.scan_shape is None for facts in inspect(path).datasets)
    except UserError:
        return False
