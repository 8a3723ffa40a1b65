"""The report on a model: figures and tables in a folder, with the publication's numbers beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_4dstem_orient.core.atomic import make_folder, write
from napari_4dstem_orient.indexing.transformer.checkpoint import Model
from napari_4dstem_orient.training.accuracy import IN_USE, Accuracy, Trial
from napari_4dstem_orient_evaluation.report import figure2, figure5
from napari_4dstem_orient_evaluation.report.drawing import markdown_table, save
from napari_4dstem_orient_evaluation.report.reliability import reliability_figure
from napari_4dstem_orient_evaluation.report.robustness import robustness_figure, robustness_table
from napari_4dstem_orient_evaluation.robustness import TEMPLATE, Reading

FIGURES = ("sampling", "losses", "similar", "similarity", "worse", "reliability", "robustness")
"""Of each phase."""

NOT_SAID = float("nan")
PAPER = Accuracy(
    phase="Cu",
    patterns="published",
    method="Je et al., arXiv 2602.12420",
    count=65_536,
    median=3.2,
    mean=NOT_SAID,
    within_2=NOT_SAID,
    within_5=NOT_SAID,
    beyond_34=0.138,
    per_second=5256,
)
"""What the publication measured on its test set (median 0.056 rad; speed on its GPU)."""


def write_report(
    model: Model,
    trials: Sequence[Trial],
    readings: Sequence[Reading],
    folder: str | Path,
    device: str = "auto",
) -> Path:
    """Write a report and return its text file.

    Parameters
    ----------
    model : Model
    trials : sequence of Trial
        Of ``run_trials``.
    readings : sequence of Reading
        Of ``measure_robustness``; none leaves that part out.
    folder : path
        Made where it does not exist.
    device : str

    Raises
    ------
    UserError
        A file cannot be written.
    """
    folder = make_folder(folder)
    parts = [f"# {model.card.title}", model.card.program, "## Accuracy", accuracy_text(trials)]
    for phase, crystal in enumerate(model.crystals):
        own = [trial for trial in trials if trial.phase == phase]
        parts += _figures(model, own, folder, f"{phase}-", device)
        measured = [reading for reading in readings if reading.accuracy.phase == crystal.name]
        if measured:
            name = save(robustness_figure(measured), folder / f"{phase}-robustness.png")
            parts += [f"## Robustness, {crystal.name}", ROBUSTNESS, _shown(name), robustness_table(measured)]
    path = folder / "report.md"
    write(path, "\n\n".join(parts) + "\n")
    return path


def report_files(phases: int) -> list[str]:
    """Return the names of the files that the report on a model of so many phases may have."""
    return ["report.md", *(f"{phase}-{figure}.png" for phase in range(phases) for figure in FIGURES)]


ROBUSTNESS = (
    "One disturbance at a time on Bloch-wave patterns (thickness 50 to 1,000 Å, disks under 0.4 % dropped), every "
    "method on the same patterns; in each set 8 % of the patterns are saturated and 5 % have a beam stop."
)


def accuracy_text(trials: Sequence[Trial]) -> str:
    """Return the table of all trials, the publication's row first."""
    header = [
        "phase",
        "patterns",
        "method",
        "number",
        "median",
        "mean",
        "within 2°",
        "within 5°",
        "beyond 34.4°",
        "patterns/s",
    ]
    rows = [PAPER, *(row for trial in trials for row in trial.rows())]
    return markdown_table(header, [_cells(row) for row in rows])


def _cells(row: Accuracy) -> list[str]:
    degrees = [f"{value:.3g}°" for value in (row.median, row.mean)]
    shares = [f"{value:.1%}" for value in (row.within_2, row.within_5, row.beyond_34)]
    numbers = [cell if "nan" not in cell else "–" for cell in degrees + shares]
    return [row.phase, row.patterns, row.method, f"{row.count:,}", *numbers, f"{row.per_second:,.0f}"]


def _figures(model: Model, trials: Sequence[Trial], folder: Path, stem: str, device: str) -> list[str]:
    """Draw the figures of one phase and return their part of the report."""
    in_use = [trial for trial in trials if trial.method == IN_USE]
    ours = next(trial for trial in in_use if trial.test.kind == "published")
    theirs = [t for t in trials if t.method == TEMPLATE and t.test is ours.test]
    name = ours.crystal.name
    learned = figure2.geodesic_losses(model, ours, device)
    parts = [
        f"## Figure 2, {name}",
        "Zone axes of the test set (uniform over all orientations) and the training curves.",
        _shown(save(figure2.sampling_and_learning(model, ours), folder / f"{stem}sampling.png")),
        "Geodesic loss of the network's first answer, trained and untrained, on validation patterns (as in training) "
        "and on the test set, with 0.6 rad dashed; angles between found and true lab axes, and their cosines, of the "
        "refined answer.",
        _shown(save(figure2.losses(learned, ours), folder / f"{stem}losses.png")),
        "The wrong answer that explains its pattern best: measured disks; kinematic patterns of answer and truth.",
        _shown(save(figure2.similar_pattern(model, ours), folder / f"{stem}similar.png")),
    ]
    for trial in theirs:
        parts += _comparison(model, ours, trial, folder, stem)
    parts += [
        f"## Reliability, {name}",
        "Answers within 5° against the reliability that the map shows (left; on the line, it is honest), and among the "
        "most reliable patterns (right; dashed: the reliable half).",
        _shown(save(reliability_figure(in_use), folder / f"{stem}reliability.png")),
    ]
    return parts


def _comparison(model: Model, ours: Trial, theirs: Trial, folder: Path, stem: str) -> list[str]:
    found = figure5.similarities(model, ours, theirs)
    parts = [
        f"## Figure 5 a–c, {ours.crystal.name}",
        "Sparse correlation (py4DSTEM's matching score of the answer) and Q (overlap of the kinematic pattern with "
        "the root of the measured one), without the direct beam.",
        _shown(save(figure5.densities(found, ours, theirs), folder / f"{stem}similarity.png")),
        figure5.why_worse(ours, theirs),
    ]
    figure = figure5.examples(model, ours, theirs)
    if figure is not None:
        parts += [
            "Where the model is worst: measured disks; kinematic patterns of both answers.",
            _shown(save(figure, folder / f"{stem}worse.png")),
        ]
    return parts


def _shown(name: str) -> str:
    return f"![{name.removesuffix('.png')}]({name})"
