"""Which device computes, and what to call it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from napari_4dstem_orient.core.errors import UserError


class Divisible(Protocol):
    """A batch: how much it is, and parts of it."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Any: ...


Item = TypeVar("Item", bound=Divisible)
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


def half_precision(device: torch.device) -> torch.dtype:
    """Return the precision in which a device multiplies matrices fastest: bfloat16 where it is built for it."""
    if device.type == "cuda":
        built = torch.cuda.is_bf16_supported()
    else:
        known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # new in torch 2.10
        built = device.type == "cpu" and any(known.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if built else torch.float32


def sorted_rows(values: torch.Tensor) -> torch.Tensor:
    """Return values (..., n) sorted along the last axis, rising; on a CPU by NumPy, in a tenth of torch's time."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.sort(values.numpy(), axis=-1))
    return values.sort(dim=-1).values


def least_in_rows(values: torch.Tensor) -> torch.Tensor:
    """Return where values (..., n) are least along the last axis; on a CPU by NumPy, in half of torch's time."""
    if values.device.type == "cpu":
        return torch.from_numpy(values.numpy().argmin(axis=-1))
    return values.argmin(dim=-1)


def at_a_time(device: torch.device) -> int:
    """Return how many batches a device computes at a time: a CPU as many as torch has threads."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def each_batch(
    compute: Callable[[Item], Result], batches: Iterable[Item], device: torch.device, most: int | None = None
) -> Generator[tuple[Item, Result], None, None]:
    """Compute batches and yield each with its result, in order; on a CPU as many at a time as torch has threads.

    One batch for each thread beats all threads on one batch: nothing waits at the end of every small operation,
    which is slow, and ruinous when another program wants a core too. Batches are asked for as they are needed, so
    they may come from a file. A batch that the device has no memory for comes back in halves.

    Parameters
    ----------
    compute : callable
    batches : iterable
    device : torch.device
    most : int, optional
        No more batches at a time than this, where memory is short.

    Yields
    ------
    batch, result

    Notes
    -----
    Each batch has one thread, a single one too: rounding depends on the number of threads, and answers shall depend
    neither on memory nor on whether a worker computes them.
    """

    def in_halves(batch: Item) -> list[tuple[Item, Result]]:
        try:
            return [(batch, compute(batch))]
        except torch.OutOfMemoryError:
            if len(batch) < 2:
                raise
        torch.cuda.empty_cache()
        half = len(batch) // 2
        return in_halves(batch[:half]) + in_halves(batch[half:])

    threads = at_a_time(device)
    if threads == 1:
        for batch in batches:
            yield from in_halves(batch)
        return
    workers = min(threads, most or threads)
    executor = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    running: deque[Future[list[tuple[Item, Result]]]] = deque()
    try:
        for batch in batches:
            running.append(executor.submit(in_halves, batch))
            if len(running) > workers:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)
