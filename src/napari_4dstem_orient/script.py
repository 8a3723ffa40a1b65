"""A Python script that repeats what was done in the window, from the session's records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.records import FORMS, MAPS
from napari_4dstem_orient.scan import Calibration
from napari_4dstem_orient.session import Record, SessionState, Stage

PACKAGE = "napari_4dstem_orient"
HEAD = '"""Repeats what was done in the window of napari-4dstem-orient; writes its results into the current folder."""'


def script_of(state: SessionState) -> str:
    """Return Python text that makes the newest disks, calibrated disks and maps of a session again.

    Raises
    ------
    UserError
        Nothing is loaded, or it came from memory.
    """
    script = _Script()
    records = {stage: record for stage, record in state.records.items() if stage in state.results}
    if Stage.SCAN in state.records:
        records[Stage.SCAN] = state.records[Stage.SCAN]
    if not records:
        raise UserError("Nothing is loaded yet; open a scan in Data, then copy the script.")
    _input(script, records, state.calibration)
    if Stage.CALIBRATED in records and "file" not in records[Stage.CALIBRATED].settings:
        script.use("calibration.calibrate", "calibrate", "CalibrationSettings")
        settings = _call("CalibrationSettings", records[Stage.CALIBRATED].settings.get("centring"))
        script.line(f"disks, report = calibrate(disks, calibration, {settings})")
        script.line("print(report.summary)")
    for method, stage in MAPS.items():
        if stage in records and "phases" in records[stage].settings:
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
    script.use("scan", "Calibration")
    told = {item.name: getattr(calibration, item.name) for item in fields(Calibration)}
    script.line(f"calibration = {_call('Calibration', told)}")
    scan = records.get(Stage.SCAN)
    read = next(
        (r for s in (Stage.CALIBRATED, Stage.DISKS) if (r := records.get(s)) and "file" in r.settings), None
    )
    if scan is not None:
        _scan(script, scan.settings, needed=read is None)
    if read is not None:
        script.use("io.bragg_peaks", "load_disks")
        path, _, name = str(read.settings["file"]).partition("::")
        script.line(f"disks = load_disks({path!r}, {name or None!r})")
    elif Stage.DISKS in records:
        _probe(script, records[Stage.PROBE].settings if Stage.PROBE in records else {})
        script.use("pipeline", "find_disks")
        script.use("detection.settings", "DetectionSettings")
        made = records[Stage.DISKS].settings
        detection = _call("DetectionSettings", made.get("detection"))
        script.line(f"settings = {detection}")
        script.line(f"disks = find_disks(scan, probe, settings, device={made.get('device', 'auto')!r})")


def _scan(script: _Script, reference: Mapping[str, Any], needed: bool) -> None:
    if "sample" in reference:
        script.use("samples.library", "find_sample")
        script.line(f"scan = find_sample({reference['sample']!r}).with_calibration(calibration)")
    elif "path" in reference:
        script.use("io.load", "load")
        shape = tuple(reference["scan_shape"]) if reference.get("scan_shape") else None
        script.line(f"scan = load({reference['path']!r}, {reference.get('dataset')!r}, {shape!r})")
        script.line("scan = scan.with_calibration(calibration)")
    elif needed:
        raise UserError(
            "The scan is in memory only, so no script can open it; save it as a file and open that."
        )


def _probe(script: _Script, made: Mapping[str, Any]) -> None:
    if made.get("kind") == "synthetic":
        script.use("detection.probe", "synthetic_probe")
        script.line(f"probe = synthetic_probe({made['radius']!r}, scan.detector_shape, {made['width']!r})")
    elif made.get("kind") == "region":
        script.use("detection.probe", "probe_from_vacuum")
        rows, cols = (_slice(part) for part in str(made["region"]).split(", "))
        script.line(f"probe = probe_from_vacuum(scan, ({rows}, {cols}))")
    elif made.get("kind") == "vacuum":
        script.use("detection.probe", "probe_from_file")
        path, _, dataset = str(made["source"]).partition("::")
        script.line(f"probe = probe_from_file({path!r}, {dataset or None!r})")
    else:
        script.line("probe = None  # found from the scan")


def _slice(text: str) -> str:
    start, _, stop = text.partition(":")
    return f"slice({start}, {'None' if stop == 'end' else stop})"


def _map(script: _Script, method: str, settings: Mapping[str, Any]) -> None:
    script.use("pipeline", "map_orientations")
    script.line("phases = [")
    for values in settings["phases"]:
        script.line(f"    {_phase(script, Phase.from_dict(values))},")
    script.line("]")
    script.line("answer = map_orientations(\n    disks,\n    phases,\n    calibration.voltage,")
    script.line("    precession=calibration.precession,")
    script.line("    calibration=calibration,")
    script.line(f"    method={method!r},")
    if method == "transformer" and settings["models"]:
        script.line(f"    model={settings['models']!r},")
    script.line(f"    device={settings['device']!r},")
    homes = dict(
        zip(FORMS, ("indexing.transformer.indexer", "indexing.template", "indexing.indexer"), strict=True)
    )
    for name in (method, "acceptance"):
        if settings.get(name):
            kind = f"{name.title()}Settings"
            script.use(homes[name], kind)
            script.line(f"    {name}={_call(kind, settings[name])},")
    script.line(")")
    script.line(f"answer.save({f'orientation_{method}.h5'!r})")


def _phase(script: _Script, phase: Phase) -> str:
    """Spell a crystal: by name where it is a bundled one, else whole."""
    from napari_4dstem_orient.crystals.library import bundled, find_phase

    if phase.name in bundled() and find_phase(phase.name).to_dict() == phase.to_dict():
        script.use("crystals.library", "find_phase")
        return f"find_phase({phase.name!r})"
    script.use("crystals.phase", "Phase")
    return f"Phase.from_dict({phase.to_dict()!r})"


def _call(name: str, arguments: Mapping[str, Any] | None) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in (arguments or {}).items())})"
