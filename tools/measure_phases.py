"""Whether the right crystal is named as often as the program says, on multislice test beds.

    python tools/measure_phases.py --beds BEDS

``BEDS``: what ``make_test_beds.py`` wrote; ``develop_random_*`` are used. At each dose:

- of each pair of crystals, the beds of both are indexed with both offered, as a map is made, each position alone. Of
  the answers that call one so likely, as a share of both, the table has how many there are, what they say in the mean,
  and how many are right.
- of each bed, ``identify_phases`` is asked which of all crystals (those that come with the program, and those of
  ``tests/data``) is there: how often the right one explains most of 1, 4 and 16 positions, drawn 200 times; how many
  positions none explains, also (by 16 positions) where the right one is not offered.

``--fit`` asks for the temperature at which the first table's answers are likeliest, of the even patterns of each bed,
and what it gains for the odd ones: the mean of -log(probability of the right crystal), with and without it.
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize_scalar

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from compare_peers import cif_of, make_bed

import napari_4dstem_orient as orient
from helpers.multislice import multislice_patterns
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.crystals.library import bundled
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.indexing.methods import METHODS, Asked
from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.run import Results, run

PAIRS = (("cu", "cu2o"), ("zno", "tio2"), ("ti", "mg"), ("cu", "ni"), ("zno", "mg"))
"""The last two are hard: cells of one shape 2.6 % apart, and cells that differ by 1.3 and 0.1 %."""
RANGES = (0.5, 0.7, 0.9, 0.99, 1.0)
MOST = 64
"""Patterns of a bed that are asked which of all crystals they show."""
DRAWN = 200


def main() -> None:
    """Index, print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beds", type=Path, required=True)
    parser.add_argument("--dose", nargs="+", type=float, default=[1e4, 1e5])
    parser.add_argument("--table", nargs="+", choices=("pairs", "identify"), default=["pairs", "identify"])
    parser.add_argument("--fit", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = []
    for dose in options.dose:
        for pair in PAIRS if "pairs" in options.table else ():
            answers = [of_pair(options.beds, pair, name, dose) for name in pair]
            print(
                f"{' / '.join(pair)}, {dose:g} electrons: {line(*map(np.concatenate, zip(*answers, strict=True)))}",
                flush=True,
            )
            found += answers
        for path in sorted(options.beds.glob("develop_random_*.h5")) if "identify" in options.table else ():
            print(f"{path.stem.split('_')[-1]}, {dose:g} electrons: {identified(path, dose)}", flush=True)
    if options.fit:
        print(fit(found))


def measured(path: Path, dose: float, most: int | None = None) -> BraggDisks:
    """Return the calibrated disks of a bed, as the program finds them."""
    patterns = multislice_patterns(path)
    if most is not None:
        patterns = patterns.part(slice(most))
    bed = make_bed([patterns], (patterns.crystal.lower(),), dose, False)
    disks = run(Job(device="cpu"), Stage.CALIBRATED, have=Results(scan=bed.scan)).calibrated
    assert disks is not None
    return disks


def of_pair(beds: Path, pair: tuple[str, str], name: str, dose: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how likely each pattern of a bed calls either crystal, (n, 2), and which it is, (n,)."""
    phases = [orient.find_phase(cif_of(each)) for each in pair]
    disks = measured(beds / f"develop_random_{name}.h5", dose)
    indexer = METHODS["transformer"].make(Asked(tuple(phases), 300.0, k_max=disks.reach, device="cpu"))
    number = [[one.name for one in indexer.phases].index(phase.name) for phase in phases]
    likely = []
    for where in np.array_split(np.arange(disks.counts.size), disks.counts.size // 32):
        _, answer = indexer.answer(*indexer.read(disks, where, indexer.reach(disks)))  # type: ignore[attr-defined]
        if answer is not None:
            likely.append(
                np.stack([(answer.probability * (answer.phase_id == each)).sum(1) for each in number], 1)
            )
    joined = np.concatenate(likely)
    return joined / joined.sum(1, keepdims=True), np.full(len(joined), pair.index(name))


def line(likely: np.ndarray, truth: np.ndarray) -> str:
    """Return a row of the first table."""
    says, right = likely.max(1), likely.argmax(1) == truth
    which = np.digitize(says, RANGES[1:-1])
    cells = []
    for number, (low, high) in enumerate(pairwise(RANGES)):
        if (here := which == number).any():
            cells.append(
                f"{low:g}–{high:g}: {here.sum()}, {says[here].mean():.0%} → {right[here].mean():.0%}"
            )
    return f"{len(says)} answers, right {right.mean():.1%}, says {says.mean():.1%}; {'; '.join(cells)}"


def identified(path: Path, dose: float) -> str:
    """Return a row of the second table."""
    phases = all_crystals()
    disks = measured(path, dose, MOST)
    found = orient.identify_phases(disks, phases, 300.0, np.arange(disks.counts.size), device="cpu")
    truth = orient.find_phase(cif_of(path.stem.split("_")[-1]))
    right = next(number for number, one in enumerate(found.evidence) if one.phase.same_crystal(truth))
    shares = []
    for count in (1, 4, 16):
        rng = np.random.default_rng(0)
        drawn = [rng.choice(len(found.positions), count, replace=False) for _ in range(DRAWN)]
        if count == 1:
            drawn = [np.array([each]) for each in range(len(found.positions))]
        shares.append(np.mean([found.probability[some].mean(0).argmax() == right for some in drawn]))
    first = ", ".join(f"{share:.1%}" for share in shares)
    others = [each.phase for number, each in enumerate(found.evidence) if number != right]
    without = orient.identify_phases(disks, others, 300.0, np.arange(16), device="cpu")
    return (
        f"first of {len(phases)} by 1, 4, 16 positions: {first}; none {found.none:.0%}; {found.words} "
        f"If it is not offered: none {without.none:.0%}; {without.words}"
    )


def all_crystals() -> list[Phase]:
    """Return those that come with the program, and those of ``tests/data``."""
    others = Path(__file__).parents[1] / "tests" / "data" / "crystals"
    return [orient.find_phase(source) for source in [*bundled(), *sorted(others.glob("*.cif"))]]


def fit(found: list[tuple[np.ndarray, np.ndarray]]) -> str:
    """Return the temperature of even patterns and what it does for odd ones, every bed alike."""

    def unlikeliness(temperature: float, half: int) -> float:
        costs = []
        for likely, truth in found:
            warm = likely[half::2].clip(1e-12) ** (1 / temperature)
            share = warm[np.arange(len(warm)), truth[half::2]] / warm.sum(1)
            costs.append(-np.log(share.clip(1e-6)).mean())
        return float(np.mean(costs))

    best = float(minimize_scalar(lambda each: unlikeliness(each, 0), bounds=(0.3, 5.0), method="bounded").x)
    return (
        f"temperature {best:.2f} of the even patterns; -log of the odd ones' right crystals "
        f"{unlikeliness(best, 1):.4f}, {unlikeliness(1.0, 1):.4f} without"
    )


if __name__ == "__main__":
    main()
