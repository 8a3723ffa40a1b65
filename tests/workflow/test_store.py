"""What an interrupted run has done is taken up by the next, and by no other."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from helpers.chunked_scan import DISKS, KNOWN, equal, find_disks, polycrystal, same_maps
from napari_4dstem_orient.cli import app
from napari_4dstem_orient.core import devices, resource_files
from napari_4dstem_orient.core import version as program
from napari_4dstem_orient.core.bragg_disks import BraggDisks
from napari_4dstem_orient.core.errors import Cancelled, UserError
from napari_4dstem_orient.core.memory import LEAST_MEMORY
from napari_4dstem_orient.core.orientation_map import OrientationMap
from napari_4dstem_orient.core.scan import Calibration
from napari_4dstem_orient.core.temporaries import temporary_beside
from napari_4dstem_orient.detection import patterns
from napari_4dstem_orient.detection.probe import synthetic_probe
from napari_4dstem_orient.detection.settings import DetectionSettings
from napari_4dstem_orient.indexing.settings import AcceptanceSettings
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.workflow.functions import map_scan
from napari_4dstem_orient.workflow.job import Job
from napari_4dstem_orient.workflow.steps import Detection, Indexing, _told_once
from napari_4dstem_orient.workflow.store import Partial, file_fingerprint, fingerprint, load_rows, save_rows

KILLABLE = """
import time
from napari_4dstem_orient.workflow import chunks
from napari_4dstem_orient.cli import main
from napari_4dstem_orient.workflow.store import Chunks
chunks.FEWEST, chunks.PARTS, add = 6, 8, Chunks.add
def slowly(self, rows, result):
    add(self, rows, result)
    if self.name.startswith("map"): time.sleep(1)
Chunks.add = slowly
main()
"""
OPTIONS = ("--phase", "Cu", "--voltage", "300", "--q-pixel", "0.05", "--semiangle", "3", "--device", "cpu")

pytestmark = pytest.mark.usefixtures("small_chunks")


@pytest.fixture
def done(monkeypatch):
    """Step and first row of each chunk that is really computed."""
    seen = []
    for step in (Detection, Indexing):

        def begin(self, former=step.begin):
            work = former(self)

            def watched(part, first, progress):
                seen.append((type(self).__name__, first))
                return work(part, first, progress)

            return watched

        monkeypatch.setattr(step, "begin", begin)
    return seen


def test_a_killed_run_goes_on_where_it_was(scan_file, tmp_path, copper, done):
    output, folder = tmp_path / "result.h5", tmp_path / "result.h5.partial"
    arguments = ["map", str(scan_file), *OPTIONS, "-o", str(output)]
    with subprocess.Popen([sys.executable, "-c", KILLABLE, *arguments], stderr=subprocess.DEVNULL) as run:
        limit = time.monotonic() + 200
        while len(list(folder.glob("map-*.h5"))) < 2 and time.monotonic() < limit and run.poll() is None:
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
    assert not output.exists()
    kept = len(list(folder.glob("map-*.h5")))
    assert 2 <= kept < 8
    disks = sorted(folder.glob("disks-*.npz"))
    assert len(disks) == 8
    disks[3].write_bytes(disks[3].read_bytes()[:-300])  # damaged since
    disks[5].unlink()

    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert [first for step, first in done if step == "Detection"] == [3, 5]
    indexed = [first for step, first in done if step == "Indexing"]  # rows, then pools of neighbours
    assert indexed[: 8 - kept] == list(range(kept, 8))
    assert not folder.exists()
    expected, _ = map_scan(scan_file, [copper], device="cpu", **KNOWN)
    same_maps(OrientationMap.load(output), expected)


def test_other_settings_begin_anew_and_lose_nothing(scan_file, tmp_path, copper, done):
    output = tmp_path / "result.h5"
    first = Partial(output)
    map_scan(scan_file, [copper], device="cpu", partial=first, **KNOWN)
    before = sorted(first.folder.iterdir())
    assert len(before) == 16
    done.clear()

    stricter = Partial(output)
    asked = AcceptanceSettings(min_score=0.5)
    map_scan(scan_file, [copper], device="cpu", acceptance=asked, partial=stricter, **KNOWN)
    assert {step for step, _ in done} == {"Indexing"}  # the disks are the same
    assert set(before) < set(first.folder.iterdir())
    (first.folder / "notes.txt").write_text("mine")
    assert stricter.remove()
    assert {path.suffix for path in first.folder.iterdir()} == {".h5", ".txt"}
    assert first.remove()
    assert [path.name for path in first.folder.iterdir()] == ["notes.txt"]


@pytest.fixture
def own_resources(tmp_path, monkeypatch):
    """A copy of the program's models and verifiers that a test may change."""
    folder = tmp_path / "resources"
    shutil.copytree(resource_files.FOLDER, folder, ignore=shutil.ignore_patterns("samples", "*.png"))
    monkeypatch.setattr(resource_files, "FOLDER", folder)
    return folder


