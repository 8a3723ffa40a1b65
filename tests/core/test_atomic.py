import errno
import os
import socket
import stat
import subprocess
import sys
import time
from contextlib import nullcontext

import pytest

from helpers.full_disk import files_no_larger_than
from napari_4dstem_orient.core.atomic import make_folder, writing
from napari_4dstem_orient.core.errors import UserError
from napari_4dstem_orient.core.temporaries import scratch_folder, sweep, temporary_beside


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def fail_halfway(temporary, error):
    temporary.write_text("half")
    raise error


def test_the_file_appears_only_when_complete(tmp_path):
    with writing(tmp_path / "map.h5") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".h5"
        assert temporary.read_bytes() == b""
        temporary.write_text("new")
        assert not (tmp_path / "map.h5").exists()
    assert names(tmp_path) == ["map.h5"]
    assert (tmp_path / "map.h5").read_text() == "new"


def test_a_failure_keeps_the_former_file_and_leaves_no_litter(tmp_path):
    (tmp_path / "map.h5").write_text("former")
    with pytest.raises(ZeroDivisionError), writing(tmp_path / "map.h5") as temporary:
        fail_halfway(temporary, ZeroDivisionError())
    assert names(tmp_path) == ["map.h5"]
    assert (tmp_path / "map.h5").read_text() == "former"


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_text("")
    with writing(tmp_path / "written") as temporary:
        temporary.write_text("")
    assert (tmp_path / "written").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.posix
def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real.txt").write_text("former")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with writing(tmp_path / "link.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_text() == "new"


@pytest.mark.parametrize("place", ["missing/map.h5", "file/map.h5"])
def test_a_missing_folder_is_said(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"map\.h5: its folder does not exist"), writing(tmp_path / place):
        pytest.fail("the block must not run")


def test_a_folder_is_no_file_name(tmp_path):
    with pytest.raises(UserError, match="it is a folder"), writing(tmp_path):
        pytest.fail("the block must not run")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
    ],
)
def test_what_the_system_refuses_becomes_one_sentence(tmp_path, number, words):
    (tmp_path / "a.ang").write_text("former")
    with pytest.raises(UserError, match=words) as told, writing(tmp_path / "a.ang") as temporary:
        fail_halfway(temporary, OSError(number, os.strerror(number)))
    assert str(told.value).endswith(".")
    assert "\n" not in str(told.value)
    assert names(tmp_path) == ["a.ang"]
    assert (tmp_path / "a.ang").read_text() == "former"


def test_a_folder_that_refuses_new_files_is_noticed_before_the_work(tmp_path, monkeypatch):
    def refuse(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(UserError, match="permission denied"), writing(tmp_path / "map.h5"):
        pytest.fail("the block must not run")


def test_a_write_protected_file_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "map.h5").write_text("former")
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(UserError, match="permission denied"), writing(tmp_path / "map.h5"):
        pytest.fail("the block must not run")


@pytest.mark.parametrize(("refusals", "written"), [(2, True), (100, False)])
def test_a_file_that_somebody_has_open_is_tried_again(tmp_path, monkeypatch, refusals, written):
    """Windows refuses to replace an open file; a virus scanner holds it for a moment, another program for long."""
    really, tried = os.replace, []

    def replace(source, target):
        tried.append(target)
        if len(tried) <= refusals:
            raise PermissionError(errno.EACCES, "The process cannot access the file")
        really(source, target)

    (tmp_path / "map.h5").write_text("former")
    monkeypatch.setattr("os.replace", replace)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    said = nullcontext() if written else pytest.raises(UserError, match="another program has it open")
    with said, writing(tmp_path / "map.h5") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "map.h5").read_text() == ("new" if written else "former")
    assert names(tmp_path) == ["map.h5"]


@pytest.mark.parametrize("name", ["what?.h5", "<a|b>.h5"])
def test_a_name_that_windows_does_not_take_is_said(tmp_path, monkeypatch, name):
    def touch(path, *_, **__):
        raise OSError(errno.EINVAL, "The filename, directory name, or volume label syntax is incorrect")

    monkeypatch.setattr("pathlib.Path.touch", touch)
    with pytest.raises(UserError, match=r"names there have no [<?>|]"), writing(tmp_path / name):
        pytest.fail("the block must not run")
    with pytest.raises(OSError, match="syntax"), writing(tmp_path / "good.h5"):
        pytest.fail("the block must not run")


def test_an_unrelated_error_stays_what_it_is(tmp_path):
    with pytest.raises(OSError, match="strange"), writing(tmp_path / "map.h5"):
        raise OSError("strange")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has a device that is always full")
