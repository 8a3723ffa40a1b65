"""The job in chunks: the same result in one process, in several, and when one of them is killed."""

import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace

import cloudpickle
import dask.array as da
import numpy as np
import pytest
import torch

from helpers.chunked_scan import DISKS, KNOWN, equal, find_disks, polycrystal, same_maps
from napari_4dstem_orient.core import resource_files
from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.core.scan import Calibration, Scan
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.workflow import chunks
from napari_4dstem_orient.workflow import cluster as spread
from napari_4dstem_orient.workflow.chunks import SerialRunner
from napari_4dstem_orient.workflow.functions import map_scan
from napari_4dstem_orient.workflow.job import Job, Stage
from napari_4dstem_orient.workflow.run import Results, run
from napari_4dstem_orient.workflow.store import Partial


@pytest.fixture(autouse=True)
def as_many_threads_as_a_worker():
    """Two threads add in another order than one, once anybody in this process has told torch how many it may have."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cluster():
    """Two worker processes, told by address as any cluster is."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        memory_limit=0,
        dashboard_address="127.0.0.1:0",
        silence_logs=50,
        preload=[spread.OWN_CACHE],
    ) as started:
        yield started


def test_a_cluster_gives_the_same_bits(small_chunks, scan_file, copper, cluster):
    seen = []
    alone, alone_disks = map_scan(scan_file, [copper], device="cpu", **KNOWN)
    spread_out, disks = map_scan(
        scan_file,
        [copper],
        device="cpu",
        cluster=cluster.scheduler_address,
        report=lambda step: lambda done, total: seen.append((step, done, total)),
        **KNOWN,
    )
    equal(disks, alone_disks, DISKS)
    same_maps(spread_out, alone)
    assert alone.indexed[2:].mean() > 0.9
    assert not alone_disks.counts[:2].any()
    assert spread_out.provenance["workers"] == f"the workers of {cluster.scheduler_address}"
    assert alone.provenance["workers"] is None
    passes = {"Pooling neighbours", "Looking for further crystals"}
    assert {(step, total) for step, _, total in seen if step not in passes} == {
        ("Detecting Bragg disks", 48),
        ("Mapping orientations", 48),
    }
    assert [done for step, done, _ in seen if step == "Mapping orientations"][-1] == 48
    dones = [done for step, done, _ in seen if step == "Detecting Bragg disks"]
    assert dones == sorted(dones)


def test_a_killed_worker_costs_its_chunk(small_chunks, scan_file, cluster):
    scan = load(scan_file, **KNOWN)
    alone = find_disks(scan)
    with spread.workers(cluster=cluster.scheduler_address) as runner:
        before = set(runner._client.run(os.getpid).values())

        def kill_one(done, total):
            if 0 < done < total and len(killed) < 1:
                killed.append(next(iter(before)))
                os.kill(killed[0], signal.SIGKILL)

        killed = []
        disks = find_disks(scan, progress=kill_one, runner=runner)
        assert killed
        runner._client.wait_for_workers(2, timeout=60)
        assert killed[0] not in runner._client.run(os.getpid).values()
    equal(disks, alone, DISKS)


class Deadly:
    """A step that kills whoever takes it."""

    def begin(self):
        return lambda part, first, progress: os.kill(os.getpid(), signal.SIGKILL)


