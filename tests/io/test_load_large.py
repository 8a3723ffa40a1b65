"""Files larger than memory: however long they are, a pattern costs a pattern."""

import struct
from importlib import import_module

import numpy as np
import psutil
import pytest

from helpers.format_files import mib, signal
from napari_4dstem_orient.io.load import load

# rosettasciio warns about units it cannot store; py4DSTEM about much.
pytestmark = pytest.mark.filterwarnings("ignore")


def huge_mib(folder):
    path = mib(folder / "huge.mib", np.zeros((1, 1, 256, 400), np.uint16), "U16")
    return path, 10**6 * path.stat().st_size


def huge_blo(folder):
    path = folder / "huge.blo"
    flat = np.zeros((1, 1, 256, 256), np.uint8)
    import_module("rsciio.blockfile").file_writer(str(path), signal(flat), show_progressbar=False)
    with path.open("r+b") as file:
        file.seek(24)
        file.write(struct.pack("<HH", 1000, 1000))
    return path, path.stat().st_size + (10**6 - 1) * (6 + 256 * 256)


def huge_mrc(folder):
    header = np.zeros(256, "<i4")
    header[:4] = 400, 256, 10**6, 6
    header.tofile(folder / "huge.mrc")
    return folder / "huge.mrc", 1024 + 10**6 * 256 * 400 * 2


def huge_empad(folder):
    path = folder / "huge.xml"
    path.write_text('<root><raw_file filename="huge.raw"/><pix_x>1000</pix_x><pix_y>1000</pix_y></root>')
    (folder / "huge.raw").touch()
    return path, 10**6 * 130 * 128 * 4


@pytest.mark.parametrize("write", [huge_mib, huge_blo, huge_mrc, huge_empad])
def test_files_larger_than_memory_are_read_pattern_by_pattern(tmp_path, write):
    path, length = write(tmp_path)
    stored = path.with_suffix(".raw") if path.suffix == ".xml" else path
    with stored.open("r+b") as file:
        file.truncate(length)
    load(path, scan_shape=(1000, 1000))
    before = psutil.Process().memory_info().rss
    scan = load(path, scan_shape=(1000, 1000))
    for row in range(0, 1000, 50):
        scan.pattern(row, 500)
    _, block = next(iter(scan.batches(100)))
    assert block.shape == (100, *scan.detector_shape)
    assert psutil.Process().memory_info().rss - before < 500e6
