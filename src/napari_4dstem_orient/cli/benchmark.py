"""``benchmark``: both methods against py4DSTEM's matching, on the same disks in the same run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from napari_4dstem_orient.cli import options
from napari_4dstem_orient.cli.progress_bars import progress_bars

if TYPE_CHECKING:
    from napari_4dstem_orient.disks import BraggDisks
    from napari_4dstem_orient.indexing.indexer import Indexer
    from napari_4dstem_orient.progress import Progress


def benchmark(
    positions: Annotated[int, typer.Option(help="Scan positions that py4DSTEM is timed on.")] = 256,
    device: options.Device = "auto",
) -> None:
    """Time both methods, and py4DSTEM, on the disks of the copper sample; print patterns per second and ratios."""
    import os

    from napari_4dstem_orient.cli.demo_report import at_positions
    from napari_4dstem_orient.crystals.library import find_phase
    from napari_4dstem_orient.devices import choose_device, describe
    from napari_4dstem_orient.indexing.template import TemplateSettings
    from napari_4dstem_orient.pipeline import calibrated, find_disks, make_indexer
    from napari_4dstem_orient.samples.copper import copper_polycrystal

    phase, scan = find_phase("Cu"), copper_polycrystal()
    with progress_bars() as report:
        measured = find_disks(scan, progress=report("Detecting Bragg disks"), device=device)
        disks = calibrated(measured, scan.calibration)
        count = disks.counts.size
        chosen = [number * count // positions for number in range(min(positions, count))]
        part = at_positions(disks, chosen)
        transformer, matching, reference = (
            make_indexer(
                disks, [phase], scan.calibration.voltage, method=method, device=device, template=template
            )
            for method, template in (
                ("transformer", None),
                ("template", TemplateSettings(engine="torch")),
                ("template", TemplateSettings(engine="py4DSTEM")),
            )
        )
        rates = {
            "transformer": rate(transformer, disks, report("Transformer")),
            "template matching": rate(matching, disks, report("Template matching")),
        }
        slow = rate(reference, part, report("py4DSTEM"))
    typer.echo(f"{disks.counts.mean():.1f} disks a pattern, {os.cpu_count()} CPU cores")
    typer.echo(f"py4DSTEM matching on the CPU: {slow:.1f} patterns/s ({len(chosen)} of them)")
    where = describe(choose_device(device))
    for name, fast in rates.items():
        typer.echo(f"{name} on {where}: {fast:.0f} patterns/s ({count} patterns), ratio: {fast / slow:.0f}")


def rate(indexer: Indexer, disks: BraggDisks, progress: Progress) -> float:
    """Return how many patterns an indexer maps in a second, after a first call that is not timed."""
    indexer.index(disks.only(0, 0))
    began = time.perf_counter()
    indexer.index(disks, progress)
    return disks.counts.size / (time.perf_counter() - began)
