"""``identify``: which of many crystals could be here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from napari_4dstem_orient.cli import options
from napari_4dstem_orient.cli.progress_bars import progress_bars
from napari_4dstem_orient.core.errors import UserError

if TYPE_CHECKING:
    from napari_4dstem_orient.core.bragg_disks import BraggDisks
    from napari_4dstem_orient.indexing.identification import PhaseEvidence


def identify(
    source: options.Input,
    phase: options.Phases,
    at: Annotated[
        list[str] | None,
        typer.Option(
            help="A scan position to look at; again for more. By default some all over the scan.",
            metavar="ROW,COL",
        ),
    ] = None,
    dataset: options.Dataset = None,
    scan_shape: options.ScanShape = None,
    voltage: options.Voltage = None,
    q_pixel: options.QPixel = None,
    semiangle: options.Semiangle = None,
    origin: options.Origin = None,
    probe: options.ProbeFile = None,
    probe_radius: options.ProbeRadius = None,
    precession: options.Precession = None,
    device: options.Device = "auto",
) -> None:
    """Say which of many crystals could be in a scan, those that explain most of it first; nothing is written."""
    from napari_4dstem_orient.indexing.identification import identify_phases
    from napari_4dstem_orient.workflow.job import Job, Stage
    from napari_4dstem_orient.workflow.run import Observer, check_calibration, run

    options.refuse_for_disks(
        source, {"--probe": probe, "--probe-radius": probe_radius, "--scan-shape": scan_shape}
    )
    phases = options.read_phases(phase)
    job = Job(
        path=source,
        dataset=dataset,
        scan_shape=scan_shape,
        calibration={
            "voltage": voltage,
            "q_pixel": q_pixel,
            "semiangle": semiangle,
            "precession": precession,
        },
        probe=options.read_probe(probe, probe_radius),
        centring=options.read_origin(origin),
        phases=tuple(phases),
        device=device,
    )
    with progress_bars() as report:
        done = run(job, Stage.CALIBRATED, observer=Observer(report))
    disks, known = done.calibrated, done.calibration
    assert disks is not None
    assert known is not None
    check_calibration(known)
    assert known.voltage is not None
    chosen = [_flat(place, disks) for place in at] if at else None
    found = identify_phases(disks, phases, known.voltage, chosen, known.precession, device)
    for line in table(found):
        typer.echo(line)


def _flat(place: str, disks: BraggDisks) -> int:
    """Return the flat index of a scan position told as ROW,COL."""
    rows, cols = disks.scan_shape
    try:
        row, col = map(int, place.split(","))
    except ValueError:
        raise UserError(f"--at {place}: give a row and a column, such as --at 12,40.") from None
    if not (0 <= row < rows and 0 <= col < cols):
        raise UserError(f"--at {place}: the scan has rows 0 to {rows - 1} and columns 0 to {cols - 1}.")
    return row * cols + col


def table(found: list[PhaseEvidence]) -> list[str]:
    """Return the evidence as lines of text."""
    width = max(8, *(len(each.phase.name) for each in found))
    lines = [
        f"{'crystal':{width}}  {'explains':>8}  {'likeliest at':>12}  {'score':>5}  {'matched disks':>13}"
    ]
    for each in found:
        lines.append(
            f"{each.phase.name:{width}}  {each.share:>8.1%}  {each.likeliest:>12}  {each.score:>5.2f}  "
            f"{each.n_matched:>13.0f}"
        )
    return [*lines, f"{'none':{width}}  {max(1 - sum(each.share for each in found), 0):>8.1%}"]
