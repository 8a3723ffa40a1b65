"""Which data a session works on, in words."""

from __future__ import annotations

import textwrap
from html import escape
from pathlib import Path

from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.napari_plugin.state.step_states import describe
from napari_4dstem_orient.workflow.session import Session, Stage

LONGEST = 44
"""Characters of the scan's name; the tooltip has all of it."""


def facts_text(session: Session) -> str:
    """Say which data these are, in three lines."""
    scan, known = session.get(Stage.SCAN), session.calibration
    rows, cols = session.scan_shape or (0, 0)
    size = f"{rows} × {cols} positions"
    if scan is not None:
        det_rows, det_cols = scan.detector_shape
        size += f" · {det_rows} × {det_cols} px"
    where = textwrap.shorten(name_of(scan), LONGEST, placeholder=" …")
    steps = dict.fromkeys(f"{step:.4g}" for step in known.steps or ())  # down the rows × along them, or both
    units = [
        f"{value} {unit}" if value is not None else f"{name} unknown"
        for name, value, unit in (
            ("voltage", _digits(known.voltage), "kV"),
            ("pixel", _digits(known.q_pixel), "Å⁻¹/px"),
            ("scan step", " × ".join(steps) or None, "nm/step"),
        )
    ]
    trust = "⚠ exploratory" if _reasons(session) else "✓ pixel size fitted"
    return f"<b>{escape(where)}</b><br>{size} · <b>{trust}</b><br>{' · '.join(units)}"


def _digits(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"


def name_of(scan: Scan | None) -> str:
    """Return what to call a scan: its file, and its dataset within it."""
    if scan is None:
        return "No scan open"
    path, _, dataset = scan.source.partition("::")
    if (opened := scan.reopens) is None:
        return scan.source
    return " · ".join(filter(None, (Path(path).name, dataset, str(opened.arguments["part"] or ""))))


def _reasons(session: Session) -> list[str]:
    """Return why what is made here is for a first look only: by the calibration, and by what the maps say of it."""
    told = [reason for found in session.maps.values() for reason in found.disagreements]
    return list(dict.fromkeys([*session.calibration.exploratory, *told]))


def facts_tooltip(session: Session) -> str:
    """Say all that ``facts_text`` has no room for, such as why a calibration is exploratory only."""
    scan = session.get(Stage.SCAN)
    told = [] if scan is None else [f"{name_of(scan)}: {scan.data.dtype}, {scan.data.nbytes / 1e9:.3g} GB"]
    reasons = _reasons(session)
    shown = [describe(key, result) for key, result in session.state.results.items()]
    why = (
        f"Exploratory: {'; '.join(reasons)}."
        if reasons
        else "Voltage and rotation are known, and the pixel size was fitted to a crystal."
    )
    unclear = session.calibration.unclear
    unused = [f"Not used: the file tells {unclear}."] if unclear else []
    return "\n".join([*told, why, *unused, *shown])
