"""Projects of 0.1.0 (format 1), told as this version tells them; plain values in, plain values out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_INPUT = ("path", "dataset", "scan_shape", "sample")
_METHODS = ("transformer", "template")


def job_of_choice(told: Mapping[str, Any], phases: Any, method: str = "transformer") -> dict[str, Any]:
    """Return the job of what format 1 kept of a map's choice: phases, models, device and three forms."""
    forms = {name: told[name] for name in _METHODS if told.get(name)}
    return {
        "phases": phases,
        "method": method,
        "settings": forms,
        "models": told.get("models") or None,
        "acceptance": told.get("acceptance"),
        "device": told.get("device", "auto"),
    }


def jobs_of_records(
    records: Mapping[str, Mapping[str, Any]], scan: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return the job of each record of format 1, by its stage: what made it, and what made all that it needed."""
    jobs: dict[str, dict[str, Any]] = {}
    above = {name: scan[name] for name in _INPUT if scan.get(name) is not None}
    if scan.get("voltage") is not None:
        above["calibration"] = {"voltage": scan["voltage"]}
    for stage in ("scan", "probe", "disks", "calibrated"):
        if stage in records:
            above = jobs[stage] = _job(stage, records[stage], above)
    for stage in ("transformer map", "template map"):
        if stage in records:
            jobs[stage] = _job(stage, records[stage], above)
    return jobs


def _job(stage: str, told: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    if told.get("file"):
        path, _, dataset = str(told["file"]).partition("::")
        return {"path": path, "dataset": dataset or None}
    if stage == "probe":
        return {**above, "probe": _probe(told)}
    if stage == "disks":
        return {**above, "detection": told.get("detection"), "device": told.get("device", "auto")}
    if stage == "calibrated":
        return {**above, "centring": told.get("centring"), "calibration": told.get("calibration") or {}}
    if stage == "scan" or "phases" not in told:
        return dict(above)
    return {**above, **job_of_choice(told, told["phases"], stage.removesuffix(" map"))}


def _probe(told: Mapping[str, Any]) -> Any:
    kind = told.get("kind")
    if kind == "vacuum":
        return told.get("source")
    if kind == "region":
        region = re.fullmatch(r"(\d+):(\d+|end), (\d+):(\d+|end)", str(told.get("region")), re.ASCII)
        ends = [None if end == "end" else int(end) for end in region.groups()] if region else []
        return [ends[:2], ends[2:]]
    return told.get("radius")
