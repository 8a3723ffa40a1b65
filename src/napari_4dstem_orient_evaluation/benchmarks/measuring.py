"""What all benchmarks share: seconds of repeated runs, rows of rates, ratios, and what a machine is."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from napari_4dstem_orient.core.devices import choose_device, describe
from napari_4dstem_orient.core.progress import Progress

Result = TypeVar("Result")

REFERENCE = "py4DSTEM"
"""What every ratio is taken against."""


@dataclass(frozen=True)
class Rate:
    """How fast one way of doing a job was.

    Attributes
    ----------
    job : str
    name : str
        The way; ``REFERENCE`` is what the others are compared with.
    positions : int
        Scan positions of the whole scan; rates of one job on scans of one size compare.
    timed : int
        Scan positions that were run, perhaps fewer.
    seconds : list of float
        Of each run, for the timed positions.
    """

    job: str
    name: str
    positions: int
    timed: int
    seconds: list[float]

    @property
    def per_second(self) -> float:
        """Patterns per second, by the mean of the runs."""
        return self.timed / float(np.mean(self.seconds))

    @property
    def whole(self) -> tuple[float, float]:
        """Mean and standard deviation of the seconds, scaled to all positions."""
        scale = self.positions / self.timed
        return scale * float(np.mean(self.seconds)), scale * spread(self.seconds)

    def ratio(self, others: Sequence[Rate]) -> float:
        """Return how many times as fast it was as the reference; NaN where there is none."""
        same = [other for other in others if (other.job, other.positions) == (self.job, self.positions)]
        reference = [other.per_second for other in same if other.name == REFERENCE]
        return self.per_second / reference[0] if reference else float("nan")

    def to_dict(self, others: Sequence[Rate]) -> dict[str, Any]:
        """Return plain JSON values; no ratio is null."""
        ratio = self.ratio(others)
        known = ratio if np.isfinite(ratio) else None
        return {**asdict(self), "patterns_per_second": self.per_second, "ratio": known}


@dataclass
class Stopwatch:
    """Seconds of named steps, run by run, on one device."""

    device: torch.device
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def time(self, name: str, step: Callable[[], Result]) -> Result:
        """Do a step and note how long it took, the device's own work included."""
        wait_for(self.device)
        began = time.perf_counter()
        result = step()
        wait_for(self.device)
        self.seconds.setdefault(name, []).append(time.perf_counter() - began)
        return result


def take_turns(
    jobs: Mapping[str, Callable[[], object]], runs: int, progress: Progress
) -> dict[str, list[float]]:
    """Return seconds of every job by run; in each run all take their turn, so that all meet the same disturbance.

    What they return is on the CPU, so a job that has returned is done.
    """
    watch = Stopwatch(torch.device("cpu"))
    for run in range(runs):
        for name, job in jobs.items():
            watch.time(name, job)
        progress(run + 1, runs)
    return watch.seconds


def wait_for(device: torch.device) -> None:
    """Return when the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def spread(seconds: Sequence[float]) -> float:
    """Return the standard deviation over the runs; NaN of a single one."""
    return float(np.std(seconds, ddof=1)) if len(seconds) > 1 else float("nan")


def sides_up_to(largest: int) -> list[int]:
    """Return the sides of the square scans: 8, 16, 32 … up to the largest."""
    return [8 * 2**number for number in range(8) if 8 * 2**number <= largest]


def fits(rates: Sequence[Rate]) -> dict[str, dict[str, float]]:
    """Return ``linear_fit`` of every job and way whose whole scans of at least three sizes were timed."""
    found = {}
    for job, name in dict.fromkeys((rate.job, rate.name) for rate in rates):
        own = [
            rate for rate in rates if (rate.job, rate.name) == (job, name) and rate.timed == rate.positions
        ]
        if len(own) > 2:
            found[f"{job}: {name}"] = linear_fit([r.positions for r in own], [r.whole[0] for r in own])
    return found


def linear_fit(positions: Sequence[int], seconds: Sequence[float]) -> dict[str, float]:
    """Fit seconds = start + positions / rate, every size weighing the same.

    Returns
    -------
    dict
        ``start`` (seconds), ``per_second``, ``r_squared`` and ``largest_deviation`` (relative).
    """
    n, t = np.asarray(positions, float), np.asarray(seconds, float)
    rows = np.stack([np.ones_like(n), n], axis=1)
    start, slope = np.linalg.lstsq(rows / t[:, None], np.ones_like(t), rcond=None)[0]
    residual = t - start - slope * n
    return {
        "start": float(start),
        "per_second": float(1 / slope),
        "r_squared": float(1 - (residual**2).sum() / ((t - t.mean()) ** 2).sum()),
        "largest_deviation": float(np.abs(residual / t).max()),
    }


def machine(device: str) -> dict[str, Any]:
    """Return what the figures were measured on; ``busy`` is the load average as the run begins."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": describe(choose_device(device)),
        "threads": torch.get_num_threads(),
        "busy": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        for line in facts.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
