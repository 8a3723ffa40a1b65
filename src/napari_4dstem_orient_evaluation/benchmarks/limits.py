"""How far the program is from what the hardware can do: reading against disk and memory, the network against matmul."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.devices import each_batch, half_precision
from napari_4dstem_orient.core.memory import MEMORY, portions
from napari_4dstem_orient.indexing.transformer.indexer import TransformerIndexer
from napari_4dstem_orient.indexing.transformer.network import NetworkSettings
from napari_4dstem_orient.indexing.transformer.tokens import in_frame, strongest
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient_evaluation.benchmarks.measuring import wait_for
from napari_4dstem_orient_evaluation.benchmarks.workloads import Pool

PIECE = 8 * 2**20
"""Bytes of one read."""
LARGEST_COPY = 2**28
"""Bytes; more than any cache holds."""


@dataclass(frozen=True)
class Limit:
    """What the program reaches and what the hardware allows, in one unit."""

    name: str
    reached: float
    limit_name: str
    limit: float
    unit: str

    @property
    def share(self) -> float:
        """The part of the limit that is reached."""
        return self.reached / self.limit


def reading_limits(pool: Pool, megabytes: int, runs: int, folder: Path) -> list[Limit]:
    """Write a scan of about so many megabytes and read it: plainly and by the program, from disk and from memory.

    A file is dropped from the system's memory before it is read from the disk, where the system allows that
    (Linux); elsewhere the disk's figures are the memory's.
    """
    file = folder / "scan.h5"
    rows = max(1, megabytes * 2**20 // (len(pool.patterns) * pool.patterns[0].nbytes))
    with h5py.File(file, "w") as opened:
        shape = (rows, *pool.patterns.shape)
        data = opened.create_dataset("data", shape, pool.patterns.dtype)
        for row in range(rows):
            data[row] = pool.patterns
    drop_from_memory(file)
    size = file.stat().st_size
    rates = {}
    for where in ("disk", "memory"):
        for name, read in (("plain", _read_plainly), ("program", _read_as_scan)):
            if where == "memory":
                read(file)
            seconds = []
            for _ in range(runs):
                if where == "disk":
                    drop_from_memory(file)
                began = time.perf_counter()
                read(file)
                seconds.append(time.perf_counter() - began)
            rates[where, name] = size / float(np.mean(seconds)) / 1e9
    file.unlink()
    copying = copy_rate(min(size, LARGEST_COPY), runs)
    disk, memory = "reading a scan, file on disk", "reading a scan, file in memory"
    from_disk, from_memory, plainly = (
        rates["disk", "program"],
        rates["memory", "program"],
        rates["memory", "plain"],
    )
    return [
        Limit(disk, from_disk, "disk", rates["disk", "plain"], "GB/s"),
        Limit(memory, from_memory, "plain reading of the same file", plainly, "GB/s"),
        Limit(memory, from_memory, "copying in memory", copying, "GB/s"),
    ]


def copy_rate(size: int, runs: int) -> float:
    """Return how many GB of ``size`` bytes one thread copies from memory to memory in a second."""
    source, target = np.ones(size, np.uint8), np.zeros(size, np.uint8)
    return size / _fastest(lambda: np.copyto(target, source), runs, torch.device("cpu")) / 1e9


def drop_from_memory(file: Path) -> None:
    """Have the system forget a file's contents, so that the next read comes from the disk."""
    if hasattr(os, "posix_fadvise"):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read_plainly(file: Path) -> None:
    buffer = bytearray(PIECE)
    with file.open("rb", buffering=0) as opened:
        while opened.readinto(buffer):
            pass


def _read_as_scan(file: Path) -> None:
    scan = load(file)
    for _ in scan.batches(portions(scan, MEMORY, 1).read):
        pass


def network_limit(indexer: TransformerIndexer, disks: BraggDisks, runs: int) -> Limit:
    """Time the network alone, in batches as it is used, and count its floating-point operations."""
    precision = half_precision(indexer.device)
    model, reach = indexer.models[0].in_half(precision), indexer.reach(disks)
    settings = model.network.settings
    assert isinstance(settings, NetworkSettings)
    batches = []
    for where in indexer.batches(disks):
        tensor, measured = indexer.read(disks, where, reach)
        tokens, inside = strongest(tensor, measured.mask, model.tokens)
        enough = measured.enough(indexer.acceptance.min_disks)
        turned, _ = in_frame(tokens[enough], model.network.canonical)
        batches.append((turned * inside[enough][..., None], inside[enough]))

    @torch.inference_mode()
    def run(name: list[int]) -> None:
        model.network(*batches[name[0]])

    def whole() -> None:
        list(each_batch(run, [[number] for number in range(len(batches))], indexer.device))

    operations = sum(len(inside) * network_operations(settings, inside.shape[1]) for _, inside in batches)
    rate = operations / _fastest(whole, runs, indexer.device) / 1e9
    name = f"matrix product, {precision}".replace("torch.", "")
    return Limit("network", rate, name, matrix_rate(indexer.device, runs, precision), "GFLOP/s")


def network_operations(settings: NetworkSettings, tokens: int) -> int:
    """Return the floating-point operations of one pattern's matrix products; the rest is not counted."""
    width, layers = settings.width, settings.layers
    embedding = 2 * settings.harmonics * width + 2 * width**2
    layer = 4 * width**2 + 2 * width * settings.feedforward + 2 * tokens * width
    outputs = 7 * settings.phases * settings.hypotheses
    head = 2 * width**2 + 2 * width * outputs
    return 2 * (tokens * (embedding + layers * layer) + head)


def matrix_rate(device: torch.device, runs: int, precision: torch.dtype = torch.float32) -> float:
    """Return GFLOP/s of square matrix products as torch computes them on a device."""
    size = 1024 if device.type == "cpu" else 8192
    left, right = torch.rand(2, size, size, device=device).to(precision)
    return 2 * size**3 / _fastest(lambda: left @ right, runs, device) / 1e9


def _fastest(job: Callable[[], Any], runs: int, device: torch.device) -> float:
    """Return the seconds of the fastest of at least three runs, after one that is not timed."""
    job()
    seconds = []
    for _ in range(max(runs, 3)):
        wait_for(device)
        began = time.perf_counter()
        job()
        wait_for(device)
        seconds.append(time.perf_counter() - began)
    return min(seconds)
