"""``map``: from a file to an orientation map."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_4dstem_orient.cli import options
from napari_4dstem_orient.cli.progress_bars import progress_bars
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.limits import MOST_CRYSTALS
from napari_4dstem_orient.core.memory import MEMORY
from napari_4dstem_orient.export.registry import FORMATS as EXPORTS
from napari_4dstem_orient.export.registry import ExportError, export_files
from napari_4dstem_orient.indexing.methods import METHODS
from napari_4dstem_orient.indexing.settings import AcceptanceSettings

if TYPE_CHECKING:
    from napari_4dstem_orient.analysis.strain.strain import Reference
    from napari_4dstem_orient.core.orientation_map import OrientationMap


def map_(
    source: options.Input,
    phase: options.Phases,
    output: Annotated[Path, typer.Option("--output", "-o", help="The result file.", metavar="RESULT.h5")],
    parent: Annotated[
        list[str] | None,
        typer.Option(
            help="Which --phase may be everywhere, such as a matrix; again for more. In the disks that all leave "
            "only the others are looked for.",
            metavar="CIF|NAME",
        ),
    ] = None,
    method: Annotated[str, options.one_of(METHODS, "How orientations are found.")] = "transformer",
    model: options.Model = None,
    device: options.Device = "auto",
    engine: options.Engine = options.EngineName.torch,
    dataset: options.Dataset = None,
    scan_shape: options.ScanShape = None,
    instrument: options.InstrumentName = None,
    region: options.Region = None,
    every: options.Every = None,
    voltage: options.Voltage = None,
    q_pixel: options.QPixel = None,
    fit_pixel: options.FitPixel = None,
    r_pixel: options.RPixel = None,
    semiangle: options.Semiangle = None,
    rotation: options.Rotation = None,
    flip: options.Flip = None,
    origin: options.Origin = None,
    probe: options.ProbeFile = None,
    probe_radius: options.ProbeRadius = None,
    precession: options.Precession = None,
    min_reliability: Annotated[
        float | None,
        typer.Option(
            help=f"Leave out answers less likely right than this; {AcceptanceSettings.min_reliability:g} by default.",
            min=0.0,
            max=1.0,
            show_default=False,
        ),
    ] = None,
    min_phase_margin: Annotated[
        float,
        typer.Option(
            help="Leave out answers whose phase is not so much likelier than the next.", min=0.0, max=1.0
        ),
    ] = 0.0,
    neighbours: Annotated[
        bool,
        typer.Option(
            "--neighbours/--alone",
            help="Index positions that may be one crystal together too, and let that decide between twins; or judge "
            "each position alone.",
        ),
    ] = True,
    crystals: Annotated[
        int,
        typer.Option(
            help="Look for so many crystals in one pattern at most; 1: only the strongest.",
            min=1,
            max=MOST_CRYSTALS,
        ),
    ] = MOST_CRYSTALS,
    strain: Annotated[
        str | None,
        options.one_of(
            dict.fromkeys(("ideal", "grain")),
            "Measure the strain too, against the crystal (one pixel size fitted to the map) or each grain's mean.",
        ),
    ] = None,
    workers: options.Workers = None,
    cluster: options.ClusterAddress = None,
    memory: options.Memory = MEMORY,
    export: Annotated[
        list[str] | None,
        options.one_of(EXPORTS, "Write this beside the result too; again for more.", without="h5"),
    ] = None,
    force: options.Force = False,
) -> None:
    """Map the crystal orientations of a scan and save the result.

    Interrupted, the same command goes on where it was: until all files are there, RESULT.h5.partial keeps what is done.
    """
    centring = options.read_origin(origin)
    way = METHODS[method]
    if not way.knows_reliability and (min_reliability or min_phase_margin):
        raise UserError(
            f"{way.title} does not know how reliable its answers are; "
            "leave out --min-reliability and --min-phase-margin, or use the transformer."
        )

    from napari_4dstem_orient.core.scan import Calibration
    from napari_4dstem_orient.export.registry import export as export_map
    from napari_4dstem_orient.indexing.settings import TemplateSettings
    from napari_4dstem_orient.workflow.cluster import workers as doing
    from napari_4dstem_orient.workflow.job import Job
    from napari_4dstem_orient.workflow.outputs import check_outputs
    from napari_4dstem_orient.workflow.run import Observer, run
    from napari_4dstem_orient.workflow.store import Partial
    from napari_4dstem_orient.workflow.strain import with_strain

    exports = export or ()
    files = export_files(exports, output.stem).items()
    outputs = [(output, "h5"), *((output.parent / file, name) for file, name in files)]
    models = None if model is None else () if model == options.NO_MODEL else (model,)
    check_outputs(outputs, [source, probe, *(models or ()), *phase], force)
    if model is not None and not way.reads_models:
        raise UserError(f"{way.title} reads no model; leave out --model, or use the transformer.")
    for_scans = {"--probe": probe, "--probe-radius": probe_radius, "--scan-shape": scan_shape}
    for_scans |= {"--region": region, "--every": every}
    options.refuse_for_disks(source, for_scans)
    phases = options.read_phases(phase)
    job = Job(
        path=source,
        dataset=dataset,
        scan_shape=scan_shape,
        part=options.read_part(region, every),
        calibration={
            "voltage": voltage,
            "q_pixel": q_pixel,
            "r_pixel": r_pixel,
            "semiangle": semiangle,
            "precession": precession,
            "rotation": rotation,
            "flip": flip,
        },
        instrument=options.read_instrument(instrument),
        probe=options.read_probe(probe, probe_radius),
        engine=engine.value,
        centring=centring,
        ring_crystal=None if fit_pixel is None else options.read_phases([fit_pixel])[0],
        phases=tuple(phases),
        parents=options.named(parent or [], phase, phases),
        method=method,
        settings={"template": TemplateSettings(engine=engine.value)} if method == "template" else {},
        models=models,
        acceptance=AcceptanceSettings(
            min_reliability=AcceptanceSettings.min_reliability
            if min_reliability is None
            else min_reliability,
            min_phase_margin=min_phase_margin,
            neighbours=neighbours,
            crystals=crystals,
        ),
        device=device,
        memory=memory,
    )
    partial = Partial(output)
    with progress_bars() as report, doing(workers, cluster) as runner:
        done = run(job, runner=runner, store=partial, observer=Observer(report))
        result, disks = done.map, done.calibrated
        assert result is not None
        assert disks is not None
        if strain is not None:
            against: Reference = "ideal" if strain == "ideal" else "grain"
            result = with_strain(result, disks, against, progress=report("Measuring strain"))
    result.save(output)
    calibrated = disks.provenance["calibration"]
    if "summary" in calibrated:  # not of disks that came in Å⁻¹
        typer.echo(calibrated["summary"])
    if done.pixel_fit is not None and done.pixel_fit.trustworthy:
        typer.echo(done.pixel_fit.sentence)
    options.warn([*disks.provenance.get("doubts", []), *calibrated["warnings"]])
    typer.echo(f"{output}: {summary(result)}")
    if result.strain is not None:
        typer.echo(f"{output}: {result.strain.summary}")
    if result.exploratory:
        typer.echo(f"This map is {result.exploratory}.")
    known = Calibration(**result.provenance["calibration"])
    try:
        export_map(result, output.parent, exports, output.stem, disks, known)
    except ExportError as error:
        if not error.worth_another_try:
            options.tidy(partial)
        raise
    options.tidy(partial)


def summary(result: OrientationMap) -> str:
    """Say in one line how much of a map has an answer, and how sure it is."""
    indexed = result.indexed
    names = ", ".join(
        f"{phase.name} {(result.phase_id == number).mean():.1%}" for number, phase in enumerate(result.phases)
    )
    sure = f", {result.how_sure}" if result.how_sure else ""
    several = (result.crystals > 1).sum()
    more = f", {several:,} with several crystals" if several else ""
    return (
        f"{indexed.sum()} of {indexed.size} positions indexed ({names}){more}{sure}, method {result.method}."
    )
