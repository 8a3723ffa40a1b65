"""What every test may use: strict Qt checks, a small synthetic scan, two phases."""

import os
import tempfile

os.environ.setdefault("NAPARI_STRICT_QT", "1")
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp()  # never the user's own unsaved work
if os.environ.get("PYTEST_XDIST_WORKER"):
    # Two that compile into one folder at once have crashed, and so has what a former run left there.
    os.environ["NUMBA_CACHE_DIR"] = tempfile.mkdtemp()

import dask.array as da
import hypothesis
import numpy as np
import pytest

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.optional import why_not
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.crystals.phase import Phase

# No test asserts how long something takes.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz", type=int, default=2000, help="spoilt files that the fuzz test reads")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    lacking = {
        "py4dstem": "needs py4DSTEM" if why_not("py4DSTEM") else "",
        "posix": "" if hasattr(os, "mkfifo") else "needs a POSIX system",
    }
    for item in items:
        for marker, reason in lacking.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


FCC = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


def fcc(name: str, a: float, number: int) -> Phase:
    """Return a face-centred cubic element."""
    return Phase(name, (a, a, a, 90.0, 90.0, 90.0), FCC, np.full(4, number), np.ones(4))


@pytest.fixture(scope="session")
def copper() -> Phase:
    return fcc("Cu", 3.615, 29)


@pytest.fixture(scope="session")
def silver() -> Phase:
    return fcc("Ag", 4.086, 47)


@pytest.fixture
def small_scan() -> Scan:
    """3 × 4 patterns of 64 × 64 pixels: a direct beam at (31, 33), four disks of copper's {200}."""
    rng = np.random.default_rng(1)
    rows, cols = np.mgrid[:64, :64]
    pattern = np.zeros((64, 64))
    reach = 2 / 3.615 / 0.05
    disks = [(0, 0, 400), (reach, 0, 90), (-reach, 0, 80), (0, reach, 70), (0, -reach, 60)]
    for row, col, height in disks:
        pattern += height * ((rows - 31 - row) ** 2 + (cols - 33 - col) ** 2 <= 9)
    data = rng.poisson(np.broadcast_to(pattern + 1, (3, 4, 64, 64))).astype(np.uint16)
    calibration = Calibration(voltage=300, q_pixel=0.05, r_pixel=2.0, semiangle=3.0, q_pixel_from="typed")
    return Scan(da.from_array(data, chunks=(1, 4, 64, 64)), calibration, source="synthetic")


@pytest.fixture
def few_disks() -> BraggDisks:
    """Calibrated disks at 2 × 3 positions, none at the last: copper's [001] pattern out to {200}."""
    g = 2 / 3.615
    pattern = np.array([[0, 0, 100], [g, 0, 9], [-g, 0, 9], [0, g, 8], [0, -g, 8]], np.float32)
    return BraggDisks.from_lists((2, 3), [pattern] * 5 + [pattern[:0]], calibrated=True)
