"""``train`` and ``evaluate``: make a model for a crystal, and measure one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_4dstem_orient.cli import options
from napari_4dstem_orient.cli.progress_bars import progress_bars


def train(
    phase: options.Phases,
    voltage: Annotated[float, typer.Option(help="Accelerating voltage.", metavar="kV")],
    k_max: Annotated[float, typer.Option(help="Largest scattering vector the model sees.", metavar="Å⁻¹")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The model file.", metavar="MODEL")],
    minutes: Annotated[float, typer.Option(help="How long to train.")] = 15.0,
    precession: Annotated[float, typer.Option(help="Precession angle of the beam.", metavar="degrees")] = 0.0,
    device: options.Device = "auto",
    seed: Annotated[int, typer.Option(help="Seed of the simulated patterns.")] = 0,
) -> None:
    """Train a model on simulated patterns; the same command again goes on where it stopped."""
    options.writable(output)

    from napari_4dstem_orient.crystals.library import find_phase
    from napari_4dstem_orient.indexing.transformer.training import train_model

    phases = [find_phase(name) for name in phase]
    with progress_bars() as report:
        card = train_model(
            phases,
            voltage,
            k_max,
            output,
            minutes=minutes,
            precession=precession,
            device=device,
            seed=seed,
            progress=report("Training"),
        )
    typer.echo(f"{output}: {card}")


def evaluate(
    model: Annotated[Path, typer.Option(help="The model file.")],
    device: options.Device = "auto",
    patterns: Annotated[int, typer.Option(help="How many simulated patterns to try.")] = 4096,
) -> None:
    """Measure a model on simulated patterns that it has not seen."""
    from napari_4dstem_orient.indexing.evaluation import evaluate_model

    with progress_bars() as report:
        figures = evaluate_model(model, patterns=patterns, device=device, progress=report("Evaluating"))
    for name, value in figures.items():
        typer.echo(f"{name}: {value}")
