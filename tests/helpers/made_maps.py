"""Crystals and orientation maps made for the tests of writers and analysis."""

from dataclasses import replace

import numpy as np
from scipy.spatial.transform import Rotation

from napari_4dstem_orient.core.certainty import Certainty, IndexingStatus
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.strain import Strain
from napari_4dstem_orient.crystals.phase import Phase


def crystal(name, cell, positions, numbers):
    return Phase(name, cell, np.array(positions, float), np.array(numbers), np.ones(len(numbers)))


FCC = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
CU = crystal("Cu", (3.615, 3.615, 3.615, 90, 90, 90), FCC, [29] * 4)
CU_PRIMITIVE = crystal("Cu primitive", (2.556, 2.556, 2.556, 60, 60, 60), [[0, 0, 0]], [29])
CU2O = crystal(
    "Cu₂O (cuprite)",
    (4.27, 4.27, 4.27, 90, 90, 90),
    [*FCC, [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]],
    [29] * 4 + [8] * 2,
)
TI = crystal("Ti", (2.951, 2.951, 4.684, 90, 90, 120), [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]], [22, 22])
RUTILE = crystal(
    "TiO2",
    (4.594, 4.594, 2.959, 90, 90, 90),
    [[0, 0, 0], [0.5] * 3, [0.305, 0.305, 0], [0.695, 0.695, 0], [0.195, 0.805, 0.5], [0.805, 0.195, 0.5]],
    [22, 22, 8, 8, 8, 8],
)
BISMUTH = crystal(
    "Bi",
    (4.546, 4.546, 11.86, 90, 90, 120),
    [
        [a, b, (z + c) % 1]
        for a, b, z in ((0, 0, 0), (2 / 3, 1 / 3, 1 / 3), (1 / 3, 2 / 3, 2 / 3))
        for c in (0.234, -0.234)
    ],
    [83] * 6,
)
BISMUTH_RHOMBOHEDRAL = crystal(
    "Bi", (4.746, 4.746, 4.746, 57.23, 57.23, 57.23), [[0.234] * 3, [-0.234] * 3], [83] * 2
)
MONOCLINIC = crystal(
    "monoclinic",
    (5, 6, 7, 90, 105, 90),
    [[x, s * y, z] for x, y, z in ((0.1, 0.2, 0.3), (-0.1, 0.2, -0.3)) for s in (1, -1)]
    + [[x, s * y, z] for x, y, z in ((0.4, 0.77, 0.13), (-0.4, 0.77, -0.13)) for s in (1, -1)],
    [22] * 4 + [8] * 4,
)
TRICLINIC = crystal("triclinic", (5, 6, 7, 80, 95, 110), [[0, 0, 0]], [29])
ORTHORHOMBIC = crystal("orthorhombic", (5, 6, 7, 90, 90, 90), [[0, 0, 0]], [29])
PYRITE = crystal(
    "FeS2",
    (5.418, 5.418, 5.418, 90, 90, 90),
    FCC
    + [
        [s * a, s * b, s * c]
        for s in (1, -1)
        for a, b, c in (
            (0.385, 0.385, 0.385),
            (0.115, -0.385, 0.885),
            (-0.385, 0.885, 0.115),
            (0.885, 0.115, -0.385),
        )
    ],
    [26] * 4 + [16] * 8,
)


def rotations(count, seed=0):
    return Rotation.random(count, random_state=seed).as_matrix()


def turn(axis, degrees):
    axis = np.asarray(axis, float)
    return Rotation.from_rotvec(np.deg2rad(degrees) * axis / np.linalg.norm(axis)).as_matrix()


