"""Compare with peers what is found in patterns of several crystals: sums of multislice patterns, all answers known.

    python tools/compare_overlap.py --beds BEDS --set final --quantem quantem-venv/bin/python --out table.md

``BEDS`` and quantem's environment: see ``compare_peers.py``. A sum has 2e5 electrons (``--dose``); further crystals in
it weigh 1, ½ or ¼ of the first. Ours is ``map_scan(scan, phases)`` and nothing else; py4DSTEM and quantem are told
how many crystals there are, ours is not. py4DSTEM's floor for disks is tuned by the truth, in its favour.

Columns: how often the first answer is one of the crystals within 5°, how often all crystals are among the answers,
of all and by weight; how many positions get more answers than there are crystals; positions per second of processor
time, with detection.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from compare_peers import EVERY_ANSWER, FLOORS, ask_quantem, cif_of

import napari_4dstem_orient as orient
from helpers.multislice import multislice_patterns
from helpers.overlapping import WEIGHTS, Overlapping, overlapping
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.detection.probe import probe_for
from napari_4dstem_orient.detection.suggest import settings_for_probe
from napari_4dstem_orient.indexing.settings import TemplateSettings

ROWS = {"1 Cu": (("cu",), 1), "2 Cu": (("cu",), 2), "3 Cu": (("cu",), 3), "2 Cu, Cu2O": (("cu", "cu2o"), 2)}
"""Rows of the table: crystals that there may be, and patterns in a sum."""
TUNED_ON = 32
HEAD = "sums, electrons | program | first right | all right | " + " | ".join(f"weight {w:g}" for w in WEIGHTS)
HEAD += " | too many | per second"


def main() -> None:
    """Run what is asked for and print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beds", type=Path, required=True)
    parser.add_argument("--set", choices=("develop", "final"), default="develop")
    parser.add_argument("--row", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--dose", type=float, default=2e5, help="electrons in a sum")
    parser.add_argument("--count", type=int, default=300, help="sums in a row of the table")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--program", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--quantem", type=Path, help="Python of the environment that has quantem")
    parser.add_argument("--out", type=Path, help="append the table to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [f"| {HEAD} |", "|---" * (HEAD.count("|") + 1) + "|"]
    print(*lines, sep="\n", flush=True)
    for row in options.row:
        names, crystals = ROWS[row]
        sets = [multislice_patterns(options.beds / f"{options.set}_random_{name}.h5") for name in names]
        sums = overlapping(sets, options.count, crystals, options.dose, options.seed)
        phases = [orient.find_phase(cif_of(name)) for name in names]
        asked = Question(sums, names, phases, sets[0].probe, options.quantem)
        for program in options.program:
            if program == "quantem" and options.quantem is None:
                continue
            answer = PROGRAMS[program](asked)
            lines.append(
                f"| {row}, {options.dose:g} | {program} | {cells(asked, answer)} | {options.count / answer[2]:.0f} |"
            )
            print(lines[-1], flush=True)
    if options.out:
        with options.out.open("a") as file:
            print(*lines, sep="\n", file=file)


@dataclass(frozen=True, eq=False)
class Question:
    """What a program is asked: sums, the crystals that there may be, the true probe."""

    sums: Overlapping
    names: tuple[str, ...]
    phases: list[Phase]
    probe: np.ndarray
    quantem: Path | None

    @property
    def crystals(self) -> int:
        """In each sum."""
        return self.sums.phase.shape[1]

    @property
    def scan(self) -> Scan:
        """All of the sums."""
        return self.sums.scan


Answer = tuple[np.ndarray, np.ndarray, float]
"""Rotations (n, m, 3, 3) and phases (n, m) of m crystals, -1 for none; seconds."""


def right(asked: Question, answer: Answer) -> np.ndarray:
    """Return which answers are which crystals within 5°, bool (n, answers, crystals)."""
    rotation, phase, _ = answer
    true = asked.sums.phase
    matching = np.zeros((*phase.shape, asked.crystals), bool)
    for number, crystal in enumerate(asked.phases):
        pattern, which, of = np.nonzero((phase[:, :, None] == number) & (true[:, None] == number))
        truth = asked.sums.rotation[pattern, of]
        matching[pattern, which, of] = misorientation(rotation[pattern, which], truth, crystal) < 5
    return matching


def cells(asked: Question, answer: Answer) -> str:
    """Return the shares of answers that are right, and of positions with too many."""
    matching, weight = right(asked, answer), asked.sums.weight
    every = matching.any(1).all(1)
    parts = [matching[:, 0].any(1), every, *(every[weight == each] for each in WEIGHTS)]
    parts.append((answer[1] >= 0).sum(1) > asked.crystals)
    return " | ".join(f"{part.mean():.1%}" for part in parts)


def ours(asked: Question) -> Answer:
    """Map as the program suggests."""
    orient.map_scan(asked.scan, asked.phases, device="cpu")  # imports and libraries
    begin = time.process_time()
    found, _ = orient.map_scan(asked.scan, asked.phases, device="cpu")
    seconds = time.process_time() - begin
    maps = [found, *found.beside]
    rotation, phase = ([getattr(one, name)[0] for one in maps] for name in ("rotation", "phase_id"))
    return np.stack(rotation, 1), np.stack(phase, 1), seconds


def py4dstem(asked: Question) -> Answer:
    """Detect and match with py4DSTEM's own code, its floor tuned."""
    few = Question(asked.sums.first(TUNED_ON), asked.names, asked.phases, asked.probe, None)
    brightness = float(np.sqrt(1 + 1e-4 * np.asarray(few.scan.data).sum(axis=(2, 3)).mean()))
    tried = [right(few, by_hand(few, floor * brightness, "torch")).any(1).all(1).mean() for floor in FLOORS]
    return by_hand(asked, FLOORS[int(np.argmax(tried))] * brightness, "py4DSTEM")


def by_hand(asked: Question, floor: float, engine: str) -> Answer:
    """Detect with py4DSTEM and match with its scores; ``engine``: who matches."""
    probe = probe_for(asked.scan)
    cut = {"min_intensity": floor, "min_relative_intensity": 0.0, "max_disks": 100}
    settings = replace(settings_for_probe(probe), engine="py4DSTEM", **cut)
    method = TemplateSettings(engine=engine, matches=asked.crystals, verify=False)
    begin = time.process_time()
    disks = orient.detect_disks(asked.scan, probe, settings, device="cpu")
    disks, _ = orient.calibrate(disks, asked.scan.calibration)
    voltage = asked.scan.calibration.voltage
    given = {"method": "template", "template": method, "acceptance": EVERY_ANSWER, "device": "cpu"}
    found = orient.map_orientations(disks, asked.phases, voltage, **given)
    seconds = time.process_time() - begin
    # The runners-up of a map are of the first one's phase.
    rotation = np.concatenate([found.rotation[0][:, None], found.runner_up[0]], 1)
    score = np.concatenate([np.ones((len(found.score[0]), 1)), found.runner_up_score[0]], 1)
    phase = np.where(score > 0, found.phase_id[0][:, None], -1)
    return rotation[:, : asked.crystals], phase[:, : asked.crystals], seconds


def quantem(asked: Question) -> Answer:
    """Let quantem do it in its own environment."""
    assert asked.quantem is not None
    said, rates = ask_quantem(asked.quantem, asked.scan, asked.probe, asked.names, matches=asked.crystals)
    rotation, phase = said["matched"]
    return rotation[0], phase[0], len(asked.sums.phase) * (1 / rates["detection"] + 1 / rates["matching"])


PROGRAMS = {"ours": ours, "py4DSTEM": py4dstem, "quantem": quantem}

if __name__ == "__main__":
    main()
