"""Compare the whole chain with peers, on multislice test beds whose every answer is known.

    python3 -m venv quantem-venv
    quantem-venv/bin/pip install torch==2.13.0 torchvision==0.28.0
    quantem-venv/bin/pip install quantem==0.1.10 h5py torch==2.13.0 torchvision==0.28.0
    python tools/compare_peers.py --beds BEDS --set final --quantem quantem-venv/bin/python --out table.md

``BEDS``: what ``make_test_beds.py`` wrote. Without the pinned torch, pip brings several gigabytes of CUDA; quantem
wants NumPy 2 and is no dependency of this program. Everything runs with one thread; rates are positions per second
of processor time, so that a busy machine does not change them; of small sets, ours are mostly the finding of probe
and settings and the loading of models.

Ours is ``map_scan(scan, phases)`` and nothing else. py4DSTEM is its own detection and matching (2°) with the floor
for disks tuned for each bed and dose, by the truth, in its favour. quantem is its own chain at its best settings
(``quantem_peer.py``), with the true probe; on maps its refinement asks neighbours.

Columns: of all positions with a crystal, indexed or not, how many are right within 5° and 2°, and the median angle; how
many are beyond 34.4°; how many have the right phase; of single positions, pairs and lamellae, how many are right within
5°; how many positions of vacuum got an answer.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import dask.array as da
import h5py
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import napari_4dstem_orient as orient
from helpers.multislice import KINDS, RINGS, MultislicePatterns, multislice_patterns, multislice_scan
from napari_4dstem_orient.core.progress import silent
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.crystals.library import bundled
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.crystals.phase import Phase
from napari_4dstem_orient.detection.probe import probe_for
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.detection.suggest import settings_for_probe
from napari_4dstem_orient.indexing.settings import AcceptanceSettings, TemplateSettings

K_MAX = 2.0  # Å⁻¹
ROWS = {
    "random_cu": (("cu",), (3e3, 1e4, 2e5)),
    "map_cu": (("cu",), (5e3, 5e4)),
    "random_cu+random_cu2o": (("cu", "cu2o"), (1e5,)),
    "random_ti": (("ti",), (1e5,)),
    "random_tio2": (("tio2",), (1e5,)),
    "random_fe": (("fe",), (1e5,)),
    "random_zno": (("zno",), (1e5,)),
    "random_zro2": (("zro2",), (1e5,)),
    "random_bi": (("bi",), (1e5,)),
    "random_mg2sio4": (("mg2sio4",), (1e5,)),
}
"""Beds: crystals that there may be, electrons in a pattern."""
FLOORS = (0.0, 0.01, 0.02, 0.03, 0.06, 0.12, 0.25, 0.5)
"""py4DSTEM's floors that are tried, as shares of the root of (1 + 1e-4 electrons), in counts a pixel."""
TUNED_ON = 64
EVERY_ANSWER = AcceptanceSettings(min_disks=2, min_score=0.0, min_reliability=0.0, neighbours=False)
WRONG = 180.0


@dataclass(frozen=True, eq=False)
class Bed:
    """Counts and what is true of them; arrays of shape (rows, cols, …). ``weight``: positions that each stands for."""

    scan: Scan
    crystals: tuple[str, ...]
    phases: list[Phase]
    probe: np.ndarray
    rotation: np.ndarray
    phase: np.ndarray
    kind: np.ndarray
    weight: np.ndarray
    is_map: bool

    @property
    def crystal(self) -> np.ndarray:
        """Where there is one."""
        return self.kind > 0

    def part(self, most: int) -> Bed:
        """Return at most so many positions in one row: islands and lamellae, and some of the rest, which weigh more."""
        others = np.isin(self.kind.ravel(), (KINDS.index("vacuum"), KINDS.index("grain")))
        rank = np.random.default_rng(0).permutation(self.kind.size) + 1e6 * others
        chosen = np.sort(np.argsort(rank)[:most])
        values = {name: getattr(self, name) for name in ("rotation", "phase", "kind", "weight")}
        cut = {name: item.reshape(-1, *item.shape[2:])[chosen][None] for name, item in values.items()}
        for kind in range(len(KINDS)):
            drawn = cut["kind"] == kind
            cut["weight"] = np.where(drawn, (self.kind == kind).sum() / max(drawn.sum(), 1), cut["weight"])
        counts = np.asarray(self.scan.data).reshape(-1, *self.scan.detector_shape)[chosen][None]
        return replace(self, scan=in_memory(self.scan, counts), is_map=False, **cut)


