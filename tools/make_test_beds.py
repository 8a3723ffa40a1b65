"""Simulate test beds whose every answer is known: maps of bent grains with islands, random orientations, strain.

    python -m venv abtem-venv && abtem-venv/bin/pip install abtem==1.0.11 ase h5py
    abtem-venv/bin/python tools/make_test_beds.py --out BEDS          # all: half an hour of one core
    abtem-venv/bin/python tools/make_test_beds.py --out BEDS --only develop_map_cu
    abtem-venv/bin/python tools/make_test_beds.py --out BEDS --only final_strained_cu final_strained_si

A map (48 × 48 positions, copper, 300 kV) has 16 grains, each bent by up to 1.1° about its own axis, 6 to 40 nm
thick; vacuum; and what neighbours must not talk out of its own answer: single positions and pairs of an
orientation of their own, and lamellae one position wide, half of them twins (Σ3) of their grain. Every orientation
is simulated by multislice at every thickness it occurs in; the beam's tilt, in steps of 0.3°, stands for the bending.
Positions of one grain with the same tilt and thickness (in steps of 1 nm) share an expected pattern.

``develop`` is for looking at, ``final`` for reports only; ``test_map_cu``, small, is ``multislice_map_cu.h5`` of
``tests/data``. Seeds differ. Files hold expected patterns without noise; ``tests/helpers/multislice.py`` reads them
and draws counts at a dose, with diffuse scattering if asked.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import Pool
from multiprocessing.pool import Pool as PoolType
from pathlib import Path

import numpy as np
from make_multislice_patterns import (
    FINE,
    SMALL,
    THICKNESS,
    UPRIGHT,
    Box,
    on_detector,
    simulate,
    soft_probe,
    tilted,
    write,
)
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

MADE_BY = "tools/make_test_beds.py"
SEEDS = {"develop": 4101, "final": 9707, "test": 1234}
KINDS = ("vacuum", "grain", "single", "pair", "lamella")
BENDING = (0.9, 0.3)  # degrees at the ends of a grain, about its axis and across
TILT_STEP = 0.3  # degrees
MAP_THICKNESS = (60.0, 400.0)  # Å
THICKNESS_STEP = 10.0  # Å
TWIN = Rotation.from_rotvec(np.deg2rad(60) * np.ones(3) / np.sqrt(3)).as_matrix()
RANDOM = {
    "Cu": 200,
    "Cu2O": 64,
    "Fe": 48,
    "Ti": 64,
    "TiO2": 64,
    "Bi": 48,
    "ZnO": 48,
    "ZrO2": 48,
    "Mg2SiO4": 48,
    "Mg": 48,
    "Ni": 64,
}
"""Patterns of random orientation in each set; a crystal's place is part of its seed."""
STRAINED = {"Cu": 48, "Si": 48}
"""Patterns of strained crystals; every second one near a zone axis."""
STRAIN = (0.001, 0.02)
STRAINED_THICKNESS = (100.0, 300.0)  # Å
ZONES = ((0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 1, 2), (0, 1, 3))
OFF_ZONE = 3.0  # degrees at most


def main() -> None:
    """Make what is not there yet."""
    beds = {f"{name}_map_cu": (name, 48, 4) for name in ("develop", "final")}
    beds |= {
        f"{name}_random_{crystal.lower()}": (name, crystal)
        for name in ("develop", "final")
        for crystal in RANDOM
    }
    beds |= {
        f"{name}_strained_{crystal.lower()}": (name, crystal)
        for name in ("develop", "final")
        for crystal in STRAINED
    }
    beds["test_map_cu"] = ("test", 18, 2)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", choices=beds, nargs="+", default=list(beds))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with Pool(options.jobs) as pool:
        for bed in options.only:
            out = options.out / f"{bed}.h5"
            if not out.exists():
                made, *rest = beds[bed]
                if "strained" in bed:
                    make_strained(out, pool, SEEDS[made], rest[0])
                else:
                    (make_random if len(rest) == 1 else make_map)(out, pool, SEEDS[made], *rest)


def make_random(out: Path, pool: PoolType, seed: int, crystal: str) -> None:
    """Write patterns of random orientation and log-uniform thickness."""
    rotations, thicknesses, shifts = [], [], []
    for index in range(RANDOM[crystal]):
        rng = np.random.default_rng([seed, list(RANDOM).index(crystal), index])
        rotations.append(Rotation.random(random_state=rng).as_matrix())
        thicknesses.append(float(np.exp(rng.uniform(*np.log(THICKNESS)))))
        shifts.append(rng.random(3))
    tasks = [(crystal, r, [t], s) for r, t, s in zip(rotations, thicknesses, shifts, strict=True)]
    patterns = [made[0, 0] for made in followed(out, pool, tasks)]
    truth = {"rotation": np.array(rotations), "thickness": np.array(thicknesses, np.float32)}
    write(out, np.array(patterns), truth, SMALL, crystal=crystal, seed=seed, made_by=MADE_BY)


