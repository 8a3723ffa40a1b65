"""Whether answers are as sure, and as precise, as they say, on multislice test beds whose every answer is known.

    python tools/measure_certainty.py --beds BEDS --set develop --bed random_cu random_ti random_cu2o map_cu --fit
    python tools/measure_certainty.py --beds BEDS --set final --figure docs/images/certainty.png
    python tools/measure_certainty.py --beds BEDS --set final --method template

``BEDS``: what ``make_test_beds.py`` wrote. Each bed is mapped as the program suggests, at each dose; maps also with
each position alone. Of every answer (indexed positions with a crystal) the table has

- how many, how many are right within 5°, and the mean reliability;
- of those whose reliability lies within each of some ranges: how many, mean reliability, share right;
- of the right ones, how many errors about the best and the worst determined axis lie within one standard deviation
  (68 % where precision is honest), and the median standard deviations in degrees.

``--fit`` prints the temperature of ``indexing/verification/reliability.py`` for these answers, whatever it is now.
The figure shows the same: right answers against reliability, and errors over standard deviations.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize_scalar

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from compare_peers import make_bed

import napari_4dstem_orient as orient
from helpers.multislice import multislice_patterns
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.indexing.base import Indexer
from napari_4dstem_orient.indexing.methods import METHODS, Asked
from napari_4dstem_orient.indexing.verification.reliability import TEMPERATURE, calibrated
from napari_4dstem_orient_evaluation.precision import in_deviations
from napari_4dstem_orient_evaluation.report.drawing import new_figure
from napari_4dstem_orient_evaluation.report.reliability import RIGHT

DOSES = (5e3, 1e4, 1e5, 1e6)
RANGES = (0, 0.3, 0.5, 0.7, 0.85, 0.95, 0.99, 1.0)
FEWEST = 25
"""Answers; a range of fewer says nothing."""


@dataclass(frozen=True, eq=False)
class Row:
    """Answers of one bed at one dose: reliability, right (n,), and errors in standard deviations (right ones, 2)."""

    name: str
    dose: float
    reliability: np.ndarray
    right: np.ndarray
    errors: np.ndarray
    deviation: np.ndarray

    def lines(self) -> list[str]:
        """Return what is printed."""
        within = (self.errors < 1).sum(0) / max(len(self.errors), 1)
        head = (
            f"{self.name}, {self.dose:g} electrons: {len(self.right)} answers, right {self.right.mean():.1%}, says "
            f"{self.reliability.mean():.1%}"
        )
        if len(self.errors):
            head += (
                f"; within σ {within[0]:.0%} (best), {within[1]:.0%} (worst axis), "
                f"σ {self.deviation[0]:.2f}°, {self.deviation[1]:.2f}°"
            )
        return [head, "   " + ", ".join(f"{n}: {says:.0%} → {is_:.0%}" for says, is_, n in self.bins())]

    def bins(self) -> list[tuple[float, float, int]]:
        """Return mean reliability, share of right answers and number of answers within each of ``RANGES``."""
        which = np.digitize(self.reliability, RANGES[1:-1])
        inside = [which == number for number in range(len(RANGES) - 1)]
        return [
            (float(self.reliability[here].mean()), float(self.right[here].mean()), int(here.sum()))
            for here in inside
            if here.sum() >= FEWEST
        ]


def main() -> None:
    """Map, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beds", type=Path, required=True)
    parser.add_argument("--set", choices=("develop", "final"), default="develop")
    parser.add_argument("--bed", nargs="+", default=["random_cu", "map_cu"])
    parser.add_argument("--dose", nargs="+", type=float, default=list(DOSES))
    parser.add_argument("--method", choices=METHODS, default="transformer")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--fit", action="store_true", help="fit reliability to the answers of each alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for bed in options.bed:
        for dose in options.dose:
            for row in measured(options.beds / f"{options.set}_{bed}.h5", bed, dose, options.method):
                print(*row.lines(), sep="\n", flush=True)
                rows.append(row)
    if options.figure:
        draw(rows).savefig(options.figure, dpi=110)
    if options.fit:
        print(f"temperature {fitted([row for row in rows if 'alone' in row.name]):.2f}")


