"""The benchmarks in their order, and all that they found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.temporaries import scratch_folder
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer
from napari_4dstem_orient.workflow.provenance import environment
from napari_4dstem_orient.workflow.run import Report
from napari_4dstem_orient_evaluation.benchmarks import detecting, fresh, limits, mapping
from napari_4dstem_orient_evaluation.benchmarks.measuring import Rate, fits, machine, sides_up_to
from napari_4dstem_orient_evaluation.benchmarks.workloads import (
    EVERY_ROW,
    draw_pool,
    find_pool_disks,
    tile_disks,
)

PARTS = ("maps", "patterns", "limits", "start", "sizes", "memory")
USUAL_PARTS = PARTS[:-2]
DETECTORS = (128, 256)
SMALLEST = 8
READ_MEGABYTES = 512

Steps = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Plan:
    """What is measured.

    Attributes
    ----------
    parts : sequence of str
        Some of ``PARTS``.
    largest : int
        Side of the largest scan.
    runs : int
        Repetitions of everything that is timed.
    positions : int
        Most scan positions that py4DSTEM is timed on.
    memory_scans : sequence of int
        Sides of the scans whose memory is measured.
    device : str
    every : int
        Every so many rows of the sample go into the pool of patterns.
    read_megabytes : int
        Size of the file that is read.
    """

    parts: Sequence[str] = USUAL_PARTS
    largest: int = 32
    runs: int = 3
    positions: int = 128
    memory_scans: Sequence[int] = (512,)
    device: str = "auto"
    every: int = EVERY_ROW
    read_megabytes: int = READ_MEGABYTES

    def __post_init__(self) -> None:
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown:
            raise UserError(f"There is no part {unknown[0]!r}; choose among {', '.join(PARTS)}.")
        if self.largest < SMALLEST:
            raise UserError(f"The largest scan is {self.largest}²; the smallest is {SMALLEST}².")
        if min(self.runs, self.positions, *self.memory_scans) < 1:
            raise UserError("Runs, positions and the scans for memory must be at least 1.")


@dataclass
class Findings:
    """Everything that was measured; parts that were left out are empty."""

    provenance: dict[str, Any]
    rates: list[Rate] = field(default_factory=list)
    map_steps: dict[str, Steps] = field(default_factory=dict)
    pattern_steps: Steps = field(default_factory=dict)
    limits: list[limits.Limit] = field(default_factory=list)
    start: dict[str, Any] = field(default_factory=dict)
    memory: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "provenance": self.provenance,
            "rates": [rate.to_dict(self.rates) for rate in self.rates],
            "fits": fits(self.rates),
            "disk file to map, seconds": self.map_steps,
            "patterns to map, seconds": self.pattern_steps,
            "limits": [{**asdict(limit), "share": limit.share} for limit in self.limits],
            "start": self.start,
            "memory": self.memory,
        }


def run_benchmarks(
    plan: Plan, folder: Path, report: Report, keep: Callable[[Findings], object] = lambda found: None
) -> Findings:
    """Measure what the plan says.

    Parameters
    ----------
    plan : Plan
    folder : path
        On the disk whose speed counts; scratch files come and go there.
    report : callable
        Called with the name of each step; returns the step's progress callback.
    keep : callable
        Called with all that is known whenever a part is done: a long run that is stopped leaves that much.
    """
    provenance = {**environment(), "machine": machine(plan.device), "plan": asdict(plan)}
    found = Findings(provenance)
    with scratch_folder(folder / "benchmark") as scratch:
        _measure(plan, found, scratch, report, keep)
    return found


def _measure(
    plan: Plan, found: Findings, scratch: Path, report: Report, keep: Callable[[Findings], object]
) -> None:
    report("Drawing patterns and loading methods")
    pool = draw_pool(DETECTORS[0], plan.every)
    disks, known = find_pool_disks(pool, plan.device), pool.calibration
    found.provenance["disks in a pattern"] = float(disks.counts.mean())
    found.provenance["patterns in the pool"] = len(pool.patterns)
    sides, runs, positions, device = sides_up_to(plan.largest), plan.runs, plan.positions, plan.device
    assert known.voltage is not None
    if {"maps", "patterns", "limits"} & set(plan.parts):
        methods = mapping.make_methods(disks, find_phase("Cu"), known.voltage, device)
    if "maps" in plan.parts:
        found.rates += mapping.time_mapping(disks, methods, sides, runs, positions, report)
        found.map_steps = mapping.time_steps(disks, known, methods, sides, runs, scratch, report)
        keep(found)
    if "patterns" in plan.parts:
        rates, found.pattern_steps = detecting.time_from_patterns(
            pool, methods, sides, runs, positions, device, report
        )
        pools = [pool, *(draw_pool(pixels, plan.every) for pixels in DETECTORS[1:])]
        found.rates += rates + detecting.time_engines(pools, sides[-1], runs, positions, device, report)
        keep(found)
    if "limits" in plan.parts:
        report("Limits")
        found.limits = limits.reading_limits(pool, plan.read_megabytes, runs, scratch)
        alone = methods[mapping.ALONE]
        assert isinstance(alone, TransformerIndexer)
        many = tile_disks(disks, (sides[-1], sides[-1]))
        found.limits.append(limits.network_limit(alone, many, runs))
        keep(found)
    if "start" in plan.parts:
        report("Start")
        found.start = fresh.time_start(tile_disks(disks, (4, 4)), known, runs, scratch, fresh.panels())
        keep(found)
    if "sizes" in plan.parts:
        found.rates += detecting.time_sizes(pool, sides, runs, device, report)
        keep(found)
    if "memory" in plan.parts:
        large = draw_pool(DETECTORS[-1], plan.every)
        for side in plan.memory_scans:
            report(f"Memory, {side}²")
            found.memory.append(fresh.measure_memory(large, side, device, scratch))
            keep(found)
