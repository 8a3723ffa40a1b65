"""Which device computes, and what to call it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from napari_4dstem_orient.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

CHOICES = ("auto", "cpu", "cuda", "mps")


def choose_device(name: str = "auto") -> torch.device:
    """Return the named device, or for ``"auto"`` the best that is there.

    Raises
    ------
    UserError
        If the named device is unknown or not there; nothing is downgraded silently.
    """
    if name not in CHOICES:
        raise UserError(f"There is no device {name!r}; choose one of {', '.join(CHOICES)}.")
    present = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(kind for kind in ("cuda", "mps", "cpu") if present[kind])
    if not present[name]:
        raise UserError(
            f"The device {name!r} is not available to torch on this machine; choose 'auto' or 'cpu'."
        )
    return torch.device(name)


def describe(device: torch.device) -> str:
    """Return a device's name for people, such as ``"CPU (2 threads)"``."""
    if device.type == "cuda":
        return f"CUDA ({torch.cuda.get_device_name(device)})"
    if device.type == "mps":
        return "MPS (Apple GPU)"
    threads = torch.get_num_threads()
    return f"CPU ({threads} thread{'s' if threads > 1 else ''})"


def each_batch(
    compute: Callable[[Item], Result], batches: Iterable[Item], device: torch.device
) -> Generator[Result, None, None]:
    """Compute batches and yield their results in order; on a CPU as many at a time as torch has threads.

    One batch for each thread beats all threads on one batch: nothing waits at the end of every small operation,
    which is slow, and ruinous when another program wants a core too. Batches are asked for as they are needed, so
    they may come from a file.
    """
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    if threads == 1 or (isinstance(batches, Sequence) and len(batches) == 1):
        yield from map(compute, batches)
        return
    executor = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    running: deque[Future[Result]] = deque()
    try:
        for batch in batches:
            running.append(executor.submit(compute, batch))
            if len(running) > threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
