"""What the demo computes and says about the bundled samples."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks

if TYPE_CHECKING:
    from napari_4dstem_orient.core.orientation_map import OrientationMap
    from napari_4dstem_orient.crystals.phase import Phase
    from napari_4dstem_orient.samples.copper import CopperTruth
    from napari_4dstem_orient.workflow.run import Report

PER_GRAIN = 40
"""Scan positions of each silver grain that template matching is run on: the whole map would take minutes."""
WITHIN = 5.0
"""Degrees from the truth that count as right on the copper sample."""


SILVER, COPPER = "silver-twins", "copper-polycrystal"
"""What the samples' files are called."""


def describe_environment() -> str:
    """Return the program's version and the device, in words."""
    from napari_4dstem_orient.core.devices import choose_device, describe
    from napari_4dstem_orient.core.version import VERSION

    return f"{VERSION}, transformer on {describe(choose_device('auto'))}"


def silver(report: Report) -> tuple[str, OrientationMap, str]:
    """Map the silver sample and compare its five grains with the published reference.

    Returns
    -------
    text : str
    result : OrientationMap
        The transformer's.
    stem : str
        For file names.
    """
    from napari_4dstem_orient.crystals.library import find_phase
    from napari_4dstem_orient.samples.silver import silver_grains, silver_twins
    from napari_4dstem_orient.workflow.functions import map_orientations, map_scan

    phase, scan, grains = find_phase("Ag"), silver_twins(), silver_grains()
    began = time.monotonic()
    result, disks = map_scan(scan, [phase], report=prefixed(report, "Silver: "))
    seconds = time.monotonic() - began
    chosen = some_positions(grains, PER_GRAIN)
    part = at_positions(disks, chosen.ravel().tolist())
    voltage = scan.calibration.voltage
    bar = report("Silver: template matching")
    precession = scan.calibration.precession
    matched = map_orientations(part, [phase], voltage, method="template", precession=precession, progress=bar)
    answers = {
        "transformer": [typical(result.rotation[grain & result.indexed], phase) for grain in grains],
        "template": [
            typical(rotation[indexed], phase)
            for rotation, indexed in zip(
                matched.rotation.reshape(*chosen.shape, 3, 3),
                matched.indexed.reshape(chosen.shape),
                strict=True,
            )
        ],
    }
    text = "\n".join(
        [
            f"Silver twins (SPED): {scan.metadata['derived']}",
            scan.metadata["attribution"],
            f"Transformer: {result.indexed.sum()} of {result.indexed.size} positions indexed, patterns to"
            f" map in {seconds:.0f} s. Template matching: {PER_GRAIN} positions of each grain.",
            "Each grain's orientation is the one nearest to all others in it. Angles in degrees.",
            "",
            *zone_table(answers, phase),
            "",
            *misorientation_table(answers, phase),
        ]
    )
    return text, result, SILVER


def zone_table(answers: dict[str, list[np.ndarray]], phase: Phase) -> list[str]:
    """Return lines: each grain's zone axis by both methods, and how far it is from the reference."""
    from napari_4dstem_orient.crystals.directions import zone_axis
    from napari_4dstem_orient.samples.silver import SILVER_REFERENCE

    lines = [f"{'grain':>5}  {'reference':10}" + "".join(f"{name:>12} {'off':>6}" for name in answers)]
    for grain, reference in enumerate(SILVER_REFERENCE.zones):
        line = f"{grain:>5}  {_brackets(reference):10}"
        for rotations in answers.values():
            off = angle_to_direction(rotations[grain], reference, phase)
            line += f"{zone_axis(rotations[grain], phase).text:>12} {off:>6.1f}"
        lines.append(line)
    return lines


def misorientation_table(answers: dict[str, list[np.ndarray]], phase: Phase) -> list[str]:
    """Return lines: the misorientation of every pair of grains by both methods, beside the reference."""
    from napari_4dstem_orient.crystals.misorientation import misorientation
    from napari_4dstem_orient.samples.silver import SILVER_REFERENCE

    lines = [f"{'pair':>5}  {'reference':10}" + "".join(f"{name:>12} {'off':>6}" for name in answers)]
    for (first, second), reference in SILVER_REFERENCE.misorientations.items():
        line = f"{first:>3}-{second}  {reference:<10.1f}"
        for rotations in answers.values():
            angle = float(misorientation(rotations[first], rotations[second], phase))
            line += f"{angle:>12.1f} {abs(angle - reference):>6.1f}"
        lines.append(line)
    return lines


