"""The job spread over several processes or machines with Dask (``dask.distributed``).

Dask's scheduler and its workers only ever see bytes of ours, which are unpacked inside a task: a scheduler opens no
file and loads no model. Whatever a worker needs can be made again by another, so a worker that dies costs its chunk.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import platform
import re
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.progress import Progress, silent
from napari_4dstem_orient.core.scan import Scan
from napari_4dstem_orient.core.version import identity
from napari_4dstem_orient.workflow.chunks import (
    ChunkFunction,
    Rows,
    Runner,
    SerialRunner,
    Step,
    Whole,
    positions,
)

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS = 10
GREET_SECONDS = 5
"""Until a scheduler has answered at all."""
GLANCE = 0.1
"""Seconds between two looks at what is done, and at whether the user cancelled."""
AHEAD = 2
"""Chunks in flight for each worker: one at work, one waiting."""


@contextmanager
def workers(local: int | None = None, cluster: str | None = None) -> Iterator[Runner]:
    """Provide who does the work: this process alone unless asked otherwise.

    Parameters
    ----------
    local : int, optional
        Start so many processes on this machine, and stop them at the end.
    cluster : str, optional
        Address of a running Dask scheduler, such as ``"tcp://host:8786"``.

    Yields
    ------
    Runner

    Raises
    ------
    UserError
        Both are given, the number is not positive, or there is no scheduler at the address.
    """
    if local is not None and cluster is not None:
        raise UserError(
            "Give either a number of workers to start here, or the address of a cluster, not both."
        )
    if local is not None and local < 1:
        raise UserError(f"The number of workers is {local}; give at least 1.")
    if cluster is not None:
        if not cluster.startswith("inproc://"):  # a scheduler in this very process
            _greet(cluster)
        with _connected(cluster) as client:
            yield Cluster(client, f"the workers of {cluster}")
    elif local is not None:
        from distributed import LocalCluster

        # Quiet: a worker that had to be started again is no news for the user. No limit of memory, as without workers.
        with (
            LocalCluster(
                n_workers=local,
                threads_per_worker=1,
                memory_limit=0,
                dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
                preload=[OWN_CACHE],
            ) as started,
            _connected(started.scheduler_address) as client,
        ):
            yield Cluster(client, f"{local} local process{'es' if local > 1 else ''}")
    else:
        yield SerialRunner()


OWN_CACHE = "napari_4dstem_orient.workflow.own_cache"
"""What each local worker loads first."""
_ADDRESS = re.compile(r"((tcp|tls|wss?)://)?(\[[\w:.%]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})/?")


def _greet(address: str) -> None:
    """Shake hands with a scheduler: Dask itself waits for ever where something else listens.

    Raises
    ------
    UserError
        This is no address, or no scheduler answers there.
    """
    from distributed import Security
    from distributed.comm.core import connect

    told = f"There is no Dask scheduler at {address or 'an empty address'}"
    parts = _ADDRESS.fullmatch(address)
    if parts is None or not 0 < int(parts["port"]) < 2**16:
        raise UserError(f"{told}, which is no address such as tcp://HOST:8786; check it.")

    async def shake_hands() -> None:
        security = Security().get_connection_args("client")  # as Dask's own settings say
        comm = await connect(address, timeout=GREET_SECONDS, **security)
        comm.abort()

    async def limited() -> None:
        await asyncio.wait_for(shake_hands(), GREET_SECONDS + 1)

    try:
        with ThreadPoolExecutor(1) as aside:  # a notebook has a loop of its own
            aside.submit(asyncio.run, limited()).result()
    except Exception as error:  # whatever another service answers
        if address.startswith("tls:") and isinstance(error, TypeError):
            raise UserError(
                f"{address} needs certificate and key, and Dask has none; name them in its settings "
                "(distributed.comm.tls), or give an address that begins with tcp://."
            ) from error
        raise UserError(f"{told}; check the address, or start one with 'dask scheduler'.") from error


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise UserError(
            f"There is no Dask scheduler at {address}; check the address, or start one with 'dask scheduler'."
        ) from error
    with client:
        yield client


class Cluster:
    """Lets the workers of a Dask cluster do the chunks, a few in flight at a time.

    Parameters
    ----------
    client : distributed.Client
    description : str
        Which workers, in words.
    """

    def __init__(self, client: Client, description: str) -> None:
        self._client = client
        self.description = description

    def run(
        self, step: Step, whole: Whole, todo: Sequence[Rows], progress: Progress
    ) -> Generator[tuple[Rows, Any], None, None]:
        """Yield the result of each chunk; see ``Runner.run``.

        Raises
        ------
        UserError
            What the work itself raised; workers with other versions, or without the program or the file; several
            workers died of the same chunk; the scheduler was lost.
        Cancelled
            If ``progress`` raised it. Chunks at work are finished by their workers and forgotten.
        """
        if not todo:
            return
        total, done, queue = positions(todo, whole), 0, iter(todo)
        flying: dict[Future, Rows] = {}
        with _lost_scheduler_said():
            carried = self._client.submit(RemoteStep, pack(step), versions(), pure=False)
            try:
                while True:
                    with _lost_scheduler_said(OSError):
                        room = AHEAD * max(1, len(self._client.nthreads())) - len(flying)
                    for rows in islice(queue, max(0, room)):
                        part = pack(whole.rows(*rows))
                        flying[self._client.submit(do_chunk, carried, part, rows[0], pure=False)] = rows
                    if not flying:
                        return
                    for future in [future for future in flying if future.done()]:
                        rows = flying[future]
                        result = _result(future, rows)
                        del flying[future]
                        done += positions([rows], whole)
                        yield rows, result
                    progress(done, total)
                    if not any(future.done() for future in flying):
                        time.sleep(GLANCE)
            finally:
                with _lost_scheduler_said(OSError):
                    self._client.cancel([*flying, carried])


@contextmanager
def _lost_scheduler_said(also: type[Exception] = TimeoutError) -> Iterator[None]:
    from concurrent.futures import CancelledError

    from distributed.comm.core import CommClosedError

    try:
        yield
    except (CancelledError, CommClosedError, TimeoutError, also) as error:
        raise UserError(
            "The connection to the Dask scheduler was lost; start it again and run it again."
        ) from error


class RemoteStep:
    """A step on its way to, and on, a worker: bytes until a chunk needs it, then loaded once for all chunks.

    Parameters
    ----------
    step : bytes
        From ``pack``.
    expected : dict
        The ``versions`` of those who sent it.
    """

    def __init__(self, step: bytes, expected: dict[str, str]) -> None:
        self._step, self._expected = step, expected
        self.one_at_a_time = Lock()

    def __reduce__(self) -> Any:
        return RemoteStep, (self._step, self._expected)

    @cached_property
    def work(self) -> ChunkFunction:
        """What the step does to a chunk.

        Raises
        ------
        UserError
            This worker has other versions, or lacks what the step needs.
        """
        ours = versions()
        other = [
            f"{name} {ours.get(name, '(none)')} instead of {theirs}"
            for name, theirs in self._expected.items()
            if theirs != ours.get(name)
        ]
        if other:
            raise UserError(
                f"A worker on {platform.node()} has {', '.join(other)}; give all workers the same environment."
            )
        step: Step = pickle.loads(self._step)
        return step.begin()


def do_chunk(carried: RemoteStep, part: bytes, first: int) -> Any:
    """Do a chunk on a worker, which takes one at a time and as many cores as it has threads.

    Parameters
    ----------
    carried : Carried
    part : bytes
        Some scan rows, from ``pack``.
    first : int
        The number of the first of them.
    """
    import torch
    from distributed import get_worker

    with carried.one_at_a_time:
        torch.set_num_threads(get_worker().state.nthreads)
        try:
            work, rows = carried.work, pickle.loads(part)
        except UserError as error:
            raise UserError(
                f"A worker on {platform.node()} cannot begin: {str(error).rstrip('.')}. All workers must see the scan "
                "and the model under the same path as you do, and have the same program."
            ) from error
        return work(rows, first, silent)


def versions() -> dict[str, str]:
    """Return the versions that must be the same on all workers."""
    # A build for CUDA and one without, such as 2.8+cpu, go together.
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **{name: version.split("+")[0] for name, version in identity().items()},
    }


def pack(item: Any) -> bytes:
    """Pickle a step, or some rows of a scan or its disks; of a scan in memory no more than those rows."""
    import cloudpickle

    if isinstance(item, Scan) and item.reopens is None:
        item = _light(item)
    return cloudpickle.dumps(item)


def _light(part: Scan) -> Scan:
    """Return a scan whose array drags along nothing else: how to compute it where that is small, else its values."""
    import cloudpickle
    import dask.array as da
    from dask.base import optimize

    (data,) = optimize(part.data)
    buffers: list[pickle.PickleBuffer] = []
    try:
        # Apart, arrays are not copied only to be weighed.
        size = len(cloudpickle.dumps(data, protocol=5, buffer_callback=buffers.append))
        size += sum(buffer.raw().nbytes for buffer in buffers)
    except (TypeError, pickle.PicklingError):  # it holds an open file
        size = None
    if size is None or size > 2 * data.nbytes + 2**16:
        values = np.asarray(part.data.compute(scheduler="synchronous"))
        data = da.from_array(values, chunks=values.shape, name=False)
    return replace(part, data=data)


def _result(future: Future, rows: Rows) -> Any:
    """Return what a worker computed, or raise what the user can mend."""
    from distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise UserError(
            f"Several workers died, one after the other, of scan rows {rows[0]} to {rows[1] - 1}; "
            "give each more memory and run it again."
        ) from error
    except ModuleNotFoundError as error:
        raise UserError(f"A worker lacks {error.name}; give all workers the same environment.") from error
