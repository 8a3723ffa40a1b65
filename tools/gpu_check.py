"""Measure what a GPU does for the program, beside the CPU of the same machine; see ``gpu_check.sh``."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.devices import choose_device
from napari_4dstem_orient.core.progress import silent
from napari_4dstem_orient.crystals.kinematic import Reflector
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.indexing.methods import METHODS, Asked
from napari_4dstem_orient.indexing.settings import TemplateSettings
from napari_4dstem_orient.indexing.template.library import Templates
from napari_4dstem_orient.training.budget import measure_speed
from napari_4dstem_orient.training.trainer import TrainingSettings
from napari_4dstem_orient.training.training import train_model
from napari_4dstem_orient.workflow.provenance import environment
from napari_4dstem_orient.workflow.run import quiet
from napari_4dstem_orient_evaluation.benchmarks import detecting, mapping
from napari_4dstem_orient_evaluation.benchmarks.measuring import REFERENCE, machine, wait_for
from napari_4dstem_orient_evaluation.benchmarks.workloads import (
    EVERY_ROW,
    draw_pool,
    find_pool_disks,
    tile_disks,
)
from napari_4dstem_orient_evaluation.report.drawing import markdown_table

ROOT = Path(__file__).parents[1]
K_MAX = 1.5
"""Å⁻¹; of template library and training."""
SMALLEST = 16
"""Side of the scan by which is told how large a scan there is time for."""
SHARE = 0.03
"""Of all minutes, the most that one measurement takes."""
DEVICE_TESTS = ("tests/core/test_devices.py", "tests/program/test_on_devices.py")
AUTO_TESTS = ("tests/detection", "tests/indexing", "tests/training")
"""Their code chooses the best device that is there."""

Run = Callable[[], object]


@dataclass(frozen=True)
class Measured:
    """One job on one device: so many things in so many seconds, and what did not happen on the device.

    ``busy`` is the share of the seconds in which a GPU computed; ``on_cpu`` are all of torch's operations
    in the CPU's memory, then the largest, with their share of all numbers that were computed.
    """

    job: str
    device: str
    count: int
    unit: str
    seconds: float
    memory: float | None = None
    busy: float | None = None
    on_cpu: list[tuple[str, float]] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Things per second."""
        return self.count / self.seconds


class OperationsByDevice(TorchDispatchMode):
    """Counts the numbers that torch's operations give, by kind of device."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[str, Counter[str]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do an operation and count what it gave."""
        result = func(*args, **(kwargs or {}))
        if func.is_view:
            return result
        for given in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(given, torch.Tensor):
                own = self.numbers.setdefault(given.device.type, Counter())
                own[func.overloadpacket._qualified_op_name.removeprefix("aten::")] += given.numel()
        return result

    def on_cpu(self, most: int = 5) -> list[tuple[str, float]]:
        """Return the share of all numbers that the CPU gave, then its largest operations with theirs."""
        total = sum(own.total() for own in self.numbers.values())
        here = self.numbers.get("cpu", Counter())
        ranked = [("all", here.total()), *here.most_common(most)]
        return [(name, count / total) for name, count in ranked if count]


