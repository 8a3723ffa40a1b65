"""``train`` and ``evaluate``: make a model for a crystal, and measure one."""

from __future__ import annotations

from dataclasses import fields, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_4dstem_orient.cli import options
from napari_4dstem_orient.cli.progress_bars import progress_bars
from napari_4dstem_orient.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.training.accuracy import Accuracy, Trial
    from napari_4dstem_orient_evaluation.phase_accuracy import PhaseAccuracy


class Architecture(StrEnum):
    """The networks that can be trained."""

    own = "own"
    published = "published"


def train(
    phase: options.Phases,
    voltage: Annotated[float, typer.Option(help="Accelerating voltage.", metavar="kV")],
    k_max: Annotated[float, typer.Option(help="Largest scattering vector the model sees.", metavar="Å⁻¹")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file.", metavar="MODEL")],
    patterns: Annotated[
        int | None,
        typer.Option(help="Simulated patterns to train on; 2,000,000 unless --minutes is given.", min=1),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Train on as many patterns as fit into this time.", min=0.1)
    ] = None,
    precession: options.Precession = None,
    thickness_range: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Thinnest and thickest specimen, Å.", metavar="LOW HIGH"),
    ] = None,
    architecture: Annotated[
        Architecture,
        typer.Option(help="This program's network, or the published one with its training patterns."),
    ] = Architecture.own,
    also: Annotated[
        list[str] | None,
        typer.Option(
            help="Train on another crystal of the same structure, or another beam, too, such as Ag,200 or Ag,200,1 "
            "(kV, precession in degrees): the model scales with the crystal. Again for more.",
            metavar="CIF|NAME,kV[,degrees]",
        ),
    ] = None,
    start_from: Annotated[
        Path | None, typer.Option(help="Begin with this model's weights.", metavar="MODEL")
    ] = None,
    seed: Annotated[int, typer.Option(help="Determines weights and patterns.")] = 0,
    device: options.Device = "auto",
    force: options.Force = False,
) -> None:
    """Train a model on simulated patterns; stopped, the same command goes on from its checkpoint."""
    if patterns is not None and minutes is not None:
        raise UserError("Give --patterns or --minutes, not both.")

    from napari_4dstem_orient.training.plan import TrainingPlan, files_of_training
    from napari_4dstem_orient.training.run import train_plan
    from napari_4dstem_orient.workflow.outputs import check_outputs

    crystals = [*phase, *(_parts(text)[0] for text in also or ())]
    check_outputs([(file, "") for file in files_of_training(output)], [start_from, *crystals], force)
    plan = TrainingPlan(voltage, k_max, precession or 0.0, seed=seed)
    if thickness_range is not None:
        plan = replace(plan, thinnest=thickness_range[0], thickest=thickness_range[1])
    if minutes is not None:
        plan = replace(plan, minutes=minutes)
    elif patterns is None:
        patterns = 2_000_000
    phases = options.read_phases(phase)
    with progress_bars() as report:
        model = train_plan(
            phases,
            plan,
            output,
            patterns=patterns,
            architecture=architecture.value,
            others=[_condition(text) for text in also or ()],
            start_from=start_from,
            device=device,
            progress=report("Training"),
            report=_tell_figures,
            tell=typer.echo,
        )
    typer.echo(f"{output}: {model.card.title}; card and curves lie beside it.")


def _condition(text: str) -> tuple[Phase, float, float]:
    """Read a crystal and a beam, such as ``Ag,200,1``."""
    from napari_4dstem_orient.crystals.library import find_phase

    name, numbers = _parts(text)
    try:
        voltage, precession = [*map(float, numbers), 0.0][:2]
    except ValueError as error:
        raise UserError(
            f"--also {text}: give a crystal, kV and perhaps degrees, such as Ag,200,1."
        ) from error
    return find_phase(name), voltage, precession


def _parts(text: str) -> tuple[str, list[str]]:
    name, *numbers = text.rsplit(",", 2 if text.count(",") > 1 else 1)
    return name, numbers