@dataclass(frozen=True, eq=False)
class Answer:
    """What a program said of a bed; rotation (rows, cols, 3, 3), phase (rows, cols), -1: none; positions per second."""

    name: str
    bed: Bed
    rotation: np.ndarray
    phase: np.ndarray
    detection: float
    matching: float

    def angles(self) -> np.ndarray:
        """Return each position's angle to the truth in degrees; without an answer, or with another phase, 180."""
        angle = np.full(self.bed.phase.shape, WRONG)
        for number, phase in enumerate(self.bed.phases):
            same = (self.bed.phase == number) & (self.phase == number)
            angle[same] = misorientation(self.rotation[same], self.bed.rotation[same], phase)
        return angle

    def line(self) -> str:
        """Return a row of the table."""
        bed, angle = self.bed, self.angles()
        crystal, weight = angle[bed.crystal], bed.weight[bed.crystal]
        order = np.argsort(crystal)
        median = crystal[order][np.searchsorted(weight[order].cumsum(), weight.sum() / 2)]

        def part(which: np.ndarray) -> str:
            return f"{np.average(which, weights=weight):.1%}"

        cells = [
            self.name,
            str(crystal.size),
            *(part(crystal < limit) for limit in (5, 2)),
            f"{median:.2f}°" if median < WRONG else "no answer",
            part(crystal > 34.4),
            part((self.phase == bed.phase)[bed.crystal]),
            *(share(angle[bed.kind == KINDS.index(kind)] < 5) for kind in ("single", "pair", "lamella")),
            share(self.phase[~bed.crystal] >= 0),
            f"{self.detection:.0f}",
            f"{self.matching:.0f}",
        ]
        return " | ".join(cells)


def share(which: np.ndarray) -> str:
    """Return how many are true, of how many."""
    return f"{which.sum()} of {which.size}" if which.size else "–"


HEAD = (
    "bed, electrons | program | positions | within 5° | within 2° | median | beyond 34.4° | phase | single | pair | "
    "lamella | vacuum indexed | detection/s | matching/s"
)


def main() -> None:
    """Run what is asked for and print the table, row by row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--beds", type=Path, required=True)
    parser.add_argument("--set", choices=("develop", "final"), default="develop")
    parser.add_argument("--row", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument(
        "--dose", nargs="+", type=float, help="electrons in a pattern, in place of each row's own"
    )
    parser.add_argument("--diffuse", action="store_true", help="with the copper sample's halo and rings")
    parser.add_argument("--program", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument(
        "--most", type=int, default=400, help="positions that py4DSTEM, being slow, gets of a map"
    )
    parser.add_argument("--quantem", type=Path, help="Python of the environment that has quantem")
    parser.add_argument("--out", type=Path, help="append the table to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = [f"| {HEAD} |", "|---" * (HEAD.count("|") + 1) + "|"]
    print(*lines, sep="\n", flush=True)
    for row in options.row:
        crystals, doses = ROWS[row]
        files = [options.beds / f"{options.set}_{name}.h5" for name in row.split("+")]
        if missing := [file.name for file in files if not file.exists()]:
            print(f"| {row}: no {', '.join(missing)} |", flush=True)
            continue
        for dose in options.dose or doses:
            bed = make_bed([multislice_patterns(file) for file in files], crystals, dose, options.diffuse)
            for program in options.program:
                for answer in PROGRAMS[program](bed, options):
                    lines.append(f"| {row}, {dose:g}{' diffuse' * options.diffuse} | {answer.line()} |")
                    print(lines[-1], flush=True)
    if options.out:
        with options.out.open("a") as file:
            print(*lines, sep="\n", file=file)


def make_bed(sets: list[MultislicePatterns], crystals: tuple[str, ...], dose: float, diffuse: bool) -> Bed:
    """Draw counts, into memory: making them must not count as reading them."""
    scans = [multislice_scan(one, dose, *((1400.0, 0, RINGS) if diffuse else (np.inf,))) for one in sets]
    counts = np.concatenate([np.asarray(scan.data) for scan in scans], axis=1).astype(np.uint16)
    rotations = [one.rotation.reshape(*one.scan_shape, 3, 3) for one in sets]
    numbers = [np.where(one.kind > 0, crystals.index(one.crystal.lower()), -1) for one in sets]
    return Bed(
        scan=in_memory(scans[0], counts),
        crystals=crystals,
        phases=[orient.find_phase(cif_of(name)) for name in crystals],
        probe=sets[0].probe,
        rotation=np.concatenate(rotations, axis=1),
        phase=np.concatenate(numbers, axis=1),
        kind=np.concatenate([one.kind for one in sets], axis=1),
        weight=np.concatenate([np.ones(one.scan_shape) for one in sets], axis=1),
        is_map=sets[0].scan_shape[0] > 1,
    )


def cif_of(crystal: str) -> Path:
    """Return the file of a crystal that ships with the program, or of one of ``tests/data``."""
    others = Path(__file__).parents[1] / "tests" / "data" / "crystals"
    files = bundled() | {path.stem: path for path in others.glob("*.cif")}
    return {name.lower(): path for name, path in files.items()}[crystal]


def in_memory(scan: Scan, counts: np.ndarray) -> Scan:
    """Return the scan with other counts, a row in a chunk."""
    return replace(scan, data=da.from_array(counts, chunks=(1, *counts.shape[1:])))


def ours(bed: Bed, options: argparse.Namespace) -> list[Answer]:
    """Map as the program suggests, and by template matching."""
    answers = []
    for method in ("transformer", "template"):
        steps: list[float] = []

        def begins(step: str, steps: list[float] = steps):  # type: ignore[no-untyped-def]
            steps.append(time.process_time())
            return silent

        try:
            orient.map_scan(
                bed.part(16).scan, bed.phases, method=method, device="cpu"
            )  # imports and libraries
            found, _ = orient.map_scan(bed.scan, bed.phases, method=method, device="cpu", report=begins)
        except orient.UserError as error:
            print(f"  {method}: {error}", flush=True)
            continue
        n = bed.kind.size
        detecting, *mapping = np.diff([*steps, time.process_time()])
        said = {f"ours, {method}": (found, sum(mapping))}
        if getattr(found, "pooled", None) is not None:
            said = {f"ours, {method}, each alone": (found.alone(), mapping[0])} | said
        for name, (answer, seconds) in said.items():
            answers.append(Answer(name, bed, answer.rotation, answer.phase_id, n / detecting, n / seconds))
    return answers


def py4dstem(bed: Bed, options: argparse.Namespace) -> list[Answer]:
    """Detect and match with py4DSTEM's own code, its floor tuned."""
    bed = bed.part(options.most)
    small = bed.part(TUNED_ON)
    brightness = float(np.sqrt(1 + 1e-4 * np.asarray(small.scan.data).sum(axis=(2, 3)).mean()))
    tried = [by_hand(small, floor * brightness, "torch") for floor in FLOORS]
    right = [(one.angles()[small.crystal] < 5).mean() for one in tried]
    floor = FLOORS[int(np.argmax(right))] * brightness
    print(f"  py4DSTEM: floor {floor:.3g}, of 5°: {np.round(right, 3)}", flush=True)
    return [by_hand(bed, floor, "py4DSTEM")]


