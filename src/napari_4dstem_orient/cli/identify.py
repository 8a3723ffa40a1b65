"""``identify``: which of many crystals could be here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from napari_4dstem_orient.cli import options
from napari_4dstem_orient.cli.progress_bars import progress_bars
from napari_4dstem_orient.core.errors import UserError

if TYPE_CHECKING:
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.indexing.identification import Identification


def identify(
    source: options.Input,
    phase: Annotated[
        list[str],
        typer.Option(
            help="A CIF file, a folder of them, or the name of a bundled crystal; again for more.",
            metavar="CIF|FOLDER|NAME",
        ),
    ],
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
    """Say which of many crystals could be in a scan, those that explain most of it first; nothing is written.

    Of a scan the disks are found only where they are needed.
    """
    from napari_4dstem_orient.workflow.identify import identify as run
    from napari_4dstem_orient.workflow.job import Job
    from napari_4dstem_orient.workflow.run import Observer

    options.refuse_for_disks(
        source, {"--probe": probe, "--probe-radius": probe_radius, "--scan-shape": scan_shape}
    )
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
        phases=_phases(phase),
        device=device,
    )
    chosen = [_position(place) for place in at] if at else None
    with progress_bars() as report:
        found = run(job, chosen, Observer(report))
    for line in [*table(found), found.words]:
        typer.echo(line)


def _phases(sources: list[str]) -> tuple[Phase, ...]:
    """Return all crystals there are, and say which are left out."""
    from napari_4dstem_orient.crystals.library import gather

    found = gather(sources)
    options.warn(f"{source} is left out. {why}" for source, why in found.left_out.items())
    if not found.crystals:
        raise UserError(
            "There is no crystal to look for; give CIF files, folders of them or bundled crystals."
        )
    return tuple(reading.phase for reading in found.crystals.values())


def _position(place: str) -> tuple[int, int]:
    """Return a scan position told as ROW,COL."""
    try:
        row, col = map(int, place.split(","))
    except ValueError:
        raise UserError(f"--at {place}: give a row and a column, such as --at 12,40.") from None
    return row, col


def table(found: Identification) -> list[str]:
    """Return the evidence as lines of text."""
    width = max(8, *(len(each.phase.name) for each in found.evidence))
    lines = [
        f"{'crystal':{width}}  {'explains':>8}  {'likeliest at':>12}  {'reliability':>11}  {'ahead':>5}  {'score':>5}  "
        f"{'matched disks':>13}"
    ]
    for each in found.evidence:
        sure = [f"{value:.2f}" if each.likeliest else "–" for value in (each.reliability, each.ahead)]
        lines.append(
            f"{each.phase.name:{width}}  {each.share:>8.1%}  {each.likeliest:>12}  {sure[0]:>11}  {sure[1]:>5}  "
            f"{each.score:>5.2f}  {each.n_matched:>13.0f}"
        )
    return [*lines, f"{'none':{width}}  {found.none:>8.1%}"]