def copper(report: Report) -> tuple[str, OrientationMap, str]:
    """Map the copper sample with both methods and compare with the truth; returns as ``silver`` does."""
    from napari_4dstem_orient.crystals.library import find_phase
    from napari_4dstem_orient.samples.copper import copper_polycrystal, copper_truth
    from napari_4dstem_orient.workflow.functions import map_orientations, map_scan

    phase, scan, truth = find_phase("Cu"), copper_polycrystal(), copper_truth()
    result, disks = map_scan(scan, [phase], report=prefixed(report, "Copper: "))
    voltage = scan.calibration.voltage
    bar = report("Copper: template matching")
    matched = map_orientations(disks, [phase], voltage, method="template", progress=bar)
    judged = ~truth.vacuum & ~truth.boundary
    lines = [
        f"Copper polycrystal (simulated): {scan.metadata['simulated']}",
        f"{judged.sum()} positions are neither vacuum nor beside a grain boundary;"
        f" {truth.vacuum.sum()} are vacuum, {(truth.boundary & ~truth.vacuum).sum()} beside a boundary, where patterns"
        " mix two grains.",
        "",
        f"{'':26}{'transformer':>12}{'template':>12}",
    ]
    figures = [copper_figures(answer, truth, phase) for answer in (result, matched)]
    for name in figures[0]:
        lines.append(f"{name:26}" + "".join(f"{figure[name]:>12}" for figure in figures))
    return "\n".join(lines), result, COPPER


def copper_figures(answer: OrientationMap, truth: CopperTruth, phase: Phase) -> dict[str, str]:
    """Return what is printed about one method's answer to the copper sample."""
    from napari_4dstem_orient.crystals.misorientation import misorientation

    judged = ~truth.vacuum & ~truth.boundary
    angle = np.where(answer.indexed, misorientation(answer.rotation, truth.rotation, phase), 180.0)[judged]
    return {
        f"within {WITHIN:.0f}° of the truth": f"{(angle <= WITHIN).mean():.1%}",
        "median angle to truth": f"{np.median(angle):.2f}°",
        "vacuum not indexed": f"{(~answer.indexed)[truth.vacuum].mean():.1%}",
        "both grains at boundaries": f"{both_grains(answer, truth, phase).mean():.1%}"
        if answer.beside
        else "–",
    }


def both_grains(answer: OrientationMap, truth: CopperTruth, phase: Phase) -> np.ndarray:
    """Return at which positions beside a grain boundary the first two crystals are two grains that meet there, bool."""
    from napari_4dstem_orient.crystals.misorientation import misorientation

    beside = truth.boundary & ~truth.vacuum
    rows, cols = np.nonzero(beside)
    grains = []
    for one in (answer, answer.of_crystal(2)):
        found = np.full(len(rows), -1)
        for down, right in np.ndindex(3, 3):
            near = (
                (rows + down - 1).clip(0, beside.shape[0] - 1),
                (cols + right - 1).clip(0, beside.shape[1] - 1),
            )
            same = misorientation(one.rotation[beside], truth.rotation[near], phase) <= WITHIN
            found = np.where(one.indexed[beside] & same & ~truth.vacuum[near], truth.grain[near], found)
        grains.append(found)
    return (grains[0] >= 0) & (grains[1] >= 0) & (grains[0] != grains[1])


def some_positions(grains: np.ndarray, number: int) -> np.ndarray:
    """Return flat scan positions spread evenly over each grain, shape (grains, number)."""
    flat = [np.flatnonzero(grain) for grain in grains]
    return np.stack([where[np.linspace(0, len(where) - 1, number).astype(int)] for where in flat])


def at_positions(disks: BraggDisks, flat: Sequence[int]) -> BraggDisks:
    """Return a scan of one row that holds the disks of some flat positions."""
    cols = disks.scan_shape[1]
    lists = [disks.at(position // cols, position % cols) for position in flat]
    return BraggDisks.from_lists(
        (1, len(flat)),
        lists,
        calibrated=disks.calibrated,
        detector_shape=disks.detector_shape,
        reach=disks.reach,
        provenance=disks.provenance,
    )


def typical(rotations: np.ndarray, phase: Phase) -> np.ndarray:
    """Return the orientation with the smallest mean angle to the others, of at most 200; NaN of none."""
    from napari_4dstem_orient.crystals.misorientation import misorientation

    if not len(rotations):
        return np.full((3, 3), np.nan)
    some = rotations[:: max(1, len(rotations) // 200)]
    angles = misorientation(some[:, None], some[None, :], phase)
    return some[angles.mean(axis=1).argmin()]


def angle_to_direction(rotation: np.ndarray, uvw: tuple[int, int, int], phase: Phase) -> float:
    """Return the angle in degrees from the beam to the nearest direction equivalent to [uvw]."""
    direction = np.asarray(uvw) @ phase.lattice
    equivalent = phase.symmetry @ (direction / np.linalg.norm(direction))
    return float(np.rad2deg(np.arccos(np.clip(np.abs(equivalent @ rotation[:, 2]).max(), 0, 1))))


def prefixed(report: Report, prefix: str) -> Report:
    """Return a report whose steps' names begin with a prefix."""
    return lambda step: report(prefix + step)


def _brackets(uvw: tuple[int, int, int]) -> str:
    return "[" + " ".join(str(index) for index in uvw) + "]"