@dataclass
class Check:
    """What is asked for, what is found, and how much time there is."""

    device: str
    out: Path
    minutes: float
    largest: int
    every: int
    began: float = field(default_factory=time.monotonic)
    measured: list[Measured] = field(default_factory=list)
    million: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    tests: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def devices(self) -> list[str]:
        """What is asked for, then what it is compared with."""
        return list(dict.fromkeys([self.device, "cpu"]))

    @property
    def share(self) -> float:
        """Seconds that one measurement may take."""
        return 60 * self.minutes * SHARE

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return 60 * self.minutes - (time.monotonic() - self.began)

    def attempt(self, name: str, part: Run) -> None:
        """Do a part where there is time; what goes wrong in it is written down, and the others go on."""
        if self.left <= 0:
            self.left_out.append(name)
            return
        print(f"{time.monotonic() - self.began:5.0f} s  {name}")
        try:
            part()
        except Exception:
            self.failed[name] = traceback.format_exc()
            print(self.failed[name])
        self.write()

    def write(self) -> None:
        """Write all that is known."""
        self.out.mkdir(parents=True, exist_ok=True)
        told = {name: value for name, value in asdict(self).items() if name not in ("out", "began")}
        (self.out / "gpu_check.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        (self.out / "gpu_check.md").write_text(as_text(self) + "\n", encoding="utf-8")


def main() -> int:
    """Do all parts in the order of their worth; return how many went wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda", choices=("cuda", "mps", "cpu"))
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT", "gpu_check")))
    parser.add_argument("--minutes", type=float, default=8.5, help="all parts together")
    parser.add_argument("--largest", type=int, default=1024, help="side of the largest scan")
    parser.add_argument(
        "--every", type=int, default=EVERY_ROW, help="rows of the sample from which patterns are drawn"
    )
    asked = parser.parse_args()
    choose_device(asked.device)
    check = Check(asked.device, asked.out, asked.minutes, asked.largest, asked.every)
    check.facts = {**environment(), "machine": machine(asked.device)}
    if check.device != "cpu":
        check.attempt("Tests of devices", partial(run_tests, check, DEVICE_TESTS, 90.0))
    check.attempt("Disks and maps", partial(measure_scans, check))
    for device in check.devices:
        check.attempt(f"Template library, {device}", partial(measure_library, check, device))
        check.attempt(f"Training, {device}", partial(measure_training, check, device))
    if check.left > 30 and check.device != "cpu":
        check.attempt(
            "Other tests, each on the device", partial(run_tests, check, AUTO_TESTS, check.left - 10)
        )
    print(as_text(check))
    return len(check.failed)


def run_tests(check: Check, tests: Sequence[str], seconds: float) -> None:
    """Run tests for so long; what pytest says last is kept, all of it goes into a file."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        os.devnull,
        "--rootdir",
        str(ROOT),
        "-p",
        "no:cacheprovider",
    ]
    command += ["-o", f"pythonpath={ROOT / 'tests'}", "--import-mode=importlib", "-q", "-ra"]
    file = check.out / f"{Path(tests[-1]).stem}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    environ = {**os.environ, "OMP_NUM_THREADS": "4", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with file.open("w", encoding="utf-8") as said:
        running = subprocess.Popen(
            [*command, *(str(ROOT / test) for test in tests)], stdout=said, stderr=said, env=environ
        )
        try:
            code = str(running.wait(timeout=seconds))
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
            code = f"stopped after {seconds:.0f} s"
    lines = file.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing was said"]
    check.tests[", ".join(tests)] = f"{lines[-1].strip('= ')} (exit code {code}; {file.name})"
    if code == "1":
        check.failed[file.name] = "\n".join(line for line in lines if line.startswith(("FAILED", "ERROR")))


