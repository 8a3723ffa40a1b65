"""What only a fresh process can tell: peak memory, and the time that starting takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from napari_4dstem_orient.benchmarks.workloads import Pool
from napari_4dstem_orient.disks import BraggDisks
from napari_4dstem_orient.errors import UserError
from napari_4dstem_orient.io.bragg_peaks import save_disks
from napari_4dstem_orient.scan import Calibration

HEAVY = (
    "torch",
    "py4DSTEM",
    "napari",
    "qtpy",
    "orix",
    "pymatgen",
    "matplotlib",
    "scipy",
    "dask",
    "h5py",
    "numpy",
)
"""Modules that take long to import."""

IMPORT = """
import json, sys, time
began = time.perf_counter()
import napari_4dstem_orient
seconds = time.perf_counter() - began
heavy = [name for name in sys.argv[1].split(",") if name in sys.modules]
print(json.dumps({"seconds": seconds, "heavy": heavy}))
"""

FIRST = """
import json, sys, time
began = time.perf_counter()
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.io.bragg_peaks import disks_calibration, load_disks
from napari_4dstem_orient.pipeline import calibrated, map_orientations
known = disks_calibration(sys.argv[1])
disks = calibrated(load_disks(sys.argv[1]), known)
ready = time.perf_counter() - began
map_orientations(disks, [find_phase("Cu")], known.voltage, device="cpu")
print(json.dumps({"until read": ready, "seconds": time.perf_counter() - began}))
"""


def time_start(disks: BraggDisks, known: Calibration, runs: int, folder: Path) -> dict[str, Any]:
    """Time the import of the package, and the first map of a few disks on the CPU with all that must be loaded.

    Returns
    -------
    dict
        Seconds of every run, and the heavy modules that the import brings in.
    """
    file = folder / "few.h5"
    save_disks(disks, file, known)
    imports = [in_fresh_process("-c", IMPORT, ",".join(HEAVY)) for _ in range(runs)]
    first = [in_fresh_process("-c", FIRST, str(file)) for _ in range(runs)]
    file.unlink()
    return {
        "import": [found["seconds"] for found in imports],
        "heavy modules imported": imports[0]["heavy"],
        "first map on the CPU": [found["seconds"] for found in first],
        "until the disks are read": [found["until read"] for found in first],
    }


def measure_memory(pool: Pool, side: int, device: str, folder: Path) -> dict[str, Any]:
    """Detect and map a scan of ``side``² patterns in a process of its own, which says its peak memory.

    Returns
    -------
    dict
        Bytes: of the scan, and the peak of the process before (program and pool loaded), after detection, after
        the map; seconds of both.
    """
    file = folder / "pool.npy"
    np.save(file, pool.patterns)
    calibration = {"voltage": pool.calibration.voltage, "q_pixel": pool.calibration.q_pixel}
    module = "napari_4dstem_orient.benchmarks.memory"
    found = in_fresh_process("-m", module, str(file), str(side), device, json.dumps(calibration))
    file.unlink()
    return found


def in_fresh_process(*arguments: str) -> dict[str, Any]:
    """Run Python with these arguments and return the JSON that it prints last.

    Raises
    ------
    UserError
        If it fails, with the last line it said.
    """
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
        raise UserError(f"A benchmark in a process of its own failed (exit code {done.returncode}): {said}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
