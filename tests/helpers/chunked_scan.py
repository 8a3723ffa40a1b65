"""A small scan that makes several chunks, and how results are compared bit by bit."""

import numpy as np

from napari_4dstem_orient.core.progress import silent
from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.run import Observer, Results, run

DISKS = ("offsets", "qx", "qy", "intensity")


MAP = ("rotation", "phase_id", "score", "status", "n_matched", "runner_up", "runner_up_score")


CERTAINTY = ("reliability", "phase_margin", "ambiguity")


def equal(one, other, names):
    """Assert the same bits."""
    for name in names:
        ours, theirs = getattr(one, name), getattr(other, name)
        assert ours.dtype == theirs.dtype, name
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


def same_maps(one, other):
    equal(one, other, MAP)
    equal(one.certainty, other.certainty, CERTAINTY)


def find_disks(scan, runner=None, partial=None, progress=silent, **job):
    """Run the job's step that detects disks."""
    observer, have = Observer(lambda step: progress), Results(scan=scan)
    return run(Job(**job), Stage.DISKS, runner=runner, store=partial, observer=observer, have=have).disks


def polycrystal(rows=8, cols=6):
    """Patterns of copper near [001], turned a little further from row to row, and two empty rows."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:64, :64]
    g = 2 / 3.615 / 0.05
    data = np.zeros((rows, cols, 64, 64))
    for row in range(2, rows):
        for col in range(cols):
            angle = 0.1 * row + 0.02 * col
            axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
            for h in range(-2, 3):
                for k in range(-2, 3):
                    at = 31 + g * (np.array([h, k]) @ axes)
                    height = 400 if h == k == 0 else 120 / (abs(h) + abs(k))
                    data[row, col] += height * ((y - at[0]) ** 2 + (x - at[1]) ** 2 <= 9)
    data[2:] = rng.poisson(data[2:] + 1)
    return data.astype(np.uint16)


KNOWN = {"voltage": 300, "q_pixel": 0.05, "semiangle": 3.0}