def test_a_full_device_is_recognised():
    with pytest.raises(OSError, match="No space left") as full, open("/dev/full", "w") as device:
        device.write("x" * 100_000)
    assert full.value.errno == errno.ENOSPC


def test_a_full_disk_that_hdf5_reports_in_its_own_way_is_recognised(tmp_path):
    told = "Can't decrement id ref count (file write failed: errno = 28, error message = 'No space left on device')"
    with pytest.raises(UserError, match="the disk is full"), writing(tmp_path / "map.h5"):
        raise RuntimeError(told)


@pytest.mark.posix
def test_a_file_that_outgrows_its_limit_is_recognised(tmp_path):
    (tmp_path / "map.bin").write_text("former")
    with (
        files_no_larger_than(1000),
        pytest.raises(UserError, match="larger than"),
        writing(tmp_path / "map.bin") as temporary,
    ):
        temporary.write_bytes(bytes(5000))
    assert names(tmp_path) == ["map.bin"]
    assert (tmp_path / "map.bin").read_text() == "former"


def test_folders_are_made_as_needed(tmp_path):
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_in_the_way_of_a_folder_is_said(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="Cannot make the folder"):
        make_folder(tmp_path / place)


# ---------------------------------------------------------------- what is no file


@pytest.fixture
def bound_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # addresses are short on macOS
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind("thing")
        yield


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "thing")


@pytest.mark.posix
@pytest.mark.parametrize("kind", ["pipe", "bound_socket"])
@pytest.mark.parametrize("linked", [False, True])
def test_what_is_no_file_is_refused_and_stays(tmp_path, request, kind, linked):
    request.getfixturevalue(kind)
    asked = tmp_path / "thing"
    if linked:
        asked = tmp_path / "link.h5"
        asked.symlink_to(tmp_path / "thing")
    before = names(tmp_path), (tmp_path / "thing").stat().st_mode
    with pytest.raises(UserError, match="it is a device, a pipe or a socket"), writing(asked):
        pytest.fail("the block must not run")
    assert (names(tmp_path), (tmp_path / "thing").stat().st_mode) == before


@pytest.mark.posix
@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_refused(device, tmp_path):
    (tmp_path / "link").symlink_to(device)
    for asked in (device, tmp_path / "link"):
        with pytest.raises(UserError, match="it is a device"), writing(asked):
            pytest.fail("the block must not run")
    assert stat.S_ISCHR(os.stat(device).st_mode)


@pytest.mark.posix
def test_a_pipe_without_a_path_is_refused():
    reading, writes = os.pipe()
    try:
        with pytest.raises(UserError, match="a pipe"), writing(f"/dev/fd/{writes}"):
            pytest.fail("the block must not run")
    finally:
        os.close(reading)
        os.close(writes)


@pytest.mark.posix
def test_links_in_a_circle_are_said(tmp_path):
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(UserError, match="lead in a circle"), writing(tmp_path / "a"):
        pytest.fail("the block must not run")


# ---------------------------------------------------------------- what a file keeps


@pytest.mark.posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_a_file_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "map.h5"
    path.write_text("former")
    path.chmod(mode)
    with writing(path) as temporary:
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600  # nor does anybody else see it half written
        temporary.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == mode
    assert path.read_text() == "new"


