"""The job from a file to an orientation map; ``map_scan`` reads from top to bottom as the job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.memory import MEMORY
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.core.version import code, libraries
from napari_4dstem_orient.indexing.make import IndexerOptions, Models, check_method, fitting_models
from napari_4dstem_orient.workflow.chunks import Here, Runner, in_chunks
from napari_4dstem_orient.workflow.steps import Detection, index_disks, join_disks

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

Report = Callable[[str], Progress]
"""Called with the name of a step that begins; returns where that step reports its progress."""


def quiet(step: str) -> Progress:
    """Report nothing."""
    return silent


def map_scan(
    source: str | Path | Scan,
    phases: Sequence[Phase],
    *,
    method: str = "transformer",
    model: Models | None = None,
    device: str = "auto",
    dataset: str | None = None,
    scan_shape: tuple[int, int] | str | None = None,
    probe: Probe | float | None = None,
    settings: DetectionSettings | None = None,
    engine: str | None = None,
    centring: CalibrationSettings | None = None,
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
    method : "transformer" or "template"
    model : path or sequence of path, optional
        The transformer's model file, or several; the shipped models that fit by default.
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
    from napari_4dstem_orient.core.devices import choose_device
    from napari_4dstem_orient.workflow.cluster import workers as doing

    check_method(method)
    source_name = (
        source.source if isinstance(source, Scan) else "::".join(filter(None, (str(source), dataset)))
    )
    measured, known = load_input(source, dataset, scan_shape, **calibration)
    check_calibration(known)
    choose_device(device)  # a device or model that will not do is said before the work, not after it
    if method == "transformer":
        fitting_models(phases, known.voltage, None, known.precession, model)
    with doing(workers, cluster) as runner:
        if isinstance(measured, Scan):
            measured = find_disks(
                measured,
                probe,
                settings,
                report("Detecting Bragg disks"),
                device,
                runner=runner,
                partial=partial,
                memory=memory,
                engine=engine,
            )
        disks = calibrated(measured, known, centring)
        answer = index_disks(
            disks,
            phases,
            known.voltage,
            method=method,
            model=model,
            device=device,
            precession=known.precession,
            acceptance=acceptance,
            template=template,
            transformer=transformer,
            progress=report("Mapping orientations"),
            runner=runner,
            partial=partial,
        )
    return with_origin(answer, disks, known, source_name), disks


def map_orientations(
    disks: BraggDisks,
    phases: Sequence[Phase],
    voltage: float | None,
    *,
    calibration: Calibration | None = None,
    progress: Progress = silent,
    **options: Unpack[IndexerOptions],
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
    **options
        ``method``, ``model``, ``device``, ``precession``, ``acceptance``, ``template`` and ``transformer``, as
        ``indexing.make.make_indexer``.

    Returns
    -------
    OrientationMap

    Raises
    ------
    UserError
        No disks anywhere, disks not calibrated, or no model fits (and why).
    """
    answer = index_disks(disks, phases, voltage, progress=progress, **options)
    precession = options.get("precession", 0.0)
    known = calibration or remembered(disks)
    return with_origin(answer, disks, known.with_(voltage=voltage, precession=precession))


def remembered(disks: BraggDisks) -> Calibration:
    """Return how disks were calibrated, as far as they remember it."""
    told = disks.provenance.get("calibration", {})
    names = (field.name for field in fields(Calibration))
    return Calibration(**{name: told[name] for name in names if name in told})


def load_input(
    source: str | Path | Scan,
    dataset: str | None = None,
    scan_shape: tuple[int, int] | str | None = None,
    **calibration: Any,
) -> tuple[Scan | BraggDisks, Calibration]:
    """Open a scan or a file of Bragg peaks, and say what is known about its units."""
    typed = {name: value for name, value in calibration.items() if value is not None}
    if "q_pixel" in typed:
        typed["q_pixel_from"] = "typed"
    if isinstance(source, Scan):
        known = source.calibration.with_(**typed)
        return source.with_calibration(known), known
    from napari_4dstem_orient.io.bragg_peaks import is_disk_file, open_disks

    if is_disk_file(source):
        disks, known = open_disks(source, dataset)
        return disks, known.with_(**typed)
    from napari_4dstem_orient.io.load import load

    scan = load(source, dataset, scan_shape, **calibration)
    return scan, scan.calibration


def check_calibration(known: Calibration) -> None:
    """Raise UserError where a unit that the job needs is unknown, saying which option gives it."""
    if known.voltage is None:
        raise UserError("The input does not say its voltage (kV); give it, such as --voltage 300.")
    if known.q_pixel is None:
        told = f": it tells {known.unclear}" if known.unclear else ""
        raise UserError(
            f"The input does not say how large a pixel is (Å⁻¹){told}; give it, such as --q-pixel 0.02."
        )


def find_disks(
    scan: Scan,
    probe: Probe | float | None = None,
    settings: DetectionSettings | None = None,
    progress: Progress = silent,
    device: str = "auto",
    *,
    runner: Runner | None = None,
    partial: Partial | None = None,
    memory: int = MEMORY,
    engine: str | None = None,
) -> BraggDisks:
    """Detect Bragg disks with a probe and settings found from the scan where they are not given.

    Parameters
    ----------
    scan : Scan
    probe, settings, progress, device
        As ``detection.detect.detect_disks``.
    runner : Runner, optional
        Who does the work (``workflow.cluster.workers``); this process by default.
    partial, memory, engine
        See ``map_scan``.

    Raises
    ------
    UserError, Cancelled
        As ``detection.detect.detect_disks``, and as ``workflow.cluster.Cluster.run``.
    """
    step = Detection.of(scan, probe, settings, device, memory, engine)
    runner = runner or Here()
    disks = join_disks(in_chunks(step, scan, runner, progress, step.kept(scan, partial)), scan)
    doubts = list(step.doubts)
    return replace(disks, provenance={**disks.provenance, "workers": runner.description, "doubts": doubts})


def calibrated(
    measured: BraggDisks, known: Calibration, centring: CalibrationSettings | None = None
) -> BraggDisks:
    """Return disks in Å⁻¹, centred and in the scan frame."""
    from napari_4dstem_orient.calibration.calibrate import as_calibrated, calibrate

    if measured.calibrated:
        return measured if "calibration" in measured.provenance else as_calibrated(measured, known)
    return calibrate(measured, known, centring)[0]


def with_origin(
    answer: OrientationMap, disks: BraggDisks, known: Calibration, source: str | None = None
) -> OrientationMap:
    """Return a map that knows where it comes from: everything that made it, as plain JSON values.

    Parameters
    ----------
    answer : OrientationMap
        As an indexer returned it.
    disks : BraggDisks
        What it was made from, with the settings that made them.
    known : Calibration
        Of the scan; gives the scan step.
    source : str, optional
        The scan's file; by default what the disks remember of it.
    """
    provenance = {
        **environment(),
        "input": source or disks.provenance.get("source"),
        "calibration": asdict(known),
        "exploratory": list(known.exploratory),
        "disks": disks.provenance,
        "phases": [phase.to_dict() for phase in answer.phases],
        **answer.provenance,
    }
    return replace(answer, r_pixel=known.r_pixel, r_aspect=known.r_aspect, provenance=provenance)


def environment() -> dict[str, Any]:
    """Return which program, with which libraries, ran when."""
    return {
        "program": "napari-4dstem-orient",
        "version": version("napari-4dstem-orient"),
        "code": code()[:12],
        "libraries": libraries(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