def make_strained(out: Path, pool: PoolType, seed: int, crystal: str) -> None:
    """Write patterns of crystals strained in the plane, by 0.1 to 2 % along axes of any direction."""
    tasks = []
    for index in range(STRAINED[crystal]):
        rng = np.random.default_rng([seed, list(STRAINED).index(crystal), index])
        rotation = near_zone(rng) if index % 2 else Rotation.random(random_state=rng).as_matrix()
        thickness = float(np.exp(rng.uniform(*np.log(STRAINED_THICKNESS))))
        shift = rng.random(3)
        along = Rotation.from_rotvec((0, 0, rng.uniform(0, np.pi))).as_matrix()[:2, :2]
        size = np.exp(rng.uniform(*np.log(STRAIN), 2)) * rng.choice((-1, 1), 2)
        gradient = np.eye(2) + along * size @ along.T
        tasks.append((crystal, rotation, [thickness], shift, UPRIGHT, None, gradient))
    patterns = [made[0, 0] for made in followed(out, pool, tasks, FINE)]
    truth = {
        "rotation": np.array([task[1] for task in tasks]),
        "thickness": np.array([task[2][0] for task in tasks], np.float32),
        "gradient": np.array([task[-1] for task in tasks]),
    }
    write(out, np.array(patterns), truth, FINE, crystal=crystal, seed=seed, made_by=MADE_BY)


def near_zone(rng: np.random.Generator) -> np.ndarray:
    """Return an orientation of a cubic crystal with a zone axis near the beam, at any angle about it."""
    zone = np.array(ZONES[rng.integers(len(ZONES))])
    upright = Rotation.align_vectors([zone / np.linalg.norm(zone)], [[0, 0, 1]])[0]
    tilt = np.deg2rad(OFF_ZONE) * np.sqrt(rng.random())
    about, azimuth = rng.uniform(0, 2 * np.pi, 2)
    off = Rotation.from_rotvec(tilt * np.array([np.cos(azimuth), np.sin(azimuth), 0]))
    return (upright * off * Rotation.from_rotvec((0, 0, about))).as_matrix()


def followed(out: Path, pool: PoolType, tasks: list[tuple], box: Box = SMALL) -> Iterator[np.ndarray]:
    """Simulate, say how far it is."""
    start = time.monotonic()
    for number, made in enumerate(pool.imap(partial(_simulate, box=box), tasks), start=1):
        if number % 16 == 0 or number == len(tasks):
            print(f"{out.name}: {number} of {len(tasks)}, {time.monotonic() - start:.0f} s", flush=True)
        yield made


def _simulate(task: tuple, box: Box) -> np.ndarray:
    return simulate(*task, box=box)


@dataclass(eq=False)
class Layout:
    """What lies where; arrays of shape (size, size), tilt (size, size, 2) in radians.

    ``label``: -1 vacuum, then grains, then each island and lamella; ``orientation``: that of each label, untilted.
    """

    label: np.ndarray
    kind: np.ndarray
    thickness: np.ndarray
    tilt: np.ndarray
    orientation: list[np.ndarray]


def make_map(out: Path, pool: PoolType, seed: int, size: int, grains: int) -> None:
    """Write a map of ``grains``² grains."""
    rng = np.random.default_rng(seed)
    plan = layout(rng, size, grains)
    vacuum = on_detector(np.abs(np.fft.fftshift(np.fft.fft2(soft_probe(SMALL)))) ** 2 / SMALL.grid**2, SMALL)
    patterns, index = [vacuum / vacuum.sum()], np.zeros((size, size), np.int32)
    rotation = np.tile(np.eye(3), (size, size, 1, 1))
    tasks = []
    for label, base in enumerate(plan.orientation):
        where = plan.label == label
        tilts, tilt = np.unique(plan.tilt[where], axis=0, return_inverse=True)
        planes, plane = np.unique(plan.thickness[where], return_inverse=True)
        tilt, plane = tilt.ravel(), plane.ravel()
        rotation[where] = tilted(base, tilts)[tilt]
        wanted = np.zeros((len(tilts), len(planes)), int)
        wanted[tilt, plane] = 1
        before = 1 + sum(task[-1].sum() for task in tasks)
        index[where] = (wanted.cumsum().reshape(wanted.shape) - 1 + before)[tilt, plane]
        tasks.append(("Cu", base, planes, rng.random(3), tilts, wanted))
    for task, made in zip(tasks, followed(out, pool, tasks), strict=True):
        patterns += list(made[task[-1] > 0])
    truth = {
        "index": index,
        "rotation": rotation,
        "thickness": plan.thickness.astype(np.float32),
        "label": plan.label.astype(np.int16),
        "kind": plan.kind.astype(np.uint8),
    }
    full = 1023 if size < 48 else 16383
    write(out, np.array(patterns), truth, SMALL, full, crystal="Cu", seed=seed, made_by=MADE_BY, kinds=KINDS)