def measured(path: Path, name: str, dose: float, method: str) -> list[Row]:
    """Map a bed: alone and, where it is a map, in the light of its neighbours."""
    patterns = multislice_patterns(path)
    bed = make_bed([patterns], (patterns.crystal.lower(),), dose, False)
    found, disks = orient.map_scan(bed.scan, bed.phases, device="cpu", method=method)
    voltage = bed.scan.calibration.voltage
    indexer = METHODS["transformer"].make(Asked(tuple(bed.phases), voltage, k_max=disks.reach, device="cpu"))
    said = {f"{name}, alone": found.alone()} | ({name: found} if bed.is_map else {})
    return [
        _row(title, dose, answer, disks, bed.rotation, bed.crystal, indexer) for title, answer in said.items()
    ]


def _row(
    title: str,
    dose: float,
    found: OrientationMap,
    disks: BraggDisks,
    truth: np.ndarray,
    crystal: np.ndarray,
    indexer: Indexer,
) -> Row:
    assert found.certainty is not None
    assert found.certainty.precision is not None
    answered = found.indexed & crystal
    right = answered & (misorientation(found.rotation, truth, found.phases[0]) < RIGHT)
    deviation = np.median(found.certainty.precision[right], axis=0)
    refined = not np.isnan(deviation).any()  # template matching refines nothing, and says nothing
    errors = in_deviations(found, disks, truth, right, indexer) if refined else np.zeros((0, 2))
    return Row(title, dose, found.certainty.reliability[answered], right[answered], errors, deviation)


def fitted(rows: list[Row]) -> float:
    """Return the temperature at which right and wrong answers are likeliest, every row alike."""

    def unlikeliness(temperature: float) -> float:
        chances = [calibrated(row.reliability, temperature / TEMPERATURE) for row in rows]
        right = [np.where(row.right, chance, 1 - chance) for row, chance in zip(rows, chances, strict=True)]
        return float(np.mean([-np.log(chance.clip(1e-6)).mean() for chance in right]))

    return float(minimize_scalar(unlikeliness, bounds=(0.5, 5.0), method="bounded").x)


def draw(rows: list[Row]):  # type: ignore[no-untyped-def]
    """Return the figure of both."""
    figure = new_figure(9, 3.8)
    left, right = figure.subplots(1, 2)
    left.plot([0, 100], [0, 100], color="grey", linewidth=0.8)
    left.fill_between([0, 100], [-3, 97], [3, 103], color="grey", alpha=0.2, linewidth=0)
    colours = {dose: f"C{number}" for number, dose in enumerate(sorted({row.dose for row in rows}))}
    marks = {name: mark for name, mark in zip(sorted({row.name for row in rows}), "os^vDP", strict=False)}
    for row in rows:
        bins = 100 * np.array(row.bins())[:, :2]
        label = f"{row.name}, {row.dose:g}"
        left.plot(
            *bins.T, marker=marks[row.name], markersize=4, color=colours[row.dose], label=label, linewidth=0.8
        )
    steps = np.linspace(0, 4, 81)
    for dose, colour in colours.items():
        errors = np.concatenate([row.errors for row in rows if row.dose == dose])
        for axis, style in enumerate(("-", "--")):
            share = 100 * (errors[:, axis, None] < steps).mean(0)
            label = f"{dose:g} electrons, {('best', 'worst')[axis]} axis"
            right.plot(steps, share, style, color=colour, label=label, linewidth=1)
    right.axvline(1, color="grey", linewidth=0.8)
    right.axhline(68.3, color="grey", linewidth=0.8)
    left.set(xlabel="reliability (%)", ylabel=f"answers within {RIGHT:g}° (%)", xlim=(0, 100), ylim=(0, 102))
    right.set(
        xlabel="error / standard deviation", ylabel="right answers with less (%)", xlim=(0, 4), ylim=(0, 102)
    )
    left.legend(frameon=False, fontsize=6)
    right.legend(frameon=False, fontsize=6)
    return figure


if __name__ == "__main__":
    main()
