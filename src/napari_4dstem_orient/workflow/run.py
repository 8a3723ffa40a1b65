"""The one way in which anything is computed: ``run`` does a job, step by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.memory import check_memory
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.indexing.methods import METHODS, Asked, check_method
from napari_4dstem_orient.workflow.chunks import Runner, SerialRunner, in_chunks
from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.neighbours import with_neighbours
from napari_4dstem_orient.workflow.overlap import explainer_of, with_others
from napari_4dstem_orient.workflow.pixel import told_of, with_fitted_pixel
from napari_4dstem_orient.workflow.provenance import with_origin
from napari_4dstem_orient.workflow.steps import (
    Detection,
    Indexing,
    counts_so_far,
    join_disks,
    join_maps,
    map_so_far,
)

if TYPE_CHECKING:
    from napari_4dstem_orient.calibration.calibrate import CalibrationReport
    from napari_4dstem_orient.calibration.pixel_size import PixelSizeFit
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.detection.probe import Probe
    from napari_4dstem_orient.detection.settings import DetectionSettings
    from napari_4dstem_orient.workflow.store import Store

Report = Callable[[str], Progress]
"""Called with the name of a step that begins; returns where that step reports its progress."""


def quiet(step: str) -> Progress:
    """Report nothing."""
    return silent


@dataclass(frozen=True)
class Observer:
    """Hears how a run goes on.

    Attributes
    ----------
    report : callable
        See ``Report``.
    see : callable
        ``see(stage, so_far)`` as a result grows; ``so_far()`` makes what there is of it: of ``Stage.DISKS`` the number
        of disks at each position, of a map the map.
    resumed : callable
        ``resumed(share)`` where a long step goes on with what an earlier run did of it, more than 0 and up to 1.
    """

    report: Report = quiet
    see: Callable[[Stage | None, Callable[[], Any]], None] = lambda stage, so_far: None
    resumed: Callable[[float], None] = lambda share: None


UNSEEN = Observer()


@dataclass(frozen=True, eq=False)
class Results:
    """What a job has made, or what there is already that a job need not make.

    Attributes
    ----------
    scan : Scan or None
        None where the input is a file of Bragg peaks.
    calibration : Calibration or None
        All that is known: the input's, and what the job gives.
    source : str or None
        What the input is called.
    probe : Probe or None
    settings : DetectionSettings or None
    doubts : tuple of str
        Sentences about what was suggested and may be wrong.
    disks : BraggDisks or None
        As measured, or as in their file.
    calibrated : BraggDisks or None
        In Å⁻¹, centred, in the scan frame.
    pixel_fit : PixelSizeFit or None
        Of the detector pixel, where the job asks for one.
    report : CalibrationReport or None
        None where disks came calibrated.
    map : OrientationMap or None
    """

    scan: Scan | None = None
    calibration: Calibration | None = None
    source: str | None = None
    probe: Probe | None = None
    settings: DetectionSettings | None = None
    doubts: tuple[str, ...] = ()
    disks: BraggDisks | None = None
    calibrated: BraggDisks | None = None
    pixel_fit: PixelSizeFit | None = None
    report: CalibrationReport | None = None
    map: OrientationMap | None = None

    @property
    def nothing(self) -> bool:
        """Whether there is no input yet."""
        return self.scan is None and self.disks is None and self.calibrated is None


NOTHING = Results()


def run(
    job: Job,
    until: Stage | None = None,
    *,
    runner: Runner | None = None,
    store: Store | None = None,
    observer: Observer = UNSEEN,
    have: Results = NOTHING,
) -> Results:
    """Do a job, as far as it is asked for: load, probe and settings, disks, calibrated disks, map.

    Parameters
    ----------
    job : Job
    until : Stage, optional
        The last step; by default the map.
    runner : Runner, optional
        Who does the long steps (``workflow.cluster.workers``); this process by default.
    store : Store, optional
        Where done work is kept, and taken up by the next run; call its ``remove`` once the result is saved. The disks
        are kept of scans that are files.
    observer : Observer, optional
    have : Results, optional
        What there is already: it is not made again.

    Raises
    ------
    UserError
        The input cannot be read, or lacks something that the job needs.
    Cancelled
        The observer's progress raised it.
    """
    runner = runner or SerialRunner()
    got = loaded(job, have)
    if until is Stage.SCAN:
        return got
    if until is None and got.calibrated is None:
        foresee(job, got)
    if got.disks is None and got.calibrated is None:
        progress = silent if until is Stage.PROBE else observer.report("Detecting Bragg disks")
        got = with_probe(job, got)
        if until is Stage.PROBE:
            return got
        got = replace(got, disks=_detected(job, got, runner, store, observer, progress))
    if until in (Stage.PROBE, Stage.DISKS):
        return got
    if got.calibrated is None:
        got = with_calibrated(job, got)
    if until is Stage.CALIBRATED:
        return got
    return replace(got, map=_mapped(job, got, runner, store, observer))


def loaded(job: Job, have: Results = NOTHING) -> Results:
    """Open a scan or a file of Bragg peaks where there is none, and say what is known about its units."""
    got = opened(job) if have.nothing else have
    there = got.calibration or (got.scan.calibration if got.scan is not None else Calibration())
    known = there.with_(**job.given)
    if job.instrument is not None:
        shape = (
            got.scan.detector_shape if got.scan is not None else getattr(got.disks, "detector_shape", None)
        )
        known = known.with_(**job.instrument.news(known, shape))
    if got.scan is None:
        return replace(got, calibration=known)
    scan = got.scan.with_calibration(known)
    return replace(got, scan=scan, calibration=known, source=got.source or scan.source)


def opened(job: Job) -> Results:
    """Open the input of a job.

    Raises
    ------
    UserError
        It is nowhere, or cannot be read.
    """
    from napari_4dstem_orient.io.bragg_peaks import is_disk_file, open_disks

    if job.sample is not None:
        from napari_4dstem_orient.samples.library import find_sample

        return Results(scan=find_sample(job.sample))
    if job.path is None:
        raise UserError("The job names neither a file nor a sample; give one, or open a scan and give that.")
    source = "::".join(filter(None, (job.path, job.dataset)))
    if is_disk_file(job.path):
        disks, known = open_disks(job.path, job.dataset)
        return Results(disks=disks, calibration=known, source=source)
    from napari_4dstem_orient.io.load import load

    scan = load(job.path, job.dataset, job.scan_shape, job.part, voltage=job.given.get("voltage"))
    return Results(scan=scan, source=source)


def foresee(job: Job, got: Results) -> None:
    """Raise UserError for what would end the job after the long work."""
    from napari_4dstem_orient.calibration.origin import check_inside
    from napari_4dstem_orient.core.devices import choose_device
    from napari_4dstem_orient.core.optional import check_engine

    assert got.calibration is not None
    check_method(job.method)
    for asked in (job.detection, job.own_settings):
        check_engine(getattr(asked, "engine", None))
    check_engine(job.engine)
    known = got.calibration
    check_calibration(known, fits_pixel=job.ring_crystal is not None)
    choose_device(job.device)
    given = job.centring
    if got.scan is not None and given is not None and given.row is not None and given.col is not None:
        check_inside((given.row, given.col), got.scan.detector_shape)
    assert known.voltage is not None
    for part in filter(None, job.passes()):
        METHODS[job.method].files(Asked(part.phases, known.voltage, known.precession, models=job.models))


def check_calibration(known: Calibration, fits_pixel: bool = False) -> None:
    """Raise UserError where a unit that the job needs, and does not fit, is unknown, saying which option gives it."""
    if known.voltage is None:
        raise UserError("The input does not say its voltage (kV); give it, such as --voltage 300.")
    if known.q_pixel is None and not fits_pixel:
        told = f": it tells {known.unclear}" if known.unclear else ""
        raise UserError(
            f"The input does not say how large a pixel is (Å⁻¹){told}; give it, such as --q-pixel 0.02, or a crystal "
            "in the scan to whose rings it is fitted, such as --fit-pixel Cu."
        )


def with_probe(job: Job, got: Results) -> Results:
    """Find the probe, and settings that suit it and the scan, where they are not given."""
    from napari_4dstem_orient.detection.suggest import suggest

    assert got.scan is not None
    check_memory(job.memory)
    probe = got.probe if got.probe is not None else make_probe(job, got.scan)
    settings, doubt = got.settings or job.detection, ""
    if settings is None and probe.kernel.shape == got.scan.detector_shape:
        settings, doubt = suggest(got.scan, probe)
    if settings is not None and job.engine is not None:
        settings = replace(settings, engine=job.engine)
    return replace(got, probe=probe, settings=settings, doubts=tuple(filter(None, (probe.doubt, doubt))))


def make_probe(job: Job, scan: Scan) -> Probe:
    """Return the disk template that a job names; raise UserError as the functions of ``detection.probe``."""
    from napari_4dstem_orient.detection.probe import probe_for, probe_from_file, probe_from_vacuum

    if isinstance(job.probe, str):
        file, _, dataset = job.probe.partition("::")
        return probe_from_file(file, dataset or None)
    if isinstance(job.probe, tuple):
        rows, cols = job.probe
        return probe_from_vacuum(scan, (slice(*rows), slice(*cols)))
    radius, known = job.probe, job.instrument
    if radius is None and known is not None and known.suits(scan.detector_shape):
        radius = known.probe_radius
    return probe_for(scan, radius)


def _detected(
    job: Job, got: Results, runner: Runner, store: Store | None, observer: Observer, progress: Progress
) -> BraggDisks:
    scan = got.scan
    assert scan is not None
    assert got.probe is not None
    step = Detection(got.probe, got.settings, job.device, job.memory)

    def seen(done: Any) -> None:
        observer.see(Stage.DISKS, lambda: counts_so_far(done, scan.scan_shape))

    disks = join_disks(
        in_chunks(step, scan, runner, progress, step.kept(scan, store), seen, observer.resumed), scan
    )
    told = {"workers": runner.description, "doubts": list(got.doubts)}
    return replace(disks, provenance={**disks.provenance, **told})


def with_calibrated(job: Job, got: Results) -> Results:
    """Calibrate disks, unless their file did; raise UserError as ``calibrate``."""
    from napari_4dstem_orient.calibration.calibrate import as_calibrated, calibrate

    got = with_fitted_pixel(job, got)
    assert got.disks is not None
    assert got.calibration is not None
    if not got.disks.calibrated:
        done, report = calibrate(got.disks, got.calibration, job.centring)
        return replace(got, calibrated=told_of(got.pixel_fit, done), report=report)
    told = "calibration" in got.disks.provenance
    return replace(got, calibrated=got.disks if told else as_calibrated(got.disks, got.calibration))


def _mapped(
    job: Job, got: Results, runner: Runner, store: Store | None, observer: Observer
) -> OrientationMap:
    from napari_4dstem_orient.indexing.overlap.parent import left_by, with_left

    disks, known = got.calibrated, got.calibration
    assert disks is not None
    assert known is not None

    def finished(answer: OrientationMap) -> OrientationMap:
        return with_origin(answer, disks, known, got.source)

    def answer_of(step: Indexing, disks: BraggDisks, what: str) -> OrientationMap:
        def seen(done: Any) -> None:
            observer.see(None, lambda: finished(map_so_far(done, disks.scan_shape)))

        progress, kept = observer.report(f"Mapping {what}"), step.kept(disks, store)
        answer = join_maps(in_chunks(step, disks, runner, progress, kept, seen, observer.resumed))
        if step.pools:
            answer = with_neighbours(answer, disks, step, runner, observer.report("Pooling neighbours"))
        if step.crystals > 1 and answer.certainty is not None:
            report = observer.report("Looking for further crystals")
            answer = with_others(answer, disks, step, runner, report)
        return answer

    first, second = job.passes()
    step = Indexing.of(disks, first, known)
    answer = answer_of(step, disks, "orientations")
    if second is not None:
        explainer = explainer_of(answer, disks, step)
        if len(left := left_by(answer, disks, explainer)):
            others = answer_of(Indexing.of(left, second, known), left, "what the parent leaves")
            answer = with_left(answer, others, explainer)
    told = {"workers": runner.description, "job": job.to_dict()}
    return finished(replace(answer, provenance={**answer.provenance, **told}))
