"""From raw patterns to disks, and on to a map: both engines on two detectors, and cost against scan size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from napari_4dstem_orient.calibration.calibrate import calibrate
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.devices import choose_device
from napari_4dstem_orient.core.optional import installed_engines
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection.detect import detect_disks
from napari_4dstem_orient.detection.probe import Probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.workflow.run import Report
from napari_4dstem_orient_evaluation.benchmarks.mapping import Methods
from napari_4dstem_orient_evaluation.benchmarks.measuring import REFERENCE, Rate, Stopwatch, take_turns
from napari_4dstem_orient_evaluation.benchmarks.workloads import Pool

SUBPIXEL = ("poly", "multicorr")
TORCH, SUGGESTED = "torch", "torch, as the program suggests"
"""With py4DSTEM's own criteria, and with a least signal-to-noise ratio and disks placed by a fit."""


def detect(scan: Scan, probe: Probe, settings: DetectionSettings, engine: str, device: str) -> BraggDisks:
    """Detect disks with an engine."""
    return detect_disks(scan, probe, replace(settings, engine=engine), device=device)


def time_engines(
    pools: Sequence[Pool], side: int, runs: int, positions: int, device: str, report: Report
) -> list[Rate]:
    """Time torch on a scan of ``side``² and py4DSTEM on at most ``positions`` of its patterns.

    Both with the same settings, and torch with those that the program suggests.
    """
    rates = []
    for pool in pools:
        part = min(side**2, positions)
        whole, some = pool.tiled((side, side)), pool.tiled((1, part))
        for subpixel in SUBPIXEL:
            same = replace(pool.settings, subpixel=subpixel, min_signal_to_noise=0.0)
            job = f"patterns to disks, {pool.patterns.shape[1]}² px, {subpixel}"
            jobs = {
                TORCH: partial(detect, whole, pool.probe, same, TORCH, device),
                SUGGESTED: partial(detect, whole, pool.probe, pool.settings, TORCH, device),
            }
            if REFERENCE in installed_engines():
                jobs[REFERENCE] = partial(detect, some, pool.probe, same, REFERENCE, device)
            # libraries are loaded and memory is asked for before the clock starts
            for job_of in jobs.values():
                detect(pool.tiled((1, 8)), *job_of.args[1:])
            for engine, seconds in take_turns(jobs, runs, report(job)).items():
                timed = part if engine == REFERENCE else side**2
                rates.append(Rate(job, engine, side**2, timed, seconds))
    return rates


def time_sizes(pool: Pool, sides: Sequence[int], runs: int, device: str, report: Report) -> list[Rate]:
    """Time torch's detection alone, of whole scans of several sizes."""
    detect(pool.tiled((1, 8)), pool.probe, pool.settings, TORCH, device)  # what must be loaded is loaded
    rates = []
    for side in sides:
        jobs = {TORCH: partial(detect, pool.tiled((side, side)), pool.probe, pool.settings, TORCH, device)}
        seconds = take_turns(jobs, runs, report(f"Patterns to disks, {side}²"))[TORCH]
        rates.append(Rate("patterns to disks, nothing else", TORCH, side**2, side**2, seconds))
    return rates


def time_from_patterns(
    pool: Pool,
    methods: Methods,
    sides: Sequence[int],
    runs: int,
    positions: int,
    device: str,
    report: Report,
) -> tuple[list[Rate], dict[str, dict[str, list[float]]]]:
    """Time the way from patterns to a map, for scans of several sizes.

    Every torch method goes on from the disks that the torch engine found, py4DSTEM's matching from py4DSTEM's own.

    Returns
    -------
    rates : list of Rate
        From patterns to disks and from patterns to a map.
    steps : dict
        Seconds of every run by side (``"8²"``) and step.
    """
    rates, steps = [], {}
    for side in sides:
        part = min(side**2, positions)
        scans = {TORCH: (side, side), REFERENCE: (1, part)}
        shapes = {engine: scans[engine] for engine in installed_engines()}
        progress = report(f"Patterns to map, {side}²")
        watch = Stopwatch(choose_device("cpu"))
        for run in range(runs):
            for engine, shape in shapes.items():
                _run(pool.tiled(shape), pool, methods, engine, device, watch)
            progress(run + 1, runs)
        for engine in shapes:
            timed = side**2 if engine == TORCH else part
            seconds = watch.seconds[f"detect, {engine}"]
            rates.append(Rate("patterns to disks", engine, side**2, timed, seconds))
            for name in _methods_of(engine, methods):
                parts = [watch.seconds[f"{step}, {engine}"] for step in ("detect", "calibrate")]
                sums = [sum(run) for run in zip(*parts, watch.seconds[f"map, {name}"], strict=True)]
                rates.append(Rate("patterns to map", name, side**2, timed, sums))
        steps[f"{side}²"] = watch.seconds
    return rates, steps


def _run(scan: Scan, pool: Pool, methods: Methods, engine: str, device: str, watch: Stopwatch) -> None:
    """Detect, calibrate and map once with every method of an engine."""
    found = watch.time(f"detect, {engine}", lambda: detect(scan, pool.probe, pool.settings, engine, device))
    disks = watch.time(f"calibrate, {engine}", lambda: calibrate(found, pool.calibration)[0])
    for name in _methods_of(engine, methods):
        watch.time(f"map, {name}", partial(methods[name].index, disks))


def _methods_of(engine: str, methods: Methods) -> list[str]:
    return [name for name in methods if (name == REFERENCE) == (engine == REFERENCE)]
