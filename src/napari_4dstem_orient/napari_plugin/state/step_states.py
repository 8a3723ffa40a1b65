"""How far each step of the job is, what it needs, what it made and with which settings. Knows no Qt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.session import MADE_WITH, MAPS, Session, Stage


class State(StrEnum):
    """How far a step is."""

    NEEDS = "needs"
    READY = "ready"
    CURRENT = "current"
    STALE = "stale"
    RUNNING = "running"


SYMBOLS = {
    State.NEEDS: "○",
    State.READY: "▷",
    State.CURRENT: "✓",
    State.STALE: "↻",
    State.RUNNING: "…",
}


@dataclass(frozen=True)
class Step:
    """One step of the job.

    Attributes
    ----------
    title : str
        Of its panel in the workbench.
    name : str
        In the overview.
    needs : Stage or None
        What must be there before it; a map for those after the map.
    makes : tuple of Stage
        What it makes; empty for the steps after the map, which are ready or not.
    """

    title: str
    name: str
    needs: tuple[Stage, ...]
    makes: tuple[Stage, ...]


STEPS = (
    Step("Data", "Data", (), (Stage.SCAN,)),
    Step("Bragg disks", "Disks", (Stage.SCAN,), (Stage.DISKS,)),
    Step("Calibration", "Calibration", (Stage.DISKS,), (Stage.CALIBRATED,)),
    Step("Map", "Map", (Stage.CALIBRATED,), MAPS),
    Step("Analysis", "Analysis", MAPS, ()),
    Step("Export", "Export", MAPS, ()),
)
SHORT = {
    Stage.SCAN: "a scan",
    Stage.DISKS: "disks",
    Stage.CALIBRATED: "calibration",
    Stage.TRANSFORMER_MAP: "a map",
    Stage.TEMPLATE_MAP: "a map",
}


def state_of(step: Step, session: Session, running: bool) -> tuple[State, str]:
    """Return how far a step is, and the words for it: "needs a scan", "current", …"""
    if running:
        return State.RUNNING, "running"
    made = [stage for stage in step.makes if session.get(stage) is not None]
    if any(session.is_stale(stage) for stage in made):
        return State.STALE, "stale"
    if made:
        return State.CURRENT, "current"
    if step.needs and all(session.get(stage) is None for stage in step.needs):
        return State.NEEDS, f"needs {SHORT[step.needs[0]]}"
    if any(session.is_stale(stage) for stage in step.needs if session.get(stage) is not None):
        return State.STALE, "stale"
    return State.READY, "ready"


def details(step: Step, session: Session, words: str) -> str:
    """Return, as lines of text, what a step needs, what it made, when, and with which settings."""
    lines = [f"{step.name}: {words}"]
    if step.needs:
        lines.append(f"Needs: {SHORT[step.needs[0]]}.")
    for stage in step.makes:
        result, record = session.get(stage), session.record(stage)
        if result is None or record is None:
            continue
        made = record.made.astimezone()
        lines.append(f"Made: {describe(stage, result)}, {made:%Y-%m-%d %H:%M:%S}.")
        if session.is_stale(stage):
            lines.append("Stale: what it was made from has changed since.")
        lines += [f"  {line}" for line in settings_lines(made_with(stage, record.job))]
    return "\n".join(lines)


def describe(stage: Stage, result: Any) -> str:
    """Say in a few words what a result is."""
    if stage is Stage.SCAN:
        return f"{' × '.join(map(str, result.data.shape))} scan"
    if stage in (Stage.DISKS, Stage.CALIBRATED):
        return f"{len(result):,} {'calibrated ' if stage is Stage.CALIBRATED else ''}disks"
    if stage is Stage.PROBE:
        return f"{result.kind} probe, radius {result.radius:.2f} px"
    return f"{stage.value}, {result.indexed.mean():.0%} indexed"


WITNESS = {Stage.DISKS: "detection", Stage.CALIBRATED: "centring", **dict.fromkeys(MAPS, "phases")}
"""What a job always tells of a result that was made; of one that was read it tells the file only."""


def made_with(stage: Stage, job: Job) -> dict[str, Any]:
    """Return what of a job made a stage's result, as plain values."""
    told = job.to_dict()
    if stage in WITNESS and not told[WITNESS[stage]]:
        return {"file": job.path}
    own = {job.method: told.pop("settings").get(job.method)} if stage in MAPS else {}
    made = {**{name: told.get(name) for name in MADE_WITH[stage]}, **own}
    return {name: value for name, value in made.items() if value not in (None, "", [], {})}


def settings_lines(settings: Mapping[str, Any]) -> list[str]:
    """Return settings as lines "name: value", crystals and files by name, groups in one line each."""
    lines = []
    for name, value in settings.items():
        if value is None or name in ("seal", "relative"):
            continue
        if isinstance(value, Mapping):
            value = ", ".join(f"{key} {inner}" for key, inner in value.items() if inner is not None)
        elif name == "phases":
            value = ", ".join(phase["name"] for phase in value)
        elif name == "models":
            value = ", ".join(Path(model).name for model in value) or "none"
        lines.append(f"{name.replace('_', ' ')}: {value}")
    return lines


def pending(session: Session, can_map: Mapping[Stage, bool]) -> list[Stage]:
    """Return what is stale or missing up to the maps, in order; what is current is left alone.

    Parameters
    ----------
    session : Session
    can_map : dict of Stage to bool
        Whether phases and models are chosen for either map. Where there is no map yet, the first possible is made.
    """
    if session.scan_shape is None:
        return []
    due = [stage for stage in MAPS if session.get(stage) is not None]
    wanted = due or [stage for stage in MAPS if can_map.get(stage)][:1]
    missing = [stage for target in wanted or [Stage.CALIBRATED] for stage in session.missing(target)]
    needed = {*missing, *wanted, Stage.CALIBRATED} if not due else set(missing)
    return [
        stage
        for stage in Stage
        if stage is not Stage.SCAN
        and (session.is_stale(stage) or (stage in needed and session.get(stage) is None))
    ]