def test_a_chunk_that_kills_its_workers_ends_the_run(small_chunks, scan_file, cluster, monkeypatch):
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not see this file
    scan = load(scan_file, **KNOWN)
    try:
        with (
            spread.workers(cluster=cluster.scheduler_address) as runner,
            pytest.raises(UserError, match="workers died"),
        ):
            chunks.in_chunks(Deadly(), scan, runner)
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_a_lost_scheduler_is_said(small_chunks, scan_file, monkeypatch):
    monkeypatch.setattr(spread, "CONNECT_SECONDS", 3)

    calls = []

    def kill_scheduler(done, total):
        calls.append(done)
        if len(calls) == 4:  # while the first chunks are at work
            scheduler.kill()

    command = [sys.executable, "-c", SCHEDULER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as scheduler:
        address = scheduler.stdout.readline().strip()
        try:
            with (
                spread.workers(cluster=address) as runner,
                pytest.raises(UserError, match="connection to the Dask scheduler was lost"),
            ):
                find_disks(load(scan_file, **KNOWN), progress=kill_scheduler, runner=runner)
        finally:
            scheduler.kill()


SCHEDULER = """
import time
from distributed import LocalCluster
cluster = LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0",
                       protocol="tcp")
print(cluster.scheduler_address, flush=True)
time.sleep(300)
"""


def test_cancelling_leaves_nothing_on_the_cluster(small_chunks, scan_file, cluster):
    calls = []

    def stop(done, total):
        calls.append(done)
        if len(calls) == 4:  # while chunks are at work
            raise Cancelled

    with spread.workers(cluster=cluster.scheduler_address) as runner, pytest.raises(Cancelled):
        find_disks(load(scan_file, **KNOWN), progress=stop, runner=runner)
    limit = time.monotonic() + 10
    while cluster.scheduler.tasks and time.monotonic() < limit:
        time.sleep(0.1)
    assert not cluster.scheduler.tasks


def test_errors_of_workers_reach_the_user(small_chunks, tmp_path, cluster, monkeypatch):
    data = polycrystal().astype(np.float32)
    np.save(tmp_path / "scan.npy", data)
    scan = load(tmp_path / "scan.npy", **KNOWN)
    have = run(Job(), Stage.PROBE, have=Results(scan=scan))
    data[5, 1, 3, 3] = np.nan  # that no sample of the patterns showed
    np.save(tmp_path / "scan.npy", data)
    with spread.workers(cluster=cluster.scheduler_address) as runner:
        for who in (runner, SerialRunner()):
            with pytest.raises(UserError, match=r"row 5, column 1"):
                run(Job(), Stage.DISKS, runner=who, have=have)
        (tmp_path / "scan.npy").rename(tmp_path / "elsewhere.npy")
        with pytest.raises(UserError, match=r"scan\.npy does not exist.*All workers must see"):
            run(Job(), Stage.DISKS, runner=runner, have=have)
        ours = spread.versions()
        monkeypatch.setattr(spread, "versions", lambda: {**ours, "numpy": "0.1"})
        with pytest.raises(UserError, match=r"instead of 0\.1; give all workers the same"):
            run(Job(), Stage.DISKS, runner=runner, have=have)


def test_a_worker_with_another_scout_is_refused_before_its_chunks_are_kept(
    small_chunks, scan_file, copper, cluster, tmp_path
):
    folder = tmp_path / "resources"
    shutil.copytree(resource_files.FOLDER, folder, ignore=shutil.ignore_patterns("samples", "*.png"))
    with (folder / "pre_verifier.safetensors").open("ab") as pre_verifier:
        pre_verifier.write(b"more")

    def look_there(folder):
        from napari_4dstem_orient.core import resource_files

        before, resource_files.FOLDER = resource_files.FOLDER, folder
        return before

    job = Job(path=str(scan_file), calibration=KNOWN, phases=(copper,), device="cpu")
    have = run(job, Stage.CALIBRATED)
    partial = Partial(tmp_path / "result.h5")
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers do not see this file
    with spread.workers(cluster=cluster.scheduler_address) as runner:
        one = [next(iter(cluster.scheduler.workers))]
        (before,) = runner._client.run(look_there, folder, workers=one).values()
        try:
            with pytest.raises(UserError, match=r"cannot begin: The model or the verifiers .* are others"):
                run(job, runner=runner, store=partial, have=have)
        finally:
            runner._client.run(look_there, before, workers=one)
            cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
        alone = run(job, have=have).map
        resumed = run(job, runner=runner, store=partial, have=have).map
    same_maps(resumed, alone)
    assert resumed.provenance["verifiers"] == alone.provenance["verifiers"]


def test_local_workers_are_started_and_stopped():
    with spread.workers(1) as runner:
        assert runner.description == "1 local process"
        (process,) = runner._client.run(os.getpid).values()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_what_cannot_be_is_said_before_the_work(scan_file, copper, monkeypatch):
    monkeypatch.setattr(spread, "GREET_SECONDS", 1)
    for asked, about in (
        ({"cluster": "tcp://127.0.0.1:9"}, "no Dask scheduler at tcp://127.0.0.1:9"),
        ({"cluster": "nonsense://x"}, "no Dask scheduler at nonsense"),
        ({"cluster": "inproc://x"}, "no Dask scheduler at inproc"),
        ({"workers": 2, "cluster": "tcp://127.0.0.1:9"}, "not both"),
        ({"workers": 0}, "at least 1"),
    ):
        with pytest.raises(UserError, match=about):
            map_scan(scan_file, [copper], **asked, **KNOWN)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nonsense",
        "tcp://",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:99999",
        "tcp://127.0.0.1:port",
        "tcp://127.0.0.1:8786/status",
        "tcp://two words:8786",
        "http://127.0.0.1:8787",
        "ucx://127.0.0.1:8786",
        "tcp://::1:8786",
    ],
)
def test_what_is_no_address_is_said_at_once(address):
    began = time.monotonic()
    with (
        pytest.raises(
            UserError, match=r"no Dask scheduler at .*, which is no address such as tcp://HOST:8786"
        ),
        spread.workers(cluster=address),
    ):
        pytest.fail("there is no cluster")
    assert time.monotonic() - began < 5


