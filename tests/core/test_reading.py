"""The edge where files come in: one sentence with the file's name, and nothing opened or allocated without a look."""

import os
import struct
import time

import numpy as np
import pytest

from napari_4dstem_orient.core import reading as edge
from napari_4dstem_orient.core.errors import LONGEST, Cancelled, NoDisks, UserError
from napari_4dstem_orient.core.ours import made_here
from napari_4dstem_orient.core.reading import check_room, check_scan, is_regular, reading
from napari_4dstem_orient.io.load import inspect, load
from napari_4dstem_orient.io.source import Source


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RecursionError("maximum recursion depth exceeded"), "maximum recursion depth exceeded"),
        (struct.error("unpack requires 4 bytes"), "unpack requires 4 bytes"),
        (OverflowError("int too large"), "int too large"),
        (AttributeError("'list' object has no attribute 'get'"), "no attribute 'get'"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (UserWarning("a warning made an error"), "a warning made an error"),
        (ValueError("one\nline\x00" + 100_000 * "x"), "one line�xxx"),
        (OSError(5, "Input/output error"), "Input/output error"),
    ],
)
def test_whatever_happens_becomes_one_sentence_with_the_file_and_keeps_its_cause(tmp_path, error, said):
    path = tmp_path / "broken.h5"
    path.write_bytes(b"x")
    with pytest.raises(UserError) as caught, reading(path, "a result file"):
        raise error
    text = str(caught.value)
    assert text.startswith("broken.h5 cannot be read as a result file (")
    assert said in text
    assert text.endswith("it is cut short, damaged or something else.")
    assert len(text) <= LONGEST
    assert text.isprintable()
    assert caught.value.__cause__ is error


def test_what_says_what_it_is_already_stays_but_gets_the_name(tmp_path):
    path = tmp_path / "disks.h5"
    path.write_bytes(b"x")
    with pytest.raises(NoDisks, match=r"^disks\.h5: No pattern has a disk\.$"), reading(path, "disks"):
        raise NoDisks("No pattern has a disk.")
    with pytest.raises(UserError, match=r"^disks\.h5 is old\.$"), reading(path, "disks"):
        raise UserError("disks.h5 is old.")
    with pytest.raises(Cancelled), reading(path, "disks"):
        raise Cancelled
    with pytest.raises(KeyboardInterrupt), reading(path, "disks"):
        raise KeyboardInterrupt
    with (
        pytest.raises(UserError, match=r"disks\.h5 asks for more memory than there is"),
        reading(path, "disks"),
    ):
        raise MemoryError
    with pytest.raises(UserError, match=r"disks\.h5 .*check its permissions"), reading(path, "disks"):
        raise PermissionError(13, "Permission denied")


def test_a_sentence_is_one_line_of_letters_however_long_its_quotes():
    told = str(UserError("The dataset /a\r\n\x1b[31mb/" + "c" * 100_000 + " is odd; choose another."))
    assert len(told) == LONGEST
    assert told.startswith("The dataset /a �[31mb/ccc")
    assert told.endswith("ccc is odd; choose another.")
    assert told.isprintable()


@pytest.mark.posix
def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    (tmp_path / "device.npy").symlink_to("/dev/zero")
    (tmp_path / "loop.h5").symlink_to("loop.h5")
    (tmp_path / "empty.h5").touch()
    (tmp_path / "through.mib").symlink_to("pipe.h5")
    began = time.perf_counter()
    for name, said in {
        "pipe.h5": "pipe.h5 is a pipe, not a regular file",
        "through.mib": "through.mib is a pipe, not a regular file",
        "device.npy": "device.npy is a device, not a regular file",
        "empty.h5": "empty.h5 is empty",
        "loop.h5": "loop.h5 cannot be read as a scan",
        "gone.h5": "gone.h5 does not exist",
        "n" * 5000: "File name too long",
    }.items():
        for read in (load, inspect):
            with pytest.raises(UserError, match=said):
                read(tmp_path / name)
        assert not is_regular(tmp_path / name)
    with pytest.raises(UserError, match="is a device"):
        load("/dev/zero")
    assert not is_regular("nul\0byte.h5")
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    ("shape", "itemsize", "together", "said"),
    [
        ((2**20, 2**20, 64, 64), 2, 0, "maps of 1,099,511,627,776 scan positions"),
        ((2**62, 8, 8), 2, 0, "scan positions would take"),
        ((4, 4, 2**20, 2**20), 1, 0, "1,048,576 pixels are larger than can be worked on; bin them"),
        ((4, 4, -8, -8), 1, 0, "cannot have the shape"),
        ((4, -4, 64, 64), 1, 0, "cannot have the shape"),
        (
            (2, 2, 8192, 8192),
            2,
            0,
            "8,192 × 8,192 pixels are larger than can be worked on; bin them, such as 2 × 2",
        ),
        ((64, 64, 256, 256), 4, 2**30, "keeps 1 GiB together"),
    ],
)
def test_sizes_that_no_memory_holds_are_refused(shape, itemsize, together, said):
    with pytest.raises(UserError, match=said):
        check_scan(shape, itemsize, together)


def test_plausible_sizes_pass(monkeypatch):
    monkeypatch.setattr(edge, "room", lambda: 8 * 2**30)
    check_scan((4096, 4096, 256, 256), 2, 32 * 2**20)
    check_scan((2, 2, 5760, 4092), 2)
    check_room(8 * 2**30, "It")
    monkeypatch.setattr(edge, "room", lambda: 2**30)
    with pytest.raises(
        UserError, match=r"Work on patterns of 5,760 × 4,092 pixels would take 2.46 GiB of memory and 1 GiB"
    ):
        check_scan((2, 2, 5760, 4092), 2)


class Failing:
    shape, dtype = (3, 4, 8, 8), np.dtype("uint16")

    def __getitem__(self, key):
        raise RuntimeError("Filter returned failure")


def test_what_goes_wrong_while_patterns_are_read_is_said_with_the_file(tmp_path):
    path = tmp_path / "late.h5"
    path.write_bytes(b"x")
    array = Source([Failing()], "/data").array((3, 4), path)
    with pytest.raises(
        UserError, match=r"late.h5::/data cannot be read at scan position \(1, 2\) \(Filter returned"
    ):
        array[1, 2].compute(scheduler="synchronous")


def test_a_file_that_is_cut_short_after_it_was_opened_does_not_end_the_program(tmp_path):
    path = tmp_path / "scan.npy"
    np.save(path, np.ones((8, 8, 64, 64), np.uint16))
    scan = load(path)
    os.truncate(path, 5000)
    with pytest.raises(UserError, match=r"scan\.npy has become shorter"):
        scan.pattern(7, 7)


@pytest.mark.posix
def test_whether_an_output_is_ours_is_not_asked_of_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    began = time.perf_counter()
    assert not made_here(tmp_path / "pipe.h5", "h5")
    assert not made_here(tmp_path / "pipe.h5")
    assert time.perf_counter() - began < 5
