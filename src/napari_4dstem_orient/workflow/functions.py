"""The steps of the job as functions of keyword arguments; each makes a ``Job`` and runs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.memory import MEMORY
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.provenance import remembered
from napari_4dstem_orient.workflow.run import Observer, Report, Results, quiet, run

if TYPE_CHECKING:
    from napari_4dstem_orient.calibration.calibrate import CalibrationSettings
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.detection.probe import Probe
    from napari_4dstem_orient.detection.settings import DetectionSettings
    from napari_4dstem_orient.indexing.settings import (
        AcceptanceSettings,
        TemplateSettings,
        TransformerSettings,
    )
    from napari_4dstem_orient.workflow.store import Partial

Models = str | Path | Sequence[str | Path]
"""One model file, or several that share the phases."""


def map_scan(
    source: str | Path | Scan,
    phases: Sequence[Phase],
    *,
    parents: Sequence[str] = (),
    method: str = "transformer",
    model: Models | None = None,
    device: str = "auto",
    dataset: str | None = None,
    scan_shape: tuple[int, int] | str | None = None,
    probe: Probe | float | None = None,
    settings: DetectionSettings | None = None,
    engine: str | None = None,
    centring: CalibrationSettings | None = None,
    ring_crystal: Phase | None = None,
    acceptance: AcceptanceSettings | None = None,
    template: TemplateSettings | None = None,
    transformer: TransformerSettings | None = None,
    workers: int | None = None,
    cluster: str | None = None,
    memory: int = MEMORY,
    partial: Partial | None = None,
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
    parents : sequence of str, optional
        Names of those phases that may be everywhere, such as a matrix; in the disks that all crystals leave only the
        others are looked for.
    method : "transformer" or "template"
    model : path or sequence of path, optional
        The transformer's model file, or several (none: ``()``); the shipped models that fit by default. Templates
        propose for crystals without one.
    device : "auto", "cpu", "cuda" or "mps"
    dataset : str, optional
        Which dataset of a file that holds several.
    scan_shape : (int, int) or str such as "256x256", optional
        Scan rows and columns of a flat stack of patterns.
    probe : Probe or float, optional
        Disk template, or the radius in px of a disk to draw; found from the scan by default.
    settings : DetectionSettings, optional
        Suggested from the scan by default.
    engine : "torch" or "py4DSTEM", optional
        What finds disks, whatever the settings say. Template matching has its own in ``template``.
    centring : CalibrationSettings, optional
        How the direct beam is found.
    ring_crystal : Phase, optional
        A crystal known to be in the scan, to whose rings the detector pixel is fitted. What is known of the pixel is
        the guess, and stays where the fit is doubtful.
    acceptance : AcceptanceSettings, optional
        Which answers are given at all.
    template : TemplateSettings, optional
        Of template matching.
    transformer : TransformerSettings, optional
        Of the transformer.
    workers : int, optional
        Spread the job over so many processes of this machine. A script that asks for them needs
        ``if __name__ == "__main__":`` around its own work.
    cluster : str, optional
        Spread the job over the workers of the Dask scheduler at this address, such as ``"tcp://host:8786"``.
    memory : int
        MiB that patterns read ahead and at work may take in each process; the map does not depend on it.
    partial : Partial, optional
        Where done work is kept, and taken up by the next run; call its ``remove`` once the result is saved.
        The disks are kept of scans that are files.
    report : callable
        Called with the name of each step; returns the step's progress callback.
    **calibration
        ``voltage`` (kV), ``q_pixel`` (Å⁻¹), ``r_pixel`` (nm), ``semiangle`` (mrad), ``precession`` and
        ``rotation`` (degrees) and ``flip`` replace what the file says; None leaves it to the file.

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
    from napari_4dstem_orient.workflow.cluster import workers as doing

    scan = source if isinstance(source, Scan) else None
    template_probe, drawn = _probe(probe)
    job = Job(
        path=None if scan is not None else str(source),
        dataset=dataset,
        scan_shape=scan_shape,
        calibration=calibration,
        probe=drawn,
        detection=settings,
        engine=engine,
        centring=centring,
        ring_crystal=ring_crystal,
        device=device,
        memory=memory,
        parents=tuple(parents),
        **_indexing(phases, method, model, acceptance, template, transformer),
    )
    with doing(workers, cluster) as runner:
        have, observer = Results(scan=scan, probe=template_probe), Observer(report)
        done = run(job, runner=runner, store=partial, observer=observer, have=have)
    assert done.map is not None
    assert done.calibrated is not None
    return done.map, done.calibrated


def map_orientations(
    disks: BraggDisks,
    phases: Sequence[Phase],
    voltage: float | None,
    *,
    calibration: Calibration | None = None,
    progress: Progress = silent,
    parents: Sequence[str] = (),
    method: str = "transformer",
    model: Models | None = None,
    device: str = "auto",
    precession: float = 0.0,
    acceptance: AcceptanceSettings | None = None,
    template: TemplateSettings | None = None,
    transformer: TransformerSettings | None = None,
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
    calibration : Calibration, optional
        How the disks were calibrated: it decides whether the map is exploratory, and gives the scan step. By default
        what the disks remember of it.
    progress : callable
        ``progress(done, total)`` in scan positions.
    precession : float
        Half-angle of the precession cone in degrees.
    parents, method, model, device, acceptance, template, transformer
        As ``map_scan``.

    Returns
    -------
    OrientationMap

    Raises
    ------
    UserError
        No disks anywhere, disks not calibrated, or a named model does not fit (and why).
    """
    known = (calibration or remembered(disks)).with_(voltage=voltage, precession=precession)
    job = Job(
        device=device,
        parents=tuple(parents),
        **_indexing(phases, method, model, acceptance, template, transformer),
    )
    have = Results(calibrated=disks, calibration=known)
    answer = run(job, observer=Observer(lambda step: progress), have=have).map
    assert answer is not None
    return answer


def _probe(probe: Probe | float | None) -> tuple[Probe | None, float | None]:
    """Return a template that there is, or what a job says of one that is to be drawn."""
    return (None, probe) if probe is None or isinstance(probe, int | float) else (probe, None)


def _indexing(
    phases: Sequence[Phase],
    method: str,
    model: Models | None,
    acceptance: AcceptanceSettings | None,
    template: TemplateSettings | None,
    transformer: TransformerSettings | None,
) -> dict[str, Any]:
    """Return what a job says of its map."""
    models = (model,) if isinstance(model, str | Path) else model
    settings = {"template": template, "transformer": transformer}
    return {
        "phases": tuple(phases),
        "method": method,
        "models": None if models is None else tuple(map(str, models)),
        "settings": {name: made for name, made in settings.items() if made is not None},
        "acceptance": acceptance,
    }
