"""Print for how long the window does not answer with a large scan, chapter by chapter of the walk that is tested.

    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/measure_stalls.py
    xvfb-run -a -s "-screen 0 1600x1000x24" python tools/measure_stalls.py --side 64

The scan is the copper sample, each position repeated until there are so many rows and columns of 128² patterns.
The first lines are for comparison: napari gets an image and loses it, ten times, with none of our panels open.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))


def main() -> None:
    """Walk through all chapters that one scan needs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--side", type=int, default=256, help="rows and columns of the scan")
    side = parser.parse_args().side
    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = os.environ["XDG_STATE_HOME"] = home
        os.environ["NAPARI_CONFIG"] = f"{home}/napari.yaml"
        measure(side, home)


def measure(side: int, home: str) -> None:
    """Walk, and print a table."""
    import napari
    from enlarged import enlarged

    from helpers.walk_through import chapters
    from helpers.walk_through.chapters import COPPER, SILVER, STORY, Walk
    from napari_4dstem_orient.samples.library import SAMPLES

    def new_viewer() -> napari.Viewer:
        viewer = napari.Viewer()
        viewer.window.resize(1600, 1000)
        return viewer

    napari_alone(new_viewer(), side)
    scan = enlarged(side)
    SAMPLES[SILVER.title] = SAMPLES[COPPER.title] = lambda: scan
    walk = Walk(new_viewer, f"{home}/out", f"{home}/scan.4dorient.h5")
    walk.sample = COPPER
    others = {chapters.open_copper, chapters.find_disks, chapters.calibrate, chapters.map_orientations}
    first = STORY[: STORY.index(chapters.open_copper)]
    for chapter in (*first, *(each for each in STORY[len(first) :] if each not in others)):
        walk.take(chapter)
        print(walk.meter.table().splitlines()[-1], flush=True)
    walk.meter.close()
    print(walk.meter.table())
    walk.viewer.close()


def napari_alone(viewer: Any, side: int) -> None:
    """Print how long an image's coming and going takes where nothing of ours is."""
    import numpy as np

    from helpers.walk_through.hands import settle
    from helpers.walk_through.stalls import StallMeter

    settle()
    meter = StallMeter()
    for chapter in ("napari alone, first", *["napari alone"] * 9):
        meter.begin(chapter)
        layer = viewer.add_image(np.zeros((side, side), np.float32))
        settle(0.5)
        viewer.layers.remove(layer)
        settle(0.5)
    meter.close()
    print(meter.table(), flush=True)
    viewer.close()


if __name__ == "__main__":
    main()
