"""Measure what detection makes of multislice patterns whose truth is known: ``python tools/measure_detection.py``.

Prints the tables of ``docs/detection_statistics.md``. ``--map`` adds the errors of both methods on the same disks.
"""

from __future__ import annotations

import argparse
import itertools
from dataclasses import replace

import numpy as np
from detection_truth import TOLERANCE, Table, reflector_of, true_reflections

import napari_4dstem_orient as orient
from helpers.multislice import DIFFUSE_LENGTH, MultislicePatterns, multislice_patterns, multislice_scan
from napari_4dstem_orient.calibration.calibrate import CalibrationReport
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.crystals.misorientation import misorientation
from napari_4dstem_orient.detection.noise import faintest
from napari_4dstem_orient.detection.probe import probe_for
from napari_4dstem_orient.detection.suggest import suggest

EDGES = (0, 0.003, 0.01, 0.03, 0.1, 0.3, 1.001)  # relative intensity
THICK = (30, 70, 170, 401)  # Å
RINGS = (0.5, 0.6, 0.7, 0.8, 0.9, 1.1, 1.5, 2, 3, 4.5)  # in lengths of the shortest reflection


def main() -> None:
    """Measure each dose."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crystal", default="cu")
    parser.add_argument("--dose", type=float, nargs="+", default=[1e4, 1e5, 1e6])
    parser.add_argument("--diffuse-length", type=float, default=DIFFUSE_LENGTH, help="Å")
    parser.add_argument("--signal-to-noise", type=float, help="the least; suggested by default")
    parser.add_argument("--subpixel", help="suggested by default")
    parser.add_argument("--map", action="store_true", help="index the disks with both methods too")
    options = parser.parse_args()
    patterns = multislice_patterns(options.crystal)
    truth = true_reflections(patterns)
    print(f"{len(patterns)} patterns of {patterns.crystal}; rms of each axis, Å⁻¹, unless said otherwise\n")
    for dose in options.dose:
        scan = multislice_scan(patterns, dose, options.diffuse_length)
        probe = probe_for(scan)
        radius = probe.radius
        settings = suggest(scan, probe)[0]
        if options.signal_to_noise:
            floor = faintest(
                probe, settings.smoothing, settings.gain, options.signal_to_noise, settings.dark_noise
            )
            settings = replace(settings, min_signal_to_noise=options.signal_to_noise, min_intensity=floor)
        settings = replace(settings, subpixel=options.subpixel or settings.subpixel)
        disks, report = orient.calibrate(orient.detect_disks(scan, probe, settings), scan.calibration)
        print(
            f"## {dose:g} electrons\n\nradius {radius:.2f} px, weakest disk {settings.min_intensity:g} counts/px"
        )
        table = Table.of(patterns, truth, disks)
        describe(table, patterns, report, radius, dose)
        if options.map:
            index(patterns, disks)


def describe(
    table: Table, patterns: MultislicePatterns, report: CalibrationReport, radius: float, dose: float
) -> None:
    """Print everything about one dose."""
    q_pixel = patterns.calibration.q_pixel
    disk = radius * q_pixel
    false = np.isnan(table.residual[:, 0])
    counts = np.bincount(table.pattern, minlength=len(patterns))
    wrong = np.bincount(table.pattern[false], minlength=len(patterns))
    origin = (report.origin.reshape(-1, 2) - patterns.origin) * q_pixel
    fit = [
        np.sum(table.q[use] * (table.q - table.residual)[use]) / np.sum((table.q - table.residual)[use] ** 2)
        - 1
        for use in (~false, ~false & (table.relative > 0.1))
    ]
    print(f"disks a pattern, percentiles 5/25/50/75/95: {percentiles(counts, (5, 25, 50, 75, 95))}")
    print(f"origin after calibration: mean {origin.mean(axis=0).round(4)}, rms {rms(origin):.4f}")
    print(f"q-scale error: {fit[0]:+.2%} (disks above 0.1: {fit[1]:+.2%})")
    print(
        f"position scatter: rms {rms(table.residual[~false]):.4f} = {rms(table.residual[~false]) / disk:.2f} radii,"
    )
    print(
        f"  robust {robust(table.residual[~false]):.4f}; tolerance {TOLERANCE}, chance match {table.chance:.1%}"
    )
    each = [
        rms(table.residual[~false & (table.pattern == index)])
        for index in range(len(patterns))
        if (~false & (table.pattern == index)).sum() >= 4
    ]
    common = [
        np.nanmean(table.residual[~false & (table.pattern == index)], axis=0)
        for index in range(len(patterns))
        if (~false & (table.pattern == index)).sum() >= 8
    ]
    if common:
        print(f"  mean of a pattern (8 disks or more): rms {rms(np.array(common)):.4f}")
    print(f"  rms of a pattern, percentiles 5/50/95: {percentiles(each, (5, 50, 95), 4)}")
    print(f"false: {false.mean():.1%} of disks; a pattern, percentiles 50/75/90/98: ", end="")
    print(f"{percentiles(wrong, (50, 75, 90, 98))}, mean {wrong.mean():.2f}")
    some = table.real_share * dose > 5
    print(f"found, of reflections of 5 electrons: {table.real_found[some].mean():.1%}")
    log_ratio = np.log(table.relative / table.true_share)
    print(
        "\n| relative intensity | disks | scatter | robust | false | reflections found | log-std of intensity |"
    )
    print("|---|---|---|---|---|---|---|")
    for low, high in itertools.pairwise(EDGES):
        inside = (table.relative >= low) & (table.relative < high)
        good = inside & ~false
        real = (table.real_relative >= low) & (table.real_relative < high)
        print(
            f"| {low:g} to {min(high, 1):g} | {inside.sum()} | {rms(table.residual[good]):.4f} | "
            f"{robust(table.residual[good]):.4f} | {false[inside].mean() if inside.any() else np.nan:.1%} | "
            f"{table.real_found[real].mean() if real.any() else np.nan:.1%} | "
            f"{within(log_ratio, table.pattern, ~false, good):.2f} |"
        )
    true_q = table.q - table.residual
    along = true_q / np.hypot(*true_q.T)[:, None]
    radial = (table.residual * along).sum(axis=1)
    across = table.residual[:, 1] * along[:, 0] - table.residual[:, 0] * along[:, 1]
    print("\n| thickness Å | disks | scatter | along g | across g | false | false a pattern |")
    print("|---|---|---|---|---|---|---|")
    for low, high in itertools.pairwise(THICK):
        which = (patterns.thickness >= low) & (patterns.thickness < high)
        inside = which[table.pattern]
        good = inside & ~false
        spread = " | ".join(f"{rms(values[good]):.4f}" for values in (table.residual, radial, across))
        print(
            f"| {low} to {min(high, 400)} | {inside.sum()} | {spread} | "
            f"{false[inside].mean():.1%} | {wrong[which].mean():.2f} |"
        )
    describe_false(table, false, disk, reflector_of(patterns).nearest)
    describe_threshold(table, dose)


def describe_false(table: Table, false: np.ndarray, disk: float, nearest: float) -> None:
    """Print where false disks lie and how strong they are."""
    strength = percentiles(table.relative[false], (10, 50, 90, 98), 4)
    print(f"\nfalse, relative intensity, percentiles 10/50/90/98: {strength}")
    displaced = false & (table.off < 0.12)
    print(
        f"false, but within 0.12 Å⁻¹ of a reflection at least half as strong: {displaced.sum()} of {false.sum()}"
    )
    beside = table.beside / disk
    for name, which in (("false", false), ("true", ~false)):
        close = [
            f"{((beside >= low) & (beside < high))[which].mean():.0%}"
            for low, high in ((0, 2), (2, 3), (3, 5))
        ]
        print(f"{name}: within 2, 2 to 3, 3 to 5 radii of a disk three times as strong: {', '.join(close)}")
    length = np.hypot(*table.q.T) / nearest
    print(
        f"\n| distance, in shortest reflections ({nearest:.3f} Å⁻¹) | false | true | strength of false, 50/90 % |"
    )
    print("|---|---|---|---|")
    for low, high in itertools.pairwise(RINGS):
        ring = (length >= low) & (length < high)
        strength = percentiles(table.relative[ring & false], (50, 90), 4)
        print(f"| {low} to {high} | {(ring & false).sum()} | {(ring & ~false).sum()} | {strength} |")


def describe_threshold(table: Table, dose: float) -> None:
    """Print the relative intensity at which half the reflections are found, and how soft that is."""
    for what, values, steps in (
        ("relative intensity", table.real_relative, np.geomspace(1e-4, 0.3, 71)),
        ("electrons", table.real_share * dose, np.geomspace(1, 1e5, 101)),
    ):
        middle, width = soft_threshold(values, table.real_found, steps)
        print(
            f"half of the reflections are found at {what} {middle:.3g}; 10 to 90 % over {width:.2f} decades"
        )
    own, found = [], table.real_found
    for index in np.unique(table.real_pattern):
        mine = table.real_pattern == index
        lost = table.real_relative[mine & ~found]
        if len(lost) and found[mine].sum() >= 2:
            pick = np.sort(table.real_relative[mine & found])
            own.append(np.sqrt(pick[int(0.1 * len(pick))] * np.sort(lost)[int(0.9 * len(lost))]))
    print(
        f"a pattern's own threshold, relative, percentiles 5/25/50/75/95: {percentiles(own, (5, 25, 50, 75, 95), 4)}\n"
    )


def soft_threshold(values: np.ndarray, found: np.ndarray, steps: np.ndarray) -> tuple[float, float]:
    """Fit a logistic curve of log10(values); return its middle and the decades from 10 to 90 %."""
    log = np.log10(values)
    widths = np.geomspace(0.01, 1, 40)
    best = (-np.inf, 0.0, 0.0)
    for step in np.log10(steps):
        for width in widths:
            chance = np.clip(1 / (1 + np.exp(-np.clip((log - step) / width, -50, 50))), 1e-3, 1 - 1e-3)
            likelihood = float(np.where(found, np.log(chance), np.log(1 - chance)).sum())
            best = max(best, (likelihood, float(step), float(width)))
    return 10 ** best[1], 4.4 * best[2]


def index(patterns: MultislicePatterns, disks: BraggDisks) -> None:
    """Print how far both methods' orientations are from the truth; not indexed counts as wrong."""
    phase = orient.find_phase(patterns.crystal)
    bins = list(itertools.pairwise(THICK))
    thick = " | ".join(f"within 5°, {low} to {min(high, 400)} Å" for low, high in bins)
    columns = "median ° | within 2° | within 5° | beyond 34.4° | not indexed | best hypothesis within 5°"
    print(f"| method | {columns} | {thick} |")
    print("|---" * (7 + len(bins)) + "|")
    for method in ("transformer", "template"):
        try:
            answer = orient.map_orientations(disks, [phase], patterns.calibration.voltage, method=method)
        except orient.UserError as error:
            print(f"| {method} | {error} |")
            continue
        missing = answer.phase_id[0] < 0
        every = np.concatenate([answer.rotation[0][:, None], answer.runner_up[0]], axis=1)
        angle = misorientation(every, patterns.rotation[:, None], phase)
        angle[missing] = np.inf
        first, best = angle[:, 0], angle.min(axis=1)
        parts = [
            (first[(patterns.thickness >= low) & (patterns.thickness < high)] < 5).mean()
            for low, high in bins
        ]
        print(
            f"| {method} | {np.median(first):.2f} | {(first < 2).mean():.1%} | {(first < 5).mean():.1%} | "
            f"{(first > 34.4).mean():.1%} | {missing.mean():.1%} | {(best < 5).mean():.1%} | "
            + " | ".join(f"{part:.1%}" for part in parts)
            + " |"
        )
    print()


def rms(values: np.ndarray) -> float:
    """Return the root mean square, NaN of nothing."""
    return float(np.sqrt(np.mean(values**2))) if len(values) else float("nan")


def robust(values: np.ndarray) -> float:
    """Return the standard deviation that the median of the absolute values suggests."""
    return float(1.4826 * np.median(np.abs(values))) if len(values) else float("nan")


def within(values: np.ndarray, pattern: np.ndarray, centred_on: np.ndarray, which: np.ndarray) -> float:
    """Return the standard deviation of some values about the median of their pattern."""
    parts = [
        values[which & (pattern == index)] - np.median(values[centred_on & (pattern == index)])
        for index in np.unique(pattern[which])
    ]
    return float(np.concatenate(parts).std()) if parts else float("nan")


def percentiles(values: object, which: tuple[int, ...], digits: int = 0) -> str:
    """Return percentiles, ready to print."""
    array = np.asarray(values, float)
    return (
        " / ".join(f"{value:.{digits}f}" for value in np.percentile(array, which)) if len(array) else "none"
    )


if __name__ == "__main__":
    main()
