"""``detect``: from a scan to Bragg disks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_4dstem_orient.cli import options
from napari_4dstem_orient.cli.progress_bars import progress_bars
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.memory import MEMORY


def detect(
    source: Annotated[str, typer.Argument(help="A 4D dataset.", metavar="INPUT")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file of Bragg disks (py4DSTEM).", metavar="DISKS.h5")
    ],
    dataset: options.Dataset = None,
    scan_shape: options.ScanShape = None,
    instrument: options.InstrumentName = None,
    region: options.Region = None,
    every: options.Every = None,
    voltage: options.Voltage = None,
    q_pixel: options.QPixel = None,
    r_pixel: options.RPixel = None,
    semiangle: options.Semiangle = None,
    rotation: options.Rotation = None,
    flip: options.Flip = None,
    probe: options.ProbeFile = None,
    probe_radius: options.ProbeRadius = None,
    device: options.Device = "auto",
    engine: options.Engine = options.EngineName.torch,
    workers: options.Workers = None,
    cluster: options.ClusterAddress = None,
    memory: options.Memory = MEMORY,
    force: options.Force = False,
) -> None:
    """Find the Bragg disks of a scan and save them in a file that py4DSTEM reads.

    Interrupted, the same command goes on where it was: until the file is there, DISKS.h5.partial keeps what is done.
    """
    from napari_4dstem_orient.io.bragg_peaks import is_disk_file, save_disks
    from napari_4dstem_orient.workflow.cluster import workers as doing
    from napari_4dstem_orient.workflow.job import Job, Stage
    from napari_4dstem_orient.workflow.outputs import check_outputs
    from napari_4dstem_orient.workflow.run import Observer, run
    from napari_4dstem_orient.workflow.store import Partial

    check_outputs([(output, "emd")], [source, probe], force)
    if is_disk_file(source):
        raise UserError(
            f"{source} holds Bragg peaks already; give the scan that they were found in, or map them."
        )
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
            "rotation": rotation,
            "flip": flip,
        },
        instrument=options.read_instrument(instrument),
        probe=options.read_probe(probe, probe_radius),
        engine=engine.value,
        device=device,
        memory=memory,
    )
    partial = Partial(output)
    with progress_bars() as report, doing(workers, cluster) as runner:
        done = run(job, Stage.DISKS, runner=runner, store=partial, observer=Observer(report))
    disks = done.disks
    assert disks is not None
    save_disks(disks, output, calibration=done.calibration)
    options.tidy(partial)
    options.warn(disks.provenance["doubts"])
    sure, positions = len(disks.sure()), disks.counts.size
    weak = f", and {len(disks) - sure} that may be some" if sure < len(disks) else ""
    typer.echo(f"{output}: {sure} disks at {positions} scan positions{weak}.")
