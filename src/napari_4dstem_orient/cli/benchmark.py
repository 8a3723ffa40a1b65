"""``benchmark``: the transformer against py4DSTEM's matching, on the same disks in the same run."""

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
    positions: Annotated[int, typer.Option(help="Scan positions that template matching is timed on.")] = 256,
    device: options.Device = "auto",
) -> None:
    """Time both methods on the disks of the copper sample; print patterns per second and their ratio."""
    import os

    from napari_4dstem_orient.cli.demo_report import at_positions
    from napari_4dstem_orient.crystals.library import find_phase
    from napari_4dstem_orient.devices import choose_device, describe
    from napari_4dstem_orient.pipeline import calibrated, find_disks, make_indexer
    from napari_4dstem_orient.samples.copper import copper_polycrystal

    phase, scan = find_phase("Cu"), copper_polycrystal()
    with progress_bars() as report:
        measured = find_disks(scan, progress=report("Detecting Bragg disks"), device=device)
        disks = calibrated(measured, scan.calibration)
        count = disks.counts.size
        chosen = [number * count // positions for number in range(min(positions, count))]
        part = at_positions(disks, chosen)
        indexers = [
            make_indexer(disks, [phase], scan.calibration.voltage, method=method, device=device)
            for method in ("transformer", "template")
        ]
        transformer = rate(indexers[0], disks, report("Transformer"))
        template = rate(indexers[1], part, report("Template matching"))
    typer.echo(f"{disks.counts.mean():.1f} disks a pattern, {os.cpu_count()} CPU cores")
    typer.echo(
        f"transformer on {describe(choose_device(device))}: {transformer:.0f} patterns/s ({count} patterns)"
    )
    typer.echo(f"py4DSTEM matching on the CPU: {template:.1f} patterns/s ({len(chosen)} of them)")
    typer.echo(f"ratio: {transformer / template:.0f}")


def rate(indexer: Indexer, disks: BraggDisks, progress: Progress) -> float:
    """Return how many patterns an indexer maps in a second, after a first call that is not timed."""
    indexer.index(disks.only(0, 0))
    began = time.perf_counter()
    indexer.index(disks, progress)
    return disks.counts.size / (time.perf_counter() - began)