def another(path):
    """Change a safetensors file's text about itself, and with it only its hash."""
    save_file(load_file(path), path, {**(safe_open(path, "np").metadata() or {}), "note": "another"})


def kept_as(scan_file, output, copper):
    """Return under which names the chunks of both steps are kept."""
    scan = load(scan_file, **KNOWN)
    settings, job = DetectionSettings(), Job(phases=(copper,))
    disks = BraggDisks.from_lists((1, 1), [np.array([[0.5, 0, 9.0]])], calibrated=True, reach=1.5)
    steps = (
        Detection(synthetic_probe(3.0, (64, 64)), settings),
        Indexing.of(disks, job, Calibration(voltage=300)),
    )
    return [step.kept(what, Partial(output)).name for step, what in zip(steps, (scan, disks), strict=True)]


@pytest.mark.parametrize(
    "file", ["pre_verifier.safetensors", "verifier.safetensors", "models/fcc.safetensors"]
)
def test_maps_are_kept_by_scout_judge_and_model(file, scan_file, tmp_path, copper, own_resources):
    before = kept_as(scan_file, tmp_path / "r.h5", copper)
    assert kept_as(scan_file, tmp_path / "r.h5", copper) == before
    another(own_resources / file)
    after = kept_as(scan_file, tmp_path / "r.h5", copper)
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)


@pytest.mark.parametrize(
    ("home", "name", "value"),
    [
        (program, "code", "0123456789abcdef"),
        (program, "libraries", {"torch": "0.0"}),
        (program, "version", "0.0.9"),
        (devices, "half_precision", "torch.float8"),
    ],
)
def test_chunks_are_kept_by_code_version_libraries_and_precision(
    home, name, value, scan_file, tmp_path, copper, monkeypatch
):
    before = kept_as(scan_file, tmp_path / "r.h5", copper)
    monkeypatch.setattr(home, name, lambda *_: value)
    after = kept_as(scan_file, tmp_path / "r.h5", copper)
    assert not set(before) & set(after)


def test_a_map_with_another_scout_begins_anew_and_says_which(
    scan_file, tmp_path, copper, done, own_resources
):
    output = tmp_path / "result.h5"
    map_scan(scan_file, [copper], device="cpu", partial=Partial(output), **KNOWN)
    done.clear()
    another(own_resources / "pre_verifier.safetensors")
    after, _ = map_scan(scan_file, [copper], device="cpu", partial=Partial(output), **KNOWN)
    assert done[:8] == [("Indexing", row) for row in range(8)]  # pools follow
    sha = hashlib.sha256((own_resources / "pre_verifier.safetensors").read_bytes()).hexdigest()
    assert after.provenance["verifiers"]["pre_verifier"] == sha
    assert after.provenance["code"] == program.code()[:12]


def test_code_that_makes_answers_has_a_hash_and_what_shows_them_does_not_count(tmp_path):
    shutil.copytree(
        program.PACKAGE, tmp_path / "a", ignore=shutil.ignore_patterns("resources", "__pycache__")
    )
    assert program.code(tmp_path / "a") == program.code()
    for place, counts in (
        ("indexing/verification/ranking.py", True),
        ("detection/peaks.py", True),
        ("crystals/space_groups.py", True),
        ("workflow/chunks.py", True),
        ("cli/map.py", False),
        ("napari_plugin/layers/cursor.py", False),
    ):
        shutil.rmtree(tmp_path / "b", ignore_errors=True)
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        path = tmp_path / "b" / place
        path.write_text(path.read_text() + "SURE = 3.0\n")
        program.code.cache_clear()
        assert (program.code(tmp_path / "b") != program.code()) == counts, place


def test_parts_of_different_makers_make_no_result():
    one = {
        "models": [{"sha256": "1"}],
        "verifiers": {"pre_verifier": "2", "verifier": "3"},
        "device": "CPU (2 threads)",
    }
    assert _told_once([one, one]) == one
    there = _told_once([one, {**one, "device": "CUDA (H200)"}])
    assert there == {**one, "device": "CPU (2 threads), CUDA (H200)"}
    for other in (
        {"verifiers": {"pre_verifier": "2", "verifier": "4"}},
        {"verifiers": {"pre_verifier": "0", "verifier": "3"}},
        {"models": []},
        {"acceptance": {"min_disks": 9}},
    ):
        with pytest.raises(UserError, match="same environment"):
            _told_once([one, {**one, **other}])


def test_a_changed_file_begins_anew(scan_file, tmp_path, done):
    find_disks(load(scan_file, **KNOWN), partial=Partial(tmp_path / "disks.h5"))
    find_disks(load(scan_file, **{**KNOWN, "rotation": 20}), partial=Partial(tmp_path / "disks.h5"))
    find_disks(load(scan_file, **KNOWN), partial=Partial(tmp_path / "disks.h5"), memory=LEAST_MEMORY)
    assert len(done) == 8
    np.save(scan_file, polycrystal()[::-1])
    find_disks(load(scan_file, **KNOWN), partial=Partial(tmp_path / "disks.h5"))
    assert len(done) == 16


