"""``benchmark``: the published Figure 3 on this machine, both methods and both engines beside py4DSTEM."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_4dstem_orient.cli import options
from napari_4dstem_orient.cli.progress_bars import progress_bars


def benchmark(
    out: Annotated[Path, typer.Option(help="Folder for tables, picture and JSON.")] = Path(
        "benchmark-output"
    ),
    largest: Annotated[
        int, typer.Option(help="Side of the largest scan; scans are 8², 16², 32² … up to it.")
    ] = 32,
    runs: Annotated[int, typer.Option(help="Repetitions of everything that is timed.")] = 3,
    positions: Annotated[int, typer.Option(help="Most scan positions that py4DSTEM is timed on.")] = 128,
    part: Annotated[
        list[str] | None,
        typer.Option(
            help="maps, patterns, limits, start, sizes or memory; again for more. All but the last two by default."
        ),
    ] = None,
    memory_scan: Annotated[
        list[int] | None,
        typer.Option(
            help="Side of a scan (256² detector) whose peak memory is measured; again for more. 512 by default."
        ),
    ] = None,
    device: options.Device = "auto",
    force: options.Force = False,
) -> None:
    """Time every step on the copper sample's patterns; print patterns per second and ratios to py4DSTEM."""
    from napari_4dstem_orient.core.atomic import make_folder
    from napari_4dstem_orient.workflow.outputs import check_outputs
    from napari_4dstem_orient_evaluation.benchmarks.report import FILES, findings_text, write_findings
    from napari_4dstem_orient_evaluation.benchmarks.suite import USUAL_PARTS, Plan, run_benchmarks

    plan = Plan(part or USUAL_PARTS, largest, runs, positions, memory_scan or (512,), device)
    folder = make_folder(out)
    check_outputs([(folder / name, "") for name in FILES], force=force)
    with progress_bars() as report:
        found = run_benchmarks(plan, folder, report, lambda found: write_findings(found, folder))
    typer.echo(findings_text(found))
