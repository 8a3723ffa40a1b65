"""What only a fresh process can tell: peak memory, and the time that starting takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.io.bragg_peaks import save_disks
from napari_4dstem_orient_evaluation.benchmarks.workloads import Pool

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

CLOCKS = """
import json, sys, time
clocks = lambda: (time.perf_counter(), time.process_time())
since = lambda began: [now - then for now, then in zip(clocks(), began)]
"""
"""Seconds by the wall clock, and of processor time, which other work on the machine does not lengthen."""

IMPORT = """
began = clocks()
import napari_4dstem_orient
seconds = since(began)
heavy = [name for name in sys.argv[1].split(",") if name in sys.modules]
print(json.dumps({"seconds": seconds, "heavy": heavy}))
"""

DOCK = """
from importlib import import_module
import napari
from qtpy.QtWidgets import QApplication
viewer = napari.Viewer(show=False)
QApplication.processEvents()
began = clocks()
module, name = sys.argv[1].split(":")
panel = getattr(import_module(module), name)(viewer)
viewer.window.add_dock_widget(panel)
QApplication.processEvents()
print(json.dumps({"seconds": since(began)}), flush=True)
import os
os._exit(0)  # closing the window takes longer than opening the panel
"""

FIRST = """
began = clocks()
from napari_4dstem_orient.calibration.calibrate import calibrate
from napari_4dstem_orient.crystals.library import find_phase
from napari_4dstem_orient.io.bragg_peaks import open_disks
from napari_4dstem_orient.workflow.functions import map_orientations
measured, known = open_disks(sys.argv[1])
disks = calibrate(measured, known)[0]
ready = since(began)
map_orientations(disks, [find_phase("Cu")], known.voltage, device="cpu")
print(json.dumps({"until read": ready, "seconds": since(began)}))
"""


def time_start(
    disks: BraggDisks, known: Calibration, runs: int, folder: Path, opened: Mapping[str, str]
) -> dict[str, Any]:
    """Time the import of the package, the first map of a few disks on the CPU, and the opening of each panel.

    Parameters
    ----------
    disks, known
        What is mapped.
    runs : int
        Repetitions; each panel is opened once.
    folder : Path
        For scratch files.
    opened : mapping of str to str
        Panels, as ``panels`` returns them.

    Returns
    -------
    dict
        [wall clock, processor] seconds of every run by what was timed; under ``"heavy modules imported"`` those that
        the import brings in.
    """
    file = folder / "few.h5"
    save_disks(disks, file, known)
    imports = [in_fresh_process("-c", CLOCKS + IMPORT, ",".join(HEAVY)) for _ in range(runs)]
    first = [in_fresh_process("-c", CLOCKS + FIRST, str(file)) for _ in range(runs)]
    file.unlink()
    docks = {
        f"panel {title}": [in_fresh_process("-c", CLOCKS + DOCK, python_name)["seconds"]]
        for title, python_name in opened.items()
    }
    return {
        "import": [found["seconds"] for found in imports],
        "heavy modules imported": imports[0]["heavy"],
        "first map on the CPU": [found["seconds"] for found in first],
        "until the disks are read": [found["until read"] for found in first],
        **docks,
    }


def panels() -> dict[str, str]:
    """Return the Python names of the manifest's panels by their titles; none where no window can be opened."""
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        return {}
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-4dstem-orient")
    commands = {command.id: command.python_name for command in manifest.contributions.commands or []}
    return {
        widget.display_name: str(commands[widget.command]) for widget in manifest.contributions.widgets or []
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
    module = "napari_4dstem_orient_evaluation.benchmarks.memory"
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