def test_a_cancelled_detection_counts_on(scan_file, tmp_path, done):
    def stop(count, total):
        if count >= 18:
            raise Cancelled

    seen = []
    with pytest.raises(Cancelled):
        find_disks(load(scan_file, **KNOWN), progress=stop, partial=Partial(tmp_path / "disks.h5"))
    find_disks(
        load(scan_file, **KNOWN),
        progress=lambda *now: seen.append(now),
        partial=Partial(tmp_path / "disks.h5"),
    )
    assert seen[0] == (12, 48)
    assert seen[-1] == (48, 48)


def test_a_file_in_the_place_of_the_folder_stays(scan_file, tmp_path):
    (tmp_path / "disks.h5.partial").write_text("mine")
    with pytest.raises(UserError, match=r"disks\.h5\.partial"):
        find_disks(load(scan_file, **KNOWN), partial=Partial(tmp_path / "disks.h5"))
    assert (tmp_path / "disks.h5.partial").read_text() == "mine"


def test_what_a_killed_program_left_among_the_parts_goes_with_them(scan_file, tmp_path):
    partial = Partial(tmp_path / "disks.h5")
    find_disks(load(scan_file, **KNOWN), partial=partial)
    (part, *_) = partial.folder.iterdir()
    dead = subprocess.Popen(["true"])
    dead.wait()
    left = temporary_beside(part)
    left.with_name(left.name.replace(f"-{os.getpid()}-", f"-{dead.pid}-")).write_text("half")
    assert not partial.remove()
    assert not partial.folder.exists()


def test_a_scan_in_memory_is_not_kept(small_scan, tmp_path):
    partial = Partial(tmp_path / "disks.h5")
    find_disks(small_scan, partial=partial)
    assert not partial.remove()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"\x93NUMPY"])
def test_a_damaged_chunk_is_said(tmp_path, content):
    (tmp_path / "chunk.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"chunk\.npz (is empty|.* damaged)"):
        load_rows(tmp_path / "chunk.npz")


def test_disks_come_back_as_they_were(few_disks, tmp_path):
    for disks in (
        few_disks,
        replace(few_disks, detector_shape=(8, 9), reach=1.25, provenance={"a": [1, None]}),
    ):
        save_rows(disks, tmp_path / "chunk.npz")
        back = load_rows(tmp_path / "chunk.npz")
        equal(back, disks, DISKS)
        for name in ("scan_shape", "detector_shape", "reach", "calibrated", "provenance"):
            assert getattr(back, name) == getattr(disks, name)


@given(st.lists(st.floats(-9, 9, width=32), min_size=1, max_size=6), st.data())
def test_fingerprints_tell_contents_apart(values, data):
    array = np.array(values, np.float32)
    assert fingerprint("step", array) == fingerprint("step", array.copy())
    other = array.copy()
    other[data.draw(st.integers(0, len(values) - 1))] += 1
    assert fingerprint("step", array) != fingerprint("step", other)
    assert fingerprint("step", array) != fingerprint("step", array.astype(float))
    disks = BraggDisks((1, 1), np.array([0, len(array)]), array, array, array)
    assert fingerprint(disks) != fingerprint(replace(disks, qx=other))


def test_a_folder_has_a_fingerprint_too(tmp_path):
    (tmp_path / "a").write_text("one")
    before = file_fingerprint(tmp_path)
    (tmp_path / "a").write_text("three")
    assert file_fingerprint(tmp_path) != before


def test_a_file_deep_in_a_folder_counts(tmp_path):
    deep = tmp_path / "a.zspy/Experiments/scan/data"
    deep.mkdir(parents=True)
    (deep / "0.0.0.0").write_text("one")
    before = file_fingerprint(tmp_path / "a.zspy")
    (deep / "0.0.0.0").write_text("three")
    assert file_fingerprint(tmp_path / "a.zspy") != before


def test_a_changed_file_that_a_master_links_to_begins_anew(tmp_path, monkeypatch):
    """At a place of which no pattern is looked at before."""
    with h5py.File(tmp_path / "part.h5", "w") as file:
        file["data"] = polycrystal()
    with h5py.File(tmp_path / "master.h5", "w") as file:
        file["data"] = h5py.ExternalLink("part.h5", "data")
    scan = load(tmp_path / "master.h5")
    looked_at = patterns.sample_patterns(scan)
    monkeypatch.setattr(patterns, "sample_patterns", lambda scan: looked_at)
    step = Detection(synthetic_probe(3.0, scan.detector_shape), DISKS)

    def name():
        return step.kept(scan, Partial(tmp_path / "r.h5")).name

    before = name()
    assert name() == before
    os.utime(tmp_path / "part.h5", ns=(1, 1))
    assert name() != before