def measure_scans(check: Check) -> None:
    """Measure detection and every way to map, then the way from a file of many disks to a map."""
    pools = [draw_pool(pixels, check.every) for pixels in (128, 256)]
    disks = find_pool_disks(pools[0], check.device)
    known, copper = pools[0].calibration, find_phase("Cu")
    assert known.voltage is not None
    check.facts["disks in a pattern"] = float(disks.counts.mean())
    for device in check.devices:
        for pool in pools:
            detect = partial(
                detecting.detect, probe=pool.probe, settings=pool.settings, engine="torch", device=device
            )
            whole = lambda side, pool=pool, detect=detect: partial(detect, pool.tiled((side, side)))  # noqa: E731
            name = f"patterns to disks, {pool.patterns.shape[1]}² px"
            check.attempt(
                f"{name}, {device}",
                partial(measure, check, name, device, whole, check.largest // 2),
            )
        methods = mapping.make_methods(disks, copper, known.voltage, device)
        methods.pop(REFERENCE, None)
        farthest = float(np.hypot(disks.qx, disks.qy).max())
        asked = Asked((copper,), known.voltage, 0.0, disks.reach, farthest, models=(), device=device)
        methods["verifier, without a network"] = METHODS["transformer"].make(asked)
        for name, method in methods.items():
            whole = lambda side, method=method: partial(method.index, tile_disks(disks, (side, side)))  # noqa: E731
            check.attempt(f"{name}, {device}", partial(measure, check, name, device, whole, check.largest))
        if device == check.device:
            check.attempt("A file of disks", partial(measure_file, check, disks, known, methods))


def measure(check: Check, job: str, device: str, whole: Callable[[int], Run], largest: int) -> None:
    """Time a job on the largest scan that there is time for, after a small one that says which that is."""
    side = min(SMALLEST, largest)
    run = whole(side)
    found = looked_at(run, check, device)
    seconds = timed(run, device)
    while 2 * side <= largest and 4 * seconds < min(check.share, check.left / 4):
        side *= 2
        seconds = timed(whole(side), device)
    if device == "cuda":
        found["memory"] = torch.cuda.max_memory_allocated() / 2**20
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    check.measured.append(Measured(job, device, side**2, "patterns", seconds, **found))


def timed(run: Run, device: str) -> float:
    """Return the seconds of a run, the device's own work included."""
    wait_for(torch.device(device))
    began = time.perf_counter()
    run()
    wait_for(torch.device(device))
    return time.perf_counter() - began


def looked_at(run: Run, check: Check, device: str) -> dict[str, Any]:
    """Do a run for the first time and return what of it was not computed on the device that is asked for."""
    if device != check.device:
        run()
        return {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # one thread does all, and is seen
    try:
        with OperationsByDevice() as seen:
            run()
    finally:
        torch.set_num_threads(threads)
    return {"on_cpu": seen.on_cpu(), "busy": busy_share(run) if device == "cuda" else None}


def busy_share(run: Run) -> float | None:
    """Return the share of a run's seconds in which a GPU computed; None where nobody may look."""
    from torch.profiler import ProfilerActivity, profile

    try:
        with profile(activities=[ProfilerActivity.CUDA]) as seen:
            seconds = timed(run, "cuda")
    except Exception as error:  # no figure is lost for that
        print(f"Nobody may look at what the GPU does: {error}")
        return None
    return sum(event.self_device_time_total for event in seen.key_averages()) / 1e6 / seconds


def measure_file(check: Check, disks: BraggDisks, known: Any, methods: mapping.Methods) -> None:
    """Time the way from a file of disks to a map, of the paper's 1024² positions where there is time for so many."""
    rates = {one.job: one.rate for one in check.measured if one.device == check.device}
    each = sum(1 / rates.get(name, 100.0) for name in mapping.TRANSFORMERS)
    side = check.largest
    while side > SMALLEST and 2.5 * side**2 * each > check.left / 3:  # in steps, and as a whole
        side //= 2
    with tempfile.TemporaryDirectory() as folder:
        check.million = mapping.time_steps(disks, known, methods, [side], 1, Path(folder), quiet)[f"{side}²"]
    check.facts["positions of the file"] = side**2


def measure_library(check: Check, device: str) -> None:
    """Time making a template library, of a cubic and of a hexagonal crystal."""
    for name in ("Cu", "Ti"):
        phase = find_phase(name)
        reflector = Reflector.of(phase, 300.0, K_MAX, device=device)
        make = partial(Templates.covering, phase, reflector, TemplateSettings())
        found = looked_at(make, check, device)
        seconds, zones = timed(make, device), len(make().zones)
        check.measured.append(
            Measured(f"template library of {name}", device, zones, "zone axes", seconds, **found)
        )


def measure_training(check: Check, device: str) -> None:
    """Time steps of a training, as a training does that has a budget of minutes."""
    settings = TrainingSettings(batch=min(512, check.largest**2))
    speed = measure_speed(
        partial(train_model, [find_phase("Cu")], 300.0, K_MAX, device=device), settings, silent
    )
    check.measured.append(Measured("training", device, settings.batch, "patterns", speed.step))


def as_text(check: Check) -> str:
    """Return all that was found, as markdown."""
    told = check.facts["machine"]
    parts = [
        "# GPU check",
        f"{check.facts['program']} {check.facts['version']}, {check.facts['time']}; torch {torch.__version__}, Python "
        f"{told['python']}; {told['device']} beside {told['processor']}, {told['cores']} cores, "
        f"{told['threads']} threads.",
        "## Rates",
        rate_table(check.measured, check.device),
        "## What fell back to the CPU",
        fallen_back(check),
    ]
    if check.million:
        title = f"## A file of {check.facts['positions of the file']:,} positions to a map, {check.device}: seconds"
        rows = [
            [name, *(f"{steps[step][0]:.3g}" for step in mapping.STEPS)]
            for name, steps in check.million.items()
        ]
        parts += [title, markdown_table(["method", *mapping.STEPS], rows)]
    parts += ["## Tests", *(f"- {tests}: {said}" for tests, said in check.tests.items())]
    if check.left_out:
        parts += ["## For what there was no time", *(f"- {name}" for name in check.left_out)]
    if check.failed:
        parts += [
            "## What went wrong",
            *(f"{name}\n\n```\n{said}\n```" for name, said in check.failed.items()),
        ]
    return "\n\n".join(parts)


def rate_table(measured: Sequence[Measured], device: str) -> str:
    """Return rates of the device and of the CPU, and their ratio."""
    slow = {one.job: one for one in measured if one.device == "cpu"}
    rows = []
    for one in measured:
        if one.device == device:
            other = slow.get(one.job, replace(one, seconds=float("nan")))
            memory = "–" if one.memory is None else f"{one.memory:,.0f}"
            rows.append(
                [
                    one.job,
                    f"{one.count:,} {one.unit}",
                    *(f"{number:.4g}" for number in (one.rate, other.rate, one.rate / other.rate)),
                    memory,
                ]
            )
    return markdown_table(
        ["job", "timed", f"a second, {device}", "a second, cpu", "ratio", "memory (MiB)"], rows
    )


def fallen_back(check: Check) -> str:
    """Say of each job how long the GPU computed, and which of torch's operations ran on the CPU."""
    rows = []
    for one in check.measured:
        if one.device == check.device:
            busy = "–" if one.busy is None else f"{one.busy:.0%}"
            said = ", ".join(f"{name} {share:.1%}" for name, share in one.on_cpu) or "nothing"
            rows.append([one.job, busy, said])
    head = "Share of the seconds in which the GPU computed, and of all numbers, those that torch computed on the CPU:"
    return f"{head}\n\n" + markdown_table(["job", "GPU busy", "on the CPU"], rows)


if __name__ == "__main__":
    sys.exit(main())
