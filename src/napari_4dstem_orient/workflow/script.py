"""A Python script that repeats what was done in the window, from the session's records.

Records may come from a project that somebody else wrote. So nothing of them becomes code but names of fields of our own
settings and values that Python reads back as exactly what they are (``_literal``).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.parameters import from_plain
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.workflow.records import FORMS, MAPS, form_settings
from napari_4dstem_orient.workflow.session import Record, SessionState, Stage

PACKAGE = "napari_4dstem_orient"
HEAD = '"""Repeats what was done in the window of napari-4dstem-orient; writes its results into the current folder."""'


def script_of(state: SessionState) -> str:
    """Return Python text that makes the newest disks, calibrated disks and maps of a session again.

    Raises
    ------
    UserError
        Nothing is loaded, it came from memory, or a record says what no script can say.
    """
    try:
        return _script_of(state)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"The record of what was done cannot be read ({error}), so no script can repeat it; do it again, then copy."
        ) from error


def _script_of(state: SessionState) -> str:
    from napari_4dstem_orient.calibration.calibrate import CalibrationSettings

    script = _Script()
    records = {stage: record for stage, record in state.records.items() if stage in state.results}
    if Stage.SCAN in state.records:
        records[Stage.SCAN] = state.records[Stage.SCAN]
    if not records:
        raise UserError("Nothing is loaded yet; open a scan in Data, then copy the script.")
    maps = {
        method: stage
        for method, stage in MAPS.items()
        if stage in records and "phases" in records[stage].settings
    }
    for method in maps:
        script.use("workflow.outputs", "check_replaceable")
        script.line(f"check_replaceable({_literal(_output(method))}, 'h5')")
    _input(script, records, state.calibration)
    if Stage.CALIBRATED in records and "file" not in records[Stage.CALIBRATED].settings:
        script.use("calibration.calibrate", "calibrate", "CalibrationSettings")
        settings = _made_by(CalibrationSettings, records[Stage.CALIBRATED].settings.get("centring"))
        script.line(f"disks, report = calibrate(disks, calibration, {settings})")
        script.line("print(report.summary)")
    for method, stage in maps.items():
        _map(script, method, records[stage].settings)
    return script.text


class _Script:
    """Lines, and what they import."""

    def __init__(self) -> None:
        self._imports: dict[str, set[str]] = {}
        self._lines: list[str] = []

    def use(self, module: str, *names: str) -> None:
        self._imports.setdefault(module, set()).update(names)

    def line(self, text: str) -> None:
        self._lines.append(text)

    @property
    def text(self) -> str:
        imports = [
            f"from {PACKAGE}.{module} import {', '.join(sorted(names))}"
            for module, names in sorted(self._imports.items())
        ]
        return "\n".join([HEAD, "", *imports, "", *self._lines, ""])


def _input(script: _Script, records: Mapping[Stage, Record], calibration: Calibration) -> None:
    """Open the scan, and find or read the disks."""
    from napari_4dstem_orient.detection.settings import DetectionSettings

    script.use("core.scan", "Calibration")
    script.line(f"calibration = {_call(calibration)}")
    scan = records.get(Stage.SCAN)
    read = next(
        (r for s in (Stage.CALIBRATED, Stage.DISKS) if (r := records.get(s)) and "file" in r.settings), None
    )
    if scan is not None:
        _scan(script, scan.settings, needed=read is None)
    if read is not None:
        script.use("io.bragg_peaks", "load_disks")
        path, _, name = str(read.settings["file"]).partition("::")
        script.line(f"disks = load_disks({_literal(path)}, {_literal(name or None)})")
    elif Stage.DISKS in records:
        _probe(script, records[Stage.PROBE].settings if Stage.PROBE in records else {})
        script.use("workflow.run", "find_disks")
        script.use("detection.settings", "DetectionSettings")
        made = records[Stage.DISKS].settings
        script.line(f"settings = {_made_by(DetectionSettings, made.get('detection'))}")
        device = _literal(made.get("device", "auto"))
        script.line(f"disks = find_disks(scan, probe, settings, device={device})")


def _scan(script: _Script, reference: Mapping[str, Any], needed: bool) -> None:
    if "sample" in reference:
        script.use("samples.library", "find_sample")
        script.line(f"scan = find_sample({_literal(reference['sample'])}).with_calibration(calibration)")
    elif "path" in reference:
        script.use("io.load", "load")
        shape = tuple(reference["scan_shape"]) if reference.get("scan_shape") else None
        told = (reference["path"], reference.get("dataset"), shape)
        script.line(f"scan = load({', '.join(map(_literal, told))})")
        script.line("scan = scan.with_calibration(calibration)")
    elif needed:
        raise UserError(
            "The scan is in memory only, so no script can open it; save it as a file and open that."
        )


def _probe(script: _Script, made: Mapping[str, Any]) -> None:
    if made.get("kind") == "synthetic":
        script.use("detection.probe", "synthetic_probe")
        radius, width = _literal(made["radius"]), _literal(made["width"])
        script.line(f"probe = synthetic_probe({radius}, scan.detector_shape, {width})")
    elif made.get("kind") == "region":
        script.use("detection.probe", "probe_from_vacuum")
        region = re.fullmatch(r"(-?\d+):(-?\d+|end), (-?\d+):(-?\d+|end)", str(made["region"]), re.ASCII)
        if region is None:
            raise ValueError(f"{made['region']!r} is no region of a scan")
        rows, cols = _slice(region[1], region[2]), _slice(region[3], region[4])
        script.line(f"probe = probe_from_vacuum(scan, ({rows}, {cols}))")
    elif made.get("kind") == "vacuum":
        script.use("detection.probe", "probe_from_file")
        path, _, dataset = str(made["source"]).partition("::")
        script.line(f"probe = probe_from_file({_literal(path)}, {_literal(dataset or None)})")
    else:
        script.line("probe = None  # found from the scan")


def _slice(start: str, stop: str) -> str:
    return f"slice({int(start)}, {None if stop == 'end' else int(stop)})"


def _map(script: _Script, method: str, settings: Mapping[str, Any]) -> None:
    script.use("workflow.run", "map_orientations")
    script.line("phases = [")
    for values in settings["phases"]:
        script.line(f"    {_phase(script, Phase.from_dict(values))},")
    script.line("]")
    script.line("answer = map_orientations(\n    disks,\n    phases,\n    calibration.voltage,")
    script.line("    precession=calibration.precession,")
    script.line("    calibration=calibration,")
    script.line(f"    method={_literal(method)},")
    if method == "transformer" and settings["models"]:
        script.line(f"    model={_literal(settings['models'])},")
    script.line(f"    device={_literal(settings['device'])},")
    homes = dict(zip(FORMS, ("indexing.settings",) * len(FORMS), strict=True))
    forms = form_settings(settings)
    for name in (method, "acceptance"):
        if name in forms:
            script.use(homes[name], type(forms[name]).__name__)
            script.line(f"    {name}={_call(forms[name])},")
    script.line(")")
    script.line(f"answer.save({_literal(_output(method))})")


def _output(method: str) -> str:
    return f"orientation_{method}.h5"


def _phase(script: _Script, phase: Phase) -> str:
    """Spell a crystal: by name where it is a bundled one, else whole."""
    from napari_4dstem_orient.crystals.library import bundled, find_phase

    if phase.name in bundled() and find_phase(phase.name).to_dict() == phase.to_dict():
        script.use("crystals.library", "find_phase")
        return f"find_phase({_literal(phase.name)})"
    script.use("crystals.phase", "Phase")
    return f"Phase.from_dict({_literal(phase.to_dict())})"


def _made_by(kind: type[Any], values: Mapping[str, Any] | None) -> str:
    """Spell settings of a kind; the defaults where a record tells none."""
    return _call(from_plain(kind, values)) if values else f"{kind.__name__}()"


def _call(settings: Any) -> str:
    """Spell a dataclass of plain values."""
    told = (f"{item.name}={_literal(getattr(settings, item.name))}" for item in fields(settings))
    return f"{type(settings).__name__}({', '.join(told)})"


def _literal(value: Any) -> str:
    """Spell a plain value; ValueError where Python would not read it back as the same."""
    text = repr(value.item() if isinstance(value, np.generic) else value)
    if "\n" in text or ast.literal_eval(text) != value:
        raise ValueError(f"{text} is no plain value")
    return text
