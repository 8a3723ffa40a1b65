"""What the benchmarks found, as text, as a picture and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.atomic import write
from napari_4dstem_orient.core.memory import MEMORY
from napari_4dstem_orient_evaluation.benchmarks.mapping import MATCHES, REFINED, STEPS
from napari_4dstem_orient_evaluation.benchmarks.measuring import Rate, fits, spread
from napari_4dstem_orient_evaluation.benchmarks.suite import Findings, Steps
from napari_4dstem_orient_evaluation.report.drawing import markdown_table, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


FILES = TEXT, DATA, PICTURE = "benchmark.md", "benchmark.json", "benchmark.png"


def write_findings(found: Findings, folder: Path) -> str:
    """Write text, JSON and, where scans were timed, the picture; return the text."""
    text = findings_text(found)
    write(folder / TEXT, text + "\n")
    write(folder / DATA, json.dumps(found.to_dict(), indent=1, ensure_ascii=False) + "\n")
    if found.rates:
        save(figure(found), folder / PICTURE)
    return text


def findings_text(found: Findings) -> str:
    """Return all tables as markdown."""
    parts = ["# Benchmark", *_facts(found)]
    for job in dict.fromkeys(rate.job for rate in found.rates):
        parts += [f"## {job[0].upper()}{job[1:]}", rate_table(found.rates, job)]
    if fitted := fits(found.rates):
        parts += ["## Cost against scan size: seconds = start + positions / rate", _fit_table(fitted)]
    for name, steps in _by_method(found.map_steps).items():
        parts += [f"## Disk file to map, {name}: seconds of the steps", step_table(steps, STEPS)]
    if found.pattern_steps:
        names = list(dict.fromkeys(name for own in found.pattern_steps.values() for name in own))
        said = f"py4DSTEM's columns are of at most {found.provenance['plan']['positions']} positions, not scaled."
        parts += ["## Patterns to map: seconds of the steps", said, step_table(found.pattern_steps, names)]
    if found.limits:
        parts += ["## Distance to the limit", _limit_table(found)]
    if found.start:
        parts += ["## Start, each in a fresh process", _start_text(found)]
    if found.memory:
        parts += ["## Memory", _memory_text(found)]
    return "\n\n".join(parts)


def _facts(found: Findings) -> list[str]:
    facts, machine = found.provenance, found.provenance["machine"]
    libraries = ", ".join(f"{name} {number}" for name, number in facts["libraries"].items())
    busy = "" if machine["busy"] is None else f"; load average as the run began: {machine['busy']:.1f}"
    return [
        f"{facts['program']} {facts['version']}, {facts['time']}; {libraries}; Python {machine['python']}",
        f"{machine['processor']}, {machine['cores']} cores; {machine['device']}{busy}",
        f"{facts['patterns in the pool']} patterns of the copper sample, repeated; "
        f"{facts['disks in a pattern']:.1f} disks in a pattern. {facts['plan']['runs']} runs: mean ± standard "
        "deviation. py4DSTEM runs as one process on the CPU, on at most "
        f"{facts['plan']['positions']} positions; its seconds are scaled to the scan. Template matching: zone axes "
        f"2° apart, {MATCHES} match a pattern.",
        *(
            []
            if "py4DSTEM" in facts["libraries"]
            else ["py4DSTEM was not installed: nothing to compare with."]
        ),
    ]


def rate_table(rates: Sequence[Rate], job: str) -> str:
    """Return the table of one job: patterns per second and how many times py4DSTEM's in the same run."""
    rows = []
    for rate in (rate for rate in rates if rate.job == job):
        mean, deviation = rate.whole
        ratio = rate.ratio(rates)
        rows.append(
            [
                f"{int(rate.positions**0.5)}²",
                rate.name,
                f"{rate.timed:,}",
                _with_spread(f"{mean:.4g}", deviation, 2),
                f"{rate.per_second:.4g}",
                f"{ratio:.3g}" if np.isfinite(ratio) else "–",
            ]
        )
    return markdown_table(
        ["scan", "method", "positions timed", "seconds", "patterns/s", "ratio to py4DSTEM"], rows
    )


def step_table(steps: Steps, names: Sequence[str]) -> str:
    """Return seconds (mean ± standard deviation) of some steps for every size of scan."""
    rows = [
        [size, *(_with_spread(f"{np.mean(own[name]):.3g}", spread(own[name])) for name in names)]
        for size, own in steps.items()
    ]
    return markdown_table(["scan", *names], rows)