def by_hand(bed: Bed, floor: float, engine: str) -> Answer:
    """Detect with py4DSTEM and match with its scores; ``engine``: who matches."""
    probe = probe_for(bed.scan)
    settings: DetectionSettings = replace(
        settings_for_probe(probe),
        min_intensity=floor,
        min_relative_intensity=0.0,
        engine="py4DSTEM",
        max_disks=100,
    )
    start = time.process_time()
    disks = orient.detect_disks(bed.scan, probe, settings, device="cpu")
    detecting = time.process_time() - start
    disks, _ = orient.calibrate(disks, bed.scan.calibration)
    method = TemplateSettings(engine=engine, matches=1, verify=False)
    given = {"method": "template", "template": method, "acceptance": EVERY_ANSWER, "device": "cpu"}
    start = time.process_time()
    found = orient.map_orientations(disks, bed.phases, bed.scan.calibration.voltage, **given)
    mapping = time.process_time() - start
    n = bed.kind.size
    return Answer("py4DSTEM by hand, tuned", bed, found.rotation, found.phase_id, n / detecting, n / mapping)


def quantem(bed: Bed, options: argparse.Namespace) -> list[Answer]:
    """Let quantem do it in its own environment."""
    if options.quantem is None:
        return []
    said, rates = ask_quantem(options.quantem, bed.scan, bed.probe, bed.crystals, bed.is_map)
    slow = 1 / (1 / rates["matching"] + 1 / rates["refinement"])
    refined = "quantem, refined with neighbours" if bed.is_map else "quantem, refined"
    names = {"matched": ("quantem", rates["matching"]), "refined": (refined, slow)}
    return [
        Answer(name, bed, said[stage][0][:, :, 0], said[stage][1][:, :, 0], rates["detection"], rate)
        for stage, (name, rate) in names.items()
    ]


def ask_quantem(
    python: Path,
    scan: Scan,
    probe: np.ndarray,
    crystals: tuple[str, ...],
    rescue: bool = False,
    matches: int = 1,
) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]], dict[str, float]]:
    """Return quantem's rotations (rows, cols, matches, 3, 3) and phases, matched and refined, and its rates."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.h5", Path(folder) / "out.h5"
        known = scan.calibration
        with h5py.File(source, "w") as file:
            file["counts"], file["probe"] = np.asarray(scan.data), probe
            file.attrs.update(
                voltage=known.voltage,
                q_pixel=known.q_pixel,
                k_max=K_MAX,
                crystals=[str(cif_of(name)) for name in crystals],
                rescue=rescue,
                matches=matches,
            )
        peer = Path(__file__).with_name("quantem_peer.py")
        subprocess.run([python, peer, source, target], check=True, stdout=subprocess.DEVNULL)
        with h5py.File(target) as file:
            n = scan.scan_shape[0] * scan.scan_shape[1]
            rates = {name: n / seconds for name, seconds in file.attrs.items()}
            stages = ("matched", "refined")
            return {stage: (file[stage]["rotation"][()], file[stage]["phase"][()]) for stage in stages}, rates


PROGRAMS: dict[str, Callable[[Bed, argparse.Namespace], list[Answer]]] = {
    "ours": ours,
    "py4DSTEM": py4dstem,
    "quantem": quantem,
}

if __name__ == "__main__":
    main()