def test_a_cluster_that_wants_certificates_is_told_from_one_that_is_not_there():
    told, address = "needs certificate and key", "tls://127.0.0.1:8786"
    with pytest.raises(UserError, match=told), spread.workers(cluster=address):
        pytest.fail("there is no cluster")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n" * 100])
def test_another_service_at_the_address_is_no_scheduler(answer, monkeypatch):
    """Dask itself waits for ever for one that says nothing."""
    monkeypatch.setattr(spread, "GREET_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = []

        def serve():
            taken.append(server.accept()[0])
            taken[0].sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        address, began = f"tcp://127.0.0.1:{server.getsockname()[1]}", time.monotonic()
        told = f"no Dask scheduler at {address}; check the address"
        with pytest.raises(UserError, match=told), spread.workers(cluster=address):
            pytest.fail("there is no cluster")
        assert time.monotonic() - began < 10
        taken[0].close()


def test_a_scan_of_a_file_travels_as_its_path(scan_file):
    scan = load(scan_file, **KNOWN)
    content = spread.pack(scan.rows(2, 5))
    assert len(content) < 5000
    there = pickle.loads(content)
    np.testing.assert_array_equal(there.data.compute(), scan.data[2:5].compute())
    assert there.calibration == scan.calibration
    again = pickle.loads(pickle.dumps(there.rows(1, 2)))
    np.testing.assert_array_equal(again.data.compute(), scan.data[3:4].compute())
    other = replace(scan, data=scan.data * 2)
    assert other.reopens is None
    np.save(scan_file, polycrystal().astype(np.float32))
    with pytest.raises(UserError, match="not the same file"):
        pickle.loads(content)


def test_a_scan_in_memory_travels_by_its_rows():
    data = polycrystal()
    scan = Scan(da.from_array(data, chunks=data.shape), Calibration(voltage=300))
    content = spread.pack(scan.rows(1, 2))
    assert len(content) < 2 * data[1:2].nbytes
    np.testing.assert_array_equal(pickle.loads(content).data.compute(), data[1:2])


def test_a_sample_travels_as_its_recipe():
    from napari_4dstem_orient.samples.copper import copper_polycrystal

    scan = copper_polycrystal()
    part = scan.rows(1, 3)
    content = spread.pack(part)
    np.testing.assert_array_equal(pickle.loads(content).pattern(1, 3), scan.pattern(2, 3))