@pytest.mark.posix
def test_a_file_keeps_its_mode_even_where_the_writer_makes_it_anew(tmp_path):
    path = tmp_path / "map.h5"
    path.write_text("former")
    path.chmod(0o600)
    with writing(path) as temporary:
        temporary.unlink()
        temporary.write_text("new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.posix
def test_a_new_file_follows_the_umask_and_a_private_one_is_its_owners(tmp_path):
    former = os.umask(0o027)
    try:
        for name, private in (("usual", False), ("private", True)):
            with writing(tmp_path / name, private) as temporary:
                temporary.write_text("new")
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "usual").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "private").stat().st_mode) == 0o600


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="Python knows attributes on Linux only")
def test_a_file_keeps_its_attributes_but_not_its_age(tmp_path):
    path = tmp_path / "map.h5"
    path.write_text("former")
    try:
        os.setxattr(path, "user.sample", b"silver")
    except OSError:
        pytest.skip("this file system has no attributes")
    os.utime(path, (1, 1))
    with writing(path) as temporary:
        temporary.write_text("new")
    assert os.getxattr(path, "user.sample") == b"silver"
    assert time.time() - path.stat().st_mtime < 60


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root gives files away")
def test_a_file_keeps_its_owner(tmp_path):
    path = tmp_path / "map.h5"
    path.write_text("former")
    os.chown(path, 1234, 2345)
    with writing(path) as temporary:
        temporary.write_text("new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


@pytest.mark.posix
@pytest.mark.parametrize("text", ["", "new", "new and longer than before" * 200_000])
def test_all_names_of_a_file_show_the_new_content(tmp_path, text):
    first, second = tmp_path / "map.h5", tmp_path / "same.h5"
    first.write_text("former content")
    first.chmod(0o640)
    os.link(first, second)
    with writing(second) as temporary:
        temporary.write_text(text)
        assert first.read_text() == "former content"
    assert first.read_text() == second.read_text() == text
    assert first.stat().st_ino == second.stat().st_ino
    assert stat.S_IMODE(first.stat().st_mode) == 0o640
    assert names(tmp_path) == ["map.h5", "same.h5"]


def test_a_file_of_several_names_stays_whole_where_there_is_no_room_for_the_new(tmp_path, monkeypatch):
    first, second = tmp_path / "map.h5", tmp_path / "same.h5"
    first.write_text("former")
    os.link(first, second)

    def full(number):
        if os.fstat(number).st_ino == first.stat().st_ino:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match="the disk is full"), writing(second) as temporary:
        temporary.write_text("a longer content")
    assert first.read_text() == second.read_text() == "former"
    assert names(tmp_path) == ["map.h5", "same.h5"]


# ---------------------------------------------------------------- what a killed program left

KILLED = """
import os, sys
from napari_4dstem_orient.core.atomic import writing
with writing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os._exit(9)
"""


def left_by_a_killed_program(path):
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False, timeout=60)
    (left,) = {entry.name for entry in path.parent.iterdir()} - {path.name}
    return path.with_name(left)


@pytest.mark.parametrize("name", ["map.h5", "a.b.ome.tif", "no_suffix", "Größe.ang", "n" * 200 + ".h5"])
def test_what_a_killed_program_left_is_named_after_its_file_and_goes_with_the_next(tmp_path, name):
    path = tmp_path / name
    left = left_by_a_killed_program(path)
    assert left.name.startswith(f".{name[:40]}")
    assert left.suffix == (path.suffix or ".part")
    with writing(path) as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == [name]


def test_what_another_may_still_be_writing_is_left_alone(tmp_path):
    path, other = tmp_path / "map.h5", tmp_path / "other.h5"
    mine = temporary_beside(path)  # by this process, which is alive
    elsewhere = path.with_name(".map.h5.0123abcd-4000000-01234567.part.h5")
    foreign = path.with_name(".map.h5.something.part.h5")
    for each in (mine, elsewhere, foreign):
        each.write_text("half")
    subprocess.run([sys.executable, "-c", KILLED, str(other)], check=False, timeout=60)
    (others,) = tmp_path.glob(".other.h5.*")
    with writing(path) as temporary:
        temporary.write_text("new")
    assert all(each.exists() for each in (mine, elsewhere, foreign, others))
    two_days_ago = time.time() - 2 * 24 * 3600
    os.utime(elsewhere, (two_days_ago, two_days_ago))
    with writing(path) as temporary:
        temporary.write_text("new")
    assert not elsewhere.exists()
    assert all(each.exists() for each in (mine, foreign, others))


def test_a_folder_of_parts_is_swept_whole(tmp_path):
    left_by_a_killed_program(tmp_path / "disks-1.npz")
    sweep(tmp_path)
    assert not names(tmp_path)
    sweep(tmp_path / "missing")


def test_a_scratch_folder_comes_and_goes_and_takes_a_killed_programs_with_it(tmp_path):
    with scratch_folder(tmp_path / "benchmark") as folder:
        (folder / "scan.h5").write_text("scratch")
        assert folder.parent == tmp_path
    assert not names(tmp_path)
    code = KILLED.replace("writing", "scratch_folder").replace("core.atomic", "core.temporaries")
    code = code.replace("sys.argv[1]", "pathlib.Path(sys.argv[1])").replace(
        "import os,", "import os, pathlib,"
    )
    code = code.replace("temporary.write_text", "(temporary / 'scan.h5').write_text")
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "benchmark")], check=False, timeout=60)
    assert len(names(tmp_path)) == 1
    with scratch_folder(tmp_path / "benchmark"):
        assert len(names(tmp_path)) == 1
    assert not names(tmp_path)