def _tell_figures(figures: dict[str, float]) -> None:
    typer.echo(
        f"{figures['patterns']:,.0f} patterns: median {figures['median']:.2f}°,"
        f" {figures['within_5']:.1%} within 5° (best hypothesis {figures['best_within_5']:.1%})"
    )


def evaluate(
    model: Annotated[Path, typer.Option(help="The model file.")],
    patterns: Annotated[int, typer.Option(help="Simulated patterns of each kind.", min=1)] = 4096,
    template_patterns: Annotated[
        int,
        typer.Option(
            help="How many of them py4DSTEM's template matching gets too, where it is installed, slowly (ours gets "
            "all); 0 for neither.",
            min=0,
        ),
    ] = 256,
    report: Annotated[
        Path | None, typer.Option(help="Write figures and tables here (report.md).", metavar="DIR")
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Measure each disturbance by itself too.")
    ] = False,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            help="Measure how well this model's phases and those of another one are told apart; again for more.",
            metavar="MODEL",
        ),
    ] = None,
    device: options.Device = "auto",
    force: options.Force = False,
) -> None:
    """Measure a model on simulated patterns that it has not seen, with template matching beside it."""
    if robustness and not template_patterns:
        raise UserError("Robustness is measured on the patterns that template matching gets; give it some.")

    from napari_4dstem_orient.core.optional import why_not
    from napari_4dstem_orient.indexing.transformer.checkpoint import load_model
    from napari_4dstem_orient.training.accuracy import BEYOND, run_trials
    from napari_4dstem_orient_evaluation.ambiguity import share_with_twins
    from napari_4dstem_orient_evaluation.phase_accuracy import evaluate_phases
    from napari_4dstem_orient_evaluation.robustness import measure_robustness

    loaded = load_model(model)
    if report is not None:
        from napari_4dstem_orient.core.atomic import make_folder
        from napari_4dstem_orient.workflow.outputs import check_outputs
        from napari_4dstem_orient_evaluation.report.write import report_files

        folder = make_folder(report)
        written = [(folder / name, "") for name in report_files(len(loaded.crystals))]
        check_outputs(written, [model, *(against or ())], force)
    with progress_bars() as bar:
        trials = run_trials(loaded, patterns, template_patterns, device, bar("Evaluating"), tell=_tell_trial)
        readings = (
            measure_robustness(loaded, template_patterns, device, bar("Disturbing")) if robustness else []
        )
        others = [load_model(path) for path in against or ()]
        several = others or len(loaded.crystals) > 1
        told = evaluate_phases([loaded, *others], patterns, device, bar("Telling phases")) if several else []
    _tell_table([row for trial in trials for row in trial.rows()])
    if template_patterns and (missing := why_not("py4DSTEM")):
        typer.echo(f"Without rows of py4DSTEM's own matching. {missing}")
    for phase, share in share_with_twins(loaded, trials, BEYOND).items():
        typer.echo(
            f"{share:.1%} of the published patterns of {phase} have all their disks in one zone, whose half turn "
            f"about its axis is another orientation more than {BEYOND:.1f}° away: it predicts the same disks."
        )
    if told:
        typer.echo("")
        _tell_table(told)
    if readings:
        typer.echo("")
        _tell_table([reading.accuracy for reading in readings])
    if report is not None:
        from napari_4dstem_orient_evaluation.report.write import write_report

        typer.echo(f"Report: {write_report(loaded, trials, readings, report, device)}")


def _tell_trial(trial: Trial) -> None:
    row = trial.rows()[0]
    typer.echo(
        f"{row.phase}, {row.patterns}, {row.method}: median {row.median:.3g}°, {row.within_5:.1%} within 5°, "
        f"{row.per_second:.0f} patterns/s"
    )


def _tell_table(rows: Sequence[Accuracy] | Sequence[PhaseAccuracy]) -> None:
    columns = [field.name for field in fields(rows[0])]
    cells = [columns] + [[_cell(getattr(row, name)) for name in columns] for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    for line in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