def some_map(shape=(4, 7), phases=(CU,), seed=0, runners=2, r_pixel=5.0, **fields):
    """A map of random orientations; some positions are not indexed, the first is."""
    random = np.random.default_rng(seed)
    count = shape[0] * shape[1]
    phase_id = random.integers(-1, len(phases), shape).astype(np.int32)
    phase_id.flat[:1] = 0
    rotation = rotations(count, seed).reshape(*shape, 3, 3).astype(np.float32)
    rotation[phase_id < 0] = np.eye(3)
    values = {
        "phases": tuple(phases),
        "rotation": rotation,
        "phase_id": phase_id,
        "score": np.where(phase_id < 0, 0, random.random(shape)).astype(np.float32),
        "status": np.where(phase_id < 0, IndexingStatus.TOO_FEW_DISKS, IndexingStatus.INDEXED).astype(
            np.uint8
        ),
        "n_matched": random.integers(5, 40, shape).astype(np.int32),
        "runner_up": rotations(max(count * runners, 1), seed + 1)[: count * runners]
        .reshape(*shape, runners, 3, 3)
        .astype(np.float32),
        "runner_up_score": random.random((*shape, runners)).astype(np.float32),
        "method": "transformer",
        "r_pixel": r_pixel,
        "provenance": {"inputs": ["scan.h5"], "parameters": {"beams": 44}},
    }
    return OrientationMap(**(values | fields))


def sure(orientation_map, seed=0):
    """The same map with some certainty wherever something was tried."""
    random = np.random.default_rng(seed)
    tried = orientation_map.status != IndexingStatus.TOO_FEW_DISKS
    shape = orientation_map.scan_shape
    certainty = Certainty(
        reliability=(tried * random.uniform(0.01, 1, shape)).astype(np.float32),
        phase_margin=(tried * random.uniform(-0.5, 1, shape)).astype(np.float32),
        ambiguity=(tried * random.integers(0, 32, shape)).astype(np.uint8),
        precision=np.where(
            orientation_map.indexed[..., None], np.sort(random.uniform(0.02, 1.5, (*shape, 2))), np.nan
        ).astype(np.float32),
    )
    return replace(orientation_map, certainty=certainty)


def strained(orientation_map, seed=0):
    """The same map with some strain wherever there is an answer, but for the last."""
    random, shape = np.random.default_rng(seed), orientation_map.scan_shape
    known = orientation_map.indexed.copy()
    known.flat[np.flatnonzero(known)[1:][-1:]] = False
    values, deviation = random.normal(0, 0.01, (2, *shape, 4)).astype(np.float32)
    disks = random.integers(4, 40, shape).astype(np.int32)
    strain = Strain(values, np.abs(deviation), disks, "the mean of each grain", "x down, y right")
    return replace(orientation_map, strain=strain.where(known))


def grain_map(shape, phases, grains=12, seed=1, r_pixel=20.0):
    """A map that looks real: slightly bent grains, a strip of vacuum on top, a few lost positions."""
    random = np.random.default_rng(seed)
    rows, cols = np.indices(shape)
    centres = random.random((grains, 2)) * shape
    grain = ((rows[..., None] - centres[:, 0]) ** 2 + (cols[..., None] - centres[:, 1]) ** 2).argmin(-1)
    bend = Rotation.from_rotvec(random.normal(0, 0.02, (grain.size, 3))).as_matrix().reshape(*shape, 3, 3)
    phase_id = random.integers(0, len(phases), grains)[grain].astype(np.int32)
    phase_id[(rows < shape[0] // 6) | (random.random(shape) < 0.01)] = -1
    rotation = (rotations(grains, seed)[grain] @ bend).astype(np.float32)
    return some_map(shape, phases, seed, 0, r_pixel, rotation=rotation, phase_id=phase_id)


def overlapping_map(shape=(4, 7), phases=(CU,)):
    """A map whose every second indexed position holds a second crystal."""
    first = sure(some_map(shape, phases, seed=1))
    second = sure(some_map(shape, phases, seed=2, phase_id=np.zeros(shape, np.int32)), seed=3)
    there = first.indexed & (np.arange(first.score.size).reshape(shape) % 2 == 0)
    share = np.where(there, 0.25, 0).astype(np.float32)
    second = replace(second.only(there), share=share, provenance={})
    return replace(first, beside=(second,), share=(first.indexed - share).astype(np.float32))