def _with_spread(mean: str, deviation: float, digits: int = 1) -> str:
    """Write a mean with its standard deviation, where there was more than one run."""
    return mean if np.isnan(deviation) else f"{mean} ± {deviation:.{digits}g}"


def _by_method(steps: dict[str, Steps]) -> dict[str, Steps]:
    """Turn {size: {method: …}} into {method: {size: …}}."""
    methods = dict.fromkeys(name for own in steps.values() for name in own)
    return {name: {size: own[name] for size, own in steps.items()} for name in methods}


def _fit_table(fitted: dict[str, dict[str, float]]) -> str:
    header = ["job", "start (s)", "patterns/s", "R²", "largest relative deviation"]
    rows = [
        [
            name,
            f"{fit['start']:.3g}",
            f"{fit['per_second']:.4g}",
            f"{fit['r_squared']:.5f}",
            f"{fit['largest_deviation']:.1%}",
        ]
        for name, fit in fitted.items()
    ]
    return markdown_table(header, rows)


def _limit_table(found: Findings) -> str:
    rows = [
        [
            limit.name,
            f"{limit.reached:.3g} {limit.unit}",
            limit.limit_name,
            f"{limit.limit:.3g} {limit.unit}",
            f"{limit.share:.1%}",
        ]
        for limit in found.limits
    ]
    return markdown_table(["what", "reached", "limit", "measured limit", "share"], rows)


def _start_text(found: Findings) -> str:
    heavy = ", ".join(found.start["heavy modules imported"]) or "none"
    rows = []
    for name, runs in found.start.items():
        if name != "heavy modules imported":
            clocks = zip(*runs, strict=True)
            rows.append([name, *(_with_spread(f"{np.mean(clock):.3g}", spread(clock)) for clock in clocks)])
    said = f"Heavy modules that the import brings in: {heavy}. Panels are opened in a napari that is up."
    return f"{said}\n\n{markdown_table(['what', 'seconds', 'seconds of the processor'], rows)}"


def _memory_text(found: Findings) -> str:
    sizes = ("scan bytes", "peak before", "peak of detection", "peak of detection and map")
    times = ("seconds of detection", "seconds of the map")
    rows = [
        [
            " × ".join(map(str, one["scan"])),
            *(f"{one[name] / 2**20:,.0f}" for name in sizes),
            *(f"{one[name]:.3g}" for name in times),
        ]
        for one in found.memory
    ]
    header = ["scan", *(f"{name.removesuffix(' bytes')} (MiB)" for name in sizes), *times]
    said = (
        "Resident memory as the operating system counts it, each scan in a process of its own; repeated patterns, made "
        f"when they are read. {MEMORY} MiB were allowed for them."
    )
    return f"{said}\n\n{markdown_table(header, rows)}"


def figure(found: Findings) -> Figure:
    """Draw seconds against scan size: disks to map, the steps of the refined transformer, patterns to map."""
    drawing = new_figure(13, 4)
    left, middle, right = drawing.subplots(1, 3)
    for axes, job in ((left, "disks to map"), (right, "patterns to map")):
        own = [rate for rate in found.rates if rate.job == job]
        _lines(axes, _seconds(own), job)
    steps = _by_method(found.map_steps).get(REFINED, {})
    lines = {
        name: [
            (int(size[:-1]) ** 2, float(np.mean(own[name])), spread(own[name])) for size, own in steps.items()
        ]
        for name in STEPS
    }
    _lines(middle, lines if steps else {}, f"disk file to map: {REFINED}")
    return drawing


def _seconds(rates: Sequence[Rate]) -> dict[str, list[tuple[int, float, float]]]:
    """Return positions, mean and standard deviation of every method."""
    lines: dict[str, list[tuple[int, float, float]]] = {}
    scaled = {rate.name for rate in rates if rate.timed < rate.positions}
    for rate in rates:
        label = f"{rate.name} (scaled)" if rate.name in scaled else rate.name
        lines.setdefault(label, []).append((rate.positions, *rate.whole))
    return lines


def _lines(axes: Axes, lines: dict[str, list[tuple[int, float, float]]], title: str) -> None:
    for name, points in lines.items():
        positions, mean, deviation = np.transpose(points)
        axes.errorbar(positions, mean, np.nan_to_num(deviation), marker="o", markersize=4, label=name)
    axes.set(xscale="log", yscale="log", xlabel="scan", ylabel="seconds", title=title)
    if lines:
        axes.set_xticks(positions, [f"{int(number**0.5)}²" for number in positions], minor=False)
        axes.set_xticks([], minor=True)
        axes.legend(frameon=False, fontsize=7)
