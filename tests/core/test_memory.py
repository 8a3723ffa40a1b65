"""The memory for patterns: a budget bounds what is in memory at once and changes no answer."""

import sys
import threading
import time
from dataclasses import replace
from itertools import product

import dask.array as da
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from napari_4dstem_orient import cli
from napari_4dstem_orient.cli import app
from napari_4dstem_orient.core.devices import each_batch
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.memory import LEAST_MEMORY, WORKSPACE, Portions, portions
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.detection import patterns
from napari_4dstem_orient.detection.detect import detect_disks
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.read_ahead import read_ahead
from napari_4dstem_orient.detection.suggest import settings_for_probe


def scan_of(detector: int, dtype: str = "uint16", scan_shape: tuple[int, int] = (512, 512)) -> Scan:
    return Scan(da.zeros((*scan_shape, detector, detector), dtype=dtype, chunks=-1))


@pytest.mark.parametrize("detector", [16, 128, 256, 1000, 2048, 4096])
def test_what_is_at_work_and_ahead_keeps_within_the_budget(detector):
    pattern = 4 * detector**2
    for dtype, threads, memory in product(
        ("uint8", "uint16", "float32"), (1, 2, 7, 64, 128), (LEAST_MEMORY, 200, 1024, 20_000)
    ):
        scan = scan_of(detector, dtype)
        one, more = portions(scan, memory, threads), portions(scan, 2 * memory, threads)
        assert 1 <= one.at_work <= threads
        assert one.ahead >= 1
        assert 1 <= one.together <= one.read
        block = one.read * pattern * (2 + 2 * np.dtype(dtype).itemsize / 4)
        at_work = one.at_work * (2 * one.together * pattern + WORKSPACE * pattern)
        ahead = (one.ahead - 1) * one.read * pattern
        if one.at_work > 1 or one.ahead > 1:  # else it is as little as there can be
            assert block + at_work + ahead <= memory * 2**20
        # More memory is never slower, and never changes what is computed together.
        assert more.at_work >= one.at_work
        assert (more.read, more.together) == (one.read, one.together)


def test_neither_scan_size_nor_a_large_budget_makes_more_of_it():
    assert portions(scan_of(256, scan_shape=(8, 8)), 1024, 2) == portions(scan_of(256), 1024, 2)
    assert portions(scan_of(256), 10**6, 2) == portions(scan_of(256), 1024, 2)
    assert portions(scan_of(256), LEAST_MEMORY, 64).at_work < portions(scan_of(256), 1024, 64).at_work


def test_too_little_is_refused(small_scan):
    with pytest.raises(UserError, match="at least 128 MiB"):
        detect_disks(small_scan, memory=LEAST_MEMORY - 1)
    told = CliRunner().invoke(app, ["detect", "scan.h5", "-o", "disks.h5", "--memory", "5"])
    assert told.exit_code == 2
    assert "128" in told.output


@pytest.mark.parametrize("subpixel", ["poly", "multicorr"])
def test_disks_do_not_depend_on_the_budget(subpixel):
    rng = np.random.default_rng(0)
    data = rng.poisson(3.0, (3, 23, 256, 256)).astype(np.uint16)
    scan, probe = Scan(da.from_array(data, chunks=(1, 23, 256, 256))), synthetic_probe(5.0, (256, 256))
    settings = replace(settings_for_probe(probe), min_intensity=0.05, subpixel=subpixel)
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    try:
        assert portions(scan, LEAST_MEMORY, 8) != portions(scan, 2048, 8)
        least, most = (
            detect_disks(scan, probe, settings, device="cpu", memory=memory)
            for memory in (LEAST_MEMORY, 2048)
        )
    finally:
        torch.set_num_threads(before)
    assert len(most) > 1000
    for name in ("offsets", "qx", "qy", "intensity"):
        np.testing.assert_array_equal(getattr(least, name), getattr(most, name))


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_batches_at_a_time_than_there_is_memory_for(most):
    lock, now, seen, threads = threading.Lock(), 0, [], set()

    def compute(batch):
        nonlocal now
        with lock:
            now += 1
            seen.append(now)
            threads.add(torch.get_num_threads())
        time.sleep(0.01)
        with lock:
            now -= 1
        return batch.sum()

    before = torch.get_num_threads()
    torch.set_num_threads(7)
    try:
        found = list(each_batch(compute, np.split(np.arange(40), 20), torch.device("cpu"), most))
        assert torch.get_num_threads() == 7
    finally:
        torch.set_num_threads(before)
    assert max(seen) == most
    assert threads == {1}
    assert [int(result) for _, result in found] == [int(batch.sum()) for batch, _ in found]


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_is_read_ahead_than_there_is_memory_for(ahead):
    read = []

    def block(block_id):
        read.append(block_id[0])
        return np.full((1, 4, 16, 16), block_id[0], np.uint16)

    data = da.map_blocks(
        block, chunks=((1,) * 20, (4,), (16,), (16,)), dtype=np.uint16, meta=np.zeros((0,) * 4)
    )
    pieces = read_ahead(Scan(data), Portions(read=4, together=4, ahead=ahead, at_work=1))
    first = next(pieces)
    assert first.positions.tolist() == [0, 1, 2, 3]
    limit = time.monotonic() + 20
    while len(read) < 1 + ahead and time.monotonic() < limit:
        time.sleep(0.01)
    time.sleep(0.05)
    assert len(read) == 1 + ahead
    pieces.close()


@pytest.mark.parametrize(("room", "count"), [(0, 1), (3, 3), (1000, 7)])
def test_no_more_patterns_are_looked_at_beforehand_than_there_is_memory_for(room, count, monkeypatch):
    data = np.random.default_rng(0).poisson(9, (4, 5, 16, 16)).astype(np.uint16)
    monkeypatch.setattr(patterns, "SAMPLE_BYTES", room * 4 * 16 * 16)
    seen = patterns.sample_patterns(Scan(da.from_array(data)), 7)
    assert (seen.shape, seen.dtype) == ((count, 16, 16), np.float32)
    known = {pattern.astype(np.float32).tobytes() for pattern in data.reshape(-1, 16, 16)}
    assert len({pattern.tobytes() for pattern in seen} & known) == count


def test_running_out_of_memory_is_one_sentence(monkeypatch, capsys):
    def full(*_):
        raise MemoryError("Unable to allocate 8.00 EiB")

    monkeypatch.setattr(cli, "app", full)
    monkeypatch.setattr(cli.os, "_exit", sys.exit)
    with pytest.raises(SystemExit, match="2"):
        cli.main()
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("Error: The memory does not suffice (Unable to allocate 8.00 EiB")
