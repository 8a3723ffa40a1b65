"""The job from a file to an orientation map; ``map_scan`` reads from top to bottom as the job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_4dstem_orient.disks import BraggDisks
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.progress import Progress, silent
from napari_4dstem_orient.scan import Calibration, Scan

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.detection.probe import Probe
    from napari_4dstem_orient.detection.settings import DetectionSettings
    from napari_4dstem_orient.indexing.indexer import Indexer
    from napari_4dstem_orient.orientation_map import OrientationMap

Report = Callable[[str], Progress]
"""Called with the name of a step that begins; returns where that step reports its progress."""

METHODS = ("transformer", "template")


def quiet(step: str) -> Progress:
    """Report nothing."""
    return silent


def map_scan(
    source: str | Path | Scan,
    phases: Sequence[Phase],
    *,
    method: str = "transformer",
    model: str | Path | None = None,
    device: str = "auto",
    dataset: str | None = None,
    scan_shape: tuple[int, int] | None = None,
    probe: Probe | None = None,
    settings: DetectionSettings | None = None,
    report: Report = quiet,
    **calibration: Any,
) -> tuple[OrientationMap, BraggDisks]:
    """Map the orientations of a scan: load, detect, calibrate, map.

    Parameters
    ----------
    source : path or Scan
        A 4D dataset, a file of Bragg peaks, or a scan.
    phases : sequence of Phase
        The crystals there may be.
    method : "transformer" or "template"
    model : path, optional
        The transformer's model file; the shipped model that fits by default.
    device : "auto", "cpu", "cuda" or "mps"
    dataset : str, optional
        Which dataset of a file that holds several.
    scan_shape : (int, int), optional
        Scan rows and columns of a flat stack of patterns.
    probe : Probe, optional
        Found from the scan by default.
    settings : DetectionSettings, optional
        Suggested from the scan by default.
    report : callable
        Called with the name of each step; returns the step's progress callback.
    **calibration
        ``voltage`` (kV), ``q_pixel`` (Å⁻¹), ``r_pixel`` (nm), ``semiangle`` (mrad), ``rotation`` (degrees) and
        ``flip`` replace what the file says.

    Returns
    -------
    OrientationMap
        With the provenance of the whole job.
    BraggDisks
        In Å⁻¹, centred, in the scan frame.

    Raises
    ------
    UserError
        The input cannot be read, or lacks something that the job needs.
    """
    check_method(method)
    measured, known = load_input(source, dataset, scan_shape, **calibration)
    check_calibration(measured, known)
    if isinstance(measured, Scan):
        measured = detect(measured, probe, settings, report("Detecting Bragg disks"))
    disks, doubts = calibrated(measured, known)
    indexer = make_indexer(disks, phases, known.voltage, method=method, model=model, device=device)
    answer = indexer.index(disks, report("Mapping orientations"))
    provenance = {
        **environment(),
        "input": {"path": str(source) if not isinstance(source, Scan) else source.source, "dataset": dataset},
        "calibration": asdict(known),
        "calibration report": doubts,
        "detection": measured.provenance,
        "phases": [phase.to_dict() for phase in phases],
        **answer.provenance,
    }
    return replace(answer, r_pixel=known.r_pixel, provenance=provenance), disks


def map_orientations(
    disks: BraggDisks,
    phases: Sequence[Phase],
    voltage: float,
    *,
    method: str = "transformer",
    model: str | Path | None = None,
    device: str = "auto",
    progress: Progress = silent,
) -> OrientationMap:
    """Say how the crystal is turned, and which crystal it is, at every scan position.

    Parameters
    ----------
    disks : BraggDisks
        Calibrated: in Å⁻¹, centred, in the scan frame.
    phases : sequence of Phase
        The crystals there may be.
    voltage : float
        kV.
    method : "transformer" or "template"
    model : path, optional
        The transformer's model file; the shipped model that fits by default.
    device : "auto", "cpu", "cuda" or "mps"
        Where the transformer runs.
    progress : callable
        ``progress(done, total)`` in scan positions.

    Returns
    -------
    OrientationMap

    Raises
    ------
    UserError
        No disks anywhere, disks not calibrated, or no model fits (and why).
    """
    indexer = make_indexer(disks, phases, voltage, method=method, model=model, device=device)
    answer = indexer.index(disks, progress)
    return replace(answer, provenance={**environment(), "detection": disks.provenance, **answer.provenance})
