"""How far each step of the job is, what it needs, what it made and with which settings. Knows no Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from napari_4dstem_orient.workflow.job import Job, Key, MapBy, stage_of
from napari_4dstem_orient.workflow.session import MADE_WITH, Session, Stage


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


SHORT = {
    Stage.SCAN: "a scan",
    Stage.PROBE: "a probe",
    Stage.DISKS: "disks",
    Stage.CALIBRATED: "calibration",
    Stage.MAP: "a map",
}


def state_of(session: Session, needs: Stage | None, makes: Stage | None, running: bool) -> tuple[State, str]:
    """Return how far a step is, and the words for it, such as "needs a scan" or "current".

    Parameters
    ----------
    session : Session
    needs, makes : Stage or None
        As its ``Panel`` says.
    running : bool
        Whether it is at work.
    """
    if running:
        return State.RUNNING, "running"
    made, there = ([] if stage is None else session.made(stage) for stage in (makes, needs))
    if any(map(session.is_stale, made)):
        return State.STALE, "stale"
    if made:
        return State.CURRENT, "current"
    if needs is not None and not there:
        return State.NEEDS, f"needs {SHORT[needs]}"
    return (State.STALE, "stale") if any(map(session.is_stale, there)) else (State.READY, "ready")


def details(session: Session, title: str, needs: Stage | None, makes: Stage | None, words: str) -> str:
    """Return, as lines of text, what a step needs, what it made, when, and with which settings."""
    lines = [f"{title}: {words}"]
    if needs is not None:
        lines.append(f"Needs: {SHORT[needs]}.")
    for key in [] if makes is None else session.made(makes):
        if (record := session.record(key)) is None:
            continue
        made = record.made.astimezone()
        lines.append(f"Made: {describe(key, session.get(key))}, {made:%Y-%m-%d %H:%M:%S}.")
        if session.is_stale(key):
            lines.append("Stale: what it was made from has changed since.")
        lines += [f"  {line}" for line in settings_lines(made_with(key, record.job))]
    return "\n".join(lines)


def describe(key: Key, result: Any) -> str:
    """Say in a few words what a result is."""
    if key is Stage.SCAN:
        return f"{' × '.join(map(str, result.data.shape))} scan"
    if key in (Stage.DISKS, Stage.CALIBRATED):
        return f"{len(result):,} {'calibrated ' if key is Stage.CALIBRATED else ''}disks"
    if key is Stage.PROBE:
        return f"{result.kind} probe, radius {result.radius:.2f} px"
    return f"{key}, {result.indexed.mean():.0%} indexed"


WITNESS = {Stage.DISKS: "detection", Stage.CALIBRATED: "centring", Stage.MAP: "phases"}
"""What a job always tells of a result that was made; of one that was read it tells the file only."""


def made_with(key: Key, job: Job) -> dict[str, Any]:
    """Return what of a job made a result, as plain values."""
    told, stage = job.to_dict(), stage_of(key)
    if stage in WITNESS and not told[WITNESS[stage]]:
        return {"file": job.path}
    own = {job.method: told.pop("settings").get(job.method)} if stage is Stage.MAP else {}
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


def pending(session: Session, possible: Sequence[str]) -> list[Key]:
    """Return what is stale or missing up to the maps, in order; what is current is left alone.

    Parameters
    ----------
    session : Session
    possible : sequence of str
        Methods for which phases and models are chosen. Where there is no map yet, one by the first is made.
    """
    if session.scan_shape is None:
        return []
    there = session.made(Stage.MAP)
    wanted: list[Key] = there or [MapBy(method) for method in possible[:1]]
    missing = {*session.missing(Stage.MAP if wanted else Stage.CALIBRATED)}
    needed = missing if there else {*missing, *wanted, Stage.CALIBRATED}
    return [
        key
        for key in (Stage.PROBE, Stage.DISKS, Stage.CALIBRATED, *wanted)
        if session.is_stale(key) or (key in needed and session.get(key) is None)
    ]
