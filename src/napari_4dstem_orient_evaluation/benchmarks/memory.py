"""Detect and map a scan far larger than its pool, and say how much memory that took; run by ``fresh.measure_memory``.

``python -m napari_4dstem_orient_evaluation.benchmarks.memory POOL.npy SIDE DEVICE CALIBRATION``
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from napari_4dstem_orient.calibration.calibrate import calibrate
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.detection.detect import detect_disks
from napari_4dstem_orient.workflow.functions import map_orientations
from napari_4dstem_orient_evaluation.benchmarks.workloads import Pool


def main(file: str, side: int, device: str, calibration: dict[str, Any]) -> None:
    """Print peak bytes and seconds as JSON."""
    pool = Pool(np.load(file), Calibration(**calibration))
    scan = pool.tiled((side, side))
    probe, settings = pool.probe, pool.settings
    before, began = peak_bytes(), time.perf_counter()
    disks = detect_disks(scan, probe, settings, device=device)
    detected, then = peak_bytes(), time.perf_counter()
    answer = map_orientations(
        calibrate(disks, pool.calibration)[0], [find_phase("Cu")], pool.calibration.voltage, device=device
    )
    found = {
        "scan": list(scan.data.shape),
        "scan bytes": scan.data.nbytes,
        "pool bytes": pool.patterns.nbytes,
        "peak before": before,
        "peak of detection": detected,
        "peak of detection and map": peak_bytes(),
        "seconds of detection": then - began,
        "seconds of the map": time.perf_counter() - then,
        "indexed": float(answer.indexed.mean()),
    }
    print(json.dumps(found))


def peak_bytes() -> int:
    """Return the most memory that this process held so far, as the operating system counts.

    Linux hands ``ru_maxrss`` down from the process that started this one, so there the process's own mark counts.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))