def layout(rng: np.random.Generator, size: int, grains: int) -> Layout:
    """Draw a map."""
    place = np.stack(np.indices((size, size)), axis=-1).astype(float)
    step = size / grains
    seeds = (
        np.stack(np.indices((grains, grains)), -1).reshape(-1, 2) + rng.uniform(0.15, 0.85, (grains**2, 2))
    ) * step
    label = np.linalg.norm(place[:, :, None] - seeds, axis=-1).argmin(axis=-1)
    hole = np.linalg.norm(place - rng.uniform(0.25, 0.75, 2) * size, axis=-1) < 0.08 * size
    strip = place[..., 1] > size * (0.95 - 0.03 * np.sin(place[..., 0] / size * 2 * np.pi))
    vacuum = hole | strip
    label[vacuum] = -1
    ramp = place @ rng.dirichlet((2, 2)) / size + 2 * gaussian_filter(
        rng.standard_normal((size, size)), size / 8
    )
    ramp = (ramp - ramp.min()) / np.ptp(ramp)
    thin, thick = MAP_THICKNESS
    thickness = THICKNESS_STEP * np.rint((thin + (thick - thin) * ramp) / THICKNESS_STEP)
    plan = Layout(
        label=label,
        kind=(~vacuum).astype(int),
        thickness=np.where(vacuum, 0, thickness),
        tilt=np.zeros((size, size, 2)),
        orientation=list(Rotation.random(grains**2, random_state=rng).as_matrix()),
    )
    for number in range(grains**2):
        bend(rng, plan, place, label == number)
    share = (size / 48) ** 2
    lamellae(rng, plan, max(2, round(6 * share)), place)
    islands(rng, plan, max(4, round(40 * share)), 1)
    islands(rng, plan, max(3, round(16 * share)), 2)
    plan.tilt = np.deg2rad(TILT_STEP) * np.rint(plan.tilt / np.deg2rad(TILT_STEP))
    return plan


def bend(rng: np.random.Generator, plan: Layout, place: np.ndarray, where: np.ndarray) -> None:
    """Bend a grain about an axis in the plane, and a little across; the angle grows along some direction."""
    along, about = (np.array([np.cos(a), np.sin(a)]) for a in rng.uniform(0, 2 * np.pi, 2))
    way = (place[where] - place[where].mean(axis=0)) @ along
    way /= np.abs(way).max()
    across = np.array([-about[1], about[0]])
    most, less = np.deg2rad(BENDING)
    plan.tilt[where] = most * way[:, None] * about + less * np.cos(np.pi * way)[:, None] * across


def lamellae(rng: np.random.Generator, plan: Layout, count: int, place: np.ndarray) -> None:
    """Put lamellae one position wide into different grains; they share the grain's bending."""
    hosts = rng.permutation(len(plan.orientation))[:count]
    for number, host in enumerate(hosts):
        where = plan.label == host
        away = place - place[where].mean(axis=0)
        angle = rng.uniform(0, np.pi)
        normal = np.array([np.cos(angle), np.sin(angle)])
        steep = np.abs(normal).argmax()  # one position in each row, or in each column
        off = np.abs(away @ normal) / np.abs(normal[steep])
        mine = where & (off <= 0.5) & (np.abs(away @ (-normal[1], normal[0])) < 7)
        twin = TWIN @ plan.orientation[host] if number % 2 else Rotation.random(random_state=rng).as_matrix()
        add(plan, mine, "lamella", twin)


def islands(rng: np.random.Generator, plan: Layout, count: int, size: int) -> None:
    """Put single positions or pairs inside grains, of which no two touch."""
    inside = plan.kind == KINDS.index("grain")
    for _ in range(count):
        free = [(r, c) for r, c in _middles(inside) if inside[r - 1 : r + 2, c - 1 : c + 3].all()]
        row, col = free[rng.integers(len(free))]
        mine = np.zeros(plan.label.shape, bool)
        mine[row, col : col + size] = True
        inside[row - 1 : row + 2, col - 1 : col + 1 + size] = False
        add(plan, mine, ("single", "pair")[size - 1], Rotation.random(random_state=rng).as_matrix())


def _middles(inside: np.ndarray) -> Iterator[tuple[int, int]]:
    rows, cols = inside.shape
    return ((r, c) for r in range(1, rows - 1) for c in range(1, cols - 2))


def add(plan: Layout, where: np.ndarray, kind: str, orientation: np.ndarray) -> None:
    """Give some positions an orientation of their own."""
    plan.label[where] = len(plan.orientation)
    plan.kind[where] = KINDS.index(kind)
    plan.orientation.append(orientation)


if __name__ == "__main__":
    main()
