"""HDF5 files that the library never comes back from, and that every other file is opened as before."""

import os
import subprocess
import sys
import time

import h5py
import numpy as np
import psutil
import pytest

from helpers.command_line import run_alone
from helpers.format_files import DATA
from helpers.made_maps import CU, some_map
from napari_4dstem_orient.core import trial
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.io.load import load
from napari_4dstem_orient.io.result import load_map

SENTENCE = "a.h5 is damaged: HDF5 does not come back from reading its structure; copy it again."


def endless(path):
    """Let what is left over of a file's longer words be of no size: looking through them, HDF5 does not get on."""
    content = bytearray(path.read_bytes())
    start = content.index(b"GCOL")
    at = start + 16
    while number := int.from_bytes(content[at : at + 2], "little"):
        assert number < 1000
        at += 16 + -(-int.from_bytes(content[at + 8 : at + 16], "little") // 8) * 8
    assert at < start + int.from_bytes(content[start + 8 : start + 16], "little")
    content[at + 8 : at + 16] = bytes(8)
    path.write_bytes(content)
    return path


def result(path):
    some_map((3, 4), (CU,), provenance={}).save(path)
    return path


def scan(path):
    with h5py.File(path, "w") as file:
        file.attrs["instrument"] = "a word"
        file["scan"] = DATA
    return path


# What does not come back would stop the tests: these run in a process that can be ended.
def test_a_file_without_end_is_refused_in_one_sentence(tmp_path):
    """Once for each reader, in one second altogether: what is known of a file is not tried out again."""
    readers = (
        "io.result.load_map",
        "io.load.load",
        "io.bragg_peaks.load_disks",
        "workflow.project.load_project",
    )
    code = f"""
from importlib import import_module
for reader in {readers}:
    module, name = reader.rsplit(".", 1)
    try:
        getattr(import_module("napari_4dstem_orient." + module), name)({str(endless(result(tmp_path / "a.h5")))!r})
    except Exception as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == [SENTENCE] * len(readers), done.stderr


def test_the_command_line_says_it_and_ends_with_2(tmp_path):
    path, began = endless(scan(tmp_path / "a.h5")), time.perf_counter()
    done = run_alone("map", path, "--phase", "Cu", "-o", tmp_path / "out.h5")
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (2, [f"Error: {SENTENCE}"])
    assert time.perf_counter() - began < 30


def test_the_files_after_it_are_opened(tmp_path):
    with pytest.raises(UserError, match="does not come back"):
        load_map(endless(result(tmp_path / "a.h5")))
    np.testing.assert_array_equal(load(scan(tmp_path / "b.h5")).pattern(2, 3), DATA[2, 3])
    # Copied again, the same name is tried again.
    assert load_map(result(tmp_path / "a.h5")).scan_shape == (3, 4)


def test_a_helper_that_somebody_ended_is_started_again(tmp_path):
    load(scan(tmp_path / "a.h5"))
    helper = trial._helper(os.getpid())
    psutil.Process(helper.pid).kill()
    helper.wait()
    np.testing.assert_array_equal(load(scan(tmp_path / "b.h5")).pattern(0, 1), DATA[0, 1])
    assert trial._helper(os.getpid()).poll() is None


@pytest.mark.parametrize("missing", ["", "/does/not/exist"])
def test_without_an_interpreter_files_are_opened_untried(tmp_path, monkeypatch, missing):
    trial._helper.cache_clear()
    monkeypatch.setattr(sys, "executable", missing)
    np.testing.assert_array_equal(load(scan(tmp_path / "a.h5")).pattern(0, 1), DATA[0, 1])
    trial._helper.cache_clear()


def test_nothing_is_imported_from_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "h5py.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    trial._helper.cache_clear()
    load(scan(tmp_path / "a.h5"))
    assert not (tmp_path / "ran").exists()


def test_crowded_and_large_files_are_no_reason(tmp_path):
    """A million pieces, a group for each of thousands of positions, and words at each."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan"] = DATA
        file.create_dataset("large", (1000, 1000, 64, 64), "u2", chunks=(1, 1, 64, 64), compression="gzip")
        file.create_dataset("plain", (100, 100, 4096, 4096), "u2")
        for number in range(3000):
            file.create_group(f"crowd/{number}").attrs["word"] = "words"
            file.create_group(f"deep/{number // 100}/{number}").attrs["word"] = "words"
    began = time.perf_counter()
    trial.try_out(tmp_path / "a.h5")
    assert time.perf_counter() - began < 3
